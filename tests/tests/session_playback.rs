//! The real session server decodes what a real client library puts into its ring.

use std::time::{Duration, Instant};

use greenroom_core::hal::ExitStatus;
use greenroom_core::message::playback::{Codec, Event, PlaybackState, Shape, SourceDescription, Window};
use greenroom_core::message::{AppState, Reason, ServerState, TargetState};
use greenroom_hal_linux::client::{Client, ClientEvent, Events, Frame, PushError, Session, Source};
use greenroom_tests::coded_pictures::{Picture, h264_pictures};
use greenroom_tests::session_process::{PATIENCE, Server, until};
use greenroom_tests::session_stage::{last_word, state};

const PICTURES: usize = 25;

/// One second of a test pattern.
fn clip() -> Vec<Picture> {
    h264_pictures(PICTURES)
}

/// An app that plays one stream.
struct App {
    client: Client,
    events: Events,
    session: Session,
    source: Source,
}

impl App {
    fn loaded(server: &Server) -> Self {
        let client = Client::connect(server.socket()).unwrap();
        let events = client.events();
        client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
        client.set_application_state(AppState::Running).unwrap();
        let session = client.create_session().unwrap();
        session.load(false).unwrap();
        let shape = Shape { width: 64, height: 64, ..Shape::default() };
        let source = session.attach_source(SourceDescription { codec: Codec::H264, shape, codec_data: &[] }).unwrap();
        session.all_sources_attached().unwrap();
        Self { client, events, session, source }
    }

    fn push(&mut self, clip: &[Picture]) -> Result<(), PushError> {
        for picture in clip {
            self.source.push(&picture.frame(), PATIENCE)?;
        }
        Ok(())
    }

    fn push_all(&mut self, clip: &[Picture]) {
        self.push(clip).unwrap();
        self.source.end_of_stream(PATIENCE).unwrap();
    }

    fn wait_for(&self, wanted: PlaybackState) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.events.next(PATIENCE) {
                Some(ClientEvent::Server(Event::PlaybackState { state, .. })) if state == wanted => return,
                Some(ClientEvent::Server(Event::Failed { error, .. })) => panic!("{error}"),
                Some(_) | None => {}
            }
        }
        panic!("it never came to {wanted:?}");
    }
}

/// From the first picture to the last, back to the start, and once more.
///
/// Field failures 39, 71
#[test]
fn a_clip_is_played_to_its_end_twice() {
    let clip = clip();
    let server = Server::configured(TargetState::Active);
    let mut app = App::loaded(&server);
    app.push_all(&clip);
    app.session.play().unwrap();
    app.wait_for(PlaybackState::EndOfStream);
    let statistics = app.session.statistics(app.source.id()).unwrap();
    assert_eq!(statistics.frames_taken as usize, PICTURES);
    app.session.set_position(Duration::ZERO).unwrap();
    // The first push after it says that what was pushed before is gone.
    while app.push(&clip[..1]).is_err() {}
    app.push_all(&clip[1..]);
    app.session.play().unwrap();
    app.wait_for(PlaybackState::EndOfStream);
    app.session.destroy().unwrap();
}

#[test]
fn a_pause_in_mid_play_is_told_to_the_app() {
    let clip = clip();
    let server = Server::configured(TargetState::Active);
    let mut app = App::loaded(&server);
    app.push_all(&clip);
    app.session.play().unwrap();
    app.wait_for(PlaybackState::Playing);
    app.session.pause().unwrap();
    app.wait_for(PlaybackState::Paused);
    app.session.play().unwrap();
    app.wait_for(PlaybackState::EndOfStream);
}

/// SM-18, SM-32: in the middle of playing; and then everything is there again.
#[test]
fn an_app_that_plays_is_made_inactive_and_plays_again_when_it_is_active() {
    let clip = clip();
    let mut server = Server::configured(TargetState::Active);
    for _ in 0..3 {
        let mut app = App::loaded(&server);
        app.push(&clip).unwrap();
        app.session.play().unwrap();
        app.wait_for(PlaybackState::Playing);
        server.set(TargetState::Inactive);
        assert_eq!(server.hear(), state(ServerState::Inactive));
        assert_eq!(server.memory(), (0, 0));
        app.client.wait_for_application_state(AppState::Inactive, PATIENCE).unwrap();
        until("the session has ended", || app.session.end().is_some());
        server.set(TargetState::Active);
        assert_eq!(server.hear(), state(ServerState::Active));
    }
}

/// SM-35: the other app's playback goes on to its end.
///
/// Field failure 32
#[test]
fn a_client_that_goes_in_the_middle_of_playing_disturbs_nobody() {
    let clip = clip();
    let server = Server::configured(TargetState::Active);
    let (mut one, mut other) = (App::loaded(&server), App::loaded(&server));
    one.push(&clip).unwrap();
    other.push_all(&clip);
    one.session.play().unwrap();
    one.wait_for(PlaybackState::Playing);
    drop(one);
    other.session.play().unwrap();
    other.wait_for(PlaybackState::EndOfStream);
    let mut next = App::loaded(&server);
    next.push_all(&clip);
    next.session.play().unwrap();
    next.wait_for(PlaybackState::EndOfStream);
}

/// SM-20, SM-34
#[test]
fn an_app_that_plays_is_ended() {
    let clip = clip();
    let mut server = Server::configured(TargetState::Active);
    let mut app = App::loaded(&server);
    app.push(&clip).unwrap();
    app.session.play().unwrap();
    app.wait_for(PlaybackState::Playing);
    server.set(TargetState::NotRunning);
    assert_eq!(server.hear(), last_word(ServerState::NotRunning, Reason::Asked));
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
    until("the app knows", || app.client.lost().is_some());
}

/// A text in the middle of a clip that is played at twice its rate, with a source of sound that is taken away again.
#[test]
fn texts_rate_and_removal_reach_the_decoder_and_come_back() {
    let clip = clip();
    let server = Server::configured(TargetState::Active);
    let client = Client::connect(server.socket()).unwrap();
    let events = client.events();
    client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
    client.set_application_state(AppState::Running).unwrap();
    let session = client.create_session().unwrap();
    session.load(false).unwrap();
    let attach = |codec, shape| session.attach_source(SourceDescription { codec, shape, codec_data: &[] }).unwrap();
    let mut pictures = attach(Codec::H264, Shape::default());
    let mut texts = attach(Codec::TextUtf8, Shape::default());
    let sound = attach(Codec::PcmS16Le, Shape { sample_rate: 48_000, channels: 2, ..Shape::default() });
    session.set_playback_rate(2000).unwrap();
    session.set_video_window(Window { x: 0, y: 0, width: 640, height: 360 }).unwrap();
    session.all_sources_attached().unwrap();
    session.play().unwrap();
    let half = Duration::from_millis(500);
    texts
        .push(&Frame { presentation: Some(half), data: "gr\u{fc}n".as_bytes(), ..Frame::default() }, PATIENCE)
        .unwrap();
    clip.iter().for_each(|picture| pictures.push(&picture.frame(), PATIENCE).unwrap());
    pictures.end_of_stream(PATIENCE).unwrap();
    // It waits for sound, which never comes.
    session.remove_source(sound.id()).unwrap();

    let (mut size, mut text) = (None, None);
    until("it has ended", || match events.next(PATIENCE) {
        Some(ClientEvent::Server(Event::PictureSize { width, height, .. })) => {
            size = Some((width, height));
            false
        }
        Some(ClientEvent::Text { text: due, .. }) => {
            text = Some((due.source, due.start, due.body));
            false
        }
        Some(ClientEvent::Server(Event::Failed { error, .. })) => panic!("{error}"),
        Some(ClientEvent::Server(Event::PlaybackState { state, .. })) => state == PlaybackState::EndOfStream,
        _ => false,
    });
    assert_eq!(size, Some((64, 64)));
    assert_eq!(text, Some((texts.id(), half, "gr\u{fc}n".to_owned())));
    let statistics = session.statistics(pictures.id()).unwrap();
    assert_eq!((statistics.frames_taken as usize, statistics.frames_queued), (PICTURES, 0));
}
