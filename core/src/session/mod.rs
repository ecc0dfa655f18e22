//! One per app: its socket, its shared memory, its playback sessions and web audio players.
//!
//! Machines inside a machine: the server ([`Server`], its states in `phase`) and, for each playback session and each web
//! audio player, what its decoder is doing (`playback`, `audio`), and for each key session its key system (`keys`). A connection of a client is only a place where replies and events wait
//! until its socket takes them (`client`).
//!
//! A connection leases one slot of the shared memory and can have a session in it; each further session brings a slot of
//! its own, and gives it back with its end. So an app may have as many sessions as its resources have slots, on one connection or
//! on several, and no session shares memory, decoder or calls with another: while the decoder of one is busy, calls about
//! the others are taken.
//!
//! Nothing here queues without a bound. What is to be done follows from the state: a client that does not read its
//! socket is told later how things are then, not everything that happened meanwhile; its ends, failures and first
//! frames are bits that stay set until they are told.

mod actions;
mod audio;
mod beat;
mod calls;
mod client;
mod keys;
mod phase;
mod playback;
mod server;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use audio::{FIRST_PLAYER, Player};
pub use client::Client;
pub use keys::{KeyOrder, KeySession};
pub use playback::{Order, Playback};
pub use server::Server;

use crate::hal::{DecoderEvent, ErrorKind, KeyEvent, Peer};
use crate::message::audio::{PcmFormat, PlayerId};
use crate::message::keys::{KeyError, KeySessionId};
use crate::message::playback::{Command, Event, MediaKind, Refusal, SessionId, SourceId};
use crate::message::{AppState, LogLevels, link};
use crate::table::Handle;

/// A connection of a client, as the server numbered it.
pub type ClientId = Handle<Client>;

/// What a session server is told. What follows an [`Action`] is its outcome and comes right after the drain that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Input<'a> {
    /// The process is ready to serve, or cannot be (SM-05, SM-11).
    Started(Result<(), ErrorKind>),
    /// The manager asks.
    Link(#[serde(borrow)] link::Request<'a>),
    /// The link takes no more until [`Input::LinkWritable`]. What it stops is the next action, so this and
    /// [`Input::ClientBlocked`] may come while the actions are being drained.
    LinkBlocked,
    /// The link takes messages again.
    LinkWritable,
    /// The manager has gone, or sent what is no message.
    LinkClosed,
    /// What came of [`Action::Bind`].
    Bound(Result<(), ErrorKind>),
    /// What came of [`Action::Allocate`].
    Allocated(Result<(), ErrorKind>),
    /// What came of [`Action::Renew`].
    Renewed {
        /// Of which slot.
        slot: u8,
        /// Whether it has fresh memory.
        result: Result<(), ErrorKind>,
    },
    /// Somebody connected; [`Action::Admit`] says under which number.
    ClientConnected {
        /// Who.
        peer: Peer,
    },
    /// A client's socket takes no more until [`Input::ClientWritable`].
    ClientBlocked {
        /// Which one.
        client: ClientId,
    },
    /// A client's socket takes messages again.
    ClientWritable {
        /// Which one.
        client: ClientId,
    },
    /// A client has gone, or sent what is no message.
    ClientClosed {
        /// Which one.
        client: ClientId,
    },
    /// A client asks.
    Call {
        /// Which one.
        client: ClientId,
        /// The number that its one answer repeats.
        sequence: u32,
        /// What it asks.
        #[serde(borrow)]
        command: Command<'a>,
    },
    /// What came of [`Action::Open`].
    Opened {
        /// Of which session.
        session: u16,
        /// Whether it has a decoder.
        result: Result<(), ErrorKind>,
    },
    /// The answer that brings this session could not be made: nobody will ever know of it.
    Undelivered {
        /// Which session.
        session: u16,
    },
    /// A decoder says something.
    Decoder(DecoderEvent),
    /// What came of [`Action::OpenKeys`].
    KeysOpened {
        /// Of which key session.
        key_session: u16,
        /// Whether there is such a key system.
        result: Result<(), KeyError>,
    },
    /// A key system says something.
    Keys(KeyEvent),
    /// Time has passed.
    Tick,
    /// The process was asked to end, not by the manager.
    Terminate,
}

/// What a session server wants done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action {
    /// Send this to the manager. With [`link::Message::Listener`] goes a duplicate of the listening socket.
    Link(link::Message),
    /// Log from now on as this says.
    SetLogLevels(LogLevels),
    /// Make the socket at [`Server::place`] (SM-08).
    Bind,
    /// Close the socket.
    Unbind {
        /// Whether its file stays: the manager has the socket too, and hands it to the next server or removes it, so that
        /// whoever connects meanwhile waits (SM-36).
        leaves_file: bool,
    },
    /// Make the shared memory of so many slots, or of none (SM-15).
    Allocate {
        /// Playback sessions that the app may have.
        slots: u8,
        /// Web audio players that the app may have; their slots have numbers from [`FIRST_PLAYER`] on.
        players: u8,
    },
    /// Replace the memory of a slot that another client has seen.
    Renew {
        /// Which slot.
        slot: u8,
    },
    /// Unmap and free all shared memory (SM-18).
    Free,
    /// Make a session's decoder.
    Open {
        /// Which session.
        session: u16,
    },
    /// Give an order to a session's decoder.
    Command {
        /// Which session.
        session: u16,
        /// The slot that it plays from.
        slot: u8,
        /// Comes back with the order's completion.
        token: u32,
        /// What to do. The description that belongs to [`Order::Attach`] is that of the call just handed in.
        order: Order,
    },
    /// Free a session's decoder.
    Close {
        /// Which session.
        session: u16,
    },
    /// The socket that just connected is this client.
    Admit {
        /// Its number.
        client: ClientId,
    },
    /// Answer a client.
    Reply {
        /// Which one.
        client: ClientId,
        /// The number of its call.
        sequence: u32,
        /// The answer.
        response: Response,
    },
    /// Tell a client what happened.
    Event {
        /// Which one.
        client: ClientId,
        /// What.
        event: Event,
    },
    /// Tell a client the text that is due, as the decoder has it.
    Text {
        /// Which client.
        client: ClientId,
        /// Of which session.
        session: SessionId,
    },
    /// Make a key session at its key system. Which one stands in the call just handed in.
    OpenKeys {
        /// Which key session.
        key_session: u16,
    },
    /// Give an order to a key system. What belongs to it is in the call just handed in.
    CommandKeys {
        /// Which key session.
        key_session: u16,
        /// Comes back with the order's completion.
        token: u32,
        /// What to do.
        order: KeyOrder,
    },
    /// Let the decoder of a session use the keys of a key session.
    BindKeys {
        /// Which key session.
        key_session: u16,
        /// Which session.
        session: u16,
    },
    /// Free a key session.
    CloseKeys {
        /// Which key session.
        key_session: u16,
    },
    /// Tell a client the message for its licence server, as the key system has it.
    LicenseMessage {
        /// Which client.
        client: ClientId,
        /// Of which key session.
        key_session: KeySessionId,
    },
    /// Tell a client what its keys are good for, as the key system has it.
    KeyStatuses {
        /// Which client.
        client: ClientId,
        /// Of which key session.
        key_session: KeySessionId,
    },
    /// Close a client's connection.
    CloseClient {
        /// Which one.
        client: ClientId,
    },
    /// End the process.
    Exit {
        /// With this status.
        status: u8,
    },
}

/// The answer to a call, before the platform has added what only it knows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Response {
    /// The call was refused.
    Refused(Refusal),
    /// The connection is open; the version goes with it.
    Welcome {
        /// The state that the app is in.
        state: AppState,
    },
    /// It was done.
    Done,
    /// The slot's sizes and its two descriptors.
    SharedMemory {
        /// Which slot.
        slot: u8,
    },
    /// The new session.
    Session {
        /// Its number.
        session: SessionId,
        /// The slot that was leased with it, if one was: its sizes and its two descriptors go along.
        slot: Option<u8>,
    },
    /// The new source: its ring's place and its two bells.
    Source {
        /// In which slot.
        slot: u8,
        /// Its number.
        source: SourceId,
        /// What kind of ring it has.
        kind: MediaKind,
    },
    /// Where the decoder says that playback is.
    Position {
        /// Of which session.
        session: u16,
        /// What it said last, if it cannot say now.
        last_ns: u64,
    },
    /// How long the media is.
    Duration {
        /// Of which session.
        session: u16,
        /// What the app told; otherwise the decoder is asked.
        told_ns: Option<u64>,
    },
    /// What a source has done so far.
    Statistics {
        /// Of which session.
        session: u16,
        /// Of which source.
        source: SourceId,
    },
    /// The new web audio player: its slot, its ring's place and its two bells.
    Player {
        /// Its number.
        player: PlayerId,
        /// The form of its frames.
        format: PcmFormat,
    },
    /// The new key session.
    KeySession {
        /// Its number.
        key_session: KeySessionId,
    },
    /// How loud a web audio player is.
    Volume {
        /// In thousandths.
        volume_permille: u16,
    },
    /// How much of a web audio player was heard.
    Played {
        /// Of which decoder.
        session: u16,
    },
}

/// Why an input was not taken; it changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NotTaken {
    /// An earlier call of this client must end first: keep this one, and hand it in again after the next input that
    /// was about a decoder.
    Later,
    /// There is no such client any more.
    Stale,
    /// There is no place for another client.
    Full,
    /// The server has ended, or does not expect this now.
    Unexpected,
}
