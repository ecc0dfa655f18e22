//! What local clients ask, decided: validated as a whole first, then done (PS-36).

use heapless::Vec;

use super::entries::{Client as ClientEntry, Selection, Session};
use super::{
    Access, Action, ClientHandle, ConnectionHandle, Done, NotTaken, Presentation, PresentationHandle, Schemes, Service,
    Ticket,
};
use crate::limits::{PRESENTERS_MAX, SELECTION_TIMEOUT, URLS_MAX};
use crate::message::VERSIONS;
use crate::message::presentation::{
    Answer, CloseReason, Command, ConnectionId, ConnectionState, ConnectionStatus, DeviceId, Piece, PresentationId,
    Refusal, TableName, Traffic, TransportKind, Url, Urls,
};
use crate::presentation::control_channel::Word;
use crate::presentation::session::{Controlling, WrongState, controlling, page};
use crate::time::Instant;

/// A request that was taken: answered at once, or when another device has done its part.
type Taken = Result<Option<Done>, Refusal>;

impl<const C: usize, const K: usize, const P: usize> Service<C, K, P> {
    pub(super) fn client_joined(&mut self, client: ClientHandle, access: Access) -> Result<(), NotTaken> {
        let place = usize::from(client.index());
        if place >= PRESENTERS_MAX {
            return Err(NotTaken::Full);
        }
        while self.clients.len() <= place {
            self.clients.push(None).map_err(|_| NotTaken::Full)?;
        }
        let free = self.clients.get_mut(place).filter(|it| it.is_none()).ok_or(NotTaken::Full)?;
        *free = Some(ClientEntry { handle: client, access, watch: None, chooses: false, builds: false });
        Ok(())
    }

    /// What it had goes: its connections can be taken up again by another client, its page ends (PS-35).
    pub(super) fn client_left(&mut self, now: Instant, client: ClientHandle) -> Result<(), NotTaken> {
        self.client(client).ok_or(NotTaken::Late)?;
        if let Some(place) = self.clients.get_mut(usize::from(client.index())) {
            *place = None;
        }
        self.forget_answers_to(client);
        for place in 0..self.connections.capacity() {
            let connection = self.connections.handle_at(place);
            let entry = connection.and_then(|handle| self.connections.get_mut(handle));
            if let (Some(entry), Some(connection)) = (entry.filter(|it| it.owner == Some(client)), connection) {
                entry.owner = None;
                planted!("end_unanswered" => entry.settle = None);
                planted!("proxy_left_behind" => continue);
                let _ = self.close(now, connection, CloseReason::WentAway);
            }
        }
        if let Some(presentation) = self.shown_by(client) {
            if let Some(shown) = self.presentations.get_mut(presentation).and_then(|it| it.shown.as_mut()) {
                (shown.receiver, shown.is_listening) = (None, false);
            }
            self.page_event(now, presentation, page::Event::End);
        }
        self.forget_selection_of(client);
        Ok(())
    }

    /// Those who wait for the end of what it had are answered all the same (PS-31).
    fn forget_answers_to(&mut self, client: ClientHandle) {
        let is_its = |to: &mut Ticket| to.client == client;
        for place in 0..self.connections.capacity() {
            let connection = self.connections.handle_at(place);
            if let Some(entry) = connection.and_then(|handle| self.connections.get_mut(handle)) {
                entry.settle.take_if(is_its);
            }
        }
        for place in 0..self.presentations.capacity() {
            let presentation = self.presentations.handle_at(place);
            let entry = presentation.and_then(|handle| self.presentations.get_mut(handle));
            if let Some(shown) = entry.and_then(|entry| entry.shown.as_mut()) {
                shown.settle.take_if(is_its);
            }
        }
    }

    /// A client asks for one device at a time.
    fn forget_selection_of(&mut self, client: ClientHandle) {
        let asked = self.selections.iter().find(|(_, it)| it.from.client == client).map(|(handle, _)| handle);
        if let Some(selection) = asked {
            self.selections.remove(selection);
            self.emit(Action::TellSelection { selection, is_over: true });
        }
    }

    fn client(&self, client: ClientHandle) -> Option<&ClientEntry> {
        let entry = self.clients.get(usize::from(client.index()))?.as_ref();
        entry.filter(|entry| entry.handle == client)
    }

    pub(super) fn client_mut(&mut self, client: ClientHandle) -> Option<&mut ClientEntry> {
        let entry = self.clients.get_mut(usize::from(client.index()))?.as_mut();
        entry.filter(|entry| entry.handle == client)
    }

    pub(super) fn require_platform(&self, client: ClientHandle) -> Result<(), Refusal> {
        let is_platform = self.client(client).is_some_and(|it| it.access == Access::Platform);
        if is_platform { Ok(()) } else { Err(Refusal::Denied) }
    }

    pub(super) fn request(&mut self, now: Instant, from: Ticket, command: Command<'_>) -> Result<(), NotTaken> {
        self.client(from.client).ok_or(NotTaken::Late)?;
        if let Some(result) = self.decide(now, from, command).transpose() {
            self.reply(from, result);
        }
        Ok(())
    }

    fn decide(&mut self, now: Instant, from: Ticket, command: Command<'_>) -> Taken {
        let client = from.client;
        let done = match command {
            Command::Hello => Done::Welcome,
            Command::Start { presentation_id, urls, origin, device, transport } => {
                return self.start(now, from, presentation_id, &urls, origin, device, transport);
            }
            Command::Reconnect { presentation_id, urls } => self.reconnect(now, client, presentation_id, &urls)?,
            Command::Close { connection, went_away } => self.close_one(now, client, connection, went_away)?,
            Command::Terminate { connection } => return self.terminate(now, from, connection),
            Command::End { presentation_id } => return self.end(now, from, presentation_id),
            Command::Send { connection, .. } => self.send(client, connection)?,
            Command::WatchAvailability { urls } => self.watch(client, &urls)?,
            Command::UnwatchAvailability => {
                self.client_mut(client).ok_or(Refusal::NotFound)?.watch = None;
                Done::Done
            }
            Command::ListDevices { from } => {
                self.require_platform(client)?;
                Done::Device(self.device_from(from))
            }
            Command::List { from } => Done::Listed(self.connection_from(client, from)),
            Command::WatchSelections => {
                self.require_platform(client)?;
                self.client_mut(client).ok_or(Refusal::NotFound)?.chooses = true;
                Done::Done
            }
            Command::Select { selection, device } => self.select(now, from, selection, device)?,
            Command::Cancel { selection, because } => self.cancel(from, selection, because)?,
            Command::ReceiverReady { token } => Done::Receiver(self.receiver_ready(now, client, token)?),
            Command::ReceiverFailed { token } => {
                self.receiver_failed(now, token)?;
                Done::Done
            }
            Command::ListenForConnections => {
                self.listen(client)?;
                Done::Done
            }
            Command::Built { connection, piece } => self.built(now, client, connection, piece)?,
            Command::RegisterBuilder => {
                self.client_mut(client).ok_or(Refusal::NotFound)?.builds = true;
                Done::Done
            }
            Command::Traffic => {
                self.require_platform(client)?;
                Done::Traffic
            }
        };
        Ok(Some(done))
    }

    /// PS-01, PS-02
    #[allow(clippy::too_many_arguments, reason = "they are the fields of one command")]
    fn start(
        &mut self,
        now: Instant,
        from: Ticket,
        id: &str,
        urls: &Urls<'_>,
        origin: &str,
        device: Option<&str>,
        transport: TransportKind,
    ) -> Taken {
        let id = PresentationId::try_from(id).ok().filter(|id| !id.is_empty()).ok_or(Refusal::TextLength)?;
        if self.find(&id, false).is_some() || self.selections.iter().any(|(_, it)| it.id == id) {
            return Err(Refusal::PresentationExists);
        }
        if schemes_of(urls).is_empty() {
            return Err(Refusal::Urls);
        }
        if let Some(client) = self.client_mut(from.client).filter(|_| transport == TransportKind::DataChannel) {
            client.builds = true;
        }
        if let Some(device) = device {
            let url = self.url_for(device, urls)?;
            let connection = self.begin(now, from.client, (&id, url), device, transport)?;
            return Ok(Some(Done::Connection(connection)));
        }
        self.ask_for_device(now, from, id, urls, origin, transport)
    }

    fn ask_for_device(
        &mut self,
        now: Instant,
        from: Ticket,
        id: PresentationId,
        urls: &Urls<'_>,
        origin: &str,
        transport: TransportKind,
    ) -> Taken {
        if self.selections.iter().any(|(_, it)| it.from.client == from.client) {
            return Err(Refusal::AlreadyAsking);
        }
        if !self.clients.iter().flatten().any(|client| client.chooses) {
            return Err(Refusal::NobodyChooses);
        }
        let mut owned: Vec<Url, URLS_MAX> = Vec::new();
        for url in urls {
            let url = Url::try_from(*url).map_err(|_| Refusal::TextLength)?;
            owned.push(url).map_err(|_| Refusal::Urls)?;
        }
        let origin = Url::try_from(origin).map_err(|_| Refusal::TextLength)?;
        let deadline = now.after(SELECTION_TIMEOUT);
        let selection = Selection { from, id, urls: owned, origin, transport, deadline };
        let capacity = self.selections.capacity();
        let full = Refusal::Full { table: TableName::Selections, capacity };
        let selection = self.selections.insert(selection).map_err(|_| full)?;
        self.emit(Action::TellSelection { selection, is_over: false });
        Ok(None)
    }

    /// The first URL that the device can show.
    pub(super) fn url_for<'u>(&self, device: &str, urls: &Urls<'u>) -> Result<&'u str, Refusal> {
        let device = self.device(device).ok_or(Refusal::NoDevice)?;
        urls.iter()
            .copied()
            .find(|url| planted!("any_scheme_shown") || device.schemes.meets(Schemes::of(url)))
            .ok_or(Refusal::NoDevice)
    }

    /// Makes a presentation on a device, with its first connection.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        owner: ClientHandle,
        (id, url): (&str, &str),
        device: &str,
        transport: TransportKind,
    ) -> Result<ConnectionHandle, Refusal> {
        let too_long = Refusal::TextLength;
        let presentation = Presentation {
            id: PresentationId::try_from(id).map_err(|_| too_long)?,
            url: Url::try_from(url).map_err(|_| too_long)?,
            device_id: DeviceId::try_from(device).map_err(|_| too_long)?,
            first_connection: None,
            shown: None,
            is_touched: false,
        };
        self.require_place()?;
        let capacity = self.presentations.capacity();
        let full = Refusal::Full { table: TableName::Presentations, capacity };
        let presentation = self.add_presentation(presentation).ok_or(full)?;
        self.connect_to(now, presentation, owner, transport, false)
    }

    fn require_place(&self) -> Result<(), Refusal> {
        let capacity = self.connections.capacity();
        if self.connections.in_use() < capacity {
            return Ok(());
        }
        Err(Refusal::Full { table: TableName::Connections, capacity })
    }

    fn connect_to(
        &mut self,
        now: Instant,
        presentation: PresentationHandle,
        owner: ClientHandle,
        transport: TransportKind,
        again: bool,
    ) -> Result<ConnectionHandle, Refusal> {
        let session = Session::Controlling(Controlling::new(now, self.settings.establish_timeout, transport, again));
        let capacity = self.connections.capacity();
        let full = Refusal::Full { table: TableName::Connections, capacity };
        self.add_connection(presentation, session, Some(owner)).ok_or(full)
    }

    /// PS-09: one's own connection, one that its client left, or another one beside those of others.
    fn reconnect(&mut self, now: Instant, client: ClientHandle, id: &str, urls: &Urls<'_>) -> Result<Done, Refusal> {
        let presentation = self.find(id, false).ok_or(Refusal::NotFound)?;
        let is_url = self.presentations.get(presentation).is_some_and(|it| urls.iter().any(|url| it.url == *url));
        if !is_url {
            return Err(Refusal::NotFound);
        }
        let whose = |owner| {
            let is_its = |it: &ConnectionHandle| self.connections.get(*it).is_some_and(|it| it.owner == owner);
            self.connections_of(presentation).find(is_its)
        };
        let connection = whose(Some(client)).or_else(|| whose(None));
        let Some(connection) = connection else {
            self.require_room_for_another(presentation)?;
            self.require_place()?;
            let kind = self.kind_for(client, TransportKind::DataChannel);
            return self.connect_to(now, presentation, client, kind, true).map(Done::Connection);
        };
        let state = self.state_of(connection);
        self.carry_as_wanted(connection, client);
        self.try_control(now, connection, controlling::Event::Reconnect)
            .map_err(|WrongState| Refusal::WrongState { state })?;
        if let Some(entry) = self.connections.get_mut(connection) {
            entry.owner = Some(client);
        }
        Ok(Done::Connection(connection))
    }

    /// As it was wanted, unless the client cannot build it.
    fn kind_for(&self, client: ClientHandle, wanted: TransportKind) -> TransportKind {
        if self.builds(client) { wanted } else { TransportKind::Tcp }
    }

    /// Whether a client builds data channels (PS-20).
    pub(super) fn builds(&self, client: ClientHandle) -> bool {
        self.client(client).is_some_and(|it| it.builds)
    }

    /// The client that takes up a closed connection may be another one than had it before.
    fn carry_as_wanted(&mut self, connection: ConnectionHandle, client: ClientHandle) {
        let builds = self.builds(client);
        let Some(entry) = self.connections.get_mut(connection) else { return };
        let kind = if builds { entry.kind } else { TransportKind::Tcp };
        if let Session::Controlling(session) = &mut entry.session {
            session.carry_by(kind);
        }
    }

    /// Mozilla's devices give up a presentation to which a second connection is made.
    fn require_room_for_another(&self, presentation: PresentationHandle) -> Result<(), Refusal> {
        let mut connections = self.connections_of(presentation).filter_map(|it| self.controlling(it));
        let is_taken = connections.any(Controlling::is_the_only_one);
        if is_taken { Err(Refusal::OneOnly) } else { Ok(()) }
    }

    fn state_of(&self, connection: ConnectionHandle) -> ConnectionState {
        self.connections.get(connection).map_or(ConnectionState::Terminated, |it| it.session.state())
    }

    /// PS-36
    fn own(&self, client: ClientHandle, connection: ConnectionId) -> Result<ConnectionHandle, Refusal> {
        let handle = ConnectionHandle::from(connection);
        self.owner_of(handle)
            .filter(|owner| planted!("connections_of_all") || *owner == client)
            .map(|_| handle)
            .ok_or(Refusal::NotFound)
    }

    fn close_one(
        &mut self,
        now: Instant,
        client: ClientHandle,
        connection: ConnectionId,
        went_away: bool,
    ) -> Result<Done, Refusal> {
        let connection = self.own(client, connection)?;
        let state = self.state_of(connection);
        if state == ConnectionState::Terminated {
            return Err(Refusal::WrongState { state });
        }
        let reason = if went_away { CloseReason::WentAway } else { CloseReason::Closed };
        self.close(now, connection, reason).map_err(|_| Refusal::NotFound)?;
        Ok(Done::Done)
    }

    /// PS-18
    fn send(&mut self, client: ClientHandle, connection: ConnectionId) -> Result<Done, Refusal> {
        let connection = self.own(client, connection)?;
        let state = self.state_of(connection);
        if state != ConnectionState::Connected {
            return Err(Refusal::WrongState { state });
        }
        self.emit(Action::Transmit { connection });
        Ok(Done::Done)
    }

    /// PS-10
    fn terminate(&mut self, now: Instant, from: Ticket, connection: ConnectionId) -> Taken {
        let connection = self.own(from.client, connection)?;
        let presentation = self.connections.get(connection).ok_or(Refusal::NotFound)?.presentation;
        if self.presenting(connection).is_some() {
            // A receiver that waited for its own end would be killed while it waits.
            self.page_event(now, presentation, page::Event::End);
            return Ok(Some(Done::Done));
        }
        self.terminate_by(now, from, connection)
    }

    fn end(&mut self, now: Instant, from: Ticket, id: &str) -> Taken {
        self.require_platform(from.client)?;
        if let Some(presentation) = self.find(id, true) {
            return self.end_page(now, from, presentation);
        }
        let presentation = self.find(id, false).ok_or(Refusal::NotFound)?;
        let connected = |it: &ConnectionHandle| self.state_of(*it) == ConnectionState::Connected;
        let best = self.connections_of(presentation).max_by_key(connected);
        self.terminate_by(now, from, best.ok_or(Refusal::NotFound)?)
    }

    fn end_page(&mut self, now: Instant, from: Ticket, presentation: PresentationHandle) -> Taken {
        let shown = self.presentations.get_mut(presentation).and_then(|it| it.shown.as_mut());
        let shown = shown.ok_or(Refusal::NotFound)?;
        if shown.settle.is_some() {
            return Err(Refusal::WrongState { state: ConnectionState::Terminated });
        }
        shown.settle = Some(from);
        self.page_event(now, presentation, page::Event::End);
        Ok(None)
    }

    /// The other connections of this box to the presentation end with it.
    fn terminate_by(&mut self, now: Instant, from: Ticket, connection: ConnectionHandle) -> Taken {
        let state = self.state_of(connection);
        self.try_control(now, connection, controlling::Event::Terminate)
            .map_err(|WrongState| Refusal::WrongState { state })?;
        let Some(entry) = self.connections.get_mut(connection) else { return Err(Refusal::NotFound) };
        entry.settle = Some(from);
        let presentation = entry.presentation;
        self.each_connection(presentation, |service, other| {
            if other != connection {
                service.control(now, other, controlling::Event::PeerTerminates);
            }
        });
        Ok(None)
    }

    /// PS-22
    fn watch(&mut self, client: ClientHandle, urls: &Urls<'_>) -> Result<Done, Refusal> {
        let schemes = schemes_of(urls);
        if schemes.is_empty() {
            return Err(Refusal::Urls);
        }
        let available = self.is_available(schemes);
        self.client_mut(client).ok_or(Refusal::NotFound)?.watch = Some((schemes, available));
        Ok(Done::Availability(available))
    }

    /// PS-06, PS-20: what a client's builder has made.
    fn built(
        &mut self,
        now: Instant,
        client: ClientHandle,
        connection: ConnectionId,
        piece: Piece<'_>,
    ) -> Result<Done, Refusal> {
        let connection = self.own(client, connection)?;
        if self.kind_of(connection) == TransportKind::Tcp && !planted!("client_speaks_for_service") {
            // Nobody speaks for a transport that the service has built itself.
            return Err(Refusal::WrongState { state: self.state_of(connection) });
        }
        let failed = CloseReason::Error(crate::message::papi::Reason::OPERATION);
        let taken = match piece {
            Piece::Offer(_) => self.offer_ready(now, connection),
            Piece::Answer(_) => self.answer_ready(now, connection),
            Piece::Candidate(_) => {
                self.say(now, connection, Word::IceCandidate);
                Ok(())
            }
            Piece::Open => self.transport_ready(now, connection),
            Piece::Closed => self.remote_closed(now, connection, failed),
            Piece::Over(reason) => self.remote_closed(now, connection, reason),
        };
        taken.map(|()| Done::Done).map_err(|_| Refusal::NotFound)
    }

    /// The connection at a place, or behind it, that a client may see.
    fn connection_from(&self, client: ClientHandle, from: u16) -> Option<u16> {
        let sees_all = self.require_platform(client).is_ok();
        let places = self.connections.iter().filter(|(handle, _)| handle.index() >= from);
        let mut seen = places.filter(|(handle, _)| sees_all || self.owner_of(*handle) == Some(client));
        seen.next().map(|(handle, _)| handle.index())
    }

    fn connection_status(&self, place: u16) -> Option<ConnectionStatus<'_>> {
        let connection = self.connections.handle_at(place)?;
        let (presentation_id, url, device_id) = self.connection(connection)?;
        Some(ConnectionStatus {
            next: place.saturating_add(1),
            connection: connection.into(),
            presentation_id,
            url,
            device_id,
            state: self.state_of(connection),
            is_receiver: self.presenting(connection).is_some(),
        })
    }

    /// The words of an answer.
    pub fn answer(&self, done: Done) -> Answer<'_> {
        match done {
            Done::Done => Answer::Done,
            Done::Welcome => Answer::Welcome { version: VERSIONS.1 },
            Done::Connection(connection) => {
                let (presentation_id, url, _) = self.connection(connection).unwrap_or_default();
                Answer::Connection { connection: connection.into(), presentation_id, url }
            }
            Done::Availability(available) => Answer::Availability { available },
            Done::Device(place) => Answer::Device(place.and_then(|place| self.device_status(place))),
            Done::Listed(place) => Answer::Listed(place.and_then(|place| self.connection_status(place))),
            // The machine does not see what is carried.
            Done::Traffic => Answer::Traffic(Traffic::default()),
            Done::Receiver(presentation) => {
                let (presentation_id, url) = self.presentation(presentation).unwrap_or_default();
                Answer::Receiver { presentation_id, url }
            }
        }
    }
}

fn schemes_of(urls: &Urls<'_>) -> Schemes {
    urls.iter().fold(Schemes::default(), |schemes, url| schemes.and(Schemes::of(url)))
}
