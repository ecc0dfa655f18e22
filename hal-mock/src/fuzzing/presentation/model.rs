//! A box, seen from outside its presentation service: who is there, who owns what, who waits for an answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use greenroom_core::limits::ESTABLISH_TIMEOUT;
use greenroom_core::message::papi::Message;
use greenroom_core::message::presentation::{
    Answer, Command, ConnectionState, LaunchToken, Piece, Refusal, TransportKind,
};
use greenroom_core::presentation::control_channel::Word;
use greenroom_core::presentation::service::{
    Access, Action, ChannelHandle, ClientHandle, ConnectionHandle, Done, PresentationHandle, Schemes, Ticket,
};
use greenroom_core::table::Handle;
use greenroom_core::time::Instant;

use super::Small;
use super::operation::{DEVICES, Line, NAMES, description};

/// Why the machine does something.
#[derive(Clone, Debug, Default)]
pub(super) enum Cause {
    /// A control channel opened, came to its end or brings what is no message: no connection may fall by that (PS-33).
    Channel,
    /// Another device has said this on a channel; whether the policy lets it.
    Heard(ChannelHandle, Line, bool),
    /// A client has asked this.
    Asked(Ticket, Command<'static>),
    #[default]
    Other,
}

/// What the other end of a channel does next, if it behaves.
#[derive(Clone, Debug)]
pub(super) enum Due {
    Says(Line),
    Closes,
}

/// What comes next of a transport.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Offer,
    Answer,
    Open,
    Message,
}

#[derive(Debug)]
struct Client {
    handle: ClientHandle,
    access: Access,
    waiting: BTreeSet<u32>,
    /// The pages that it watches, and what it was told last.
    watch: Option<(Schemes, bool)>,
    is_listening: bool,
}

/// Who is at the other end of an accepted channel: the number of its origin, and what it calls itself.
type Identity = (u8, &'static str);

/// Whether two origins are one device.
fn is_same(one: u8, other: u8) -> bool {
    one == other || (one >= 2 && other >= 2)
}

#[derive(Debug)]
struct Channel {
    handle: ChannelHandle,
    /// `None` for a channel that the box has opened.
    identity: Option<Identity>,
    is_open: bool,
    due: VecDeque<Due>,
}

#[derive(Debug)]
struct Connection {
    handle: ConnectionHandle,
    owner: Option<ClientHandle>,
    /// What its owner was told last, and when.
    told: Option<(ConnectionState, Instant)>,
}

#[derive(Debug)]
struct Transport {
    connection: ConnectionHandle,
    kind: TransportKind,
    step: Step,
}

#[derive(Debug)]
struct Process {
    presentation: PresentationHandle,
    token: Option<LaunchToken>,
    is_asked: bool,
    has_receiver: bool,
}

/// What the box shows, for whom.
#[derive(Debug)]
struct Shown {
    presentation: PresentationHandle,
    id: String,
    starter: Identity,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    now: Instant,
    cause: Cause,
    clients: [Option<Client>; 4],
    generations: [u16; 4],
    channels: Vec<Channel>,
    connections: Vec<Connection>,
    transports: Vec<Transport>,
    /// Of these an offer is kept, of a transport that is not built yet.
    offers: Vec<ConnectionHandle>,
    processes: Vec<Process>,
    shown: Vec<Shown>,
    pub(super) devices: BTreeMap<&'static str, Schemes>,
    /// Who is about to be let in, and what it will say.
    pub(super) arriving: Option<(u8, [Line; 3])>,
}

fn nth<T>(all: &[T], number: u8) -> Option<&T> {
    all.get(usize::from(number).checked_rem(all.len())?)
}

impl Model {
    pub(super) fn join(&mut self, place: u8, access: Access) -> Option<ClientHandle> {
        let (client, generation) = (&mut self.clients[usize::from(place)], &mut self.generations[usize::from(place)]);
        if client.is_some() {
            return None;
        }
        *generation += 1;
        let handle = Handle::from_parts(place.into(), *generation);
        *client = Some(Client { handle, access, waiting: BTreeSet::new(), watch: None, is_listening: false });
        Some(handle)
    }

    pub(super) fn leave(&mut self, place: u8) -> Option<ClientHandle> {
        let gone = self.clients[usize::from(place)].take()?.handle;
        for connection in self.connections.iter_mut().filter(|it| it.owner == Some(gone)) {
            (connection.owner, connection.told) = (None, None);
        }
        Some(gone)
    }

    pub(super) fn client_at(&self, place: u8) -> Option<ClientHandle> {
        self.clients[usize::from(place)].as_ref().map(|client| client.handle)
    }

    fn client(&mut self, handle: ClientHandle) -> Option<&mut Client> {
        self.clients[usize::from(handle.index())].as_mut().filter(|client| client.handle == handle)
    }

    pub(super) fn asks(&mut self, from: Ticket) {
        let client = self.client(from.client).expect("who asks is there");
        client.waiting.insert(from.sequence);
    }

    /// A connection that somebody knows of, or a made-up one.
    pub(super) fn known_connection(&self, number: u8) -> ConnectionHandle {
        let forged = Handle::from_parts(u16::from(number) % 5, u16::from(number / 64));
        let known = nth(&self.connections, number).filter(|_| number < 250);
        known.map_or(forged, |connection| connection.handle)
    }

    fn connection(&mut self, handle: ConnectionHandle) -> &mut Connection {
        let place = self.connections.iter().position(|it| it.handle == handle).unwrap_or_else(|| {
            self.connections.push(Connection { handle, owner: None, told: None });
            self.connections.len() - 1
        });
        &mut self.connections[place]
    }

    fn owner_of(&self, handle: ConnectionHandle) -> Option<ClientHandle> {
        self.connections.iter().find(|it| it.handle == handle)?.owner
    }

    /// A receiver need not have been told of a connection that is its own.
    fn may_be_of(&self, handle: ConnectionHandle, client: ClientHandle) -> bool {
        self.connections.iter().find(|it| it.handle == handle).is_none_or(|it| it.owner == Some(client))
    }

    fn is_connected(&self, handle: ConnectionHandle) -> bool {
        let told = self.connections.iter().find(|it| it.handle == handle).and_then(|it| it.told);
        told.is_some_and(|(state, _)| state == ConnectionState::Connected)
    }

    /// The number, whether it is open, and whether the box has opened it.
    pub(super) fn channel(&self, number: u8) -> Option<(ChannelHandle, bool, bool)> {
        nth(&self.channels, number).map(|it| (it.handle, it.is_open, it.identity.is_none()))
    }

    fn channel_of(&mut self, handle: ChannelHandle) -> &mut Channel {
        let found = self.channels.iter_mut().find(|it| it.handle == handle);
        found.unwrap_or_else(|| panic!("{handle:?} is no channel"))
    }

    pub(super) fn open(&mut self, handle: ChannelHandle) {
        self.channel_of(handle).is_open = true;
    }

    pub(super) fn forget_channel(&mut self, handle: ChannelHandle) {
        self.channels.retain(|it| it.handle != handle);
    }

    pub(super) fn next_due(&mut self, handle: ChannelHandle) -> Option<Due> {
        self.channel_of(handle).due.pop_front()
    }

    pub(super) fn transport(&mut self, number: u8) -> Option<(ConnectionHandle, Step)> {
        let place = usize::from(number).checked_rem(self.transports.len())?;
        let transport = &mut self.transports[place];
        let step = transport.step;
        transport.step = match step {
            Step::Offer | Step::Answer => Step::Open,
            Step::Open | Step::Message => Step::Message,
        };
        Some((transport.connection, step))
    }

    pub(super) fn forget_transport(&mut self, connection: ConnectionHandle) {
        self.transports.retain(|it| it.connection != connection);
    }

    /// The process, and whether it was started.
    pub(super) fn process(&self, number: u8) -> Option<(PresentationHandle, bool)> {
        nth(&self.processes, number).map(|it| (it.presentation, it.token.is_some()))
    }

    pub(super) fn start_process(&mut self, presentation: PresentationHandle, token: LaunchToken) {
        let process = self.processes.iter_mut().find(|it| it.presentation == presentation);
        process.expect("it is to be started").token = Some(token);
    }

    fn keep_offer(&mut self, connection: ConnectionHandle) {
        self.heard(|line| matches!(line, Message::Offer(_)));
        assert!(!self.offers.contains(&connection), "{connection:?} has an offer");
        self.offers.push(connection);
    }

    /// Whether one was kept.
    fn forget_offer(&mut self, connection: ConnectionHandle) -> bool {
        let before = self.offers.len();
        self.offers.retain(|it| *it != connection);
        self.offers.len() < before
    }

    pub(super) fn forget_process(&mut self, presentation: PresentationHandle) {
        self.processes.retain(|it| it.presentation != presentation);
    }

    /// The token of one of the processes; a made-up one where there is none.
    pub(super) fn token(&self, number: u8) -> LaunchToken {
        nth(&self.processes, number).and_then(|it| it.token).unwrap_or(LaunchToken([0; 16]))
    }

    /// A process that was asked to end.
    pub(super) fn next_to_end(&self) -> Option<PresentationHandle> {
        self.processes.iter().find(|it| it.is_asked).map(|it| it.presentation)
    }

    /// The number of a process that is to be started.
    pub(super) fn next_to_start(&self) -> Option<u8> {
        self.processes.iter().position(|it| it.token.is_none()).map(|number| number as u8)
    }

    /// PS-31
    pub(super) fn is_answered(&self) -> bool {
        self.clients.iter().flatten().all(|client| client.waiting.is_empty())
    }

    /// PS-35
    pub(super) fn is_empty(&self) -> bool {
        let has_transports = !self.transports.is_empty() || !self.offers.is_empty();
        self.channels.is_empty() && !has_transports && self.processes.is_empty()
    }

    /// PS-30: whoever was told that a connection is being made has been told more by now.
    pub(super) fn check_waits(&self, now: Instant) {
        for connection in &self.connections {
            if let (Some(_), Some((ConnectionState::Connecting, since))) = (connection.owner, connection.told) {
                assert!(now < since.after(ESTABLISH_TIMEOUT), "{connection:?} is connecting for ever");
            }
        }
    }

    pub(super) fn begin(&mut self, now: Instant, cause: Cause) {
        (self.now, self.cause) = (now, cause);
    }

    /// All that the machine wanted is done.
    pub(super) fn end(&mut self) {
        self.cause = Cause::Other;
        self.arriving = None;
        // PS-22
        for (schemes, told) in self.clients.iter().flatten().filter_map(|client| client.watch) {
            assert_eq!(told, self.is_available(schemes), "who watches knows how things are");
        }
    }

    fn is_available(&self, schemes: Schemes) -> bool {
        self.devices.values().any(|device| device.meets(schemes))
    }

    /// Does what the machine wants done, if it may want that.
    pub(super) fn carry_out(&mut self, service: &Small, action: Action) {
        match action {
            Action::Reply { to, result } => self.replies(service, to, result),
            Action::Admit { channel, .. } => {
                let (origin, script) = self.arriving.take().expect("somebody arrives");
                let due = script.into_iter().map(Due::Says).collect();
                self.channels.push(Channel { handle: channel, identity: Some((origin, "")), is_open: false, due });
            }
            Action::OpenChannel { channel } => {
                let due = VecDeque::new();
                self.channels.push(Channel { handle: channel, identity: None, is_open: false, due });
            }
            Action::Say { channel, word, connection } => {
                self.may_say(service, channel, word);
                self.says(service, channel, word, connection);
            }
            Action::CloseChannel { channel } => self.forget_channel(channel),
            Action::KeepOffer { connection } => self.keep_offer(connection),
            Action::TakeAnswer { .. } => self.heard(|line| matches!(line, Message::Answer(_))),
            Action::TakeCandidate { .. } => self.heard(|line| matches!(line, Message::IceCandidate { .. })),
            Action::Build { connection, offers, client, kind } => {
                let is_new = self.transports.iter().all(|it| it.connection != connection);
                assert!(is_new, "{connection:?} has a transport");
                let owner = self.owner_of(connection);
                assert!(owner.is_none() || owner == client, "{client:?} builds for {owner:?}");
                let was_kept = self.forget_offer(connection);
                assert_eq!(was_kept, !offers, "what is built is what was offered");
                let step = if offers { Step::Offer } else { Step::Answer };
                self.transports.push(Transport { connection, kind, step });
            }
            Action::CloseTransport { connection, .. } => {
                let built = self.transports.iter().find(|it| it.connection == connection).map(|it| it.kind);
                // That a data channel is left is said on the control channel.
                let is_kept = built == Some(TransportKind::Tcp)
                    && matches!(self.cause, Cause::Channel)
                    && self.is_connected(connection);
                assert!(!is_kept, "{connection:?} falls with its control channel");
                let was_kept = self.forget_offer(connection);
                assert!(built.is_some() != was_kept, "{connection:?} has no transport, nor the offer of one");
                self.forget_transport(connection);
            }
            Action::Transmit { connection } => {
                let Cause::Asked(from, Command::Send { .. }) = self.cause else { panic!("nobody sends") };
                assert!(self.may_be_of(connection, from.client), "it sends on somebody else's connection");
                assert!(self.transports.iter().any(|it| it.connection == connection), "over nothing");
            }
            Action::Deliver { client, connection } => {
                assert_eq!(self.owner_of(connection), Some(client), "somebody else listens");
                assert!(self.is_connected(connection), "before it knows that it is connected");
            }
            Action::TellState { client, connection, state, reason } => {
                let is_over = matches!(state, ConnectionState::Closed | ConnectionState::Terminated);
                assert_eq!(is_over, reason.is_some(), "{state} for {reason:?}");
                self.told(client, connection, state);
            }
            Action::TellAvailable { client, connection } => self.available(client, connection),
            Action::TellAvailability { client, available } => {
                let watch = self.client(client).and_then(|client| client.watch.as_mut());
                let (_, told) = watch.expect("it watches");
                assert_ne!(*told, available, "it knows that");
                *told = available;
            }
            Action::TellSelection { .. } => {}
            Action::Launch { presentation } => self.launches(service, presentation),
            Action::Stop { presentation } | Action::Kill { presentation } => {
                let process = self.processes.iter_mut().find(|it| it.presentation == presentation);
                let process = process.expect("what is ended has not ended");
                assert!(process.token.is_some(), "what is ended runs");
                process.is_asked = true;
            }
        }
    }

    /// It follows from this message alone.
    fn heard(&self, is_it: impl Fn(&Line) -> bool) {
        assert!(matches!(&self.cause, Cause::Heard(_, line, _) if is_it(line)), "{:?}", self.cause);
    }

    /// PS-31, PS-36
    fn replies(&mut self, service: &Small, to: Ticket, result: Result<Done, Refusal>) {
        let Some(client) = self.client(to.client) else { panic!("{to:?} has gone") };
        assert!(client.waiting.remove(&to.sequence), "{to:?} is answered twice, or unasked: {result:?}");
        let is_platform = client.access == Access::Platform;
        let asked = match &self.cause {
            Cause::Asked(from, command) if *from == to => Some(command.clone()),
            _ => None,
        };
        if let Some(command) = &asked {
            self.must_refuse(to, command, is_platform, result);
        }
        match (result, asked) {
            (Ok(Done::Connection(connection)), _) => {
                let connection = self.connection(connection);
                if connection.owner != Some(to.client) {
                    (connection.owner, connection.told) = (Some(to.client), None);
                }
            }
            (Ok(Done::Receiver(presentation)), Some(Command::ReceiverReady { token })) => {
                let process = self.processes.iter_mut().find(|it| it.presentation == presentation);
                let process = process.expect("what is shown runs");
                assert_eq!((process.token, process.has_receiver), (Some(token), false), "only what was launched, once");
                process.has_receiver = true;
            }
            (Ok(Done::Listed(Some(_))), _) if !is_platform => {
                let Answer::Listed(Some(status)) = service.answer(result.expect("it is")) else { panic!("{result:?}") };
                let connection = ConnectionHandle::from(status.connection);
                assert!(self.may_be_of(connection, to.client), "it sees what is not its own");
            }
            (Ok(Done::Availability(available)), Some(Command::WatchAvailability { urls })) => {
                let schemes = urls.iter().fold(Schemes::default(), |schemes, url| schemes.and(Schemes::of(url)));
                assert_eq!(available, self.is_available(schemes));
                self.client(to.client).expect("it is there").watch = Some((schemes, available));
            }
            (Ok(Done::Done), Some(Command::UnwatchAvailability)) => {
                self.client(to.client).expect("it is there").watch = None;
            }
            (Ok(Done::Done), Some(Command::ListenForConnections)) => {
                self.client(to.client).expect("it is there").is_listening = true;
            }
            (Ok(Done::Done), Some(Command::Built { connection, piece: Piece::Closed | Piece::Over(_) })) => {
                self.forget_transport(connection.into());
            }
            _ => {}
        }
    }

    /// PS-36: nobody does anything with another client's connection, and only the platform ends what is not its own.
    fn must_refuse(&self, to: Ticket, command: &Command<'_>, is_platform: bool, result: Result<Done, Refusal>) {
        let connection = match command {
            Command::Close { connection, .. }
            | Command::Terminate { connection }
            | Command::Send { connection, .. }
            | Command::Built { connection, .. } => Some(ConnectionHandle::from(*connection)),
            _ => None,
        };
        let known = connection.and_then(|handle| self.connections.iter().find(|it| it.handle == handle));
        if known.is_some_and(|it| it.owner != Some(to.client)) {
            assert_eq!(result, Err(Refusal::NotFound), "{command:?} of somebody else's");
        }
        let is_the_platforms = matches!(
            command,
            Command::End { .. }
                | Command::ListDevices { .. }
                | Command::WatchSelections
                | Command::Select { .. }
                | Command::Cancel { .. }
        );
        if is_the_platforms && !is_platform {
            assert_eq!(result, Err(Refusal::Denied), "{command:?}");
        }
    }

    /// PS-30, PS-33
    fn told(&mut self, client: ClientHandle, handle: ConnectionHandle, state: ConnectionState) {
        use ConnectionState::{Closed, Connected, Connecting, Terminated};
        let (now, is_channel) = (self.now, matches!(self.cause, Cause::Channel));
        let connection = self.connection(handle);
        assert_eq!(connection.owner, Some(client), "{handle:?} is not its own");
        let before = connection.told.map(|(state, _)| state);
        assert!(!(is_channel && before == Some(Connected)), "{handle:?} falls with its control channel");
        let may_follow = match (before, state) {
            (None, _) => true,
            (Some(Connecting), after) => after != Connecting,
            (Some(Connected), after) => matches!(after, Closed | Terminated),
            (Some(Closed), after) => matches!(after, Connecting | Terminated),
            (Some(Terminated), _) => false,
        };
        assert!(may_follow, "{handle:?}: {state} after {before:?}");
        connection.told = Some((state, now));
    }

    /// PS-17, PS-36
    fn available(&mut self, client: ClientHandle, handle: ConnectionHandle) {
        assert!(self.client(client).is_some_and(|client| client.is_listening), "it does not listen");
        let connection = self.connection(handle);
        assert_eq!(connection.owner, None, "{handle:?} is somebody's");
        connection.owner = Some(client);
    }

    /// PS-34: what is launched belongs to who has launched it.
    fn launches(&mut self, service: &Small, presentation: PresentationHandle) {
        let Cause::Heard(channel, Message::Launch { presentation_id, .. }, true) = self.cause else {
            panic!("nobody launches: {:?}", self.cause);
        };
        let starter = self.channel_of(channel).identity.expect("a device has come");
        assert!(self.shown_as(service, presentation_id).is_none(), "{presentation_id} is shown");
        self.shown.push(Shown { presentation, id: presentation_id.to_owned(), starter });
        self.processes.push(Process { presentation, token: None, is_asked: false, has_receiver: false });
    }

    /// What is shown under this name.
    fn shown_as(&self, service: &Small, id: &str) -> Option<&Shown> {
        self.shown.iter().find(|it| it.id == id && service.presentation(it.presentation).is_some())
    }

    /// PS-34: who did not start it neither joins nor ends it.
    fn may_say(&mut self, service: &Small, channel: ChannelHandle, word: Word) {
        let identity = self.channel_of(channel).identity;
        let starter = |id: &str| self.shown_as(service, id).map(|shown| shown.starter);
        let is = |one: Identity, other: Identity| is_same(one.0, other.0) && one.1 == other.1;
        match (word, &self.cause, identity) {
            (Word::LaunchAck, Cause::Heard(it, Message::Launch { .. }, true), Some(_)) => assert_eq!(*it, channel),
            (
                Word::ReconnectAck,
                Cause::Heard(it, Message::Reconnect { presentation_id, .. }, true),
                Some(identity),
            ) => {
                let starter = starter(presentation_id).expect("it is shown");
                assert!(*it == channel && is(starter, identity), "{identity:?} joins what {starter:?} has started");
            }
            (Word::TerminateAck, Cause::Heard(it, Message::Terminate { presentation_id }, known), Some(identity)) => {
                assert_eq!(*it, channel);
                match starter(presentation_id) {
                    Some(starter) => assert!(is(starter, identity), "{identity:?} ends what {starter:?} has started"),
                    None => assert!(known, "{identity:?} ends what it does not show"),
                }
            }
            (Word::TerminateAck, Cause::Heard(it, Message::Terminate { .. }, _), None) => assert_eq!(*it, channel),
            (Word::LaunchAck | Word::ReconnectAck | Word::TerminateAck, cause, _) => panic!("{word:?} for {cause:?}"),
            _ => {}
        }
    }

    /// What a well-behaved device does when it hears this.
    fn says(&mut self, service: &Small, channel: ChannelHandle, word: Word, connection: Option<ConnectionHandle>) {
        let said = service.message(channel, word);
        let name = |id: &str| NAMES.into_iter().find(|name| *name == id).expect("a name that somebody gave");
        let device = service.device_of(channel).unwrap_or_default();
        let claims = DEVICES.into_iter().find(|known| *known == device);
        let due = match said {
            Some(Message::Connect { .. }) => {
                Some(Due::Says(Message::ConnectAck { extension: u8::from(device == "TV") }))
            }
            Some(Message::ConnectAck { .. }) => {
                let entry = self.channel_of(channel);
                entry.identity = entry.identity.map(|(origin, _)| (origin, claims.expect("a known name")));
                None
            }
            Some(Message::Launch { presentation_id, .. }) => {
                Some(Due::Says(Message::LaunchAck { presentation_id: name(presentation_id) }))
            }
            Some(Message::Reconnect { presentation_id, .. }) => {
                Some(Due::Says(Message::ReconnectAck { presentation_id: name(presentation_id) }))
            }
            Some(Message::Terminate { presentation_id }) => {
                Some(Due::Says(Message::TerminateAck { presentation_id: name(presentation_id) }))
            }
            Some(Message::Disconnect { .. }) => Some(Due::Closes),
            Some(Message::Ping) => Some(Due::Says(Message::Pong)),
            None if word == Word::Offer => {
                let transport = self.transports.iter().find(|it| Some(it.connection) == connection);
                transport.map(|it| Due::Says(Message::Answer(description(it.kind))))
            }
            _ => None,
        };
        self.channel_of(channel).due.extend(due);
    }
}
