//! The calls that wait for their answer.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::message::playback::{Answer, Command, Refusal};
use crate::message::{audio, keys};
use crate::table::Handle;
use crate::time::Instant;

/// Names one call, from its acceptance to its one [`Outcome`].
pub type CallId = Handle<Call>;

/// The call by which what came too late goes back to the server, or a ping is answered. Nobody waits for its answer, so it
/// has no place in the table, and needs none to be free: no table is so large.
pub(super) const UNAWAITED: CallId = CallId::from_parts(u16::MAX, 0);

/// The number that a call's request carries on the wire. Its upper half is the generation of the call's place, so that a
/// late answer to an earlier call in that place is not taken for this one's.
pub(super) const fn sequence_of(call: CallId) -> u32 {
    (call.generation() as u32) << 16 | call.index() as u32
}

/// Back from [`sequence_of`].
pub(super) const fn call_of(sequence: u32) -> CallId {
    CallId::from_parts(sequence as u16, (sequence >> 16) as u16)
}

/// How a call ended. Every accepted call has exactly one (SM-30).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// It went well.
    Answered(Answer),
    /// The session server refused it; it changed nothing there.
    Refused(Refusal),
    /// Peer: no answer came within [`crate::limits::CALL_TIMEOUT`]. Whether it was done is not known.
    TimedOut,
    /// Peer: the connection ended before the answer came. Whether it was done does not matter any more.
    ConnectionLost,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(_) => out.write_str("it was done"),
            Self::Refused(refusal) => refusal.fmt(out),
            Self::TimedOut => out.write_str("the session server did not answer in time"),
            Self::ConnectionLost => out.write_str("the connection to the session server ended before it answered"),
        }
    }
}

/// Who waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Caller {
    /// The app: it is told the outcome.
    App,
    /// The machine itself: nobody is told.
    Machine,
}

/// Which answer a call can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CallKind {
    Hello,
    GetSharedMemory,
    CreateSession,
    AttachSource,
    GetPosition,
    GetDuration,
    GetStatistics,
    CreatePlayer,
    CreateKeySession,
    GetVolume,
    GetPlayed,
    /// Any that is answered by [`Answer::Done`].
    Plain,
}

impl CallKind {
    pub(super) const fn of(command: &Command<'_>) -> Self {
        match command {
            Command::Hello => Self::Hello,
            Command::GetSharedMemory => Self::GetSharedMemory,
            Command::CreateSession => Self::CreateSession,
            Command::AttachSource { .. } => Self::AttachSource,
            Command::GetPosition { .. } => Self::GetPosition,
            Command::GetDuration { .. } => Self::GetDuration,
            Command::GetStatistics { .. } => Self::GetStatistics,
            Command::Audio(audio::Command::Create { .. }) => Self::CreatePlayer,
            Command::Keys(keys::Command::Create { .. }) => Self::CreateKeySession,
            Command::Keys(
                keys::Command::GenerateRequest { .. }
                | keys::Command::Update { .. }
                | keys::Command::Remove { .. }
                | keys::Command::Bind { .. }
                | keys::Command::Close { .. },
            ) => Self::Plain,
            Command::Audio(audio::Command::GetVolume { .. }) => Self::GetVolume,
            Command::Audio(audio::Command::GetPlayed { .. }) => Self::GetPlayed,
            Command::Audio(
                audio::Command::Destroy { .. }
                | audio::Command::Play { .. }
                | audio::Command::Pause { .. }
                | audio::Command::SetVolume { .. },
            )
            | Command::ReleaseSharedMemory
            | Command::Pong
            | Command::DestroySession { .. }
            | Command::Load { .. }
            | Command::AllSourcesAttached { .. }
            | Command::Play { .. }
            | Command::Pause { .. }
            | Command::Stop { .. }
            | Command::SetPosition { .. }
            | Command::Flush { .. }
            | Command::SetVolume { .. }
            | Command::SetMute { .. }
            | Command::SetDuration { .. }
            | Command::RemoveSource { .. }
            | Command::SetPlaybackRate { .. }
            | Command::SetVideoWindow { .. }
            | Command::SetSourceMute { .. } => Self::Plain,
        }
    }

    /// Whether this answer, with so many descriptors, is one to such a call.
    pub(super) const fn is_answered_by(self, answer: &Answer, descriptors: u8) -> bool {
        matches!(
            (self, answer, descriptors),
            (Self::Hello, Answer::Welcome { .. }, 0)
                | (Self::GetSharedMemory, Answer::SharedMemory { .. }, 2)
                | (Self::CreateSession, Answer::Session { .. }, 0)
                | (Self::CreateSession, Answer::SessionWithMemory { .. }, 2)
                | (Self::AttachSource, Answer::Source { .. }, 2)
                | (Self::GetPosition, Answer::Position { .. }, 0)
                | (Self::GetDuration, Answer::Duration { .. }, 0)
                | (Self::GetStatistics, Answer::Statistics(_), 0)
                | (Self::CreatePlayer, Answer::Audio(audio::Answer::Player { .. }), 4)
                | (Self::CreateKeySession, Answer::Keys(keys::Answer::KeySession { .. }), 0)
                | (Self::GetVolume, Answer::Audio(audio::Answer::Volume { .. }), 0)
                | (Self::GetPlayed, Answer::Audio(audio::Answer::Played { .. }), 0)
                | (Self::Plain, Answer::Done, 0)
        )
    }
}

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Call {
    pub(super) kind: CallKind,
    pub(super) caller: Caller,
    pub(super) deadline: Instant,
    /// How it ended, until that has been reported.
    pub(super) outcome: Option<Outcome>,
}
