//! An app inside the test's process: it plays on a session server of a box.

use greenroom_core::message::AppState;
use greenroom_core::message::playback::{Event, PlaybackState};
use greenroom_hal_linux::client::{Client, ClientEvent, Events, Session, Source};

use crate::coded_pictures::{H264, Picture};
use crate::deadline::PATIENCE;
use crate::tv_box::Controller;

/// An app that is connected to its session server.
pub struct App {
    /// Its library.
    pub client: Client,
    /// What it is told.
    pub events: Events,
}

impl App {
    /// A client of this app's session server.
    pub fn of(controller: &mut Controller, app: &str) -> Self {
        let client = Client::connect(controller.socket_of(app)).unwrap();
        let events = client.events();
        Self { client, events }
    }

    /// Goes on stage and makes a session with one stream.
    pub fn loaded(&self) -> (Session, Source) {
        self.client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
        self.client.set_application_state(AppState::Running).unwrap();
        let session = self.client.create_session().unwrap();
        session.load(false).unwrap();
        let source = session.attach_source(H264).unwrap();
        session.all_sources_attached().unwrap();
        (session, source)
    }

    /// Plays to the end.
    pub fn play(&self, pictures: &[Picture]) {
        let (session, mut source) = self.loaded();
        session.play().unwrap();
        pictures.iter().for_each(|picture| source.push(&picture.frame(), PATIENCE).unwrap());
        source.end_of_stream(PATIENCE).unwrap();
        self.wait_for_state(PlaybackState::EndOfStream);
        assert_eq!(session.statistics(source.id()).unwrap().frames_taken as usize, pictures.len());
    }

    /// Waits until a session is in this state.
    pub fn wait_for_state(&self, wanted: PlaybackState) {
        loop {
            match self.next() {
                ClientEvent::Server(Event::PlaybackState { state, .. }) if state == wanted => return,
                ClientEvent::Server(Event::Failed { error, .. }) => panic!("{error}"),
                _ => {}
            }
        }
    }

    /// The next event that the library has from itself.
    pub fn next_of_connection(&self) -> ClientEvent {
        loop {
            match self.next() {
                ClientEvent::Server(_) => {}
                event => return event,
            }
        }
    }

    /// The next event.
    pub fn next(&self) -> ClientEvent {
        self.events.next(PATIENCE).expect("something happens in time")
    }
}
