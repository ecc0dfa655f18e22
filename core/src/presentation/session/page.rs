//! A page that this box shows for another device: launched, loaded, ended (PS-11 to PS-13, PS-35).

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::WrongState;
use crate::limits::{CLOSED_KEPT, TERMINATE_ACK_TIMEOUT};
use crate::message::papi::Reason;
use crate::presentation::Todo;
use crate::time::Instant;

/// How far a page is.
///
/// ```text
/// Launching --started--> Loading --ready--> Ready
///    |                      |   (LOAD)        |   (KEPT, without connections; not at all without having had one)
///    |                      +--- failed ------+--- asked to end --> Ending --its process was seen to end--> Gone
///    |                      |                 |      (ASK, then it is killed)                                ^
///    +--- not started ------+-----------------+--- its process was seen to end ----------------------------+
/// ```
/// In brackets stands the time limit of a phase. A page is gone when its process was seen to end, never because a timer
/// ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The platform is asked to start its process.
    Launching,
    /// Its process runs.
    Loading,
    /// It is shown.
    Ready,
    /// It is to end.
    Ending,
    /// Nothing comes after this.
    Gone,
}

/// What happens to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its process was started.
    Launched,
    /// Its process could not be started.
    LaunchFailed(Reason),
    /// It says that it is there.
    Ready,
    /// It says that it cannot be shown.
    Failed,
    /// The presentation is to end.
    End,
    /// Its process was seen to end.
    ProcessEnded,
    /// It has a connection, or none any more.
    Connections {
        /// Whether it has one.
        any: bool,
    },
    /// One of its connections is connected.
    Connected,
    /// Its deadline has come.
    TimedOut,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Start its process.
    Launch,
    /// Tell its connections that it is there.
    TellReady,
    /// Tell its connections that it cannot be shown, for [`Page::reason`].
    TellFailed,
    /// Tell its connections that the presentation has ended.
    TellEnded,
    /// Ask its process to end.
    Stop,
    /// End its process.
    Kill,
    /// It has gone; nothing of it is left.
    Remove,
}

const DEEDS: &[Deed] =
    &[Deed::Launch, Deed::TellReady, Deed::TellFailed, Deed::TellEnded, Deed::Stop, Deed::Kill, Deed::Remove];

/// One page on the screen of this box.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Page {
    phase: Phase,
    deadline: Option<Instant>,
    reason: Reason,
    was_connected: bool,
    todo: Todo<Deed>,
}

impl Page {
    /// A page that is to be launched, and to be there within `load_timeout`.
    pub fn new(now: Instant, load_timeout: Duration) -> Self {
        let deadline = planted!("page_loads_for_ever", None, Some(now.after(load_timeout)));
        let (phase, reason) = (Phase::Launching, Reason::NORMAL);
        let mut page = Self { phase, deadline, reason, was_connected: false, todo: Todo::default() };
        page.add(Deed::Launch);
        page
    }

    /// How far it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Why it could not be shown.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// When [`Event::TimedOut`] is due.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Deed> {
        self.todo.next(DEEDS)
    }

    /// Takes an event. An error changed nothing.
    pub fn handle(&mut self, now: Instant, event: Event) -> Result<(), WrongState> {
        use {Event as E, Phase as P};
        match (self.phase, event) {
            (P::Launching, E::Launched) => self.phase = P::Loading,
            (P::Launching, E::LaunchFailed(reason)) => {
                self.fail(reason);
                self.gone();
            }
            (P::Loading, E::Ready) => {
                self.phase = P::Ready;
                self.deadline = None;
                self.add(Deed::TellReady);
            }
            (P::Loading | P::Ready, E::Failed) => self.fail_and_stop(now, Reason::OPERATION),
            (P::Loading, E::TimedOut) => self.fail_and_stop(now, Reason::TIMEOUT),
            // What is being started cannot be stopped before it is there.
            (P::Launching, E::TimedOut) => {
                self.fail(Reason::TIMEOUT);
                self.phase = P::Ending;
                self.deadline = None;
            }
            // Who asked for it has gone before it was there: nobody can come back to it.
            (P::Launching, E::End | E::Connections { any: false }) => {
                self.add(Deed::TellEnded);
                self.phase = P::Ending;
                self.deadline = None;
            }
            (P::Ending, E::Launched) => self.stop(now),
            (P::Ending, E::LaunchFailed(_)) => self.gone(),
            (P::Loading | P::Ready, E::End) | (P::Loading, E::Connections { any: false }) | (P::Ready, E::TimedOut) => {
                self.end(now);
            }
            (P::Ready, E::Connections { any: false }) if !self.was_connected => self.end(now),
            (P::Ready, E::Connections { any }) => self.deadline = (!any).then(|| now.after(CLOSED_KEPT)),
            (P::Ready, E::Connected) => self.was_connected = true,
            (P::Ending, E::TimedOut) => {
                self.deadline = None;
                if !planted!("receiver_not_killed") {
                    self.add(Deed::Kill);
                }
            }
            (P::Loading, E::ProcessEnded) => {
                self.fail(Reason::OPERATION);
                self.gone();
            }
            (P::Ready, E::ProcessEnded) => {
                self.add(Deed::TellEnded);
                self.gone();
            }
            (P::Ending, E::ProcessEnded) => self.gone(),

            (P::Launching | P::Ready | P::Ending | P::Gone, E::Ready)
            | (P::Launching | P::Ending | P::Gone, E::Failed) => return Err(WrongState),

            // It is late, came twice, or changes nothing.
            (P::Launching | P::Loading, E::Connections { any: true })
            | (P::Ending | P::Gone, E::Connections { .. })
            | (P::Launching | P::Loading | P::Ending | P::Gone, E::Connected)
            | (P::Loading | P::Ready | P::Gone, E::Launched | E::LaunchFailed(_))
            | (P::Launching | P::Gone, E::ProcessEnded)
            | (P::Ending, E::End)
            | (P::Gone, E::End | E::TimedOut) => {}
        }
        Ok(())
    }

    fn add(&mut self, deed: Deed) {
        self.todo.add(DEEDS, deed);
    }

    fn fail(&mut self, reason: Reason) {
        self.reason = reason;
        self.add(Deed::TellFailed);
    }

    fn fail_and_stop(&mut self, now: Instant, reason: Reason) {
        self.fail(reason);
        self.stop(now);
    }

    fn end(&mut self, now: Instant) {
        self.add(Deed::TellEnded);
        self.stop(now);
    }

    fn stop(&mut self, now: Instant) {
        self.phase = Phase::Ending;
        self.deadline = Some(now.after(TERMINATE_ACK_TIMEOUT));
        self.add(Deed::Stop);
    }

    fn gone(&mut self) {
        self.phase = Phase::Gone;
        self.deadline = None;
        self.add(Deed::Remove);
    }
}
