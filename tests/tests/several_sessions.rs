//! Several sessions of one app at a time, in the real session server and through the real library.

use std::time::{Duration, Instant};

use greenroom_core::message::playback::{
    Codec, Event, PlaybackState, Refusal, SessionId, Shape, SourceDescription, TableName,
};
use greenroom_core::message::{AppState, TargetState};
use greenroom_hal_linux::client::{CallError, Client, ClientEvent, Events, PushError, Session, SessionEnd, Source};
use greenroom_tests::coded_pictures::{Picture, h264_pictures};
use greenroom_tests::session_process::{PATIENCE, Server, until};

const PICTURES: usize = 25;

fn running(server: &Server) -> (Client, Events) {
    let client = Client::connect(server.socket()).unwrap();
    let events = client.events();
    client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
    client.set_application_state(AppState::Running).unwrap();
    (client, events)
}

/// A session that plays one stream.
struct Channel {
    session: Session,
    source: Source,
}

impl Channel {
    fn tuned(client: &Client) -> Self {
        let session = client.create_session().unwrap();
        session.load(false).unwrap();
        let shape = Shape { width: 64, height: 64, ..Shape::default() };
        let source = session.attach_source(SourceDescription { codec: Codec::H264, shape, codec_data: &[] }).unwrap();
        session.all_sources_attached().unwrap();
        session.play().unwrap();
        Self { session, source }
    }

    fn push(&mut self, clip: &[Picture]) -> Result<(), PushError> {
        clip.iter().try_for_each(|picture| self.source.push(&picture.frame(), PATIENCE))
    }
}

/// Waits until each of these sessions has come to this state; what is said of others is let go.
fn wait_for(events: &Events, mut sessions: Vec<SessionId>, wanted: PlaybackState) {
    let deadline = Instant::now() + PATIENCE;
    while !sessions.is_empty() {
        assert!(Instant::now() < deadline, "{sessions:?} did not come to {wanted:?}");
        match events.next(Duration::from_millis(100)) {
            Some(ClientEvent::Server(Event::PlaybackState { session, state })) if state == wanted => {
                sessions.retain(|waiting| *waiting != session);
            }
            Some(ClientEvent::Server(Event::Failed { error, .. })) => panic!("{error}"),
            Some(_) | None => {}
        }
    }
}

/// Field failure 29: each is fed from memory of its own.
#[test]
fn two_sessions_of_one_app_play_at_the_same_time_to_their_ends() {
    let clip = h264_pictures(PICTURES);
    let server = Server::configured(TargetState::Active);
    let (client, events) = running(&server);
    let mut channels = [Channel::tuned(&client), Channel::tuned(&client)];
    for picture in &clip {
        channels.iter_mut().for_each(|channel| channel.push(std::slice::from_ref(picture)).unwrap());
    }
    channels.iter_mut().for_each(|channel| channel.source.end_of_stream(PATIENCE).unwrap());
    wait_for(&events, channels.iter().map(|channel| channel.session.id()).collect(), PlaybackState::EndOfStream);
    for channel in &channels {
        assert_eq!(channel.session.statistics(channel.source.id()).unwrap().frames_taken as usize, PICTURES);
    }
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(client.create_session().map(drop), Err(CallError::Refused(full)));
}

/// Field failures 32 and 46: one goes while the other plays on, again and again, and the app may have it anew at once.
#[test]
fn a_session_plays_on_while_others_beside_it_come_and_go() {
    let clip = h264_pictures(PICTURES);
    let server = Server::configured(TargetState::Active);
    let (client, events) = running(&server);
    let mut stays = Channel::tuned(&client);
    stays.push(&clip[..1]).unwrap();
    for zapped in 1..clip.len() {
        let mut goes = Channel::tuned(&client);
        goes.push(&clip[..1]).unwrap();
        match zapped % 3 {
            0 => goes.session.stop().unwrap(),
            1 => goes.session.destroy().unwrap(),
            _ => drop(goes),
        }
        stays.push(&clip[zapped..=zapped]).unwrap();
    }
    stays.source.end_of_stream(PATIENCE).unwrap();
    // Pictures that come too late for their time are left out, so not each of them is shown.
    wait_for(&events, vec![stays.session.id()], PlaybackState::EndOfStream);
    assert_eq!(stays.session.statistics(stays.source.id()).unwrap().frames_taken as usize, PICTURES);
    assert_eq!(stays.session.end(), None);
}

/// Field failure N: at Inactive each session's end is told, and everything is there again when the app is Active.
#[test]
fn at_inactive_every_session_ends_and_is_told_so() {
    let mut server = Server::configured(TargetState::Active);
    for _ in 0..2 {
        let (client, events) = running(&server);
        let mut channels = [Channel::tuned(&client), Channel::tuned(&client)];
        server.set(TargetState::Inactive);
        let mut untold: Vec<SessionId> = channels.iter().map(|channel| channel.session.id()).collect();
        until("both ends are told", || {
            if let Some(ClientEvent::Server(Event::SessionEnded { session })) = events.try_next() {
                untold.retain(|waiting| *waiting != session);
            }
            untold.is_empty()
        });
        for channel in &mut channels {
            assert_eq!(channel.push(&h264_pictures(1)), Err(PushError::Ended(SessionEnd::Inactive)));
        }
        until("it is Inactive", || {
            server.hear() == greenroom_tests::session_stage::state(TargetState::Inactive.into())
        });
        server.set(TargetState::Active);
        until("it is Active", || server.hear() == greenroom_tests::session_stage::state(TargetState::Active.into()));
    }
}

/// SM-35: whatever it had, the next one can have it.
#[test]
fn an_app_that_goes_gives_all_its_slots_back() {
    let server = Server::configured(TargetState::Active);
    for _ in 0..3 {
        let client = Client::connect(server.socket()).unwrap();
        client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
        until("a slot is free", || client.set_application_state(AppState::Running).is_ok());
        let _first = Channel::tuned(&client);
        let mut second = None;
        until("the other slot is free", || {
            second = client.create_session().ok();
            second.is_some()
        });
    }
}
