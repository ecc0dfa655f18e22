//! Web audio through the session server's driver, in the simulated world.

use greenroom_core::hal::{DecoderCommand, DecoderEvent, ErrorKind};
use greenroom_core::limits::WEB_AUDIO_RING_BYTES;
use greenroom_core::message::audio::{self, PcmFormat, PlayerId, PlayerState, SampleFormat};
use greenroom_core::message::playback::{
    Answer, Command, Event, PlaybackError, PlaybackState, Refusal, RingPlace, SourceId,
};
use greenroom_core::message::{ServerState, TargetState, link};
use greenroom_core::ring::{FrameSource, Producer, PushError, Record};
use greenroom_core::session::FIRST_PLAYER;
use greenroom_hal_mock::Call;
use greenroom_hal_mock::memory::{OwnRegion, PeerRegion};
use greenroom_tests::session_stage::{App, OK, Stage, state};

const FORMAT: PcmFormat = PcmFormat { rate_hz: 48_000, channels: 2, sample: SampleFormat::S16Le };
const STREAM: SourceId = SourceId(0);

type Ring = Producer<OwnRegion, PeerRegion>;

fn about(command: audio::Command) -> Command<'static> {
    Command::Audio(command)
}

/// A player, and the app's end of its ring.
fn player(stage: &mut Stage, app: &mut App) -> (PlayerId, Ring) {
    let made = stage.call(app, about(audio::Command::Create { format: FORMAT }));
    let Ok(Answer::Audio(audio::Answer::Player { player, client_bytes, server_bytes, ring, device, .. })) = made else {
        panic!("{made:?}")
    };
    assert_eq!((device.preferred_frames, device.maximum_frames, device.supports_deferred_play), (960, 16_384, true));
    (player, open(app, client_bytes, server_bytes, &ring))
}

fn open(app: &App, client_bytes: u32, server_bytes: u32, ring: &RingPlace) -> Ring {
    let [client, server, _data, _space] = &app.descriptors[..] else { panic!("two regions and two bells") };
    let client = OwnRegion::attach(client, client_bytes).unwrap();
    let server = PeerRegion::attach(server, server_bytes).unwrap();
    Producer::new(client, server, ring).unwrap()
}

/// SM-32: what the app writes comes out at the decoder.
#[test]
fn sound_goes_from_the_app_to_the_decoder() {
    let mut stage = Stage::active();
    let mut app = stage.greeted();
    let (player, mut ring) = player(&mut stage, &mut app);
    let _ = ring.push(&Record::frame(b"left/right..")).unwrap();
    let taken = stage.decoders.with_frames(FIRST_PLAYER + player.index, STREAM, |frames| {
        let header = frames.next().unwrap().unwrap();
        let mut payload = [0; 12];
        frames.copy_payload(&mut payload).unwrap();
        (header.bytes, payload)
    });
    assert_eq!(taken, Some((12, *b"left/right..")));
}

/// Field failures E and 30: what does not fit never reaches the session server, also where the ring wraps.
#[test]
fn no_more_can_be_written_than_there_is_room_for() {
    let mut stage = Stage::active();
    let mut app = stage.greeted();
    let (player, mut ring) = player(&mut stage, &mut app);
    let too_much = vec![7; WEB_AUDIO_RING_BYTES as usize + 4];
    let refused = Err(PushError::TooLarge { bytes: too_much.len(), max: WEB_AUDIO_RING_BYTES });
    assert_eq!(ring.push(&Record::frame(&too_much)), refused);
    let two_thirds = &too_much[..40_000];
    let _ = ring.push(&Record::frame(two_thirds)).unwrap();
    assert_eq!(ring.room_bytes(), Ok(WEB_AUDIO_RING_BYTES - 40_000));
    assert_eq!(ring.push(&Record::frame(two_thirds)), Err(PushError::Full));
    stage.decoders.with_frames(FIRST_PLAYER + player.index, STREAM, |frames| {
        frames.next().unwrap().unwrap();
        frames.release();
    });
    let _ = ring.push(&Record::frame(two_thirds)).unwrap();
    assert_eq!(ring.room_bytes(), Ok(WEB_AUDIO_RING_BYTES - 40_000));
}

/// The delay is what was written less what was heard; the decoder counts.
#[test]
fn the_session_server_says_how_much_was_heard() {
    let mut stage = Stage::active();
    let mut app = stage.greeted();
    let (player, _ring) = player(&mut stage, &mut app);
    stage.decoders.set_frames_played(4711);
    let heard = stage.call(&mut app, about(audio::Command::GetPlayed { player }));
    assert_eq!(heard, Ok(Answer::Audio(audio::Answer::Played { frames: 4711 })));
}

/// SM-18, SM-32, Field failure N
#[test]
fn at_inactive_players_are_closed_their_memory_is_freed_and_their_clients_told() {
    let mut stage = Stage::active();
    let (mut app, session) = stage.with_session();
    let (player, ring) = player(&mut stage, &mut app);
    drop(ring);
    app.descriptors.clear();
    stage.heard();
    stage.ask(link::Command::SetState(TargetState::Inactive));
    assert_eq!(stage.heard()[..2], [OK, state(ServerState::Inactive)]);
    assert_eq!((stage.memory.regions_in_use(), stage.decoders.open_sessions()), (0, 0));
    let events = app.events();
    for ended in [Event::SessionEnded { session }, Event::Audio(audio::Event::Ended { player })] {
        assert!(events.contains(&ended), "{events:?}");
    }
    stage.ask(link::Command::SetState(TargetState::Active));
    let mut next = stage.greeted();
    self::player(&mut stage, &mut next);
}

/// Who has gone may still look at its memory: the next player gets other memory.
#[test]
fn a_player_cannot_hear_the_one_after_it() {
    let mut stage = Stage::active();
    let mut one = stage.greeted();
    let (player_one, ring) = player(&mut stage, &mut one);
    drop(ring);
    let kept = OwnRegion::attach(&one.descriptors[0], 128 * 1024).unwrap();
    stage.call(&mut one, about(audio::Command::Destroy { player: player_one })).unwrap();
    let mut other = stage.greeted();
    let (player_two, mut ring) = player(&mut stage, &mut other);
    assert_eq!(player_one.index, player_two.index);
    let _ = ring.push(&Record::frame(b"secret")).unwrap();
    let mut seen = vec![0; 128 * 1024];
    greenroom_core::hal::Region::read(&kept, 0, &mut seen).unwrap();
    assert!(!seen.windows(6).any(|bytes| bytes == b"secret"));
}

/// Want of anything refuses the player and leaves nothing.
#[test]
fn a_player_for_which_something_is_missing_is_refused_and_the_next_one_made() {
    let mut stage = Stage::active();
    let mut app = stage.greeted();
    for call in [Call::OpenDecoder, Call::CommandDecoder, Call::Populate, Call::CreateBell] {
        stage.world.fail_next(call, ErrorKind::Exhausted);
        let refused = stage.call(&mut app, about(audio::Command::Create { format: FORMAT }));
        assert!(matches!(refused, Err(Refusal::Failed(_))), "{call:?}: {refused:?}");
        stage.run();
        assert_eq!((stage.decoders.open_sessions(), stage.driver.machine().players()), (0, 0), "{call:?}");
    }
    player(&mut stage, &mut app);
}

/// SM-35: what one player's ring or sink does is told to its app and touches nobody else.
#[test]
fn a_player_that_fails_costs_nobody_else_anything() {
    let mut stage = Stage::active();
    let (mut one, mut other) = (stage.greeted(), stage.greeted());
    let (broken, _ring) = player(&mut stage, &mut one);
    let (sound, _other_ring) = player(&mut stage, &mut other);
    let error = PlaybackError::RingCorrupt;
    stage.decoders.say(DecoderEvent::Failed { session: FIRST_PLAYER + broken.index, error });
    stage.run();
    assert_eq!(one.events().last(), Some(&Event::Audio(audio::Event::Failed { player: broken, error })));
    let refusal = Refusal::WrongPlayerState { state: PlayerState::Failed };
    assert_eq!(stage.call(&mut one, about(audio::Command::Play { player: broken })), Err(refusal));
    assert_eq!(stage.call(&mut one, about(audio::Command::Destroy { player: broken })), Ok(Answer::Done));
    assert_eq!(stage.call(&mut other, about(audio::Command::Play { player: sound })), Ok(Answer::Done));
    let session = FIRST_PLAYER + sound.index;
    stage.decoders.say(DecoderEvent::State { session, state: PlaybackState::Playing });
    stage.run();
    let state = PlayerState::Playing;
    assert_eq!(other.events(), [Event::Audio(audio::Event::State { player: sound, state })]);
}

/// SM-30: one decoder that is slow holds up its own player's calls only.
#[test]
fn a_call_waits_for_the_one_before_it_and_then_is_done() {
    let mut stage = Stage::active();
    let mut app = stage.greeted();
    let (player, _ring) = player(&mut stage, &mut app);
    stage.decoders.wait_for_me_but_let_go();
    let session = FIRST_PLAYER + player.index;
    app.send(about(audio::Command::Play { player }));
    app.send(about(audio::Command::Pause { player }));
    stage.run();
    assert_eq!(stage.decoders.pending(session), Some(DecoderCommand::Play));
    stage.decoders.complete(session, Ok(()));
    stage.run();
    assert_eq!(app.answer(), Ok(Answer::Done));
    assert_eq!(stage.decoders.pending(session), Some(DecoderCommand::Pause));
    stage.decoders.complete(session, Ok(()));
    stage.run();
    assert_eq!(app.answer(), Ok(Answer::Done));
}
