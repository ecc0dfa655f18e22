//! The classes of faults: what can happen to boxes on a network, to their pages and to what they show.

use std::fmt;

use crate::sim::fault::faults;

/// What a class of faults strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Connections between devices.
    Network,
    /// Other devices, on the control channel or where a transport is offered.
    Peer,
    /// Which devices there are.
    Devices,
    /// The processes that show pages.
    Receiver,
    /// Local clients.
    Client,
    /// What builds data channels in the processes of pages.
    Content,
    /// Time, and the service's own process.
    Time,
    /// What the platform is asked for.
    Platform,
    /// Fixed capacities.
    Capacity,
}

faults! {
    /// What is sent takes up to a second.
    SlowNetwork = "slow network" in Network;
    /// What is sent arrives in pieces, or joined, and little is reported ready at a time.
    Pieces = "splits and joins" in Network;
    /// A connection is cut off.
    Cut = "connection cut" in Network;
    /// A connection is cut off at some byte.
    CutAtByte = "connection cut at a byte" in Network;
    /// All connections between two devices are cut off.
    CutAll = "all connections cut" in Network;
    /// A connection takes nothing for long.
    WouldBlock = "would block for long" in Network;
    /// A device does not answer who connects.
    Unanswered = "no answer" in Network;
    /// Both ends close a connection in the same moment.
    BothClose = "both sides close" in Network;
    /// Both ends end a presentation in the same moment.
    BothTerminate = "both sides terminate" in Network;

    /// Lines that are no JSON, or nothing.
    GarbageLines = "garbage lines" in Peer;
    /// Every line is said twice.
    DuplicateLines = "duplicate lines" in Peer;
    /// Lines that have no place there.
    OutOfPlace = "lines out of place" in Peer;
    /// A line longer than any may be.
    HugeLine = "huge line" in Peer;
    /// Somebody else's presentation is launched, joined or ended.
    Hijack = "somebody else's presentation" in Peer;
    /// A device connects and says nothing.
    SilentPeer = "silent device" in Peer;
    /// A device asks and does not read the answers.
    DeafPeer = "device that never reads" in Peer;
    /// Somebody else connects to what was offered.
    OfferIntruder = "intruder at an offer" in Peer;
    /// A device offers an address where nobody is.
    FalseOffer = "false offer" in Peer;

    /// A device goes, and comes back.
    Flap = "device goes and comes" in Devices;
    /// A device has another address.
    Moved = "device moves" in Devices;
    /// A device is announced with another certificate.
    Imposter = "imposter" in Devices;

    /// A page never loads.
    NeverLoads = "page never loads" in Receiver;
    /// A page loads just too late.
    LoadsLate = "page loads late" in Receiver;
    /// A page cannot be shown, and says so.
    PageFails = "page fails" in Receiver;
    /// A process crashes while its page loads.
    CrashLoading = "crash while loading" in Receiver;
    /// A process crashes while its page is shown.
    CrashShown = "crash while shown" in Receiver;
    /// A process lives on and has closed its connection.
    HangsUp = "receiver hangs up" in Receiver;
    /// A page never listens for connections.
    NeverListens = "never listens" in Receiver;
    /// A process does not hear TERM.
    IgnoredTerminate = "TERM ignored" in Receiver;
    /// A process ends seconds after it was killed.
    SlowExit = "slow exit after KILL" in Receiver;
    /// A process cannot be started.
    LaunchFails = "launch refused" in Receiver;

    /// A client goes without a word.
    ClientVanishes = "client vanishes" in Client;
    /// A client does not read for long.
    ClientDeaf = "client never reads" in Client;
    /// A client sends what is no request.
    ClientGarbage = "garbage of a client" in Client;
    /// A client tries what belongs to others.
    ClientIntrudes = "client that intrudes" in Client;
    /// A client connects and says nothing.
    ClientSilent = "silent client" in Client;

    /// A page's process is killed as soon as a data channel of it is in some phase.
    ContentKilled = "content process killed" in Content;
    /// A data channel is never described.
    OfferNeverComes = "builder hangs" in Content;
    /// An offer is taken, and never answered.
    AnswerNeverComes = "answer never comes" in Content;
    /// A data channel cannot be built.
    BuilderFails = "builder fails" in Content;
    /// Candidates come seconds late.
    LateCandidates = "late candidates" in Content;
    /// Each candidate comes twice.
    CandidatesTwice = "candidates twice" in Content;
    /// A candidate is said before the description.
    EarlyCandidate = "candidate before its description" in Content;
    /// Candidates that are none.
    GarbageCandidates = "garbage candidates" in Content;
    /// A description that is none.
    Nonsense = "description that is none" in Content;
    /// Nothing passes between two pages any more, and their services can talk.
    PathLost = "direct path lost" in Content;
    /// Two services cannot talk any more, and their pages can.
    ControlLost = "control channel of a data channel lost" in Content;
    /// A receiver builds no data channel.
    NoBuilder = "receiver without a builder" in Content;
    /// A page leaves while much is on its way, and comes back at once.
    ReturnsDraining = "reconnect while draining" in Content;

    /// The boxes were suspended.
    Suspend = "jump after suspend" in Time;
    /// A service is woken late.
    LateCallback = "late callback" in Time;
    /// A service stands still, and then goes on.
    Stopped = "stopped" in Time;
    /// A service is killed, and another one starts.
    ServiceKilled = "service killed" in Time;

    /// No device can be accepted.
    AcceptFails = "accept fails" in Platform;
    /// Something cannot be watched.
    WatchFails = "watch fails" in Platform;
    /// No transport can be offered.
    ListenFails = "listen fails" in Platform;
    /// No connection can be made.
    ConnectFails = "connect fails" in Platform;
    /// There is no memory.
    NoMemory = "no memory" in Platform;
    /// A certificate cannot be remembered.
    NotRemembered = "certificate not remembered" in Platform;

    /// One more presentation is asked for than there are places.
    PresentationsFull = "presentations at N+1" in Capacity;
    /// More clients connect than there are places.
    ClientsFull = "clients at N+1" in Capacity;
    /// One address opens more channels than it may.
    AddressFull = "channels of one address at N+1" in Capacity;
    /// More channels are opened than there are places.
    ChannelsFull = "channels at N+1" in Capacity;
    /// More devices are announced than there are places.
    DevicesFull = "devices at N+1" in Capacity;
    /// More devices are to be chosen than there are places.
    SelectionsFull = "selections at N+1" in Capacity;
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// How many classes there are.
pub const FAULTS: usize = Fault::ALL.len();
