//! The processes that show pages (PS-11, PS-35).

use super::{KIND_RECEIVER, Outcome, PresentationDriver, PresentationHost, ReceiverOf};
use crate::fmt::{Said, info, warning};
use crate::hal::{Child, Error, ErrorKind, Interest, Launch, Random, Ready, Receivers, Signal, Token, Watch};
use crate::limits::PRESENTATIONS_MAX;
use crate::message::papi::Reason;
use crate::message::presentation::LaunchToken;
use crate::presentation::service::{Input, PresentationHandle};
use crate::time::Instant;

/// The process of one presentation.
pub(super) struct Receiver<C> {
    presentation: PresentationHandle,
    child: C,
}

/// All of them.
pub(super) type ReceiverPlaces<C> = [Option<Receiver<C>>; PRESENTATIONS_MAX];

const fn token(presentation: PresentationHandle) -> Token {
    Token { kind: KIND_RECEIVER, index: presentation.index(), generation: presentation.generation() }
}

fn reason_of(kind: ErrorKind) -> Reason {
    match kind {
        ErrorKind::NotFound => Reason::NOT_FOUND,
        ErrorKind::Denied => Reason::NOT_ALLOWED,
        _ => Reason::OPERATION,
    }
}

impl<H: PresentationHost> PresentationDriver<H> {
    pub(super) fn launch(&mut self, host: &mut H, presentation: PresentationHandle) {
        let result = self.start_receiver(host, presentation);
        self.follow(Outcome::Launched { presentation, result });
    }

    fn start_receiver(&mut self, host: &mut H, presentation: PresentationHandle) -> Result<LaunchToken, Reason> {
        let (presentation_id, url) = self.machine.presentation(presentation).ok_or(Reason::NOT_FOUND)?;
        let mut token_bytes = [0; 16];
        let platform = host.platform();
        platform.network.fill(&mut token_bytes).map_err(|_| Reason::OPERATION)?;
        let launch = Launch { presentation_id, url, token: LaunchToken(token_bytes) };
        let mut child = platform.receivers.start(&launch).map_err(|error| {
            warning!("{} is not shown: {}", url, Said(&error));
            reason_of(error.kind())
        })?;
        if platform.events.watch(&child, token(presentation), Interest::Read).is_err() {
            // Whose end nobody would see does not begin.
            let _ = child.signal(Signal::Kill);
            return Err(Reason::OPERATION);
        }
        info!("{} is shown by process {}", url, child.process_id());
        if let Some(place) = self.receivers.get_mut(usize::from(presentation.index())) {
            *place = Some(Receiver { presentation, child });
        }
        Ok(launch.token)
    }

    fn receiver(&mut self, presentation: PresentationHandle) -> Option<&mut ReceiverOf<H>> {
        let place = self.receivers.get_mut(usize::from(presentation.index()))?.as_mut();
        place.filter(|receiver| receiver.presentation == presentation).map(|receiver| &mut receiver.child)
    }

    pub(super) fn signal(&mut self, presentation: PresentationHandle, signal: Signal) {
        if let Some(child) = self.receiver(presentation)
            && let Err(error) = child.signal(signal)
        {
            warning!("a receiver was not told to end: {}", Said(&error));
        }
    }

    pub(super) fn receiver_ready(&mut self, host: &mut H, now: Instant, ready: Ready) {
        let presentation = PresentationHandle::from_parts(ready.token.index, ready.token.generation);
        let Some(child) = self.receiver(presentation) else { return };
        match child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => info!("process {} has ended: {:?}", child.process_id(), status),
            Err(error) => warning!("a receiver cannot be asked how it ended: {}", Said(&error)),
        }
        let place = self.receivers.get_mut(usize::from(presentation.index())).and_then(Option::take);
        if let Some(receiver) = place {
            host.platform().events.unwatch(&receiver.child);
        }
        self.take(host, now, Input::ReceiverEnded { presentation });
    }

    /// Whether one of them has not ended yet.
    pub fn has_receivers(&self) -> bool {
        self.receivers.iter().any(Option::is_some)
    }

    /// Tells all of them to end. What is left some time after [`Signal::Terminate`] is to be told [`Signal::Kill`].
    pub fn end_receivers(&mut self, signal: Signal) {
        for receiver in self.receivers.iter_mut().flatten() {
            // One that cannot be told is told by nobody else.
            let _ = receiver.child.signal(signal);
        }
    }
}
