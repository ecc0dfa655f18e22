//! What comes and goes on the control channels.

use super::entries::{ChannelEntry, Session, Shown};
use super::{
    Action, ChannelHandle, ConnectionHandle, NotTaken, Origin, Presentation, PresentationHandle, Schemes, Service,
};
use crate::codec::papi::Garbage;
use crate::message::papi::{Description, DescriptionKind, Message, Reason};
use crate::message::presentation::{CloseReason, DeviceId, PresentationId, TransportKind, Url};
use crate::presentation::control_channel::{Channel, Deed, Event, News, Phase, Side, Word};
use crate::presentation::session::{Controlling, Page, Presenting, controlling, page, presenting};
use crate::table::Handle;
use crate::time::Instant;

impl<const C: usize, const K: usize, const P: usize> Service<C, K, P> {
    pub(super) fn accepted(&mut self, now: Instant, number: u32, origin: Origin) -> Result<(), NotTaken> {
        let entry = ChannelEntry {
            channel: Channel::new(now, Side::Receiver),
            device_id: DeviceId::new(),
            origin: Some(origin),
            connection: None,
            subject: None,
            is_touched: false,
        };
        let channel = self.channels.insert(entry).map_err(|_| NotTaken::Full)?;
        self.touch_channel(channel);
        self.emit(Action::Admit { number, channel });
        Ok(())
    }

    /// `false` when there is no place for it.
    pub(super) fn open_channel(&mut self, now: Instant, connection: ConnectionHandle) -> bool {
        let Some(presentation) = self.connections.get(connection).map(|it| it.presentation) else { return false };
        let device_id = self.presentations.get(presentation).map(|it| it.device_id.clone()).unwrap_or_default();
        let entry = ChannelEntry {
            channel: Channel::new(now, Side::Controller),
            device_id,
            origin: None,
            connection: Some(connection),
            subject: Some(presentation),
            is_touched: false,
        };
        let Ok(channel) = self.channels.insert(entry) else { return false };
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.channel = Some(channel);
        }
        self.touch_channel(channel);
        self.emit(Action::OpenChannel { channel });
        true
    }

    pub(super) fn channel_opened(&mut self, now: Instant, channel: ChannelHandle) -> Result<(), NotTaken> {
        self.happens(now, channel, Event::Opened, None)
    }

    pub(super) fn channel_failed(
        &mut self,
        now: Instant,
        channel: ChannelHandle,
        reason: Reason,
    ) -> Result<(), NotTaken> {
        self.happens(now, channel, Event::OpenFailed(reason), None)
    }

    pub(super) fn garbage(&mut self, now: Instant, channel: ChannelHandle, garbage: Garbage) -> Result<(), NotTaken> {
        self.happens(now, channel, Event::Garbage(garbage), None)
    }

    pub(super) fn channel_closed(&mut self, now: Instant, channel: ChannelHandle) -> Result<(), NotTaken> {
        self.happens(now, channel, Event::Lost, None)
    }

    pub(super) fn channel_due(&mut self, now: Instant, place: u16) {
        if let Some(channel) = self.channels.handle_at(place) {
            // It is there.
            let _ = self.happens(now, channel, Event::Tick, None);
        }
    }

    pub(super) fn received(
        &mut self,
        now: Instant,
        channel: ChannelHandle,
        message: &Message<&str>,
        is_allowed: bool,
    ) -> Result<(), NotTaken> {
        let entry = self.channels.get_mut(channel).ok_or(NotTaken::Late)?;
        if let Message::Connect { device_id, .. } = message
            && entry.channel.phase() == Phase::Greeting
            && entry.channel.side() == Side::Receiver
        {
            match DeviceId::try_from(*device_id) {
                Ok(id) => entry.device_id = id,
                Err(_) => return self.happens(now, channel, Event::Garbage(Garbage::Incomplete), None),
            }
        }
        self.happens(now, channel, Event::Heard(Word::of(message)), Some((message, is_allowed)))
    }

    fn happens(
        &mut self,
        now: Instant,
        handle: ChannelHandle,
        event: Event,
        message: Option<(&Message<&str>, bool)>,
    ) -> Result<(), NotTaken> {
        let entry = self.channels.get_mut(handle).ok_or(NotTaken::Late)?;
        // Nothing is said here, so nothing can be unsayable.
        let _ = entry.channel.handle(now, event);
        let connection = entry.connection;
        while let Some(news) = self.channels.get_mut(handle).and_then(|entry| entry.channel.take_news()) {
            match news {
                News::Connected => self.channel_connected(now, handle),
                News::Heard(_) => {
                    if let Some((message, is_allowed)) = message {
                        self.heard(now, handle, message, is_allowed);
                    }
                }
                News::Ended(reason) => {
                    if let Some(connection) = connection {
                        self.channel_lost(now, connection, reason);
                    }
                }
            }
        }
        self.touch_channel(handle);
        Ok(())
    }

    fn channel_connected(&mut self, now: Instant, handle: ChannelHandle) {
        let Some(entry) = self.channels.get(handle) else { return };
        let is_kin = entry.channel.is_kin();
        if let Some(connection) = entry.connection {
            self.control(now, connection, controlling::Event::ChannelConnected { is_kin });
        }
    }

    fn heard(&mut self, now: Instant, handle: ChannelHandle, message: &Message<&str>, is_allowed: bool) {
        let connection = self.channels.get(handle).and_then(|entry| entry.connection);
        match message {
            Message::Launch { presentation_id, url } => self.launch(now, handle, presentation_id, url, is_allowed),
            Message::Reconnect { presentation_id, url } => {
                self.reconnected(now, handle, presentation_id, url, is_allowed);
            }
            Message::Offer(description) => self.offered(now, handle, connection, description.kind()),
            Message::Answer(description) => self.answered(now, connection, description),
            Message::IceCandidate { .. } => {
                if let Some(connection) = connection {
                    self.emit(Action::TakeCandidate { connection });
                }
            }
            Message::ReconnectAck { presentation_id } => {
                if let Some(connection) = connection.filter(|_| self.is_about(handle, presentation_id)) {
                    self.control(now, connection, controlling::Event::Resumed);
                }
            }
            Message::Terminate { presentation_id } => self.peer_terminates(now, handle, presentation_id, is_allowed),
            Message::TerminateAck { presentation_id } => {
                if let Some(connection) = connection.filter(|_| self.is_about(handle, presentation_id)) {
                    self.terminate_acked(now, connection);
                }
            }
            // The channel keeps these to itself, or they need no reaction.
            Message::Connect { .. }
            | Message::ConnectAck { .. }
            | Message::Disconnect { .. }
            | Message::LaunchAck { .. }
            | Message::Ping
            | Message::Pong
            | Message::Unknown => {}
        }
    }

    /// PS-11, PS-34: a name that is known is not launched again, whoever asks.
    fn launch(&mut self, now: Instant, handle: ChannelHandle, id: &str, url: &str, is_allowed: bool) {
        let Some(entry) = self.channels.get(handle) else { return };
        let (Some(origin), device_id) = (entry.origin, entry.device_id.clone()) else { return };
        if entry.connection.is_some() {
            // The same once more changes nothing; two presentations on one channel are one too many.
            if !self.is_about(handle, id) {
                self.leave_channel(now, handle, Reason::OPERATION);
            }
            return;
        }
        if !(is_allowed || planted!("policy_not_asked")) || Schemes::of(url).is_empty() || self.find(id, true).is_some()
        {
            return self.leave_channel(now, handle, Reason::NOT_ALLOWED);
        }
        let (Ok(id), Ok(url)) = (PresentationId::try_from(id), Url::try_from(url)) else {
            return self.leave_channel(now, handle, Reason::OPERATION);
        };
        if id.is_empty() || self.connections.in_use() == self.connections.capacity() {
            return self.leave_channel(now, handle, Reason::OPERATION);
        }
        let shown = Shown {
            page: Page::new(now, self.settings.page_load_timeout),
            origin,
            token: None,
            receiver: None,
            is_listening: false,
            settle: None,
        };
        let presentation =
            Presentation { id, url, device_id, first_connection: None, shown: Some(shown), is_touched: false };
        let Some(presentation) = self.add_presentation(presentation) else {
            return self.leave_channel(now, handle, Reason::OPERATION);
        };
        self.admit(now, handle, presentation, Word::LaunchAck);
        self.touch_page(presentation);
    }

    /// PS-09, PS-34
    fn reconnected(&mut self, now: Instant, handle: ChannelHandle, id: &str, url: &str, is_allowed: bool) {
        let Some(entry) = self.channels.get(handle) else { return };
        if entry.connection.is_some() {
            if !self.is_about(handle, id) {
                self.leave_channel(now, handle, Reason::OPERATION);
            }
            return;
        }
        let refusal = match self.find(id, true) {
            _ if !is_allowed => Some(Reason::NOT_ALLOWED),
            None => Some(Reason::NOT_FOUND),
            Some(_) if !self.may_join(handle, id) => Some(Reason::NOT_ALLOWED),
            Some(found) => {
                let presentation = self.presentations.get(found);
                let is_alive = presentation.and_then(|it| it.shown.as_ref()).is_some_and(|shown| is_alive(&shown.page));
                let is_url = presentation.is_some_and(|it| it.url == url);
                let is_full = self.connections.in_use() == self.connections.capacity();
                match (is_alive && is_url, is_full) {
                    (false, _) => Some(Reason::NOT_FOUND),
                    (true, true) => Some(Reason::OPERATION),
                    (true, false) => None,
                }
            }
        };
        match (refusal, self.find(id, true)) {
            (None, Some(presentation)) => self.admit(now, handle, presentation, Word::ReconnectAck),
            (reason, _) => self.leave_channel(now, handle, reason.unwrap_or(Reason::NOT_FOUND)),
        }
    }

    /// There is a place for the connection.
    fn admit(&mut self, now: Instant, handle: ChannelHandle, presentation: PresentationHandle, ack: Word) {
        let shown = self.presentations.get(presentation).and_then(|it| it.shown.as_ref());
        let page = shown.is_some_and(|shown| shown.page.phase() == page::Phase::Ready);
        let session = Session::Presenting(Presenting::new(now, self.settings.establish_timeout, page));
        let Some(connection) = self.add_connection(presentation, session, None) else { return };
        if let Some(entry) = self.connections.get_mut(connection) {
            entry.channel = Some(handle);
        }
        if let Some(entry) = self.channels.get_mut(handle) {
            entry.connection = Some(connection);
            entry.subject = Some(presentation);
            entry.channel.mark_used();
            // It is connected, or nothing had been heard.
            let _ = entry.channel.handle(now, Event::Say(ack));
        }
        self.page_event(now, presentation, page::Event::Connections { any: true });
    }

    /// PS-14
    fn offered(
        &mut self,
        now: Instant,
        handle: ChannelHandle,
        connection: Option<ConnectionHandle>,
        kind: DescriptionKind,
    ) {
        let Some(connection) = connection else { return self.leave_channel(now, handle, Reason::OPERATION) };
        let phase = self.presenting(connection).map(Presenting::phase);
        if matches!(phase, Some(presenting::Phase::Waiting { offered: false, .. })) {
            if let Some(entry) = self.connections.get_mut(connection) {
                entry.kind = match kind {
                    DescriptionKind::Tcp => TransportKind::Tcp,
                    DescriptionKind::DataChannel => TransportKind::DataChannel,
                };
            }
            self.emit(Action::KeepOffer { connection });
            self.present(now, connection, presenting::Event::Offered);
        }
    }

    fn answered(&mut self, now: Instant, connection: Option<ConnectionHandle>, description: &Description<&str>) {
        let Some(connection) = connection else { return };
        let Some(kind) = self.controlling(connection).map(|session| session.kind()) else { return };
        let fits = matches!(
            (kind, description),
            (TransportKind::Tcp, Description::Tcp { .. })
                | (TransportKind::DataChannel, Description::DataChannel { .. })
        );
        if fits {
            self.emit(Action::TakeAnswer { connection });
        } else if kind == TransportKind::DataChannel && self.is_offering(connection) {
            // It is built anew, by TCP.
            self.emit(Action::CloseTransport { connection, reason: CloseReason::Closed });
        }
        self.control(now, connection, controlling::Event::Answered { fits });
    }

    fn is_offering(&self, connection: ConnectionHandle) -> bool {
        let phase = self.controlling(connection).map(Controlling::phase);
        matches!(phase, Some(controlling::Phase::Offering { .. }))
    }

    /// PS-10, PS-34: on an accepted channel it is the starter who ends what this box shows, or the device that shows what
    /// this box asked for; on our own channel it is the latter.
    fn peer_terminates(&mut self, now: Instant, handle: ChannelHandle, id: &str, is_known: bool) {
        let Some(entry) = self.channels.get(handle) else { return };
        let is_accepted = entry.channel.side() == Side::Receiver;
        let bound = entry.connection;
        let shown = self.find(id, true).filter(|_| is_accepted);
        let Some(presentation) = shown.or_else(|| self.find(id, false)) else {
            return self.leave_channel(now, handle, Reason::NOT_FOUND);
        };
        let is_theirs = match (shown.is_some(), is_accepted) {
            (true, _) => self.is_starter(handle, presentation),
            (false, true) => is_known && self.is_shower(handle, presentation),
            (false, false) => self.is_about(handle, id),
        };
        if !is_theirs {
            return self.leave_channel(now, handle, Reason::NOT_ALLOWED);
        }
        let is_crossed = bound
            .and_then(|it| self.controlling(it))
            .is_some_and(|session| session.phase() == controlling::Phase::Terminating);
        if let Some(entry) = self.channels.get_mut(handle).filter(|_| !is_crossed && !planted!("end_not_acknowledged"))
        {
            entry.subject = Some(presentation);
            let _ = entry.channel.handle(now, Event::Say(Word::TerminateAck));
        }
        if shown.is_some() {
            if let Some(bound) = bound.filter(|it| self.is_of(*it, presentation)) {
                self.present(now, bound, presenting::Event::PeerTerminates);
            }
            self.page_event(now, presentation, page::Event::End);
        } else {
            self.each_connection(presentation, |service, connection| {
                service.control(now, connection, controlling::Event::PeerTerminates);
            });
        }
    }

    fn may_join(&self, handle: ChannelHandle, id: &str) -> bool {
        self.settings.others_may_join
            || self.find(id, true).is_some_and(|presentation| self.is_starter(handle, presentation))
    }

    /// PS-34: what a device calls itself is vouched for by nothing but where it comes from.
    fn is_starter(&self, handle: ChannelHandle, presentation: PresentationHandle) -> bool {
        let (Some(entry), Some(presentation)) = (self.channels.get(handle), self.presentations.get(presentation))
        else {
            return false;
        };
        let (Some(origin), Some(shown)) = (entry.origin, &presentation.shown) else { return false };
        (planted!("name_is_believed") || origin.is_same(&shown.origin)) && entry.device_id == presentation.device_id
    }

    /// Whether the device of a channel says that it is the one which shows a presentation. One that is not one of us is
    /// not called there what it is called where it was found, so it is known by where it is alone.
    fn is_shower(&self, handle: ChannelHandle, presentation: PresentationHandle) -> bool {
        let (entry, shown) = (self.channels.get(handle), self.presentations.get(presentation));
        let is_named = entry.zip(shown).is_some_and(|(entry, shown)| entry.device_id == shown.device_id);
        is_named || !self.is_shown_by_kin(presentation)
    }

    fn is_shown_by_kin(&self, presentation: PresentationHandle) -> bool {
        let mut connections = self.connections_of(presentation).filter_map(|it| self.controlling(it));
        connections.any(Controlling::is_kin)
    }

    /// The device that shows a presentation which this box asked for, and whether it is one of us.
    pub fn shower_of(&self, presentation_id: &str) -> Option<(&str, bool)> {
        let presentation = self.find(presentation_id, false)?;
        Some((self.presentations.get(presentation)?.device_id.as_str(), self.is_shown_by_kin(presentation)))
    }

    /// Whether a channel is for the presentation of this name.
    fn is_about(&self, handle: ChannelHandle, id: &str) -> bool {
        let subject = self.channels.get(handle).and_then(|entry| entry.subject);
        subject.and_then(|subject| self.presentations.get(subject)).is_some_and(|presentation| presentation.id == id)
    }

    pub(super) fn leave_channel(&mut self, now: Instant, handle: ChannelHandle, reason: Reason) {
        let Some(entry) = self.channels.get_mut(handle) else { return };
        let _ = entry.channel.handle(now, Event::Leave(reason));
        self.touch_channel(handle);
    }

    /// The connection has no channel any more; the channel ends by itself.
    pub(super) fn part(&mut self, now: Instant, connection: ConnectionHandle, reason: Reason) {
        let Some(channel) = self.connections.get_mut(connection).and_then(|it| it.channel.take()) else { return };
        if let Some(entry) = self.channels.get_mut(channel) {
            entry.connection = None;
        }
        self.leave_channel(now, channel, reason);
    }

    pub(super) fn say(&mut self, now: Instant, connection: ConnectionHandle, word: Word) {
        let Some(channel) = self.connections.get(connection).and_then(|it| it.channel) else { return };
        let Some(entry) = self.channels.get_mut(channel) else { return };
        // A channel on which nothing may be said any more is about to be reported as lost.
        let _ = entry.channel.handle(now, Event::Say(word));
        self.touch_channel(channel);
    }

    fn touch_channel(&mut self, handle: ChannelHandle) {
        let Some(entry) = self.channels.get_mut(handle) else { return };
        self.channel_deadlines.set(handle.index(), entry.channel.deadline());
        if !core::mem::replace(&mut entry.is_touched, true) {
            // There is a place for each channel.
            let _ = self.touched_channels.push_back(handle.index());
        }
    }

    /// The next deed of the first channel that has something to do; `None` when that one has nothing more.
    pub(super) fn next_of_channels(&mut self) -> Option<Action> {
        let place = *self.touched_channels.front()?;
        let channel = self.channels.handle_at(place);
        let deed = channel.and_then(|handle| self.channels.get_mut(handle)).and_then(|entry| entry.channel.poll());
        match (channel, deed) {
            (Some(channel), Some(Deed::Say(word))) => {
                let connection = self.channels.get(channel).and_then(|entry| entry.connection);
                Some(Action::Say { channel, word, connection })
            }
            (Some(channel), Some(Deed::Close)) => Some(Action::CloseChannel { channel }),
            // News was taken when it was made.
            (Some(_), Some(Deed::Tell(_))) => None,
            (channel, None) | (channel, Some(_)) => {
                self.touched_channels.pop_front();
                self.settle_channel(channel?);
                None
            }
        }
    }

    /// A channel that has ended leaves nothing behind (PS-35).
    fn settle_channel(&mut self, handle: ChannelHandle) {
        let Some(entry) = self.channels.get_mut(handle) else { return };
        entry.is_touched = false;
        if entry.channel.phase() == Phase::Closed {
            self.channel_deadlines.set(handle.index(), None);
            self.channels.remove(handle);
        }
    }

    /// What is said on a channel, where the driver does not have it: `None` for an offer, an answer and a candidate.
    pub fn message(&self, channel: ChannelHandle, word: Word) -> Option<Message<&str>> {
        let subject = self.channels.get(channel).and_then(|entry| entry.subject);
        let presentation = subject.and_then(|subject| self.presentations.get(subject));
        let presentation_id = presentation.map_or("", |it| it.id.as_str());
        let url = presentation.map_or("", |it| it.url.as_str());
        Some(match word {
            Word::Connect { extension } => Message::Connect { device_id: &self.settings.device_id, extension },
            Word::ConnectAck { extension } => Message::ConnectAck { extension },
            Word::Disconnect(reason) => Message::Disconnect { reason },
            Word::Launch => Message::Launch { presentation_id, url },
            Word::LaunchAck => Message::LaunchAck { presentation_id },
            Word::Terminate => Message::Terminate { presentation_id },
            Word::TerminateAck => Message::TerminateAck { presentation_id },
            Word::Reconnect => Message::Reconnect { presentation_id, url },
            Word::ReconnectAck => Message::ReconnectAck { presentation_id },
            Word::Ping => Message::Ping,
            Word::Pong => Message::Pong,
            Word::Offer | Word::Answer | Word::IceCandidate | Word::Unknown => return None,
        })
    }

    /// The channel by which the two ends of a connection agree, while there is one.
    pub fn channel_of(&self, connection: ConnectionHandle) -> Option<ChannelHandle> {
        self.connections.get(connection)?.channel
    }

    /// Whether the device at the other end of a channel has said that it is one of us.
    pub fn is_kin(&self, channel: ChannelHandle) -> bool {
        self.channels.get(channel).is_some_and(|entry| entry.channel.is_kin())
    }

    /// The device at the other end of a channel.
    pub fn device_of(&self, channel: ChannelHandle) -> Option<&str> {
        self.channels.get(channel).map(|entry| entry.device_id.as_str())
    }
}

/// Whether there is something to come back to.
const fn is_alive(page: &Page) -> bool {
    match page.phase() {
        page::Phase::Launching | page::Phase::Loading | page::Phase::Ready => true,
        page::Phase::Ending | page::Phase::Gone => false,
    }
}

impl<const C: usize, const K: usize, const P: usize> Service<C, K, P> {
    /// The presentation of this name that this box shows, or that it asked another device for.
    pub(super) fn find(&self, id: &str, is_shown: bool) -> Option<PresentationHandle> {
        let handles = self.by_name.places(id).filter_map(|place| self.presentations.handle_at(place));
        let mut found = handles.filter(|handle: &Handle<Presentation>| {
            let presentation = self.presentations.get(*handle);
            presentation.is_some_and(|it| it.id == id && it.shown.is_some() == is_shown)
        });
        found.next()
    }
}
