//! What happens to the pages that this box shows, and what they want done (PS-11 to PS-13, PS-35).

use super::{Action, ClientHandle, Done, NotTaken, PresentationHandle, Service};
use crate::message::papi::Reason;
use crate::message::presentation::{LaunchToken, Refusal};
use crate::presentation::session::{WrongState, page, presenting};
use crate::time::Instant;

impl<const C: usize, const K: usize, const P: usize> Service<C, K, P> {
    pub(super) fn launched(
        &mut self,
        now: Instant,
        presentation: PresentationHandle,
        result: Result<LaunchToken, Reason>,
    ) -> Result<(), NotTaken> {
        let found = self.presentations.get_mut(presentation).and_then(|it| it.shown.as_mut());
        found.ok_or(NotTaken::Late)?.token = result.ok();
        let event = result.map_or_else(page::Event::LaunchFailed, |_| page::Event::Launched);
        self.page_event(now, presentation, event);
        Ok(())
    }

    pub(super) fn receiver_ended(&mut self, now: Instant, presentation: PresentationHandle) -> Result<(), NotTaken> {
        self.presentations.get(presentation).ok_or(NotTaken::Late)?;
        self.page_event(now, presentation, page::Event::ProcessEnded);
        Ok(())
    }

    /// PS-12, PS-36: only what was launched for a presentation may be its receiver, and only once.
    pub(super) fn receiver_ready(
        &mut self,
        now: Instant,
        client: ClientHandle,
        token: LaunchToken,
    ) -> Result<PresentationHandle, Refusal> {
        let presentation = self.launched_with(token).ok_or(Refusal::NotReceiver)?;
        self.try_page_event(now, presentation, page::Event::Ready).map_err(|WrongState| Refusal::NotReceiver)?;
        if let Some(shown) = self.presentations.get_mut(presentation).and_then(|it| it.shown.as_mut()) {
            shown.receiver = Some(client);
        }
        Ok(presentation)
    }

    pub(super) fn receiver_failed(&mut self, now: Instant, token: LaunchToken) -> Result<(), Refusal> {
        let presentation = self.launched_with(token).ok_or(Refusal::NotReceiver)?;
        self.try_page_event(now, presentation, page::Event::Failed).map_err(|WrongState| Refusal::NotReceiver)
    }

    fn launched_with(&self, token: LaunchToken) -> Option<PresentationHandle> {
        let mut all = self.presentations.iter();
        let (handle, _) = all.find(|(_, it)| it.shown.as_ref().is_some_and(|shown| shown.token == Some(token)))?;
        Some(handle)
    }

    /// PS-17
    pub(super) fn listen(&mut self, client: ClientHandle) -> Result<(), Refusal> {
        let presentation = self.shown_by(client).ok_or(Refusal::NotReceiver)?;
        if let Some(shown) = self.presentations.get_mut(presentation).and_then(|it| it.shown.as_mut()) {
            shown.is_listening = true;
        }
        planted!("late_listener_not_told" => return Ok(()));
        self.each_connection(presentation, |service, connection| service.touch_connection(connection));
        Ok(())
    }

    /// The presentation whose receiver this client is.
    pub(super) fn shown_by(&self, client: ClientHandle) -> Option<PresentationHandle> {
        let mut all = self.presentations.iter();
        let is_its = |shown: &super::entries::Shown| shown.receiver == Some(client);
        all.find(|(_, it)| it.shown.as_ref().is_some_and(is_its)).map(|(handle, _)| handle)
    }

    pub(super) fn page_due(&mut self, now: Instant, place: u16) {
        if let Some(presentation) = self.presentations.handle_at(place) {
            self.page_event(now, presentation, page::Event::TimedOut);
        }
    }

    pub(super) fn page_event(&mut self, now: Instant, presentation: PresentationHandle, event: page::Event) {
        let _ = self.try_page_event(now, presentation, event);
    }

    fn try_page_event(
        &mut self,
        now: Instant,
        presentation: PresentationHandle,
        event: page::Event,
    ) -> Result<(), WrongState> {
        let shown = self.presentations.get_mut(presentation).and_then(|it| it.shown.as_mut()).ok_or(WrongState)?;
        shown.page.handle(now, event)?;
        self.touch_page(presentation);
        Ok(())
    }

    pub(super) fn touch_page(&mut self, handle: PresentationHandle) {
        let Some(entry) = self.presentations.get_mut(handle) else { return };
        let deadline = entry.shown.as_ref().and_then(|shown| shown.page.deadline());
        self.page_deadlines.set(handle.index(), deadline);
        if !core::mem::replace(&mut entry.is_touched, true) {
            // There is a place for each presentation.
            let _ = self.touched_pages.push_back(handle.index());
        }
    }

    /// Does one deed of the first page that has something to do; whether there was one to look at.
    pub(super) fn do_next_of_pages(&mut self) -> bool {
        let Some(&place) = self.touched_pages.front() else { return false };
        let handle = self.presentations.handle_at(place);
        let shown = handle.and_then(|handle| self.presentations.get_mut(handle)).and_then(|it| it.shown.as_mut());
        let deed = shown.and_then(|shown| Some((shown.page.poll()?, shown.page.reason())));
        match (handle, deed) {
            (Some(handle), Some((deed, reason))) => self.do_page(self.now, handle, deed, reason),
            (handle, _) => {
                self.touched_pages.pop_front();
                if let Some(handle) = handle {
                    self.settle_presentation(handle);
                }
            }
        }
        true
    }

    fn do_page(&mut self, now: Instant, presentation: PresentationHandle, deed: page::Deed, reason: Reason) {
        use page::Deed as D;
        match deed {
            D::Launch => self.emit(Action::Launch { presentation }),
            D::TellReady => self.tell_connections(now, presentation, presenting::Event::PageReady),
            D::TellFailed => self.tell_connections(now, presentation, presenting::Event::PageFailed(reason)),
            D::TellEnded => self.tell_connections(now, presentation, presenting::Event::Terminate),
            D::Stop => self.emit(Action::Stop { presentation }),
            D::Kill => self.emit(Action::Kill { presentation }),
            // It is looked at when there is nothing more to do.
            D::Remove => {}
        }
    }

    fn tell_connections(&mut self, now: Instant, presentation: PresentationHandle, event: presenting::Event) {
        self.each_connection(presentation, |service, connection| service.present(now, connection, event));
    }

    /// A presentation of which nothing is left goes, and who waits for that is told (PS-35).
    fn settle_presentation(&mut self, handle: PresentationHandle) {
        let Some(entry) = self.presentations.get_mut(handle) else { return };
        entry.is_touched = false;
        let is_gone = entry.shown.as_ref().is_none_or(|shown| shown.page.phase() == page::Phase::Gone);
        if !is_gone || entry.first_connection.is_some() {
            return;
        }
        self.page_deadlines.set(handle.index(), None);
        let Some(entry) = self.presentations.remove(handle) else { return };
        self.by_name.remove(&entry.id, handle.index());
        if let Some(to) = entry.shown.and_then(|shown| shown.settle) {
            self.reply(to, Ok(Done::Done));
        }
    }

    /// What a presentation is called, and its page.
    pub fn presentation(&self, presentation: PresentationHandle) -> Option<(&str, &str)> {
        let presentation = self.presentations.get(presentation)?;
        Some((&presentation.id, &presentation.url))
    }
}
