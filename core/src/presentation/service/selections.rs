//! Requests that a device be chosen (PS-01).

use super::{Action, Done, SelectionHandle, Service, Ticket};
use crate::message::presentation::{NoDevice, Refusal, SelectionId, Urls};
use crate::time::Instant;

impl<const C: usize, const K: usize, const P: usize> Service<C, K, P> {
    /// Answers the client that waits, and takes the request away.
    pub(super) fn end_selection(&mut self, handle: SelectionHandle, result: Result<Done, Refusal>) {
        if let Some(selection) = self.selections.remove(handle) {
            self.reply(selection.from, result);
            self.emit(Action::TellSelection { selection: handle, is_over: true });
        }
    }

    pub(super) fn select(
        &mut self,
        now: Instant,
        from: Ticket,
        selection: SelectionId,
        device: &str,
    ) -> Result<Done, Refusal> {
        self.require_platform(from.client)?;
        let handle = SelectionHandle::from(selection);
        let chosen = self.selections.get(handle).ok_or(Refusal::NotFound)?.clone();
        let urls: Urls<'_> = chosen.urls.iter().map(|url| url.as_str()).collect();
        let url = self.url_for(device, &urls)?;
        let result = self.begin(now, chosen.from.client, (&chosen.id, url), device, chosen.transport);
        self.end_selection(handle, result.map(Done::Connection));
        Ok(Done::Done)
    }

    pub(super) fn cancel(&mut self, from: Ticket, selection: SelectionId, because: NoDevice) -> Result<Done, Refusal> {
        self.require_platform(from.client)?;
        let handle = SelectionHandle::from(selection);
        self.selections.get(handle).ok_or(Refusal::NotFound)?;
        let refusal = match because {
            NoDevice::Cancelled => Refusal::Cancelled,
            NoDevice::NotFound => Refusal::NoDevice,
        };
        self.end_selection(handle, Err(refusal));
        Ok(Done::Done)
    }

    /// Ends one request whose time is over; whether there was one.
    pub(super) fn selection_due(&mut self, now: Instant) -> bool {
        let is_due = |deadline| planted!("choice_waits_for_ever", false, deadline <= now);
        let due = self.selections.iter().find(|(_, it)| is_due(it.deadline)).map(|(handle, _)| handle);
        if let Some(handle) = due {
            self.end_selection(handle, Err(Refusal::SelectionTimeout));
        }
        due.is_some()
    }

    pub(super) fn next_selection_deadline(&self) -> Option<Instant> {
        self.selections.iter().map(|(_, it)| it.deadline).min()
    }

    /// The requests that wait: who asks, and for which pages. For who begins to choose devices.
    pub fn selections(&self) -> impl Iterator<Item = (SelectionHandle, &str, Urls<'_>)> {
        self.selections.iter().map(|(handle, it)| {
            // Both hold as many.
            (handle, it.origin.as_str(), it.urls.iter().map(|url| url.as_str()).collect())
        })
    }
}
