//! The real session server plays what a real client library writes into a web audio player's ring.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use greenroom_core::message::audio::{self, PcmFormat, PlayerState, SampleFormat};
use greenroom_core::message::playback::{Event, Refusal, TableName};
use greenroom_core::message::{AppState, ServerState, TargetState, link};
use greenroom_hal_linux::client::{AudioPlayer, CallError, Client, ClientEvent, Events, PushError, SessionEnd};
use greenroom_tests::session_process::{PATIENCE, Server, configured_at, until};
use greenroom_tests::session_stage::{OK, state};

const FORMAT: PcmFormat = PcmFormat { rate_hz: 48_000, channels: 2, sample: SampleFormat::S16Le };
/// More than a ring holds, and less than a second.
const FRAMES: u32 = 30_000;

/// So many frames, no two of them alike within a second.
fn sound(frames: u32) -> Vec<u8> {
    (0..frames).flat_map(|frame| (frame as i32 - 24_000).to_le_bytes()).collect()
}

/// A server whose sound goes to a file, at the pace of a loudspeaker.
struct Stage {
    server: Server,
    record: PathBuf,
    _directory: tempfile::TempDir,
}

impl Stage {
    fn active() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let record = directory.path().join("sound");
        let sink = format!("filesink sync=true buffer-mode=unbuffered location={}", record.display());
        let mut server = Server::started();
        let socket = server.socket();
        let configuration = link::Configuration { audio_sink: &sink, ..configured_at(&socket, TargetState::Active) };
        server.ask(link::Command::SetConfiguration(configuration));
        assert_eq!(server.hear(), OK);
        assert_eq!(server.hear(), link::Message::Listener);
        assert_eq!(server.hear(), state(ServerState::Active));
        Self { server, record, _directory: directory }
    }

    fn app(&self) -> App {
        let client = Client::connect(self.server.socket()).unwrap();
        client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
        let events = client.events();
        App { player: client.create_audio_player(FORMAT).unwrap(), client, events }
    }
}

struct App {
    player: AudioPlayer,
    client: Client,
    events: Events,
}

impl App {
    fn wait_for(&self, wanted: PlayerState) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.events.next(PATIENCE) {
                Some(ClientEvent::Server(Event::Audio(audio::Event::State { state, .. }))) if state == wanted => return,
                Some(ClientEvent::Server(Event::Audio(audio::Event::Failed { error, .. }))) => panic!("{error}"),
                Some(_) | None => {}
            }
        }
        panic!("it never came to {wanted:?}");
    }
}

fn recorded(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// SM-32, Field failure 30: every sample once and in order, around the end of the ring; the end is told when the last was
/// heard.
///
/// Field failures 36, 37
#[test]
fn what_was_written_before_and_while_it_plays_is_heard_whole() {
    let stage = Stage::active();
    let mut app = stage.app();
    let sound = sound(FRAMES);
    app.player.play().unwrap();
    assert_eq!(app.player.state(), PlayerState::Idle, "there is nothing to play yet");
    app.player.write_all(&sound, PATIENCE).unwrap();
    app.player.end_of_stream(PATIENCE).unwrap();
    app.wait_for(PlayerState::Playing);
    assert!(app.player.delay().unwrap() > 0);
    app.wait_for(PlayerState::EndOfStream);
    assert_eq!(app.player.delay().unwrap(), 0);
    app.player.destroy().unwrap();
    assert!(recorded(&stage.record) == sound, "{} of {} bytes", recorded(&stage.record).len(), sound.len());
}

/// Field failure E: what there is no room for is not taken, and the delay counts what was taken.
#[test]
fn more_than_there_is_room_for_is_not_taken() {
    let stage = Stage::active();
    let mut app = stage.app();
    let room = app.player.device_info().maximum_frames;
    assert_eq!(app.player.available().unwrap(), room);
    let all = sound(100_000);
    let taken = app.player.write(&all).unwrap();
    assert_eq!(taken, room);
    let refused = app.player.write(&all[..3]);
    assert!(matches!(refused, Err(PushError::NotWholeFrames { bytes: 3, frame_bytes: 4 })), "{refused:?}");
    assert_eq!(app.player.delay().unwrap(), u64::from(room));
}

/// A page that was busy: the rest is played when it comes, not too late for ever.
#[test]
fn a_player_that_has_run_dry_goes_on_with_the_next_frame() {
    let stage = Stage::active();
    let mut app = stage.app();
    let sound = sound(4_800);
    app.player.play().unwrap();
    app.player.write_all(&sound[..9_600], PATIENCE).unwrap();
    app.wait_for(PlayerState::Playing);
    until("all was heard", || app.player.delay().unwrap() == 0);
    app.player.write_all(&sound[9_600..], PATIENCE).unwrap();
    app.player.end_of_stream(PATIENCE).unwrap();
    app.wait_for(PlayerState::EndOfStream);
    assert!(recorded(&stage.record) == sound);
}

#[test]
fn a_volume_holds_for_what_is_written_after_it() {
    let stage = Stage::active();
    let mut app = stage.app();
    app.player.set_volume(0).unwrap();
    assert_eq!(app.player.volume().unwrap(), 0);
    app.player.write_all(&sound(4_800), PATIENCE).unwrap();
    app.player.end_of_stream(PATIENCE).unwrap();
    app.player.play().unwrap();
    app.wait_for(PlayerState::EndOfStream);
    assert_eq!(recorded(&stage.record), vec![0; 4 * 4_800]);
}

#[test]
fn a_pause_holds_the_sound_and_nothing_of_it_is_lost() {
    let stage = Stage::active();
    let mut app = stage.app();
    let sound = sound(FRAMES);
    app.player.play().unwrap();
    sound.chunks(4_000).for_each(|some| app.player.write_all(some, PATIENCE).unwrap());
    app.wait_for(PlayerState::Playing);
    app.player.pause().unwrap();
    app.wait_for(PlayerState::Paused);
    let delay = app.player.delay().unwrap();
    assert!(delay > 0 && app.player.delay().unwrap() == delay, "nothing moves");
    app.player.end_of_stream(PATIENCE).unwrap();
    app.player.play().unwrap();
    app.wait_for(PlayerState::EndOfStream);
    assert!(recorded(&stage.record) == sound);
}

/// SM-18, SM-32, Field failures N and 50: and then everything is there again.
#[test]
fn an_app_that_sounds_is_made_inactive_and_sounds_again_when_it_is_active() {
    let mut stage = Stage::active();
    for _ in 0..3 {
        let mut app = stage.app();
        app.player.play().unwrap();
        app.player.write_all(&sound(10_000), PATIENCE).unwrap();
        app.wait_for(PlayerState::Playing);
        stage.server.set(TargetState::Inactive);
        assert_eq!(stage.server.hear(), state(ServerState::Inactive));
        assert_eq!(stage.server.memory(), (0, 0));
        app.client.wait_for_application_state(AppState::Inactive, PATIENCE).unwrap();
        until("the player has ended", || app.player.end() == Some(SessionEnd::Inactive));
        assert_eq!(app.player.write(&[0; 4]), Err(PushError::Ended(SessionEnd::Inactive)));
        stage.server.set(TargetState::Active);
        assert_eq!(stage.server.hear(), state(ServerState::Active));
    }
}

/// SM-33: as many as the app may have; who gives one up makes room. SM-25: so does who goes Inactive.
#[test]
fn players_are_counted_and_come_back() {
    let stage = Stage::active();
    let app = stage.app();
    let second = app.client.create_audio_player(FORMAT).unwrap();
    let full = Refusal::Full { table: TableName::WebAudioPlayers, capacity: 2, in_use: 2 };
    assert_eq!(app.client.create_audio_player(FORMAT).map(drop), Err(CallError::Refused(full)));
    second.destroy().unwrap();
    let third = app.client.create_audio_player(FORMAT).unwrap();
    app.client.set_application_state(AppState::Inactive).unwrap();
    assert_eq!((third.end(), app.player.end()), (Some(SessionEnd::Inactive), Some(SessionEnd::Inactive)));
    let again = [(); 2].map(|()| app.client.create_audio_player(FORMAT).unwrap());
    drop(again);
}
