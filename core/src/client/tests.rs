//! The machine as the app and the session server see it.

use core::time::Duration;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::message::playback::{Codec, PlaybackState, RingPlace, Shape, SourceDescription, SourceId, Statistics};

const PATIENCE: Duration = Duration::from_secs(20);
const CONNECT: Input<'_> = Input::Connect { reconnect_for: PATIENCE };
const START: Instant = Instant::from_millis(1_000);
const SESSION: SessionId = SessionId { index: 0, generation: 1 };
const OTHER_SESSION: SessionId = SessionId { index: 1, generation: 1 };
const MEMORY: Answer = Answer::SharedMemory { client_bytes: 4096, server_bytes: 4096 };

fn later(milliseconds: u64) -> Instant {
    START.after(Duration::from_millis(milliseconds))
}

/// Handles one input and gives every action.
fn step(client: &mut Client, now: Instant, input: Input<'_>) -> Vec<Action> {
    client.handle(now, input).unwrap();
    drain(client)
}

fn drain(client: &mut Client) -> Vec<Action> {
    core::iter::from_fn(|| client.poll_action()).collect()
}

fn reply(sequence: u32, result: Result<Answer, Refusal>, descriptors: u8) -> Input<'static> {
    Input::Received { message: Message::Reply { sequence, result }, descriptors }
}

fn event(event: Event) -> Input<'static> {
    Input::Received { message: Message::Event(event), descriptors: 0 }
}

fn connecting() -> Client {
    let mut client = Client::new();
    step(&mut client, START, CONNECT);
    client
}

fn waiting_to_retry() -> Client {
    let mut client = connecting();
    step(&mut client, START, Input::OpenFailed(ErrorKind::Busy));
    client
}

/// Also the number of the greeting.
fn greeting() -> (Client, u32) {
    let mut client = connecting();
    let actions = step(&mut client, START, Input::Opened);
    let [Action::Send(Request { sequence, command: Command::Hello })] = actions[..] else {
        panic!("a connection begins with the greeting, not {actions:?}")
    };
    (client, sequence)
}

fn connected(state: AppState) -> Client {
    let (mut client, sequence) = greeting();
    step(&mut client, START, reply(sequence, Ok(Answer::Welcome { version: 1, state }), 0));
    client
}

/// The server has gone, and the platform opens another connection.
fn reconnecting() -> Client {
    let mut client = connected(AppState::Running);
    step(&mut client, START, Input::Broken(LostReason::Closed));
    client
}

/// Also the number of the greeting.
fn greeting_again() -> (Client, u32) {
    let mut client = reconnecting();
    let actions = step(&mut client, START, Input::Opened);
    let [Action::Send(Request { sequence, command: Command::Hello })] = actions[..] else {
        panic!("a connection begins with the greeting, not {actions:?}")
    };
    (client, sequence)
}

fn welcome(sequence: u32, state: AppState) -> Input<'static> {
    reply(sequence, Ok(Answer::Welcome { version: 1, state }), 0)
}

/// Makes a call; gives its name and number.
fn call(client: &mut Client, now: Instant, command: Command<'_>) -> (CallId, u32) {
    let actions = step(client, now, Input::Call(command));
    let sent = actions.iter().find_map(|action| match *action {
        Action::SendCall { call, sequence } => Some((call, sequence)),
        _ => None,
    });
    sent.unwrap_or_else(|| panic!("the call is sent, not {actions:?}"))
}

fn running_with_memory() -> Client {
    let mut client = connected(AppState::Running);
    let (_, sequence) = call(&mut client, START, Command::GetSharedMemory);
    step(&mut client, START, reply(sequence, Ok(MEMORY), 2));
    client
}

fn with_session() -> Client {
    let mut client = running_with_memory();
    let (_, sequence) = call(&mut client, START, Command::CreateSession);
    step(&mut client, START, reply(sequence, Ok(Answer::Session { session: SESSION }), 0));
    client
}

fn ended(session: SessionId) -> Action {
    Action::Notify(Notification::Event(Event::SessionEnded { session }))
}

fn lost(reason: LostReason) -> Action {
    Action::Notify(Notification::ConnectionLost(reason))
}

fn given_up(reason: LostReason) -> Action {
    Action::Notify(Notification::GivenUp(reason))
}

/// SM-22, SM-30: every state takes every input as written here.
#[test]
fn every_input_in_every_state_does_what_the_diagram_says() {
    let app_state = event(Event::ApplicationState(AppState::Running));
    let misbehaves =
        Input::Received { message: Message::Event(Event::ApplicationState(AppState::Running)), descriptors: 1 };
    let inputs: [(&str, Input<'_>); 11] = [
        ("Connect", CONNECT),
        ("Opened", Input::Opened),
        ("OpenFailed(Gone)", Input::OpenFailed(ErrorKind::Gone)),
        ("OpenFailed(Busy)", Input::OpenFailed(ErrorKind::Busy)),
        ("Received", app_state),
        ("Received(what is no message)", misbehaves),
        ("Broken(Closed)", Input::Broken(LostReason::Closed)),
        ("Broken(Misbehaved)", Input::Broken(LostReason::Misbehaved)),
        ("Call", Input::Call(Command::ReleaseSharedMemory)),
        ("Disconnect", Input::Disconnect),
        ("Tick", Input::Tick),
    ];
    type State = (&'static str, fn() -> Client);
    let states: [State; 6] = [
        ("Disconnected", Client::new),
        ("Connecting", connecting),
        ("Greeting", || greeting().0),
        ("Connected", || connected(AppState::Inactive)),
        ("Reconnecting", reconnecting),
        ("GreetingAgain", || greeting_again().0),
    ];
    let mut table = String::new();
    for (state_name, state) in states {
        for (input_name, input) in inputs {
            let mut client = state();
            let result = match client.handle(START, input) {
                Err(refusal) => format!("refused {refusal:?}"),
                Ok(()) => format!("{} {}", name(client.connection()), names(&drain(&mut client))),
            };
            let late = if client.stale() > 0 { ", too late" } else { "" };
            table.push_str(&format!("{state_name} + {input_name} -> {result}{late}\n"));
        }
    }
    assert_eq!(table, TRANSITIONS);
}

const TRANSITIONS: &str = "\
Disconnected + Connect -> Connecting [Open]
Disconnected + Opened -> Disconnected [], too late
Disconnected + OpenFailed(Gone) -> Disconnected [], too late
Disconnected + OpenFailed(Busy) -> Disconnected [], too late
Disconnected + Received -> Disconnected [], too late
Disconnected + Received(what is no message) -> Disconnected [], too late
Disconnected + Broken(Closed) -> Disconnected [], too late
Disconnected + Broken(Misbehaved) -> Disconnected [], too late
Disconnected + Call -> refused NotConnected
Disconnected + Disconnect -> Disconnected []
Disconnected + Tick -> Disconnected []
Connecting + Connect -> refused AlreadyConnected
Connecting + Opened -> Greeting [Send]
Connecting + OpenFailed(Gone) -> Disconnected [Close, GivenUp]
Connecting + OpenFailed(Busy) -> Connecting []
Connecting + Received -> Connecting [], too late
Connecting + Received(what is no message) -> Connecting [], too late
Connecting + Broken(Closed) -> Connecting [], too late
Connecting + Broken(Misbehaved) -> Connecting [], too late
Connecting + Call -> refused NotConnected
Connecting + Disconnect -> Disconnected [Close, GivenUp]
Connecting + Tick -> Connecting []
Greeting + Connect -> refused AlreadyConnected
Greeting + Opened -> Greeting [], too late
Greeting + OpenFailed(Gone) -> Greeting [], too late
Greeting + OpenFailed(Busy) -> Greeting [], too late
Greeting + Received -> Greeting [], too late
Greeting + Received(what is no message) -> Disconnected [Close, GivenUp]
Greeting + Broken(Closed) -> Disconnected [Close, GivenUp]
Greeting + Broken(Misbehaved) -> Disconnected [Close, GivenUp]
Greeting + Call -> refused NotConnected
Greeting + Disconnect -> Disconnected [Close, GivenUp]
Greeting + Tick -> Greeting []
Connected + Connect -> refused AlreadyConnected
Connected + Opened -> Connected [], too late
Connected + OpenFailed(Gone) -> Connected [], too late
Connected + OpenFailed(Busy) -> Connected [], too late
Connected + Received -> Connected [Event]
Connected + Received(what is no message) -> Disconnected [Close, Lost, GivenUp]
Connected + Broken(Closed) -> Reconnecting [Close, Lost, Open]
Connected + Broken(Misbehaved) -> Disconnected [Close, Lost, GivenUp]
Connected + Call -> Connected [SendCall]
Connected + Disconnect -> Disconnected [Close, Lost, GivenUp]
Connected + Tick -> Connected []
Reconnecting + Connect -> refused AlreadyConnected
Reconnecting + Opened -> GreetingAgain [Send]
Reconnecting + OpenFailed(Gone) -> Reconnecting [Close]
Reconnecting + OpenFailed(Busy) -> Reconnecting [Close]
Reconnecting + Received -> Reconnecting [], too late
Reconnecting + Received(what is no message) -> Reconnecting [], too late
Reconnecting + Broken(Closed) -> Reconnecting [], too late
Reconnecting + Broken(Misbehaved) -> Reconnecting [], too late
Reconnecting + Call -> refused NotConnected
Reconnecting + Disconnect -> Disconnected [Close, GivenUp]
Reconnecting + Tick -> Reconnecting []
GreetingAgain + Connect -> refused AlreadyConnected
GreetingAgain + Opened -> GreetingAgain [], too late
GreetingAgain + OpenFailed(Gone) -> GreetingAgain [], too late
GreetingAgain + OpenFailed(Busy) -> GreetingAgain [], too late
GreetingAgain + Received -> GreetingAgain [], too late
GreetingAgain + Received(what is no message) -> Disconnected [Close, GivenUp]
GreetingAgain + Broken(Closed) -> Reconnecting [Close]
GreetingAgain + Broken(Misbehaved) -> Disconnected [Close, GivenUp]
GreetingAgain + Call -> refused NotConnected
GreetingAgain + Disconnect -> Disconnected [Close, GivenUp]
GreetingAgain + Tick -> GreetingAgain []
";

fn name(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Disconnected => "Disconnected",
        ConnectionState::Connecting { .. } => "Connecting",
        ConnectionState::Greeting => "Greeting",
        ConnectionState::Connected => "Connected",
        ConnectionState::Reconnecting { .. } => "Reconnecting",
        ConnectionState::GreetingAgain { .. } => "GreetingAgain",
    }
}

fn names(actions: &[Action]) -> String {
    let names: Vec<&str> = actions
        .iter()
        .map(|action| match action {
            Action::DropMemory(_) => "DropMemory",
            Action::Open => "Open",
            Action::Close => "Close",
            Action::Send(_) => "Send",
            Action::SendCall { .. } => "SendCall",
            Action::Complete { .. } => "Complete",
            Action::Notify(Notification::Event(_)) => "Event",
            Action::Notify(Notification::ConnectionLost(_)) => "Lost",
            Action::Notify(Notification::Reconnected { .. }) => "Reconnected",
            Action::Notify(Notification::GivenUp(_)) => "GivenUp",
            Action::NotifyText => "Text",
            Action::NotifyKeys => "Keys",
        })
        .collect();
    format!("[{}]", names.join(", "))
}

/// SM-22, SM-29
#[test]
fn the_welcome_tells_the_app_its_state() {
    let (mut client, sequence) = greeting();
    let welcome = Answer::Welcome { version: 1, state: AppState::Inactive };
    let actions = step(&mut client, START, reply(sequence, Ok(welcome), 0));
    assert_eq!(actions, [Action::Notify(Notification::Event(Event::ApplicationState(AppState::Inactive)))]);
    assert_eq!((client.connection(), client.application()), (ConnectionState::Connected, AppState::Inactive));
}

/// SM-35
#[test]
fn a_server_that_refuses_the_greeting_is_named_with_its_reason() {
    let (mut client, sequence) = greeting();
    let refusal = Refusal::Version { min: 7, max: 9 };
    let actions = step(&mut client, START, reply(sequence, Err(refusal), 0));
    assert_eq!(actions, [Action::Close, given_up(LostReason::Refused(refusal))]);
}

#[test]
fn a_server_that_does_not_welcome_us_in_time_is_left() {
    let (mut client, _) = greeting();
    let deadline = client.next_deadline().unwrap();
    assert_eq!(deadline, START.after(CALL_TIMEOUT));
    assert_eq!(step(&mut client, deadline, Input::Tick), [Action::Close, given_up(LostReason::Silent)]);
    assert_eq!(client.next_deadline(), None);
}

#[test]
fn a_full_queue_is_tried_again_until_the_time_is_over() {
    let mut client = waiting_to_retry();
    let retry_at = client.next_deadline().unwrap();
    assert_eq!(step(&mut client, retry_at, Input::Tick), [Action::Open]);
    let deadline = START.after(CALL_TIMEOUT);
    assert_eq!(client.next_deadline(), Some(deadline));
    let actions = step(&mut client, deadline, Input::OpenFailed(ErrorKind::Busy));
    assert_eq!(actions, [Action::Close, given_up(LostReason::Unreachable(ErrorKind::Busy))]);
}

#[test]
fn a_platform_that_never_says_how_opening_went_is_given_up() {
    let mut client = connecting();
    let actions = step(&mut client, START.after(CALL_TIMEOUT), Input::Tick);
    assert_eq!(actions, [Action::Close, given_up(LostReason::Unreachable(ErrorKind::Busy))]);
}

/// SM-23
#[test]
fn going_running_leases_the_memory_once() {
    let mut client = connected(AppState::Running);
    let (id, sequence) = call(&mut client, START, Command::GetSharedMemory);
    assert_eq!(client.handle(START, Input::Call(Command::GetSharedMemory)), Err(NotTaken::HasMemory));
    let actions = step(&mut client, START, reply(sequence, Ok(MEMORY), 2));
    assert_eq!(actions, [Action::Complete { call: id, outcome: Outcome::Answered(MEMORY) }]);
    assert!(client.has_memory());
    assert_eq!(client.handle(START, Input::Call(Command::GetSharedMemory)), Err(NotTaken::HasMemory));
}

/// SM-24
#[test]
fn memory_that_was_refused_can_be_asked_for_again() {
    let mut client = connected(AppState::Inactive);
    let (id, sequence) = call(&mut client, START, Command::GetSharedMemory);
    let actions = step(&mut client, START, reply(sequence, Err(Refusal::NotActive), 0));
    assert_eq!(actions, [Action::Complete { call: id, outcome: Outcome::Refused(Refusal::NotActive) }]);
    call(&mut client, START, Command::GetSharedMemory);
}

/// SM-25: nothing of ours is mapped any more before the server takes the memory back.
#[test]
fn going_inactive_drops_the_memory_before_the_server_is_told() {
    let mut client = with_session();
    let actions = step(&mut client, START, Input::Call(Command::ReleaseSharedMemory));
    assert_eq!(names(&actions), "[DropMemory, SendCall, Event]");
    assert_eq!(actions.last(), Some(&ended(SESSION)));
    assert!(!client.has_memory());
}

/// SM-25, SM-29
///
/// Field failure N
#[test]
fn a_server_that_leaves_active_takes_memory_and_sessions_with_it() {
    let mut client = with_session();
    let actions = step(&mut client, START, event(Event::ApplicationState(AppState::Inactive)));
    let inactive = Action::Notify(Notification::Event(Event::ApplicationState(AppState::Inactive)));
    assert_eq!(actions, [Action::DropMemory(None), ended(SESSION), inactive]);
    let play = Command::Play { session: SESSION };
    assert_eq!(client.handle(START, Input::Call(play)), Err(NotTaken::SessionEnded));
}

/// SM-26: what it has not given back before goes with the connection.
#[test]
fn an_app_that_ends_its_connection_keeps_neither_memory_nor_session() {
    let mut client = with_session();
    let actions = step(&mut client, START, Input::Disconnect);
    let (gone, asked) = (Action::DropMemory(Some(LostReason::Asked)), LostReason::Asked);
    assert_eq!(actions, [gone, Action::Close, ended(SESSION), lost(asked), given_up(asked)]);
    assert_eq!((client.has_memory(), client.application()), (false, AppState::Unknown));
}

/// SM-30: the server's own word about a session that we ended before comes too late.
#[test]
fn a_session_ends_only_once() {
    let mut client = with_session();
    step(&mut client, START, event(Event::ApplicationState(AppState::Inactive)));
    assert_eq!(step(&mut client, START, event(Event::SessionEnded { session: SESSION })), []);
    assert_eq!(client.stale(), 1);
}

#[test]
fn a_session_that_the_app_destroyed_says_nothing_any_more() {
    let mut client = with_session();
    call(&mut client, START, Command::DestroySession { session: SESSION });
    let playing = Event::PlaybackState { session: SESSION, state: PlaybackState::Playing };
    assert_eq!(step(&mut client, START, event(playing)), []);
}

#[test]
fn a_session_of_another_connection_cannot_be_called() {
    let mut client = with_session();
    let play = Command::Play { session: OTHER_SESSION };
    assert_eq!(client.handle(START, Input::Call(play)), Err(NotTaken::SessionEnded));
    assert_eq!(client.calls_waiting(), 0);
}

#[test]
fn the_greeting_is_not_the_apps_to_say() {
    let mut client = connected(AppState::Running);
    assert_eq!(client.handle(START, Input::Call(Command::Hello)), Err(NotTaken::Reserved));
}

/// SM-30
///
/// Field failure 2
#[test]
fn a_call_without_an_answer_times_out_at_its_own_deadline() {
    let mut client = with_session();
    let (first, _) = call(&mut client, START, Command::Play { session: SESSION });
    let (second, sequence) = call(&mut client, later(10), Command::Pause { session: SESSION });
    let deadline = START.after(CALL_TIMEOUT);
    assert_eq!(client.next_deadline(), Some(deadline));
    let actions = step(&mut client, deadline, Input::Tick);
    assert_eq!(actions, [Action::Complete { call: first, outcome: Outcome::TimedOut }]);
    let actions = step(&mut client, deadline, reply(sequence, Ok(Answer::Done), 0));
    assert_eq!(actions, [Action::Complete { call: second, outcome: Outcome::Answered(Answer::Done) }]);
    assert_eq!(client.next_deadline(), None);
}

/// SM-30
#[test]
fn a_late_answer_is_not_taken_for_that_of_a_later_call_in_the_same_place() {
    let mut client = with_session();
    let (early, sequence) = call(&mut client, START, Command::Play { session: SESSION });
    step(&mut client, START.after(CALL_TIMEOUT), Input::Tick);
    let (late, _) = call(&mut client, later(9_000), Command::Pause { session: SESSION });
    assert_eq!(early.index(), late.index());
    assert_eq!(step(&mut client, later(9_000), reply(sequence, Ok(Answer::Done), 0)), []);
    assert_eq!((client.stale(), client.calls_waiting()), (1, 1));
}

#[test]
fn a_session_that_came_too_late_is_given_back() {
    let mut client = running_with_memory();
    let (_, sequence) = call(&mut client, START, Command::CreateSession);
    step(&mut client, START.after(CALL_TIMEOUT), Input::Tick);
    let actions = step(&mut client, later(9_000), reply(sequence, Ok(Answer::Session { session: SESSION }), 0));
    let [Action::Send(Request { sequence, command: Command::DestroySession { session: SESSION } })] = actions[..]
    else {
        panic!("the session is destroyed, not {actions:?}")
    };
    assert_eq!(step(&mut client, later(9_001), reply(sequence, Ok(Answer::Done), 0)), []);
    assert_eq!(client.calls_waiting(), 0);
}

/// What is given back needs no place among the calls: otherwise the app could make no session in its memory any more.
#[test]
fn a_session_that_came_too_late_is_given_back_however_many_calls_wait() {
    let mut client = running_with_memory();
    let (_, sequence) = call(&mut client, START, Command::CreateSession);
    step(&mut client, START.after(CALL_TIMEOUT), Input::Tick);
    for _ in 0..CALLS_MAX {
        call(&mut client, later(8_000), Command::CreateSession);
    }
    let actions = step(&mut client, later(9_000), reply(sequence, Ok(Answer::Session { session: SESSION }), 0));
    assert!(matches!(actions[..], [Action::Send(Request { command: Command::DestroySession { .. }, .. })]));
}

#[test]
fn memory_that_came_too_late_is_given_back() {
    let mut client = connected(AppState::Running);
    let (_, sequence) = call(&mut client, START, Command::GetSharedMemory);
    step(&mut client, START.after(CALL_TIMEOUT), Input::Tick);
    let actions = step(&mut client, later(9_000), reply(sequence, Ok(MEMORY), 2));
    assert!(matches!(actions[..], [Action::Send(Request { command: Command::ReleaseSharedMemory, .. })]));
    assert!(!client.has_memory());
}

#[test]
fn memory_that_was_given_back_before_it_came_is_not_mapped() {
    let mut client = connected(AppState::Running);
    let (get, sequence) = call(&mut client, START, Command::GetSharedMemory);
    call(&mut client, START, Command::ReleaseSharedMemory);
    let actions = step(&mut client, START, reply(sequence, Ok(MEMORY), 2));
    assert_eq!(actions, [Action::Complete { call: get, outcome: Outcome::Refused(Refusal::Interrupted) }]);
    assert!(!client.has_memory());
}

/// SM-30
#[test]
fn a_connection_that_ends_ends_every_call_session_and_mapping() {
    let mut client = with_session();
    let (play, _) = call(&mut client, START, Command::Play { session: SESSION });
    let (position, _) = call(&mut client, START, Command::GetPosition { session: SESSION });
    let actions = step(&mut client, START, Input::Broken(LostReason::Closed));
    let complete = |call| Action::Complete { call, outcome: Outcome::ConnectionLost };
    assert_eq!(
        actions,
        [
            Action::DropMemory(Some(LostReason::Closed)),
            Action::Close,
            ended(SESSION),
            lost(LostReason::Closed),
            complete(play),
            complete(position),
            Action::Open
        ]
    );
    assert_eq!((client.application(), client.calls_waiting()), (AppState::Unknown, 0));
}

/// SM-24, SM-30, SM-36: what was true of the old connection is not of the new one.
///
/// Field failure 24
#[test]
fn an_app_is_connected_again_and_starts_from_nothing() {
    let mut client = with_session();
    assert_eq!(client.connections(), 1);
    step(&mut client, START, Input::Broken(LostReason::Closed));
    let actions = step(&mut client, START, Input::Opened);
    let [Action::Send(Request { sequence, .. })] = actions[..] else { panic!("the greeting is sent") };
    let actions = step(&mut client, START, welcome(sequence, AppState::Running));
    let running = Notification::Event(Event::ApplicationState(AppState::Running));
    assert_eq!(actions, [Action::Notify(Notification::Reconnected { connection: 2 }), Action::Notify(running)]);
    assert_eq!((client.connection(), client.connections()), (ConnectionState::Connected, 2));
    let play = Command::Play { session: SESSION };
    assert_eq!(client.handle(START, Input::Call(play)), Err(NotTaken::SessionEnded));
    call(&mut client, START, Command::GetSharedMemory);
}

/// SM-36: a connect waits in the queue of a server that is being restarted, however long that takes.
#[test]
fn a_greeting_to_a_server_that_restarts_waits_until_the_time_is_over() {
    let (mut client, sequence) = greeting_again();
    assert_eq!(client.next_deadline(), Some(START.after(PATIENCE)));
    let mut late = greeting_again().0;
    let moment = START.after(PATIENCE - Duration::from_millis(1));
    assert_eq!(step(&mut client, moment, Input::Tick), []);
    assert_eq!(step(&mut client, moment, welcome(sequence, AppState::Inactive)).len(), 2);
    let actions = step(&mut late, START.after(PATIENCE), Input::Tick);
    assert_eq!(actions, [Action::Close, given_up(LostReason::Silent)]);
}

/// SM-36
///
/// Field failure 13
#[test]
fn a_server_that_cannot_be_reached_is_tried_again_after_growing_pauses_until_the_time_is_over() {
    let mut client = reconnecting();
    let (mut now, mut attempts) = (START, 0);
    let last = loop {
        let actions = step(&mut client, now, Input::OpenFailed(ErrorKind::Gone));
        attempts += 1;
        if client.connection() == ConnectionState::Disconnected {
            break actions;
        }
        assert_eq!(actions, [Action::Close]);
        now = client.next_deadline().unwrap();
        assert_eq!(step(&mut client, now, Input::Tick), [Action::Open]);
    };
    assert_eq!(last, [Action::Close, given_up(LostReason::Unreachable(ErrorKind::Gone))]);
    assert!(now < START.after(PATIENCE) && (20..40).contains(&attempts), "{attempts} attempts");
    assert_eq!(client.next_deadline(), None);
}

#[test]
fn a_platform_that_never_says_how_reconnecting_went_is_given_up() {
    let mut client = reconnecting();
    let actions = step(&mut client, START.after(PATIENCE), Input::Tick);
    assert_eq!(actions, [Action::Close, given_up(LostReason::Unreachable(ErrorKind::Busy))]);
}

/// A server that welcomes and falls over again is not called in a loop.
#[test]
fn a_connection_that_is_lost_at_once_is_made_again_after_a_pause() {
    let (mut client, sequence) = greeting_again();
    step(&mut client, START, welcome(sequence, AppState::Running));
    let actions = step(&mut client, START, Input::Broken(LostReason::Closed));
    assert_eq!(actions, [Action::Close, lost(LostReason::Closed)]);
    let retry_at = client.next_deadline().unwrap();
    assert!(retry_at > START);
    assert_eq!(step(&mut client, retry_at, Input::Tick), [Action::Open]);
}

/// What a restart does not cure is not tried again.
#[test]
fn a_server_that_refuses_or_lies_or_an_app_that_leaves_ends_it_for_good() {
    let refusal = Refusal::Version { min: 7, max: 9 };
    let (mut client, sequence) = greeting_again();
    let actions = step(&mut client, START, reply(sequence, Err(refusal), 0));
    assert_eq!(actions, [Action::Close, given_up(LostReason::Refused(refusal))]);
    for (input, reason) in
        [(Input::Broken(LostReason::Misbehaved), LostReason::Misbehaved), (Input::Disconnect, LostReason::Asked)]
    {
        let mut client = connected(AppState::Running);
        assert_eq!(step(&mut client, START, input), [Action::Close, lost(reason), given_up(reason)]);
        assert_eq!(client.connection(), ConnectionState::Disconnected);
    }
}

#[test]
fn an_app_that_does_not_want_it_is_not_connected_again_and_can_connect_itself() {
    let mut client = Client::new();
    let connect = Input::Connect { reconnect_for: Duration::ZERO };
    step(&mut client, START, connect);
    let actions = step(&mut client, START, Input::Opened);
    let [Action::Send(Request { sequence, .. })] = actions[..] else { panic!("the greeting is sent") };
    step(&mut client, START, welcome(sequence, AppState::Running));
    let actions = step(&mut client, START, Input::Broken(LostReason::Closed));
    assert_eq!(actions, [Action::Close, lost(LostReason::Closed), given_up(LostReason::Closed)]);
    assert_eq!(step(&mut client, START, connect), [Action::Open]);
}

/// An answer of the server before comes to nobody, although the numbers look alike.
///
/// Field failure 24
#[test]
fn a_late_answer_of_the_connection_before_means_nothing_on_the_new_one() {
    let mut client = running_with_memory();
    let (_, late) = call(&mut client, START, Command::CreateSession);
    step(&mut client, START, Input::Broken(LostReason::Closed));
    let actions = step(&mut client, START, Input::Opened);
    let [Action::Send(Request { sequence, .. })] = actions[..] else { panic!("the greeting is sent") };
    assert_ne!(late, sequence, "no number is used twice");
    step(&mut client, START, welcome(sequence, AppState::Running));
    let (create, sequence) = call(&mut client, START, Command::CreateSession);
    let given = Ok(Answer::Session { session: OTHER_SESSION });
    assert!(!step(&mut client, START, reply(late, given, 0)).iter().any(|it| matches!(it, Action::Complete { .. })));
    let answer = Answer::Session { session: SESSION };
    let actions = step(&mut client, START, reply(sequence, Ok(answer), 0));
    assert_eq!(actions, [Action::Complete { call: create, outcome: Outcome::Answered(answer) }]);
}

/// SM-30: no message holds it, so it would cost the connection.
#[test]
fn codec_data_that_is_too_long_is_refused_and_changes_nothing() {
    let mut client = with_session();
    let codec_data = &[0; CODEC_DATA_BYTES_MAX + 1];
    let source = SourceDescription { codec: Codec::H264Avc, shape: Shape::default(), codec_data };
    let attach = Input::Call(Command::AttachSource { session: SESSION, source });
    assert_eq!(
        client.handle(START, attach),
        Err(NotTaken::CodecDataTooLong { bytes_max: CODEC_DATA_BYTES_MAX as u16 })
    );
    assert_eq!((drain(&mut client), client.calls_waiting()), (Vec::new(), 0));
}

#[test]
fn one_call_more_than_the_table_holds_is_refused_and_changes_nothing() {
    let mut client = with_session();
    for _ in 0..CALLS_MAX {
        call(&mut client, START, Command::GetPosition { session: SESSION });
    }
    let more = Input::Call(Command::ReleaseSharedMemory);
    assert_eq!(client.handle(START, more), Err(NotTaken::TooManyCalls { capacity: CALLS_MAX as u16 }));
    assert!(client.has_memory());
    assert_eq!(drain(&mut client), []);
}

/// SM-36: whichever answer does not belong to its call costs the server the connection.
#[test]
fn an_answer_of_another_kind_or_with_other_descriptors_ends_the_connection() {
    let place = RingPlace { client_offset: 0, server_offset: 0, payload_offset: 0, payload_bytes: 0 };
    let source = Answer::Source { source: SourceId(0), ring: place };
    let answers = [
        (Answer::Welcome { version: 1, state: AppState::Running }, 0),
        (Answer::Done, 0),
        (MEMORY, 2),
        (Answer::Session { session: OTHER_SESSION }, 0),
        (source, 2),
        (Answer::Position { position_ns: 0 }, 0),
        (Answer::Duration { duration_ns: None }, 0),
        (Answer::Statistics(Statistics::default()), 0),
    ];
    let description = SourceDescription { codec: Codec::H264, shape: Shape::default(), codec_data: &[] };
    let session = SESSION;
    let calls = [
        (Command::Play { session }, 1),
        (Command::CreateSession, 3),
        (Command::AttachSource { session, source: description }, 4),
        (Command::GetPosition { session }, 5),
        (Command::GetDuration { session }, 6),
        (Command::GetStatistics { session, source: SourceId(0) }, 7),
    ];
    for (command, right) in calls {
        for (index, (answer, descriptors)) in answers.into_iter().enumerate() {
            for descriptors in [descriptors, descriptors + 1] {
                let mut client = with_session();
                let (_, sequence) = call(&mut client, START, command);
                step(&mut client, START, reply(sequence, Ok(answer), descriptors));
                let is_kept = client.connection() == ConnectionState::Connected;
                assert_eq!(is_kept, index == right && descriptors % 2 == 0, "{command:?} {answer:?} {descriptors}");
            }
        }
    }
}

#[test]
fn more_sessions_than_there_can_be_are_a_lie() {
    let mut client = running_with_memory();
    for index in 0..=SESSIONS_MAX as u16 {
        let (_, sequence) = call(&mut client, START, Command::CreateSession);
        let session = SessionId { index, generation: 1 };
        step(&mut client, START, reply(sequence, Ok(Answer::Session { session }), 0));
    }
    assert_eq!(client.connection(), ConnectionState::Disconnected);
}

#[test]
fn an_event_with_a_descriptor_ends_the_connection() {
    let mut client = connected(AppState::Running);
    let message = Message::Event(Event::ApplicationState(AppState::Running));
    let actions = step(&mut client, START, Input::Received { message, descriptors: 1 });
    assert_eq!(actions, [Action::Close, lost(LostReason::Misbehaved), given_up(LostReason::Misbehaved)]);
}

#[test]
fn a_machine_survives_being_written_and_read_back() {
    let mut client = with_session();
    let (id, sequence) = call(&mut client, START, Command::Play { session: SESSION });
    let mut bytes = [0; 2048];
    let written = postcard::to_slice(&client, &mut bytes).unwrap();
    let mut read: Client = postcard::from_bytes(written).unwrap();
    let actions = step(&mut read, START, reply(sequence, Ok(Answer::Done), 0));
    assert_eq!(actions, [Action::Complete { call: id, outcome: Outcome::Answered(Answer::Done) }]);
}

/// SM-36: whatever a server sends, in whatever order, every call still has exactly one outcome.
#[test]
fn every_call_has_one_outcome_whatever_the_server_sends() {
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let mut client = Client::new();
    let (mut sent, mut waiting, mut completed) = (Vec::new(), Vec::new(), 0);
    let mut now = START;
    for _ in 0..100_000 {
        now = now.after(Duration::from_millis(next(200)));
        let newest: &[u32] = sent.rchunks(4).next().unwrap_or(&[0]);
        let sequence = newest[next(newest.len() as u64) as usize];
        let session = SessionId { index: next(2) as u16, generation: 1 };
        let input = match next(14) {
            0 => CONNECT,
            1 => Input::Opened,
            2 => Input::OpenFailed(ErrorKind::Busy),
            3 if client.connection() != ConnectionState::Greeting => reply(sequence, Ok(Answer::Done), 0),
            3 => reply(sequence, Ok(Answer::Welcome { version: 1, state: AppState::Running }), 0),
            4 => reply(sequence, Ok(MEMORY), 2),
            5 => reply(sequence, Ok(Answer::Session { session }), 0),
            6 => reply(sequence, Err(Refusal::NotActive), 0),
            7 => event(Event::ApplicationState(AppState::Inactive)),
            8 => Input::Call(Command::GetSharedMemory),
            9 => Input::Call(Command::CreateSession),
            10 => Input::Tick,
            11 => Input::Broken(LostReason::Closed),
            12 => reply(sequence, Err(Refusal::NotActive), 0),
            _ => Input::Call(Command::Play { session }),
        };
        let _ = client.handle(now, input);
        for action in drain(&mut client) {
            match action {
                Action::Send(Request { sequence, .. }) => sent.push(sequence),
                Action::SendCall { call, sequence } => {
                    sent.push(sequence);
                    waiting.push(call);
                }
                Action::Complete { call, .. } => {
                    let place = waiting.iter().position(|it| *it == call);
                    waiting.swap_remove(place.expect("a call that waits, and only once"));
                    completed += 1;
                }
                Action::DropMemory(_)
                | Action::Open
                | Action::Close
                | Action::Notify(_)
                | Action::NotifyText
                | Action::NotifyKeys => {}
            }
        }
    }
    let left = step(&mut client, now, Input::Disconnect);
    let last = left.iter().filter(|action| matches!(action, Action::Complete { .. })).count();
    assert_eq!((last, client.calls_waiting()), (waiting.len(), 0));
    assert!(completed > 300, "the run made calls: {completed}");
}

/// SM-35: an app that has many calls open is as well as one that has none.
#[test]
fn a_ping_is_answered_also_when_no_more_calls_are_taken() {
    let mut client = running_with_memory();
    for _ in 0..CALLS_MAX {
        call(&mut client, START, Command::CreateSession);
    }
    let actions = step(&mut client, START, event(Event::Ping));
    let [Action::Send(Request { sequence, command: Command::Pong })] = actions[..] else {
        panic!("the machine answers by itself, not {actions:?}")
    };
    assert_eq!(step(&mut client, START, reply(sequence, Ok(Answer::Done), 0)), [], "nobody waits for that");
    assert_eq!(usize::from(client.calls_waiting()), CALLS_MAX);
}
