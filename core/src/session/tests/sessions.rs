//! Playback sessions and their memory.

use super::every_call::every_command;
use super::*;

/// A session from its making to its end and back to the start of the media.
#[test]
fn a_session_is_loaded_played_to_its_end_sent_back_and_destroyed() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let done = answer(client, Response::Done);
    assert_eq!(stage.ordered(client, Command::Load { session, live: false }), [done]);
    let source = Response::Source { slot: 0, source: SOURCE, kind: MediaKind::Video };
    assert_eq!(stage.ordered(client, Command::AttachSource { session, source: VIDEO }), [answer(client, source)]);
    assert_eq!(stage.ordered(client, Command::AllSourcesAttached { session }), [done]);
    for playback in
        [PlaybackState::Buffering, PlaybackState::Paused, PlaybackState::Playing, PlaybackState::EndOfStream]
    {
        let told = stage.take(Input::Decoder(DecoderEvent::State { session: 0, state: playback }));
        assert_eq!(told, [event(client, Event::PlaybackState { session, state: playback })]);
    }
    let back = stage.ordered(client, Command::SetPosition { session, position_ns: 0, epoch: 1 });
    let buffering = Event::PlaybackState { session, state: PlaybackState::Buffering };
    assert_eq!(back, [done, event(client, buffering)]);
    assert_eq!(stage.ordered(client, Command::Play { session }), [done]);
    assert_eq!(stage.call(client, Command::DestroySession { session }), [Action::Close { session: 0 }]);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 })), [done]);
}

#[test]
fn a_value_out_of_its_range_is_refused() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let loud = Command::SetVolume { session, volume_permille: 2001 };
    assert_eq!(stage.call(client, loud), [refuse(client, Refusal::OutOfRange)]);
    stage.ordered(client, Command::Load { session, live: false });
    for rate_permille in [0, 99, 8001] {
        let rate = Command::SetPlaybackRate { session, rate_permille };
        assert_eq!(stage.call(client, rate), [refuse(client, Refusal::OutOfRange)]);
    }
    for (width, height) in [(0, 1), (1, 0)] {
        let window = Command::SetVideoWindow { session, window: Window { x: 0, y: 0, width, height } };
        assert_eq!(stage.call(client, window), [refuse(client, Refusal::OutOfRange)]);
    }
    let long = SourceDescription { codec_data: &[0; 4097], ..VIDEO };
    let attach = Command::AttachSource { session, source: long };
    assert_eq!(stage.call(client, attach), [refuse(client, Refusal::OutOfRange)]);
}

/// SM-35
///
/// Field failure F
#[test]
fn a_session_belongs_to_the_connection_that_made_it() {
    let mut stage = Stage::active();
    let (_, session) = stage.playing_client();
    let other = stage.greeted();
    for command in every_command(session).into_iter().skip(4) {
        assert_eq!(stage.call(other, command), [refuse(other, Refusal::UnknownSession)]);
    }
}

/// SM-33
#[test]
fn there_are_no_more_slots_than_the_app_may_have_sessions() {
    let mut stage = Stage::active();
    stage.playing_client();
    stage.playing_client();
    let third = stage.greeted();
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(third, Command::GetSharedMemory), [refuse(third, full)]);
}

/// Sessions of one connection up to what the app may have, each in a slot of its own.
#[test]
fn a_connection_has_as_many_sessions_as_the_app_may_have() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Open { session: 1 }]);
    let second = SessionId { index: 1, generation: 1 };
    let opened = stage.take(Input::Opened { session: 1, result: Ok(()) });
    assert_eq!(opened, [answer(client, Response::Session { session: second, slot: Some(1) })]);
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(client, Command::CreateSession), [refuse(client, full)]);
    let other = stage.greeted();
    assert_eq!(stage.call(other, Command::GetSharedMemory), [refuse(other, full)]);
    for (session, slot) in [(first, 0), (second, 1)] {
        let loaded = stage.call(client, Command::Load { session, live: false });
        let order = Order::Load { live: false };
        assert_eq!(loaded, [Action::Command { session: session.index, slot, token: 1, order }]);
    }
}

/// Field failure 32: what is left plays on, and the slot that came with a session goes back with it, to be renewed.
#[test]
fn a_session_that_is_destroyed_gives_its_slot_back_and_leaves_the_other_alone() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    let second = stage.further_session(client);
    stage.ordered(client, Command::Load { session: first, live: false });
    assert_eq!(stage.call(client, Command::DestroySession { session: second }), [Action::Close { session: 1 }]);
    let done = answer(client, Response::Done);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 })), [done]);
    assert_eq!(stage.ordered(client, Command::SetMute { session: first, muted: true }), [done]);
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Renew { slot: 1 }]);
    assert_eq!(stage.take(Input::Renewed { slot: 1, result: Ok(()) }), [Action::Open { session: 1 }]);
    let third = SessionId { index: 1, generation: 2 };
    let opened = stage.take(Input::Opened { session: 1, result: Ok(()) });
    assert_eq!(opened, [answer(client, Response::Session { session: third, slot: Some(1) })]);
}

#[test]
fn the_connections_own_slot_stays_leased_when_its_session_is_destroyed() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    stage.further_session(client);
    stage.call(client, Command::DestroySession { session: first });
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let other = stage.greeted();
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(other, Command::GetSharedMemory), [refuse(other, full)]);
    stage.call(client, Command::CreateSession);
    let opened = stage.take(Input::Opened { session: 0, result: Ok(()) });
    let session = SessionId { index: 0, generation: 2 };
    assert_eq!(opened, [answer(client, Response::Session { session, slot: None })]);
}

/// Field failure 46: zapping. The old channel's decoder may take its time while the new one's is made.
#[test]
fn a_session_can_be_made_while_another_is_being_destroyed() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    stage.call(client, Command::DestroySession { session: first });
    let second = stage.further_session(client);
    assert_eq!(second.index, 1);
    // Both slots are taken now: this one waits for the first to be free.
    let create = Input::Call { client, sequence: 6, command: Command::CreateSession };
    assert_eq!(stage.server.handle(stage.now, create), Err(NotTaken::Later));
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    assert_eq!(stage.take(create), [Action::Open { session: 0 }]);
}

#[test]
fn memory_for_a_further_session_that_cannot_be_had_refuses_it_and_changes_nothing() {
    let mut stage = Stage::active();
    let (client, _) = stage.playing_client();
    let second = stage.further_session(client);
    stage.call(client, Command::DestroySession { session: second });
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 }));
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Renew { slot: 1 }]);
    let failed = refuse(client, Refusal::Failed(PlaybackError::Memory));
    assert_eq!(stage.take(Input::Renewed { slot: 1, result: Err(ErrorKind::Exhausted) }), [failed]);
    assert_eq!(stage.server.sessions(), 1);
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Renew { slot: 1 }]);
}

#[test]
fn a_session_that_its_client_cannot_be_told_of_is_closed() {
    let mut stage = Stage::active();
    let (client, _) = stage.playing_client();
    stage.further_session(client);
    assert_eq!(stage.take(Input::Undelivered { session: 1 }), [Action::Close { session: 1 }]);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 })), []);
    assert_eq!(stage.server.sessions(), 1);
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Renew { slot: 1 }]);
}

/// SM-25
///
/// Field failure N
#[test]
fn memory_that_is_given_back_ends_every_session_and_each_is_told() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    let second = stage.further_session(client);
    let closes = [Action::Close { session: 0 }, Action::Close { session: 1 }];
    assert_eq!(stage.call(client, Command::ReleaseSharedMemory), closes);
    let ended = |session| event(client, Event::SessionEnded { session });
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 })), [ended(second)]);
    let last = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    assert_eq!(last, [answer(client, Response::Done), ended(first)]);
    let slots: Vec<Action> = (0..2)
        .flat_map(|_| {
            let next = stage.greeted();
            stage.call(next, Command::GetSharedMemory)
        })
        .collect();
    assert_eq!(slots, [Action::Renew { slot: 0 }, Action::Renew { slot: 1 }]);
}

/// A session whose decoder takes its time does not delay the others of its connection.
#[test]
fn calls_about_one_session_are_taken_while_another_is_busy() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    let second = stage.further_session(client);
    stage.call(client, Command::Load { session: first, live: false });
    let mute = Command::SetMute { session: first, muted: true };
    assert_eq!(stage.take(Input::Call { client, sequence: 6, command: mute }), [], "it waits in its session");
    assert_eq!(stage.ordered(client, Command::Load { session: second, live: false }), [answer(client, Response::Done)]);
    let order = Order::SetMute { muted: true };
    let completed = stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 1, result: Ok(()) }));
    let parked = Action::Command { session: 0, slot: 0, token: 2, order };
    assert_eq!(completed, [parked, answer(client, Response::Done)]);
    let done = Action::Reply { client, sequence: 6, response: Response::Done };
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 2, result: Ok(()) })), [done]);
}

/// Field failure 45, 49: whatever waits for a decoder is answered when the session goes.
#[test]
fn calls_that_wait_for_a_decoder_are_answered_when_their_session_ends() {
    let parked = |stage: &mut Stage| {
        let (client, session) = stage.playing_client();
        stage.call(client, Command::Load { session, live: false });
        stage.take(Input::Call { client, sequence: 6, command: Command::SetMute { session, muted: true } });
        (client, session)
    };
    let refusals = |client, refusal| {
        [5, 6].map(|sequence| Action::Reply { client, sequence, response: Response::Refused(refusal) })
    };
    let mut stage = Stage::active();
    let (client, session) = parked(&mut stage);
    let destroyed = stage.take(Input::Call { client, sequence: 7, command: Command::DestroySession { session } });
    assert_eq!(destroyed[0], Action::Close { session: 0 });
    assert_eq!(destroyed[1..], refusals(client, Refusal::Interrupted));

    let mut stage = Stage::active();
    let (client, session) = parked(&mut stage);
    let error = PlaybackError::DecoderStuck;
    let told = stage.pass(DECODER_TIMEOUT);
    assert_eq!(told[0], refuse(client, Refusal::Failed(error)));
    let wrong = Response::Refused(Refusal::WrongState { state: PlaybackState::Failed });
    assert_eq!(told[1], Action::Reply { client, sequence: 6, response: wrong });
    assert_eq!(told[2..], [event(client, Event::Failed { session, error })]);
}

/// SM-25
#[test]
fn memory_that_is_given_back_ends_its_session_before_the_answer() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    assert_eq!(stage.call(client, Command::ReleaseSharedMemory), [Action::Close { session: 0 }]);
    let closed = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let ended = event(client, Event::SessionEnded { session });
    assert_eq!(closed, [answer(client, Response::Done), ended]);
    assert_eq!(stage.call(client, Command::ReleaseSharedMemory), [answer(client, Response::Done)]);
}

/// SM-30
#[test]
fn a_session_whose_decoder_cannot_be_made_is_refused_and_gone() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.call(client, Command::GetSharedMemory);
    stage.call(client, Command::CreateSession);
    let failed = refuse(client, Refusal::Failed(PlaybackError::Decoder));
    assert_eq!(stage.take(Input::Opened { session: 0, result: Err(ErrorKind::Exhausted) }), [failed]);
    assert_eq!(stage.server.sessions(), 0);
}

/// SM-30
#[test]
fn an_order_that_is_not_carried_out_in_time_fails_its_session_and_nothing_else() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    stage.call(client, Command::Load { session, live: false });
    let error = PlaybackError::DecoderStuck;
    let failed = event(client, Event::Failed { session, error });
    assert_eq!(stage.pass(DECODER_TIMEOUT), [refuse(client, Refusal::Failed(error)), failed]);
    let late = DecoderEvent::Completed { session: 0, token: 1, result: Ok(()) };
    assert_eq!(stage.take(Input::Decoder(late)), []);
    assert_eq!(stage.server.stale(), 1);
}

#[test]
fn the_description_of_an_attach_is_not_lost_between_the_call_and_the_order() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    stage.ordered(client, Command::Load { session, live: false });
    let order = Order::Attach { source: SOURCE, stream: MediaKind::Video };
    let given = Action::Command { session: 0, slot: 0, token: 2, order };
    assert_eq!(stage.call(client, Command::AttachSource { session, source: VIDEO }), [given]);
}
