//! Key sessions through the session server's driver, in the simulated world.

use greenroom_core::hal::ErrorKind;
use greenroom_core::message::keys::{self, InitDataKind, KeyError, KeySessionId, KeyStatus, Notice};
use greenroom_core::message::playback::{Answer, Command, Event, Message, Refusal};
use greenroom_core::message::{ServerState, TargetState, link};
use greenroom_hal_mock::Call;
use greenroom_tests::session_stage::{App, OK, Stage, state};

fn about(command: keys::Command<'_>) -> Command<'_> {
    Command::Keys(command)
}

fn create() -> Command<'static> {
    about(keys::Command::Create { key_system: "test" })
}

fn keys(stage: &mut Stage, app: &mut App) -> KeySessionId {
    match stage.call(app, create()) {
        Ok(Answer::Keys(keys::Answer::KeySession { key_session })) => key_session,
        other => panic!("{other:?}"),
    }
}

fn request(key_session: KeySessionId) -> Command<'static> {
    about(keys::Command::GenerateRequest { key_session, kind: InitDataKind::Cenc, init_data: b"pssh" })
}

/// SM-32: request, response, keys.
#[test]
fn a_licence_goes_from_the_key_system_to_the_app_and_back() {
    let mut stage = Stage::active();
    let mut app = stage.greeted();
    let key_session = keys(&mut stage, &mut app);
    app.send(request(key_session));
    stage.run();
    let Some(Message::Keys(Notice::License { key_session: from, message })) = app.hear() else { panic!() };
    assert_eq!((from, message.body), (key_session, &b"pssh"[..]));
    assert_eq!(app.answer(), Ok(Answer::Done));
    app.send(about(keys::Command::Update { key_session, response: &[7; 16] }));
    stage.run();
    let Some(Message::Keys(Notice::KeyStatuses { statuses, .. })) = app.hear() else { panic!() };
    assert_eq!(statuses.iter().collect::<Vec<_>>(), [(&[7; 16], KeyStatus::Usable)]);
    assert_eq!(app.answer(), Ok(Answer::Done));
}

/// SM-18, Field failure 50: each room is empty before the next one is cleared, and the word comes last.
#[test]
fn at_inactive_keys_go_first_then_players_then_memory() {
    let mut stage = Stage::active();
    let (mut app, session) = stage.with_session();
    let key_session = keys(&mut stage, &mut app);
    stage.call(&mut app, about(keys::Command::Bind { key_session, session })).unwrap();
    assert_eq!(stage.keys.bound(0), [session.index]);
    app.descriptors.clear();
    stage.heard();
    stage.keys.wait_for_me();
    stage.decoders.wait_for_me();
    let regions = stage.memory.regions_in_use();
    stage.ask(link::Command::SetState(TargetState::Inactive));
    assert_eq!((stage.keys.open_sessions(), stage.decoders.open_sessions()), (1, 1));
    stage.decoders.let_go(session.index);
    stage.run();
    assert_eq!(stage.heard(), [OK], "a decoder that was not told to go is no reason to go on");
    assert_eq!(stage.memory.regions_in_use(), regions);
    stage.keys.let_go(0);
    stage.run();
    assert_eq!(app.events().first(), Some(&Event::Keys(keys::Event::Ended { key_session })));
    stage.decoders.say(greenroom_core::hal::DecoderEvent::Closed { session: session.index });
    stage.run();
    assert_eq!(stage.heard()[0], state(ServerState::Inactive));
    assert_eq!(stage.memory.regions_in_use(), 0);
    assert!(app.events().contains(&Event::SessionEnded { session }));
}

/// Field failure 53
#[test]
fn a_key_system_without_a_challenge_is_a_clear_error_and_the_app_goes_on() {
    let mut stage = Stage::active();
    let mut app = stage.greeted();
    let key_session = keys(&mut stage, &mut app);
    stage.keys.be_mute();
    let mute = Err(Refusal::Keys(KeyError::NoMessage));
    assert_eq!(stage.call(&mut app, request(key_session)), mute);
    stage.world.fail_next(Call::CommandKeys, ErrorKind::Other);
    assert_eq!(stage.call(&mut app, request(key_session)), Err(Refusal::Keys(KeyError::Provider)));
    assert_eq!(stage.call(&mut app, about(keys::Command::Close { key_session })), Ok(Answer::Done));
    assert_eq!(stage.keys.open_sessions(), 0);
}

/// Field failure 72: a box without key systems, or one that has nothing left.
#[test]
fn a_key_system_that_is_not_there_is_refused_and_takes_nothing() {
    let mut stage = Stage::active();
    let mut app = stage.greeted();
    let unknown = stage.call(&mut app, about(keys::Command::Create { key_system: "com.example.drm" }));
    assert_eq!(unknown, Err(Refusal::Keys(KeyError::UnknownKeySystem)));
    stage.world.fail_next(Call::OpenKeys, ErrorKind::Exhausted);
    assert_eq!(stage.call(&mut app, create()), Err(Refusal::Keys(KeyError::Provider)));
    assert_eq!(stage.driver.machine().key_sessions(), 0);
    keys(&mut stage, &mut app);
}
