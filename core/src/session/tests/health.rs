//! Whether the server gets on, and whether its clients do.

use super::*;

const CHECK: HealthCheck = HealthCheck { interval_ms: 100, failures_max: 3 };
const PONG: Action = Action::Link(Message::Reply { sequence: 7, result: Ok(()) });

impl Stage {
    /// An Active server that looks at its clients.
    fn looking() -> Self {
        let mut stage = Self::started();
        let configuration = Configuration { health: CHECK, ..configuration(TargetState::Active) };
        stage.ask_link(link::Command::SetConfiguration(configuration));
        stage.take(Input::Bound(Ok(())));
        stage.take(Input::Allocated(Ok(())));
        stage
    }

    fn ping(&mut self) -> Vec<Action> {
        self.ask_link(link::Command::Ping)
    }

    fn time_out(&mut self) -> Vec<Action> {
        self.now = self.server.next_deadline().expect("something is due");
        self.take(Input::Tick)
    }

    fn ends(&mut self, (session, token): (u16, u32), result: Result<(), PlaybackError>) -> Vec<Action> {
        self.take(Input::Decoder(DecoderEvent::Completed { session, token, result }))
    }
}

fn beats(actions: &[Action]) -> Vec<(u16, u32)> {
    let beat = |action: &Action| match action {
        Action::Command { session, token, order: Order::Beat, .. } => Some((*session, *token)),
        _ => None,
    };
    actions.iter().filter_map(beat).collect()
}

fn pinged(actions: &[Action], of: ClientId) -> bool {
    actions.contains(&Action::Event { client: of, event: Event::Ping })
}

/// SM-36
#[test]
fn a_server_without_sessions_answers_a_ping_at_once_in_every_state() {
    for mut stage in [Stage::started(), Stage::inactive(), Stage::active()] {
        assert_eq!(stage.ping(), [PONG]);
    }
}

/// Field failure 11
#[test]
fn a_ping_is_answered_when_every_worker_has_shown_that_it_gets_on() {
    let mut stage = Stage::active();
    stage.playing_client();
    stage.playing_client();
    let actions = stage.ping();
    let [first, second] = beats(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(actions.len(), 2);
    assert_eq!(stage.ends(second, Ok(())), []);
    assert_eq!(stage.ends(first, Ok(())), [PONG]);
}

/// Field failure 11
#[test]
fn a_worker_that_is_at_an_order_within_its_time_gets_on_and_one_beyond_it_when_it_has_ended_that() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let load = stage.call(client, Command::Load { session, live: false });
    let Some(&Action::Command { session, token, .. }) = load.first() else { panic!("{load:?}") };
    assert_eq!(stage.ping(), [PONG]);
    stage.pass(DECODER_TIMEOUT);
    let asked = stage.ping();
    let [beat] = beats(&asked)[..] else { panic!("{asked:?}") };
    // The platform does not take it: the worker is still at the other one.
    assert_eq!(stage.ends(beat, Err(PlaybackError::Decoder)), []);
    assert_eq!(stage.ends((session, token), Ok(())), [PONG]);
}

#[test]
fn what_a_client_orders_during_a_beat_is_given_after_it() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let asked = stage.ping();
    assert_eq!(stage.call(client, Command::Load { session, live: false }), []);
    let actions = stage.ends(beats(&asked)[0], Ok(()));
    assert!(matches!(actions[..], [PONG, Action::Command { order: Order::Load { live: false }, .. }]), "{actions:?}");
}

#[test]
fn a_session_that_is_closed_owes_no_beat() {
    let mut stage = Stage::active();
    let (client, _) = stage.playing_client();
    stage.ping();
    assert!(stage.take(Input::ClientClosed { client }).contains(&PONG));
}

/// SM-36, Field failure C: a client that reads nothing is no business of the manager.
#[test]
fn a_client_whose_socket_is_full_does_not_keep_a_ping_from_its_answer() {
    let mut stage = Stage::looking();
    let (client, _) = stage.playing_client();
    stage.take(Input::ClientBlocked { client });
    let asked = stage.ping();
    assert_eq!(stage.ends(beats(&asked)[0], Ok(())), [PONG]);
}

#[test]
fn a_second_ping_before_the_answer_to_the_first_is_refused() {
    let mut stage = Stage::active();
    stage.playing_client();
    stage.ping();
    let busy = Message::Reply { sequence: 7, result: Err(link::Refusal::Busy) };
    assert_eq!(stage.ping(), [Action::Link(busy)]);
}

/// SM-35, Field failure C: it loses its own session, and nobody else anything.
#[test]
fn a_client_that_says_nothing_is_let_go_and_another_one_that_answers_stays() {
    let mut stage = Stage::looking();
    let (hung, hung_session) = stage.playing_client();
    let (well, _) = stage.playing_client();
    let mut all = Vec::new();
    while !all.contains(&Action::CloseClient { client: hung }) {
        let actions = stage.time_out();
        if pinged(&actions, well) {
            stage.call(well, Command::Pong);
        }
        all.extend(actions);
    }
    assert!(pinged(&all, hung) && !all.contains(&Action::CloseClient { client: well }));
    assert!(all.contains(&Action::Close { session: hung_session.index }));
    let closed = stage.take(Input::Decoder(DecoderEvent::Closed { session: hung_session.index }));
    assert_eq!(closed, [], "nobody is there to be told");
    assert_eq!(stage.server.sessions(), 1);
    // Its part of the memory is another client's, made anew.
    let next = stage.greeted();
    let leased = stage.call(next, Command::GetSharedMemory);
    assert_eq!(leased, [Action::Renew { slot: 0 }]);
}

/// SM-35: also one that waits for answers and takes none.
#[test]
fn a_client_that_reads_nothing_is_let_go_too() {
    let mut stage = Stage::looking();
    let (client, session) = stage.playing_client();
    stage.call(client, Command::Load { session, live: false });
    stage.take(Input::ClientBlocked { client });
    let mut all = Vec::new();
    while !all.contains(&Action::CloseClient { client }) {
        all.extend(stage.time_out());
    }
    assert!(!pinged(&all, client), "it takes nothing");
}

/// SM-35
#[test]
fn a_client_that_owes_an_answer_is_asked_once_more_at_each_look_until_it_is_let_go() {
    let mut stage = Stage::looking();
    let (client, _) = stage.playing_client();
    for _ in 0..CHECK.failures_max {
        let actions = stage.time_out();
        assert_eq!(actions, [Action::Event { client, event: Event::Ping }]);
    }
    let actions = stage.time_out();
    assert!(actions.contains(&Action::CloseClient { client }) && !pinged(&actions, client), "{actions:?}");
}

/// SM-35: a repeated question that is answered is the same as a first one.
#[test]
fn a_client_whose_answers_are_lost_but_for_the_last_stays() {
    let mut stage = Stage::looking();
    let (client, _) = stage.playing_client();
    for _ in 0..10 {
        for _ in 0..CHECK.failures_max {
            assert!(pinged(&stage.time_out(), client));
        }
        stage.call(client, Command::Pong);
    }
}

/// Field failure 10
#[test]
fn any_call_shows_that_a_client_gets_on() {
    let mut stage = Stage::looking();
    let (client, session) = stage.playing_client();
    for _ in 0..20 {
        assert!(pinged(&stage.time_out(), client));
        stage.time_out();
        stage.time_out();
        stage.call(client, Command::GetPosition { session });
    }
}

#[test]
fn a_client_that_holds_nothing_is_not_asked() {
    let mut stage = Stage::looking();
    let client = stage.greeted();
    assert_eq!(stage.server.next_deadline(), None);
    stage.call(client, Command::GetSharedMemory);
    assert!(stage.server.next_deadline().is_some());
    stage.call(client, Command::ReleaseSharedMemory);
    assert_eq!(stage.server.next_deadline(), None);
}

/// Field failure 25, Field failure O: greeting again gives no second ping.
#[test]
fn a_client_that_greets_twice_is_asked_once() {
    let mut stage = Stage::looking();
    let (client, _) = stage.playing_client();
    stage.call(client, Command::Hello);
    let actions = stage.time_out();
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Event { event: Event::Ping, .. })).count(), 1);
}
