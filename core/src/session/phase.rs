//! The states of a session server and what leads from one to the next.

use serde::{Deserialize, Serialize};

use crate::hal::ErrorKind;
use crate::message::link::Refusal;
use crate::message::{Reason, ServerState, TargetState};

/// Where a session server is.
///
/// ```text
/// Starting --started--> Uninitialized --configure--> Binding --bound, wants Inactive--> Inactive
///     |                                               |  |                              ^   |
///     | not started                          not bound|  |bound, wants Active    emptied|   | set Active
///     |                                               |  v                              |   v
///     |          Failed <-------no memory-------------|- Allocating <-------------------|---+
///     |            |                                  |  |allocated                     |
///     |            | set NotRunning                   |  v       set Inactive           |
///     |            |                                  |  Active ---------------> Deactivating
///     v            v                                  v                                 |
///   Leaving <-------------------- emptied, after set NotRunning; or a decoder is stuck -+
///     | everything is closed and the last word is said
///     v
///   Gone
/// ```
/// From everywhere set NotRunning, terminate and the end of the link lead to `Leaving`, from `Active` through
/// `Deactivating`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// The process sets itself up.
    Starting,
    /// It waits for its configuration.
    Uninitialized,
    /// It makes its socket.
    Binding { target: TargetState },
    /// It makes its shared memory.
    Allocating,
    /// Its socket is there; no shared memory, no decoder.
    Inactive,
    /// It serves.
    Active,
    /// It closes the decoders; then it is Inactive, or ends.
    Deactivating { then: Option<End> },
    /// It could not become Active; it holds nothing and takes NotRunning only (SM-17).
    Failed,
    /// It closes what is left and says its last word.
    Leaving(End),
    /// Nothing comes after this.
    Gone,
}

/// How a session server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    /// By NotRunning, or a signal.
    Asked,
    /// The manager has gone.
    Orphaned,
    /// It cannot go on.
    Failed(Reason),
}

impl End {
    /// The last thing that the manager hears, if it is there to hear it.
    pub(super) const fn last_word(self) -> Option<(ServerState, Reason)> {
        match self {
            Self::Asked => Some((ServerState::NotRunning, Reason::Asked)),
            Self::Orphaned => None,
            Self::Failed(reason) => Some((ServerState::Error, reason)),
        }
    }

    /// The exit status of the process.
    pub(super) const fn status(self) -> u8 {
        match self {
            Self::Asked | Self::Orphaned => 0,
            Self::Failed(_) => 1,
        }
    }
}

/// What can lead from one phase to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Started,
    StartFailed,
    Configure {
        target: TargetState,
    },
    Set(TargetState),
    Terminate,
    LinkClosed,
    Bound,
    BindFailed(Reason),
    Allocated,
    AllocationFailed,
    /// The last decoder has let go.
    Emptied,
    /// A decoder or a key system does not let go.
    Stuck(Reason),
    /// All is closed and said.
    Said,
}

/// What a cause does in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This phase comes next.
    Go(Phase),
    /// It is lawful and changes nothing.
    Stay,
    /// The manager may not ask this now.
    Refuse(Refusal),
    /// It comes too late or cannot be; it changes nothing.
    Ignore,
}

/// What comes next. `told` is the state that the manager was told last.
#[allow(clippy::too_many_lines, reason = "the whole table in one place, every pair by name")]
pub(super) fn next(phase: Phase, cause: Cause, told: ServerState) -> Verdict {
    use {Cause as C, Phase as P, TargetState as T, Verdict::Go};
    let wrong_state = Verdict::Refuse(Refusal::WrongState { state: told });
    match (phase, cause) {
        (P::Starting, C::Started) => Go(P::Uninitialized),
        (P::Starting, C::StartFailed) if planted!("failed_start_goes_on") => Go(P::Uninitialized),
        (P::Starting, C::StartFailed) => Go(P::Leaving(End::Failed(Reason::Initialization))),
        (P::Uninitialized, C::Configure { target }) => Go(P::Binding { target }),
        (P::Binding { target: T::Active }, C::Bound) if planted!("first_state_ignored") => Go(P::Inactive),
        (P::Binding { target: T::Active }, C::Bound) => Go(P::Allocating),
        (P::Binding { target: T::Inactive | T::NotRunning }, C::Bound) => Go(P::Inactive),
        (P::Binding { .. }, C::BindFailed(_)) if planted!("bind_failure_kept_quiet") => Go(P::Leaving(End::Asked)),
        (P::Binding { .. }, C::BindFailed(reason)) => Go(P::Leaving(End::Failed(reason))),
        (P::Inactive, C::Set(T::Active)) => Go(P::Allocating),
        (P::Allocating, C::Allocated) => Go(P::Active),
        (P::Allocating, C::AllocationFailed) => Go(P::Failed),
        (P::Failed, C::Set(T::Active)) if planted!("failed_tries_again") => Go(P::Allocating),
        (P::Active, C::Set(T::NotRunning)) if planted!("end_without_cleaning") => Go(P::Leaving(End::Asked)),
        (P::Active, C::Set(T::Inactive)) => Go(P::Deactivating { then: None }),
        (P::Deactivating { then: None }, C::Emptied) => Go(P::Inactive),
        (P::Deactivating { then: Some(end) }, C::Emptied) => Go(P::Leaving(end)),
        (P::Active | P::Deactivating { .. }, C::Stuck(_)) if planted!("stuck_decoder_waited_for") => Verdict::Stay,
        (P::Active | P::Deactivating { .. }, C::Stuck(reason)) => Go(P::Leaving(End::Failed(reason))),
        (P::Leaving(_), C::Said) if planted!("exit_forgotten") => Verdict::Stay,
        (P::Leaving(_), C::Said) => Go(P::Gone),

        (P::Deactivating { then: Some(_) }, C::Terminate) => Verdict::Stay,
        (P::Active | P::Deactivating { .. }, C::Set(T::NotRunning) | C::Terminate) => {
            Go(P::Deactivating { then: Some(End::Asked) })
        }
        (P::Active, C::LinkClosed) if planted!("plays_without_manager") => Verdict::Stay,
        (P::Active | P::Deactivating { .. }, C::LinkClosed) => Go(P::Deactivating { then: Some(End::Orphaned) }),
        (
            P::Starting | P::Uninitialized | P::Binding { .. } | P::Allocating | P::Inactive | P::Failed,
            C::Set(T::NotRunning) | C::Terminate,
        ) => Go(P::Leaving(End::Asked)),
        (
            P::Starting | P::Uninitialized | P::Binding { .. } | P::Allocating | P::Inactive | P::Failed,
            C::LinkClosed,
        ) => Go(P::Leaving(End::Orphaned)),

        (P::Inactive, C::Set(T::Inactive)) | (P::Active, C::Set(T::Active)) => Verdict::Stay,
        (P::Leaving(_), C::Set(T::NotRunning) | C::Terminate | C::LinkClosed) => Verdict::Stay,

        (P::Binding { .. } | P::Allocating | P::Deactivating { .. }, C::Set(T::Inactive | T::Active)) => {
            Verdict::Refuse(Refusal::Busy)
        }
        (P::Starting | P::Uninitialized | P::Failed | P::Leaving(_) | P::Gone, C::Set(T::Inactive | T::Active))
        | (P::Gone, C::Set(T::NotRunning))
        | (
            P::Starting
            | P::Binding { .. }
            | P::Allocating
            | P::Inactive
            | P::Active
            | P::Deactivating { .. }
            | P::Failed
            | P::Leaving(_)
            | P::Gone,
            C::Configure { .. },
        ) => wrong_state,

        // An outcome of what is no longer, or was never, under way.
        (
            P::Uninitialized
            | P::Binding { .. }
            | P::Allocating
            | P::Inactive
            | P::Active
            | P::Deactivating { .. }
            | P::Failed
            | P::Leaving(_)
            | P::Gone,
            C::Started | C::StartFailed,
        )
        | (
            P::Starting
            | P::Uninitialized
            | P::Allocating
            | P::Inactive
            | P::Active
            | P::Deactivating { .. }
            | P::Failed
            | P::Leaving(_)
            | P::Gone,
            C::Bound | C::BindFailed(_),
        )
        | (
            P::Starting
            | P::Uninitialized
            | P::Binding { .. }
            | P::Inactive
            | P::Active
            | P::Deactivating { .. }
            | P::Failed
            | P::Leaving(_)
            | P::Gone,
            C::Allocated | C::AllocationFailed,
        )
        | (
            P::Starting
            | P::Uninitialized
            | P::Binding { .. }
            | P::Allocating
            | P::Inactive
            | P::Active
            | P::Failed
            | P::Leaving(_)
            | P::Gone,
            C::Emptied,
        )
        | (
            P::Starting
            | P::Uninitialized
            | P::Binding { .. }
            | P::Allocating
            | P::Inactive
            | P::Failed
            | P::Leaving(_)
            | P::Gone,
            C::Stuck(_),
        )
        | (
            P::Starting
            | P::Uninitialized
            | P::Binding { .. }
            | P::Allocating
            | P::Inactive
            | P::Active
            | P::Deactivating { .. }
            | P::Failed
            | P::Gone,
            C::Said,
        )
        | (P::Gone, C::Terminate | C::LinkClosed) => Verdict::Ignore,
    }
}

/// Why a socket could not be made (SM-10).
pub(super) const fn bind_failure(kind: ErrorKind) -> Reason {
    match kind {
        ErrorKind::Busy => Reason::SocketTaken,
        ErrorKind::NotFound => Reason::SocketDirectoryMissing,
        ErrorKind::Denied => Reason::SocketDenied,
        ErrorKind::Owner => Reason::SocketOwner,
        ErrorKind::WrongKind => Reason::SocketPathNotSocket,
        ErrorKind::Exhausted | ErrorKind::Gone | ErrorKind::Unsupported | ErrorKind::Other | ErrorKind::Untrusted => {
            Reason::SocketFailed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 14] = [
        Phase::Starting,
        Phase::Uninitialized,
        Phase::Binding { target: TargetState::Inactive },
        Phase::Binding { target: TargetState::Active },
        Phase::Allocating,
        Phase::Inactive,
        Phase::Active,
        Phase::Deactivating { then: None },
        Phase::Deactivating { then: Some(End::Asked) },
        Phase::Deactivating { then: Some(End::Orphaned) },
        Phase::Failed,
        Phase::Leaving(End::Asked),
        Phase::Leaving(End::Failed(Reason::SocketTaken)),
        Phase::Gone,
    ];

    const CAUSES: [Cause; 15] = [
        Cause::Started,
        Cause::StartFailed,
        Cause::Configure { target: TargetState::Inactive },
        Cause::Set(TargetState::Inactive),
        Cause::Set(TargetState::Active),
        Cause::Set(TargetState::NotRunning),
        Cause::Terminate,
        Cause::LinkClosed,
        Cause::Bound,
        Cause::BindFailed(Reason::SocketTaken),
        Cause::Allocated,
        Cause::AllocationFailed,
        Cause::Emptied,
        Cause::Stuck(Reason::DecoderStuck),
        Cause::Said,
    ];

    /// One letter a verdict: the phase that comes next (`u`ninitialized, `b`inding, `m`emory, `i`nactive, `a`ctive,
    /// `d`eactivating to Inactive, `D`eactivating to the end, `f`ailed, `l`eaving, `g`one), `=` stay, `B`usy,
    /// `W`rong state, `.` ignored.
    fn letter(verdict: Verdict) -> char {
        match verdict {
            Verdict::Go(Phase::Starting) => 's',
            Verdict::Go(Phase::Uninitialized) => 'u',
            Verdict::Go(Phase::Binding { .. }) => 'b',
            Verdict::Go(Phase::Allocating) => 'm',
            Verdict::Go(Phase::Inactive) => 'i',
            Verdict::Go(Phase::Active) => 'a',
            Verdict::Go(Phase::Deactivating { then: None }) => 'd',
            Verdict::Go(Phase::Deactivating { then: Some(_) }) => 'D',
            Verdict::Go(Phase::Failed) => 'f',
            Verdict::Go(Phase::Leaving(_)) => 'l',
            Verdict::Go(Phase::Gone) => 'g',
            Verdict::Stay => '=',
            Verdict::Refuse(Refusal::Busy) => 'B',
            Verdict::Refuse(_) => 'W',
            Verdict::Ignore => '.',
        }
    }

    /// SM-10, SM-11, SM-15, SM-17, SM-18, SM-19, SM-20, SM-31: every cause in every phase.
    #[test]
    fn every_cause_has_its_verdict_in_every_phase() {
        // started, not started, configure, set inactive, active, not running, terminate, link closed,
        // bound, not bound, allocated, not allocated, emptied, stuck, said
        let table = [
            ("ulWWWlll.......", "Starting"),
            ("..bWWlll.......", "Uninitialized"),
            ("..WBBlllil.....", "Binding for Inactive"),
            ("..WBBlllml.....", "Binding for Active"),
            ("..WBBlll..af...", "Allocating"),
            ("..W=mlll.......", "Inactive"),
            ("..Wd=DDD.....l.", "Active"),
            ("..WBBDDD....il.", "Deactivating"),
            ("..WBBD=D....ll.", "Deactivating to end"),
            ("..WBBD=D....ll.", "Deactivating, orphaned"),
            ("..WWWlll.......", "Failed"),
            ("..WWW===......g", "Leaving"),
            ("..WWW===......g", "Leaving, failed"),
            ("..WWWW.........", "Gone"),
        ];
        for (phase, (verdicts, name)) in PHASES.into_iter().zip(table) {
            let found = CAUSES.map(|cause| letter(next(phase, cause, ServerState::Inactive)));
            assert_eq!(std::string::String::from_iter(found), verdicts, "{name}");
        }
    }

    /// SM-10
    #[test]
    fn what_stood_in_the_way_of_the_socket_is_said() {
        assert_eq!(bind_failure(ErrorKind::Busy), Reason::SocketTaken);
        assert_eq!(bind_failure(ErrorKind::WrongKind), Reason::SocketPathNotSocket);
        assert_eq!(bind_failure(ErrorKind::NotFound), Reason::SocketDirectoryMissing);
        assert_eq!(bind_failure(ErrorKind::Denied), Reason::SocketDenied);
        assert_eq!(bind_failure(ErrorKind::Owner), Reason::SocketOwner);
        assert_eq!(bind_failure(ErrorKind::Other), Reason::SocketFailed);
    }
}
