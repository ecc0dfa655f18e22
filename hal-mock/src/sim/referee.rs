//! Sees every message on its way, and checks what must hold always. It knows nothing of the machines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use greenroom_core::codec::postcard::{decode, decode_first, sequence};
use greenroom_core::limits::{RESTART_INTENSITY, RESTART_WINDOW};
use greenroom_core::message::playback::{self, Answer, SessionId};
use greenroom_core::message::{ServerState, TargetState, control, link};
use greenroom_core::time::Instant;
use serde::Deserialize;

use super::decoder::SimDecoder;
use crate::memory::Memory;
use crate::party::{Party, Said};

pub(super) type Finding = Result<(), (&'static str, String)>;

/// The longest encoding of an answer that makes a session.
const SESSION_REPLY_BYTES_MAX: usize = 32;

/// What is known of one session server's process.
#[derive(Default)]
struct Server {
    app: Option<String>,
    is_alive: bool,
    /// Numbers of the manager's requests that it has not answered.
    asked: BTreeSet<u32>,
    told: Option<ServerState>,
    /// Somebody speaks in its name what it did not say.
    is_forged: bool,
    /// Where it is to listen.
    socket: String,
    /// Its manager was killed then.
    orphaned_at: Option<Instant>,
    /// The number of the manager's latest order to be Active or Inactive, until the manager has heard its answer.
    ordered: Option<u32>,
    /// The manager has heard that it is Active, and has not told it to leave that since.
    plays: bool,
    /// Decoders that go with Active for its app, and whether it was told to be, and has not said that it no longer is.
    decoders: u8,
    is_on_stage: bool,
    /// The request with which it was told so.
    told_on_stage: Option<u32>,
    issued: BTreeSet<(u16, u16)>,
    /// What it has; `None` while its process is only on its way.
    belongings: Option<(Memory, SimDecoder)>,
}

#[derive(Default)]
struct App {
    /// How often somebody asked to start it, and was not refused, since a server was configured for it.
    initiates: u32,
    restarts: VecDeque<Instant>,
}

/// What one party waits for from another, on its latest connection.
#[derive(Default)]
struct Asker {
    connection: u64,
    /// The session server that has answered last.
    answered_by: Option<u32>,
    has_spoken: bool,
    unanswered: Vec<u32>,
    /// Those that can be read, and so must be answered, with when they arrived.
    owed: BTreeMap<u32, Instant>,
    initiates: BTreeMap<u32, String>,
    /// Which app is to be Active or Inactive, by the request.
    changes: BTreeMap<u32, String>,
    states: BTreeMap<String, ServerState>,
}

/// Who checks.
#[derive(Default)]
pub(super) struct Referee {
    /// The box has so many.
    decoders: u8,
    servers: BTreeMap<u32, Server>,
    apps: BTreeMap<String, App>,
    askers: BTreeMap<Party, Asker>,
    /// An app that nothing happens to: it must see no failure.
    innocent: Option<String>,
    /// The manager was told to end.
    does_end: bool,
    /// Files that a killed manager and its servers have left, and that nobody has made anew since.
    left_files: BTreeSet<String>,
}

impl Referee {
    pub(super) fn of_box(decoders: u8) -> Self {
        Self { decoders, ..Self::default() }
    }

    pub(super) fn set_innocent(&mut self, app: Option<&str>) {
        self.innocent = app.map(str::to_owned);
    }

    pub(super) fn spawned(&mut self, process_id: u32, memory: Memory, decoder: SimDecoder) {
        let server = self.servers.entry(process_id).or_default();
        (server.is_alive, server.belongings) = (true, Some((memory, decoder)));
    }

    pub(super) fn exited(&mut self, process_id: u32) {
        self.servers.remove(&process_id);
    }

    pub(super) fn forged(&mut self, process_id: u32) {
        if let Some(server) = self.servers.get_mut(&process_id) {
            server.is_forged = true;
            // Whoever spoke in its name may have said that it is off the stage.
            server.is_on_stage = false;
        }
    }

    /// SM-38: who served apps is nobody's now, and owes nobody an answer. The next manager knows of no app.
    pub(super) fn manager_killed(&mut self, now: Instant, files: Vec<String>) {
        self.left_files.extend(files);
        for server in self.servers.values_mut() {
            (server.app, server.is_on_stage) = (None, false);
            server.orphaned_at.get_or_insert(now);
        }
        self.apps.clear();
        self.innocent = None;
    }

    /// SM-34: whether this file may be there although no app listens on it.
    pub(super) fn is_left_over(&self, file: &str) -> bool {
        self.left_files.contains(file)
    }

    pub(super) fn manager_ends(&mut self) {
        self.does_end = true;
    }

    /// SM-38: session servers end when their manager was killed.
    pub(super) fn left_behind(&self, now: Instant, patience: Duration) -> Finding {
        let is_late = |at: Instant| now.since(at) > patience;
        let late = self.servers.iter().find(|(_, server)| server.is_alive && server.orphaned_at.is_some_and(is_late));
        match late {
            Some((process_id, _)) => Err(("SM-38 orphan", format!("server {process_id} lives on without its manager"))),
            None => Ok(()),
        }
    }

    /// SM-30: who still has its connection, and asked something longer ago than this that was never answered.
    pub(super) fn left_waiting(&self, now: Instant, party: Party, patience: Duration) -> Finding {
        let Some(asker) = self.askers.get(&party) else { return Ok(()) };
        match asker.owed.iter().find(|(_, asked_at)| now.since(**asked_at) > patience) {
            Some((sequence, at)) => {
                let what = format!("{party} asked {sequence} at {} ms and has no answer", at.as_millis());
                Err(("SM-30 one answer", what))
            }
            None => Ok(()),
        }
    }

    /// The app that a process serves, once it was told so.
    pub(super) fn app_of(&self, process_id: u32) -> Option<&str> {
        self.servers.get(&process_id)?.app.as_deref()
    }

    /// The session server whose memory a client has. One whose manager was killed serves it still, but no app.
    pub(super) fn serves(&self, client: Party) -> Option<u32> {
        self.askers.get(&client)?.answered_by
    }

    /// What a party asks for on this connection; `None` on one that is not its latest.
    fn asker(&mut self, party: Party, connection: u64) -> Option<&mut Asker> {
        let asker = self.askers.entry(party).or_default();
        if asker.connection < connection {
            *asker = Asker { connection, ..Asker::default() };
        }
        Some(asker).filter(|asker| asker.connection == connection)
    }

    pub(super) fn sent(&mut self, now: Instant, said: &Said<'_>) -> Finding {
        match (said.from, said.to) {
            (Party::Manager, Party::Server(process_id)) => self.manager_asks(now, process_id, said.bytes),
            (Party::Server(process_id), Party::Manager) => self.server_says(process_id, said.bytes),
            (Party::Server(process_id), Party::Client { .. }) => self.server_answers(process_id, said),
            (Party::Manager, Party::Controller(_)) => self.manager_says(said),
            _ => Ok(()),
        }
    }

    pub(super) fn received(&mut self, now: Instant, said: &Said<'_>) {
        if let (Party::Server(process_id), Party::Manager) = (said.from, said.to) {
            return self.manager_hears(process_id, said.bytes);
        }
        let is_request = matches!(
            (said.from, said.to),
            (Party::Controller(_), Party::Manager) | (Party::Client { .. }, Party::Server(_))
        );
        if !is_request {
            return;
        }
        let Some(asker) = self.asker(said.from, said.connection) else { return };
        // A request that cannot be read is refused where a number stands at its beginning, wherever the connection is.
        let numbers = [false, true].map(|is_first| sequence(said.bytes, is_first));
        asker.unanswered.extend(numbers.into_iter().flatten());
        let is_first = !std::mem::replace(&mut asker.has_spoken, true);
        if let Some(number) = request_number(said, is_first) {
            asker.owed.entry(number).or_insert(now);
        }
        if let Party::Controller(_) = said.from
            && let Some((_, request)) = read::<control::Request<'_>>(said.bytes)
        {
            match request.command {
                control::Command::Initiate { app, .. } => {
                    asker.initiates.insert(request.sequence, app.to_owned());
                    self.apps.entry(app.to_owned()).or_default().initiates += 1;
                }
                control::Command::ChangeState { app, state: TargetState::Active | TargetState::Inactive } => {
                    asker.changes.insert(request.sequence, app.to_owned());
                }
                _ => {}
            }
        }
    }

    /// Whoever said it in the server's name.
    fn manager_hears(&mut self, process_id: u32, bytes: &[u8]) {
        let Some(server) = self.servers.get_mut(&process_id) else { return };
        match read::<link::Message>(bytes) {
            Some((_, link::Message::Reply { sequence, .. })) if server.ordered == Some(sequence) => {
                server.ordered = None
            }
            Some((_, link::Message::StateChanged { state, .. })) => server.plays = state == ServerState::Active,
            _ => {}
        }
    }

    /// SM-16, SM-18: that an app changes its state is not answered before its server has taken the order.
    fn check_order(&self, app: &str) -> Finding {
        let mut servers =
            self.servers.iter().filter(|(_, server)| server.is_alive && server.app.as_deref() == Some(app));
        match servers.find_map(|(process_id, server)| Some((process_id, server.ordered?))) {
            Some((process_id, sequence)) => {
                let what = format!("{app} changes, it was answered, but server {process_id} did not answer {sequence}");
                Err(("SM-16, SM-18 answered early", what))
            }
            None => Ok(()),
        }
    }

    /// One live process for each app (SM-36), and not too many of them one after the other.
    fn manager_asks(&mut self, now: Instant, process_id: u32, bytes: &[u8]) -> Finding {
        let Some((_, request)) = read::<link::Request<'_>>(bytes) else {
            return Err(("link", format!("the manager sent server {process_id} what is no request")));
        };
        // It may be asked in the turn in which it was started.
        let server = self.servers.entry(process_id).or_default();
        if !server.asked.insert(request.sequence) {
            return Err(("SM-30", format!("request {} was sent twice to server {process_id}", request.sequence)));
        }
        let configuration = match request.command {
            link::Command::SetConfiguration(configuration) => configuration,
            link::Command::SetState(TargetState::Active) => {
                server.ordered = Some(request.sequence);
                return self.goes_on_stage(process_id, request.sequence);
            }
            link::Command::SetState(TargetState::Inactive) => {
                (server.ordered, server.plays) = (Some(request.sequence), false);
                return Ok(());
            }
            link::Command::SetState(TargetState::NotRunning) if self.does_end && server.plays => {
                let what =
                    format!("server {process_id} is to end while it is Active: it is not asked to be Inactive first");
                return Err(("SM-38 order", what));
            }
            _ => return Ok(()),
        };
        server.decoders = configuration.resources.max_playback_sessions;
        (server.app, server.socket) = (Some(configuration.app.to_owned()), configuration.socket.to_owned());
        let same_app = |(id, server): (&u32, &Server)| {
            (*id != process_id && server.is_alive && server.app.as_deref() == Some(configuration.app)).then_some(*id)
        };
        if let Some(other) = self.servers.iter().find_map(same_app) {
            let what = format!("{} got server {process_id} while its server {other} lives", configuration.app);
            return Err(("SM-36 one live child", what));
        }
        self.count_restart(now, configuration.app)?;
        if configuration.state == TargetState::Active {
            return self.goes_on_stage(process_id, request.sequence);
        }
        Ok(())
    }

    /// SM-33, SM-40: who is told to be Active may open decoders until it said that it no longer is, or is dead. All who may
    /// have no more of them than there are, whether they open them or not.
    fn goes_on_stage(&mut self, process_id: u32, sequence: u32) -> Finding {
        if let Some(server) = self.servers.get_mut(&process_id).filter(|server| !server.is_forged) {
            (server.is_on_stage, server.told_on_stage) = (true, Some(sequence));
        }
        let on_stage = self.servers.values().filter(|server| server.is_on_stage);
        let promised: u32 = on_stage.map(|server| u32::from(server.decoders)).sum();
        if promised > self.decoders.into() {
            let what = format!("{promised} decoders of {} are promised with server {process_id}", self.decoders);
            return Err(("SM-33, SM-40 one owner", what));
        }
        Ok(())
    }

    /// Windows may lie so that one closes and the next one opens, so twice as many can come close together.
    fn count_restart(&mut self, now: Instant, app: &str) -> Finding {
        let record = self.apps.entry(app.to_owned()).or_default();
        if std::mem::take(&mut record.initiates) > 0 {
            record.restarts.clear();
            return Ok(());
        }
        record.restarts.push_back(now);
        record.restarts.retain(|at| now.since(*at) < RESTART_WINDOW);
        if record.restarts.len() > 2 * RESTART_INTENSITY as usize {
            let what = format!("{app} was restarted {} times within {RESTART_WINDOW:?}", record.restarts.len());
            return Err(("SM-36 restarts", what));
        }
        Ok(())
    }

    fn server_says(&mut self, process_id: u32, bytes: &[u8]) -> Finding {
        let Some(server) = self.servers.get_mut(&process_id).filter(|server| !server.is_forged) else { return Ok(()) };
        match read::<link::Message>(bytes) {
            Some((_, link::Message::Reply { sequence, .. })) if !server.asked.remove(&sequence) => {
                Err(("SM-30", format!("server {process_id} answered request {sequence} that it was not asked")))
            }
            Some((_, link::Message::Reply { sequence, result: Err(_) })) if server.told_on_stage == Some(sequence) => {
                server.is_on_stage = false;
                Ok(())
            }
            Some((_, link::Message::StateChanged { state, .. })) => {
                if matches!(state, ServerState::Inactive | ServerState::Active) {
                    self.left_files.remove(&server.socket);
                }
                server.says(process_id, state)
            }
            Some(_) => Ok(()),
            None => Err(("link", format!("server {process_id} sent the manager what is no message"))),
        }
    }

    fn server_answers(&mut self, process_id: u32, said: &Said<'_>) -> Finding {
        // Anything but an answer begins with another number.
        let Some((0, answer)) = said.bytes.split_first() else { return Ok(()) };
        let client = said.to;
        let Some(asker) = self.asker(client, said.connection) else { return Ok(()) };
        let sequence = sequence(answer, false);
        let Some(place) = asker.unanswered.iter().position(|asked| Some(*asked) == sequence) else {
            let what = format!("server {process_id} answered {sequence:?} of {client} that it was not asked");
            return Err(("SM-30", what));
        };
        asker.answered_by = Some(process_id);
        asker.unanswered.swap_remove(place);
        sequence.and_then(|sequence| asker.owed.remove(&sequence));
        if said.bytes.len() <= SESSION_REPLY_BYTES_MAX { self.check_handle(process_id, said.bytes) } else { Ok(()) }
    }

    fn check_handle(&mut self, process_id: u32, bytes: &[u8]) -> Finding {
        let Ok(playback::Message::Reply {
            result: Ok(Answer::Session { session } | Answer::SessionWithMemory { session, .. }),
            ..
        }) = decode(bytes)
        else {
            return Ok(());
        };
        let Some(server) = self.servers.get_mut(&process_id) else { return Ok(()) };
        let SessionId { index, generation } = session;
        if server.issued.insert((index, generation)) {
            return Ok(());
        }
        Err(("handles", format!("server {process_id} gave out session {index}.{generation} twice")))
    }

    fn manager_says(&mut self, said: &Said<'_>) -> Finding {
        let controller = said.to;
        let Some((_, message)) = read::<control::Message>(said.bytes) else {
            return Err(("control", format!("{controller} was sent what is no message")));
        };
        let innocent = self.innocent.clone();
        let Some(asker) = self.asker(controller, said.connection) else { return Ok(()) };
        match message {
            control::Message::Reply { sequence, result } => {
                let Some(place) = asker.unanswered.iter().position(|asked| *asked == sequence) else {
                    return Err(("SM-30", format!("{controller} was answered {sequence} that it did not ask")));
                };
                asker.unanswered.swap_remove(place);
                asker.owed.remove(&sequence);
                let refused = asker.initiates.remove(&sequence).filter(|_| result.is_err());
                let changed = asker.changes.remove(&sequence).filter(|_| result.is_ok());
                if let Some(app) = refused.and_then(|app| self.apps.get_mut(&app)) {
                    app.initiates = app.initiates.saturating_sub(1);
                }
                changed.map_or(Ok(()), |app| self.check_order(&app))
            }
            control::Message::Event(control::Event::StateChanged { app, state, reason }) => {
                let before = asker.states.insert(app.as_str().to_owned(), state);
                if !may_be_told(before, state) {
                    return Err(("SM-31", format!("{controller} was told that {app} is {state:?} after {before:?}")));
                }
                let fails = matches!(state, ServerState::NotRunning | ServerState::Error);
                if fails && innocent.as_deref() == Some(app.as_str()) {
                    let what = format!("{app} is {state:?} ({reason:?}) although nothing happened to it");
                    return Err(("SM-35, SM-36 bystander", what));
                }
                Ok(())
            }
            control::Message::Event(_) => {
                asker.states.clear();
                Ok(())
            }
        }
    }
}

impl Server {
    /// SM-31, SM-32
    fn says(&mut self, process_id: u32, state: ServerState) -> Finding {
        let before = self.told.replace(state);
        if matches!(state, ServerState::Inactive | ServerState::Error | ServerState::NotRunning) {
            self.is_on_stage = false;
        }
        if !follows(before, state) {
            return Err(("SM-31", format!("server {process_id} says {state:?} after {before:?}")));
        }
        let holds = |(memory, decoder): &(Memory, SimDecoder)| (memory.slots_held(), decoder.open_sessions());
        let (slots, sessions) = self.belongings.as_ref().map_or((0, 0), holds);
        if !matches!(state, ServerState::Active) && (sessions > 0 || slots > 0) {
            let what = format!("server {process_id} says {state:?} and holds {sessions} sessions, {slots} slots");
            return Err(("SM-32", what));
        }
        Ok(())
    }
}

/// What the manager may tell of an app. After its end only the next server's beginning, or that there is none.
fn may_be_told(before: Option<ServerState>, state: ServerState) -> bool {
    use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
    match before {
        None => true,
        Some(Uninitialized) => state != Uninitialized,
        Some(Inactive) => state != Inactive && state != Uninitialized,
        Some(Active) => state != Active && state != Uninitialized,
        Some(NotRunning) => matches!(state, Uninitialized | Error | NotRunning),
        Some(Error) => matches!(state, Uninitialized | Error | NotRunning),
    }
}

/// What a session server may say of itself.
fn follows(before: Option<ServerState>, after: ServerState) -> bool {
    use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
    matches!(
        (before, after),
        (None, Uninitialized | Error | NotRunning)
            | (Some(Uninitialized), Inactive | Active | NotRunning | Error)
            | (Some(Inactive), Active | NotRunning | Error)
            | (Some(Active), Inactive | NotRunning | Error)
            | (Some(Error), NotRunning)
    )
}

/// The number of a request that can be read where it stands in its connection.
fn request_number(said: &Said<'_>, is_first: bool) -> Option<u32> {
    let (has_opening, number) = match said.from {
        Party::Controller(_) => read::<control::Request<'_>>(said.bytes).map(|(first, it)| (first, it.sequence)),
        _ => read::<playback::Request<'_>>(said.bytes).map(|(first, it)| (first, it.sequence)),
    }?;
    (has_opening == is_first).then_some(number)
}

/// A message, and whether it is the first one of its connection.
pub(super) fn read<'b, M: Deserialize<'b>>(bytes: &'b [u8]) -> Option<(bool, M)> {
    if bytes.first() == Some(&0xC7)
        && let Ok((_, message)) = decode_first(bytes)
    {
        return Some((true, message));
    }
    Some((false, decode(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use greenroom_core::codec::postcard::{encode, encode_first};
    use greenroom_core::limits::MESSAGE_BYTES_MAX;
    use greenroom_core::message::playback::Command;

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    fn said(from: Party, to: Party, bytes: &[u8]) -> Said<'_> {
        Said { from, to, connection: 1, sent_at: Instant::default(), bytes, descriptors: 0 }
    }

    /// A box with one decoder, and two servers whose apps want one each.
    fn two_servers() -> Referee {
        let mut referee = Referee::of_box(1);
        for process_id in [1, 2] {
            let server = referee.servers.entry(process_id).or_default();
            (server.is_alive, server.decoders) = (true, 1);
        }
        referee
    }

    fn tell_active(referee: &mut Referee, process_id: u32, sequence: u32) -> Finding {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let request = link::Request { sequence, command: link::Command::SetState(TargetState::Active) };
        let bytes = encode(&request, &mut buffer).unwrap();
        referee.sent(Instant::default(), &said(Party::Manager, Party::Server(process_id), bytes))
    }

    fn says(referee: &mut Referee, process_id: u32, message: link::Message) -> Finding {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let bytes = encode(&message, &mut buffer).unwrap();
        referee.sent(Instant::default(), &said(Party::Server(process_id), Party::Manager, bytes))
    }

    /// SM-33, SM-40
    #[test]
    fn a_decoder_that_is_promised_twice_is_seen() {
        let mut referee = two_servers();
        referee.servers.entry(1).or_default().told = Some(ServerState::Inactive);
        assert_eq!(tell_active(&mut referee, 1, 1), Ok(()));
        assert_eq!(
            says(&mut referee, 1, link::Message::StateChanged { state: ServerState::Active, reason: None }),
            Ok(())
        );
        assert!(tell_active(&mut referee, 2, 1).is_err(), "the first one has it");
    }

    /// SM-33, SM-40
    #[test]
    fn a_decoder_is_free_when_its_owner_is_inactive_refused_it_or_has_died() {
        let gone: [fn(&mut Referee) -> Finding; 3] = [
            |referee| {
                referee.servers.entry(1).or_default().told = Some(ServerState::Active);
                says(referee, 1, link::Message::StateChanged { state: ServerState::Inactive, reason: None })
            },
            |referee| says(referee, 1, link::Message::Reply { sequence: 1, result: Err(link::Refusal::Busy) }),
            |referee| {
                referee.exited(1);
                Ok(())
            },
        ];
        for gone in gone {
            let mut referee = two_servers();
            assert_eq!(tell_active(&mut referee, 1, 1), Ok(()));
            assert_eq!(gone(&mut referee), Ok(()));
            assert_eq!(tell_active(&mut referee, 2, 1), Ok(()));
        }
    }

    /// SM-30
    #[test]
    fn a_request_without_an_answer_is_seen_and_one_that_cannot_be_read_is_not_waited_for() {
        let client = Party::Client { app: 1, client: 0 };
        let (mut referee, mut buffer) = (Referee::of_box(1), [0; MESSAGE_BYTES_MAX]);
        let hello = playback::Request { sequence: 7, command: Command::Hello };
        let bytes = encode_first(&hello, &mut buffer).unwrap();
        referee.received(Instant::default(), &said(client, Party::Server(1), bytes));
        let now = Instant::from_millis(1001);
        assert!(referee.left_waiting(now, client, SOON).is_err());
        assert!(referee.left_waiting(Instant::from_millis(1000), client, SOON).is_ok(), "there is time yet");
        // An opening belongs to the beginning.
        let mut other = Referee::of_box(1);
        other.received(Instant::default(), &said(client, Party::Server(1), &[0xff]));
        other.received(Instant::default(), &said(client, Party::Server(1), bytes));
        assert_eq!(other.left_waiting(now, client, SOON), Ok(()));
    }
}
