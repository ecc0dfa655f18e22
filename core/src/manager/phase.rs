//! The phases of one app, what happens in them, and what comes of it.

use serde::{Deserialize, Serialize};

use super::spare::{SpareHandle, Spares};
use super::{Settings, Ticket};
use crate::hal::{ErrorKind, ExitStatus, Signal};
use crate::message::control::{Answer, Refusal};
use crate::message::{Reason, ServerState, TargetState};
use crate::resources::Ledger;
use crate::time::Instant;

/// What the manager knows of a session server.
///
/// ```text
///     +--------- Resting <---- pause ----+-- Reaped, and to be kept up (SM-36)
///     v                                  |
///     +<------------- at once -----------+
///     |
///  Spawning --> Starting --> Configuring --+--> Inactive --> Activating --+--> Active
///     |         (READY)      (LINK)        |     ^    ^      (LINK)       |      |
///     |                                    |     |    +-- refused --------|      |
///     |                                    |     |                        v      |
///     |                                    |     |                     Failed    |
///     |                                    |     +---- Deactivating <------------+
///     |                                    |             (LINK)                  ^
///     |                                    +-------------------------------------+
///     |
///     |   from all of these:   asked to end, Error that ends it, link closed,
///     |                        does not get on                               --> Stopping
///     |                        time limit passed, garbage or a lie           --> Killing
///     |
///     |   Stopping --(STOP)--> Terminating --(TERMINATE)--> Killing
///     |
///     +--> Reaped <-- the process was seen to end, whatever the phase; or asked to end while Resting
/// ```
///
/// In brackets stands the time limit of a phase. Where a spare is up, Spawning and Starting are left out. An app is kept up once a server of it has been where it was to go first:
/// then each server that ends without having been asked to is followed by another one, until there were too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Phase {
    /// The platform is asked to start its process.
    Spawning,
    /// Its process runs; it has not said that it is up.
    Starting,
    /// It is up and goes to its first state.
    Configuring,
    /// It holds its socket only.
    Inactive,
    /// It is on its way from Inactive to Active. It holds its reservation already.
    Activating,
    /// It may decode.
    Active,
    /// It is on its way from Active to Inactive. It holds its reservation still.
    Deactivating,
    /// Its way to Active failed; it lives and holds nothing.
    Failed,
    /// It is to end by itself: it was asked to, it said that it will, or its link has closed.
    Stopping,
    /// It was sent TERM.
    Terminating,
    /// It was sent KILL.
    Killing,
    /// It has ended and was reaped, and no other follows. Its place is freed when all that is to be told of it was told.
    Reaped,
    /// It has ended and was reaped; another one is started after a pause.
    Resting,
}

/// What happens to one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Its process was started, and has this number.
    Spawned(u32),
    /// Its process could not be started.
    SpawnFailed(ErrorKind),
    /// It says that it is in a state.
    Said(ServerState, Option<Reason>),
    /// It accepted what its phase asks of it.
    Accepted,
    /// It refused what its phase asks of it.
    Refused,
    /// It answered what does not matter to its phase: log levels, or the request of an earlier phase.
    Settled,
    /// It answered what it was not asked.
    Unasked,
    /// It sent up its listening socket, or told of its clients.
    Told,
    /// It closed the link.
    LinkClosed,
    /// It sent what is no message, or the link failed.
    LinkBroken,
    /// Its process has ended and was reaped.
    Exited(ExitStatus),
    /// The time limit of its phase has passed.
    TimedOut,
    /// It is time to see whether it gets on.
    LookDue,
}

/// An event that cannot be in this phase: it is late, from before something that this side knows already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Late;

/// What the handling of an event may use beside the app.
pub(super) struct Scene<'a> {
    pub(super) now: Instant,
    pub(super) settings: &'a Settings,
    pub(super) ledger: &'a mut Ledger,
    pub(super) spares: &'a mut Spares,
}

/// How a request that waited for the session server came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    Done,
    ProgramMissing,
    ProgramDenied,
    SpawnFailed,
    ServerRefused,
    ServerTimeout,
    ServerGone,
    Superseded,
    ShuttingDown,
}

impl Outcome {
    pub(super) const fn into_result(self) -> Result<Answer, Refusal> {
        Err(match self {
            Self::Done => return Ok(Answer::Done),
            Self::ProgramMissing => Refusal::ProgramMissing,
            Self::ProgramDenied => Refusal::ProgramDenied,
            Self::SpawnFailed => Refusal::Spawn,
            Self::ServerRefused => Refusal::ServerRefused,
            Self::ServerTimeout => Refusal::ServerTimeout,
            Self::ServerGone => Refusal::ServerGone,
            Self::Superseded => Refusal::Superseded,
            Self::ShuttingDown => Refusal::ShuttingDown,
        })
    }
}

/// What is to be done for one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Spawn,
    Take(SpareHandle),
    Reply(Ticket, Outcome),
    Notify(ServerState, Option<Reason>),
    Signal(Signal),
    CloseLink,
    Configure(u32),
    SetState(u32, TargetState),
    Ping(u32),
    SetLogLevels(u32),
    RemoveSocket,
}

/// Whether a request for another state can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is there already.
    There,
    /// It can go there.
    Open,
}
