//! The classes of faults: what a world can do to those who live in it.

use std::fmt;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal in $area:ident;)*) => {
        /// One class of faults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every class.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name, as in reports and on command lines.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it strikes.
            pub const fn area(self) -> Area {
                match self {
                    $(Self::$name => Area::$area,)*
                }
            }
        }
    };
}

pub(super) use faults;

/// What a class of faults strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// The session servers' processes.
    Process,
    /// Connections.
    Socket,
    /// Shared memory and bells.
    Memory,
    /// Decoders.
    Decoder,
    /// Time.
    Time,
    /// Fixed capacities.
    Capacity,
}

faults! {
    /// A process cannot be started.
    SpawnFails = "spawn fails" in Process;
    /// A process needs nearly as long as it may until it is up.
    SlowStart = "slow start" in Process;
    /// A process never says that it is up.
    NeverReady = "never ready" in Process;
    /// A process says twice that it is up.
    ReadyTwice = "ready twice" in Process;
    /// A process crashes while it starts.
    CrashAtStart = "crash at start" in Process;
    /// A process crashes, whatever it does.
    Crash = "crash" in Process;
    /// A process ends as if all were well, without having been asked.
    ExitUnasked = "exit unasked" in Process;
    /// A process does nothing any more and does not hear TERM.
    IgnoredTerminate = "TERM ignored" in Process;
    /// A process ends seconds after it was killed.
    SlowExit = "slow exit after KILL" in Process;
    /// A process stands still, and then goes on.
    Stopped = "stopped" in Process;
    /// A process gets the number of one that has ended.
    ReusedProcessId = "process id reused" in Process;
    /// An app crashes again and again.
    CrashLoop = "crash loop" in Process;

    /// A connection takes nothing for long.
    WouldBlock = "would block for long" in Socket;
    /// An app closes between a call and its answer.
    ClientCloses = "app closes before the answer" in Socket;
    /// A controller closes between a request and its answer.
    ControllerCloses = "controller closes before the answer" in Socket;
    /// A message arrives twice, the second time late.
    LateMessage = "late message" in Socket;
    /// A session server's message is of its predecessor.
    StaleMessage = "message of an earlier generation" in Socket;
    /// Somebody does not read.
    SlowReader = "slow reader" in Socket;
    /// An app connects again and again.
    ReconnectStorm = "reconnect storm" in Socket;
    /// Descriptors are missing.
    MissingDescriptors = "missing descriptors" in Socket;
    /// Descriptors are of another kind, or too many.
    WrongDescriptors = "wrong or surplus descriptors" in Socket;
    /// What is sent is no message.
    Garbage = "garbage" in Socket;
    /// No connection can be accepted.
    AcceptFails = "accept fails" in Socket;
    /// A socket cannot be watched.
    WatchFails = "watch fails" in Socket;

    /// The producer's cursor jumps.
    CursorJumps = "cursor jumps" in Memory;
    /// A record is longer than its ring.
    LyingLength = "length that lies" in Memory;
    /// Words change between two reads.
    ChangingWords = "words that change between two reads" in Memory;
    /// A bell is not heard.
    LostBell = "doorbell lost" in Memory;
    /// A bell rings and rings.
    BellStorm = "doorbell storm" in Memory;
    /// A decoder takes nothing out of its rings.
    NeverReleases = "never releases" in Memory;
    /// Shared memory or a bell cannot be had.
    NoMemory = "no memory" in Memory;

    /// A pipeline takes long to show its first picture.
    SlowPreroll = "slow preroll" in Decoder;
    /// A command fails.
    DecoderError = "decoder error" in Decoder;
    /// The end of a stream is never told.
    NoEndOfStream = "no end of stream" in Decoder;
    /// A flush waits for a decoder that is blocked.
    BlockedFlush = "flush while blocked" in Decoder;
    /// A decoder does not answer in time, or never.
    StuckDecoder = "stuck decoder" in Decoder;
    /// The box has fewer decoders for a while.
    FewerDecoders = "decoder count drops" in Decoder;
    /// A decoder fails while it plays.
    FailsInPlay = "decoder fails in play" in Decoder;

    /// Nobody sees the time pass but in large steps.
    CoarseClock = "coarse clock" in Time;
    /// The box was suspended.
    Suspend = "jump after suspend" in Time;
    /// Somebody is woken late.
    LateCallback = "late callback" in Time;
    /// Deadlines of several fall together.
    EqualDeadlines = "equal deadlines" in Time;

    /// More apps are started than there are places.
    AppsFull = "apps at N+1" in Capacity;
    /// More controllers connect than there are places.
    ControllersFull = "controllers at N+1" in Capacity;
    /// More clients connect than there are places.
    ClientsFull = "clients at N+1" in Capacity;
    /// An app asks for more sessions, players and key sessions than it may have.
    SessionsFull = "sessions at N+1" in Capacity;
    /// There is too little of something while a session server is being replaced.
    ExhaustedRecovery = "exhaustion while recovering" in Capacity;

    /// The manager is killed, and another one starts over what is left.
    ManagerKilled = "manager killed" in Process;
}

impl Fault {
    /// It is only planned, and strikes when whom it is meant for does something; it may never strike.
    pub(super) const fn is_planned(self) -> bool {
        matches!(
            self,
            Self::SpawnFails
                | Self::SlowStart
                | Self::NeverReady
                | Self::CrashAtStart
                | Self::ReusedProcessId
                | Self::ExhaustedRecovery
                | Self::IgnoredTerminate
                | Self::SlowExit
                | Self::WouldBlock
                | Self::LateMessage
                | Self::MissingDescriptors
                | Self::WrongDescriptors
                | Self::Garbage
                | Self::AcceptFails
                | Self::WatchFails
                | Self::LostBell
                | Self::NoMemory
                | Self::NeverReleases
                | Self::SlowPreroll
                | Self::DecoderError
                | Self::NoEndOfStream
                | Self::BlockedFlush
                | Self::StuckDecoder
                | Self::FewerDecoders
                | Self::FailsInPlay
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// How many classes there are.
pub const FAULTS: usize = Fault::ALL.len();
const _: () = assert!(FAULTS <= 64, "a set of them is one word");

/// Some of the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultSet(u64);

impl FaultSet {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self((1 << FAULTS) - 1);

    /// Whether this one is in it.
    pub const fn contains(self, fault: Fault) -> bool {
        self.0 >> fault as u8 & 1 == 1
    }

    /// Each that is in it.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.iter().copied().filter(move |fault| self.contains(*fault))
    }

    /// With this one.
    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u8)
    }

    /// Without this one.
    #[must_use]
    pub const fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault as u8))
    }
}

impl FromIterator<Fault> for FaultSet {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        faults.into_iter().fold(Self::NONE, Self::with)
    }
}
