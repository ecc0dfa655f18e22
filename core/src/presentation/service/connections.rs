//! What happens to connections, and what they want done.

use super::entries::{Connection, Session};
use super::{Action, ClientHandle, ConnectionHandle, Done, NotTaken, Presentation, PresentationHandle, Service};
use crate::message::papi::Reason;
use crate::message::presentation::{CloseReason, ConnectionState, Refusal, TransportKind};
use crate::presentation::control_channel::Word;
use crate::presentation::session::{Controlling, Presenting, WrongState, controlling, page, presenting};
use crate::time::Instant;

impl<const C: usize, const K: usize, const P: usize> Service<C, K, P> {
    pub(super) fn controlling(&self, connection: ConnectionHandle) -> Option<&Controlling> {
        match &self.connections.get(connection)?.session {
            Session::Controlling(session) => Some(session),
            Session::Presenting(_) => None,
        }
    }

    pub(super) fn presenting(&self, connection: ConnectionHandle) -> Option<&Presenting> {
        match &self.connections.get(connection)?.session {
            Session::Presenting(session) => Some(session),
            Session::Controlling(_) => None,
        }
    }

    /// `None` when there is no place.
    pub(super) fn add_presentation(&mut self, presentation: Presentation) -> Option<PresentationHandle> {
        let handle = self.presentations.insert(presentation).ok()?;
        if let Some(presentation) = self.presentations.get(handle) {
            self.by_name.insert(&presentation.id, handle.index());
        }
        Some(handle)
    }

    /// `None` when there is no place.
    pub(super) fn add_connection(
        &mut self,
        presentation: PresentationHandle,
        session: Session,
        owner: Option<ClientHandle>,
    ) -> Option<ConnectionHandle> {
        let kind = match &session {
            Session::Controlling(session) => session.kind(),
            Session::Presenting(_) => TransportKind::default(),
        };
        let entry = Connection {
            session,
            presentation,
            channel: None,
            kind,
            owner,
            settle: None,
            is_touched: false,
            is_announced: false,
            is_state_owed: false,
        };
        let handle = self.connections.insert(entry).ok()?;
        if let Some(presentation) = self.presentations.get_mut(presentation) {
            let first = *presentation.first_connection.get_or_insert(handle.index());
            if first != handle.index() {
                self.together.join(handle.index(), first);
            }
        }
        self.touch_connection(handle);
        Some(handle)
    }

    pub(super) fn is_of(&self, connection: ConnectionHandle, presentation: PresentationHandle) -> bool {
        self.connections.get(connection).is_some_and(|it| it.presentation == presentation)
    }

    /// In the order in which they were made. What is done may not take a connection away: that waits for its turn.
    pub(super) fn each_connection(
        &mut self,
        presentation: PresentationHandle,
        mut what: impl FnMut(&mut Self, ConnectionHandle),
    ) {
        let Some(first) = self.presentations.get(presentation).and_then(|it| it.first_connection) else { return };
        let mut place = Some(first);
        for _ in 0..self.connections.capacity() {
            let Some(connection) = place.and_then(|place| self.connections.handle_at(place)) else { return };
            what(self, connection);
            place = self.together.next(connection.index(), first);
        }
    }

    /// In the order in which they were made.
    pub(super) fn connections_of(&self, presentation: PresentationHandle) -> impl Iterator<Item = ConnectionHandle> {
        let first = self.presentations.get(presentation).and_then(|it| it.first_connection);
        let places = first.into_iter().flat_map(|first| self.together.ring_of(first));
        places.filter_map(|place| self.connections.handle_at(place))
    }

    /// Whose connection it is (PS-36).
    pub(super) fn owner_of(&self, connection: ConnectionHandle) -> Option<ClientHandle> {
        let entry = self.connections.get(connection)?;
        match entry.session {
            Session::Controlling(_) => entry.owner,
            Session::Presenting(_) => self.presentations.get(entry.presentation)?.shown.as_ref()?.receiver,
        }
    }

    /// What cannot be is ignored; a request is looked at before.
    pub(super) fn control(&mut self, now: Instant, connection: ConnectionHandle, event: controlling::Event) {
        let _ = self.try_control(now, connection, event);
    }

    pub(super) fn try_control(
        &mut self,
        now: Instant,
        connection: ConnectionHandle,
        event: controlling::Event,
    ) -> Result<(), WrongState> {
        let Some(Connection { session: Session::Controlling(session), .. }) = self.connections.get_mut(connection)
        else {
            return Err(WrongState);
        };
        session.handle(now, event)?;
        self.touch_connection(connection);
        Ok(())
    }

    /// What cannot be is ignored; a request is looked at before.
    pub(super) fn present(&mut self, now: Instant, connection: ConnectionHandle, event: presenting::Event) {
        if let Some(Connection { session: Session::Presenting(session), .. }) = self.connections.get_mut(connection) {
            let _ = session.handle(now, event);
            self.touch_connection(connection);
        }
    }

    /// The same event for either end.
    fn happens_to(
        &mut self,
        now: Instant,
        connection: ConnectionHandle,
        controlled: Option<controlling::Event>,
        presented: Option<presenting::Event>,
    ) -> Result<(), NotTaken> {
        let is_controlling = self.controlling(connection).is_some();
        match (self.connections.get(connection), controlled, presented) {
            (Some(_), Some(event), _) if is_controlling => self.control(now, connection, event),
            (Some(_), _, Some(event)) if !is_controlling => self.present(now, connection, event),
            _ => return Err(NotTaken::Late),
        }
        Ok(())
    }

    pub(super) fn offer_ready(&mut self, now: Instant, connection: ConnectionHandle) -> Result<(), NotTaken> {
        self.happens_to(now, connection, Some(controlling::Event::OfferReady), None)
    }

    pub(super) fn answer_ready(&mut self, now: Instant, connection: ConnectionHandle) -> Result<(), NotTaken> {
        self.happens_to(now, connection, None, Some(presenting::Event::AnswerReady))
    }

    pub(super) fn transport_ready(&mut self, now: Instant, connection: ConnectionHandle) -> Result<(), NotTaken> {
        let (one, other) = (controlling::Event::TransportReady, presenting::Event::TransportReady);
        self.happens_to(now, connection, Some(one), Some(other))
    }

    pub(super) fn transport_closed(
        &mut self,
        now: Instant,
        connection: ConnectionHandle,
        reason: CloseReason,
    ) -> Result<(), NotTaken> {
        let one = controlling::Event::TransportClosed(reason);
        self.happens_to(now, connection, Some(one), Some(presenting::Event::TransportClosed(reason)))
    }

    /// What the client has built is not there any more; the driver forgets it, too (PS-35).
    pub(super) fn remote_closed(
        &mut self,
        now: Instant,
        connection: ConnectionHandle,
        reason: CloseReason,
    ) -> Result<(), NotTaken> {
        if self.connections.get(connection).is_some_and(|it| it.session.has_transport()) {
            self.emit(Action::CloseTransport { connection, reason });
        }
        self.transport_closed(now, connection, reason)
    }

    pub(super) fn channel_lost(&mut self, now: Instant, connection: ConnectionHandle, reason: Reason) {
        if let Some(entry) = self.connections.get_mut(connection) {
            entry.channel = None;
        }
        let (one, other) = (controlling::Event::ChannelLost(reason), presenting::Event::ChannelLost(reason));
        let _ = self.happens_to(now, connection, Some(one), Some(other));
        if let Some(reason) = self.left_by_other(connection, reason) {
            let _ = self.remote_closed(now, connection, reason);
        }
    }

    /// Why the other device has left a data channel, if it has: it says so on the control channel, for its page may have
    /// gone without a word. A control channel that is only lost changes nothing (PS-33).
    fn left_by_other(&self, connection: ConnectionHandle, reason: Reason) -> Option<CloseReason> {
        let state = self.connections.get(connection)?.session.state();
        let is_there = matches!(state, ConnectionState::Connecting | ConnectionState::Connected);
        let by_data_channel = self.kind_of(connection) == TransportKind::DataChannel;
        match reason {
            _ if !is_there || !by_data_channel => None,
            Reason::NORMAL => Some(CloseReason::Closed),
            // It was called off there while it was connected here already.
            Reason::WENT_AWAY | Reason::ABORTED => Some(CloseReason::WentAway),
            _ => None,
        }
    }

    /// How its data travels.
    pub fn kind_of(&self, connection: ConnectionHandle) -> TransportKind {
        self.connections.get(connection).map(|it| it.session.kind(it.kind)).unwrap_or_default()
    }

    /// On a data channel no reason travels, so the control channel says it to one of us.
    fn leaving_reason(&self, connection: ConnectionHandle, reason: Option<CloseReason>, said: Reason) -> Reason {
        let is_kin = self.channel_of(connection).is_some_and(|channel| self.is_kin(channel));
        let by_data_channel = self.kind_of(connection) == TransportKind::DataChannel;
        match reason {
            Some(CloseReason::WentAway) if is_kin && by_data_channel && said.is_normal() => {
                planted!("went_away_not_said", said, Reason::WENT_AWAY)
            }
            _ => said,
        }
    }

    pub(super) fn terminate_acked(&mut self, now: Instant, connection: ConnectionHandle) {
        let (one, other) = (controlling::Event::TerminateAcked, presenting::Event::TerminateAcked);
        let _ = self.happens_to(now, connection, Some(one), Some(other));
    }

    pub(super) fn connection_due(&mut self, now: Instant, place: u16) {
        let Some(connection) = self.connections.handle_at(place) else { return };
        let (one, other) = (controlling::Event::TimedOut, presenting::Event::TimedOut);
        let _ = self.happens_to(now, connection, Some(one), Some(other));
    }

    pub(super) fn close(
        &mut self,
        now: Instant,
        connection: ConnectionHandle,
        reason: CloseReason,
    ) -> Result<(), NotTaken> {
        let (one, other) = (controlling::Event::Close(reason), presenting::Event::Close(reason));
        self.happens_to(now, connection, Some(one), Some(other))
    }

    /// PS-18: what comes before the page knows of the connection, or after it is closed, belongs to nobody.
    pub(super) fn data(&mut self, connection: ConnectionHandle) -> Result<(), NotTaken> {
        let entry = self.connections.get(connection).ok_or(NotTaken::Late)?;
        let is_connected = entry.session.state() == ConnectionState::Connected;
        let client = self.owner_of(connection).filter(|_| is_connected).ok_or(NotTaken::Late)?;
        self.emit(Action::Deliver { client, connection });
        Ok(())
    }

    /// Who takes what comes in on a connection now: nobody before it is connected and its client knows of it. Until then
    /// its messages are left where they are (PS-17, PS-19).
    pub fn reader_of(&self, connection: ConnectionHandle) -> Option<ClientHandle> {
        let entry = self.connections.get(connection)?;
        let is_known = match entry.session {
            Session::Controlling(_) => true,
            Session::Presenting(_) => entry.is_announced && !entry.is_state_owed,
        };
        self.owner_of(connection).filter(|_| is_known && entry.session.state() == ConnectionState::Connected)
    }

    pub(super) fn touch_connection(&mut self, handle: ConnectionHandle) {
        let Some(entry) = self.connections.get_mut(handle) else { return };
        self.connection_deadlines.set(handle.index(), entry.session.deadline());
        if !core::mem::replace(&mut entry.is_touched, true) {
            // There is a place for each connection.
            let _ = self.touched_connections.push_back(handle.index());
        }
    }

    /// Does one deed of the first connection that has something to do; whether there was one to look at.
    pub(super) fn do_next_of_connections(&mut self) -> bool {
        let Some(&place) = self.touched_connections.front() else { return false };
        let now = self.now;
        let done = self.connections.handle_at(place).is_some_and(|handle| {
            if self.announce(handle) {
                return true;
            }
            match self.connections.get_mut(handle).map(|entry| &mut entry.session) {
                Some(Session::Controlling(session)) => match session.poll() {
                    Some(deed) => self.do_controlling(now, handle, deed),
                    None => return false,
                },
                Some(Session::Presenting(session)) => match session.poll() {
                    Some(deed) => self.do_presenting(now, handle, deed),
                    None => return false,
                },
                None => return false,
            }
            true
        });
        if !done {
            self.touched_connections.pop_front();
            let entry = self.connections.handle_at(place).and_then(|handle| self.connections.get_mut(handle));
            if let Some(entry) = entry {
                entry.is_touched = false;
                self.connection_deadlines.set(place, entry.session.deadline());
            }
        }
        true
    }

    /// PS-17: a receiver that listens learns of every connection, of those that it missed too, and then of its state.
    fn announce(&mut self, handle: ConnectionHandle) -> bool {
        let Some(receiver) = self.listener_of(handle) else { return false };
        let Some(entry) = self.connections.get_mut(handle) else { return false };
        if !core::mem::replace(&mut entry.is_announced, true) {
            entry.is_state_owed = entry.session.state() == ConnectionState::Connected;
            self.emit(Action::TellAvailable { client: receiver, connection: handle });
            return true;
        }
        if core::mem::take(&mut entry.is_state_owed) {
            self.tell(handle);
            return true;
        }
        false
    }

    /// Who is to know of a presenting connection.
    fn listener_of(&self, handle: ConnectionHandle) -> Option<ClientHandle> {
        let entry = self.connections.get(handle)?;
        let shown = self.presentations.get(entry.presentation)?.shown.as_ref()?;
        shown.receiver.filter(|_| shown.is_listening)
    }

    fn do_controlling(&mut self, now: Instant, handle: ConnectionHandle, deed: controlling::Deed) {
        use controlling::Deed as D;
        let Some(session) = self.controlling(handle).copied() else { return };
        match deed {
            D::Launch => self.say(now, handle, Word::Launch),
            D::Reconnect => self.say(now, handle, Word::Reconnect),
            D::Terminate => self.say(now, handle, Word::Terminate),
            D::Offer => self.say(now, handle, Word::Offer),
            D::Build => self.build(handle, true),
            D::CloseTransport => self.close_transport(handle, session.reason()),
            D::LeaveChannel => {
                let reason = self.leaving_reason(handle, session.reason(), session.channel_reason());
                self.part(now, handle, reason);
            }
            D::OpenChannel => {
                if !self.open_channel(now, handle) {
                    self.control(now, handle, controlling::Event::ChannelLost(Reason::OPERATION));
                }
            }
            D::Tell => self.tell(handle),
            D::Settle => {
                let result = if session.is_acknowledged() { Ok(Done::Done) } else { Err(Refusal::NotAcknowledged) };
                if let Some(to) = self.connections.get_mut(handle).and_then(|entry| entry.settle.take())
                    && !planted!("end_without_answer")
                {
                    self.reply(to, result);
                }
            }
            D::Remove => self.remove_connection(now, handle),
        }
    }

    fn do_presenting(&mut self, now: Instant, handle: ConnectionHandle, deed: presenting::Deed) {
        use presenting::Deed as D;
        let Some(session) = self.presenting(handle).copied() else { return };
        match deed {
            D::Build if self.is_declined(handle) => self.decline(now, handle),
            D::Build => self.build(handle, false),
            D::Answer => self.say(now, handle, Word::Answer),
            D::Terminate => self.say(now, handle, Word::Terminate),
            D::CloseTransport => self.close_transport(handle, session.reason()),
            D::LeaveChannel => {
                let reason = self.leaving_reason(handle, session.reason(), session.channel_reason());
                self.part(now, handle, reason);
            }
            D::Tell => {
                if session.state() == ConnectionState::Connected
                    && let Some(presentation) = self.connections.get(handle).map(|it| it.presentation)
                {
                    self.page_event(now, presentation, page::Event::Connected);
                }
                // Who has not heard of it is told when it does.
                if self.connections.get(handle).is_some_and(|it| it.is_announced) {
                    self.tell(handle);
                }
            }
            D::Remove => self.remove_connection(now, handle),
        }
    }

    fn build(&mut self, connection: ConnectionHandle, offers: bool) {
        let kind = self.kind_of(connection);
        self.emit(Action::Build { connection, kind, offers, client: self.owner_of(connection) });
    }

    /// A data channel is offered to a page that builds none.
    fn is_declined(&self, connection: ConnectionHandle) -> bool {
        self.kind_of(connection) == TransportKind::DataChannel
            && !self.owner_of(connection).is_some_and(|client| self.builds(client))
    }

    /// The answer says so, and another offer may follow.
    fn decline(&mut self, now: Instant, connection: ConnectionHandle) {
        self.close_transport(connection, None);
        self.present(now, connection, presenting::Event::Declined);
    }

    fn close_transport(&mut self, connection: ConnectionHandle, reason: Option<CloseReason>) {
        self.emit(Action::CloseTransport { connection, reason: reason.unwrap_or(CloseReason::Closed) });
    }

    fn tell(&mut self, connection: ConnectionHandle) {
        let Some(client) = self.owner_of(connection) else { return };
        let Some(entry) = self.connections.get(connection) else { return };
        let (state, reason) = match &entry.session {
            Session::Controlling(session) => (session.state(), session.reason()),
            Session::Presenting(session) => (session.state(), session.reason()),
        };
        self.emit(Action::TellState { client, connection, state, reason });
    }

    /// PS-35
    fn remove_connection(&mut self, now: Instant, handle: ConnectionHandle) {
        let Some(entry) = self.connections.remove(handle) else { return };
        self.connection_deadlines.set(handle.index(), None);
        // A request to end it that was overtaken by its end has what it wanted.
        if let Some(to) = entry.settle {
            self.reply(to, Ok(Done::Done));
        }
        let after = self.together.leave(handle.index());
        let Some(presentation) = self.presentations.get_mut(entry.presentation) else { return };
        if presentation.first_connection == Some(handle.index()) {
            presentation.first_connection = after;
        }
        if presentation.first_connection.is_none() {
            self.page_event(now, entry.presentation, page::Event::Connections { any: false });
            self.touch_page(entry.presentation);
        }
    }

    /// What a connection is about: the presentation's name, its page and the other device.
    pub fn connection(&self, connection: ConnectionHandle) -> Option<(&str, &str, &str)> {
        let presentation = self.presentations.get(self.connections.get(connection)?.presentation)?;
        Some((&presentation.id, &presentation.url, &presentation.device_id))
    }
}
