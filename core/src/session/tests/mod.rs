mod audio;
mod clients;
mod every_call;
mod health;
mod keys;
mod sessions;
mod states;

use std::string::String;
use std::vec::Vec;

use super::playback::Order;
use super::{Action, ClientId, Input, NotTaken, Response, Server};
use crate::driver::Machine;
use crate::hal::{DecoderEvent, ErrorKind, Peer};
use crate::health::HealthCheck;
use crate::limits::{CLIENTS_MAX, DECODER_TIMEOUT, GREETING_TIMEOUT, STOP_TIMEOUT};
use crate::message::link::{self, Configuration, Message};
use crate::message::playback::{
    Codec, Command, Event, MediaKind, PlaybackError, PlaybackState, Refusal, SessionId, Shape, SourceDescription,
    SourceId, TableName, Window,
};
use crate::message::{
    Allowed, AppState, Component, Ids, LogLevel, LogLevels, Reason, Resources, ServerState, TargetState,
};
use crate::time::Instant;

const PEER: Peer = Peer::new(7, 1000, 1000);
const STRANGER: Peer = Peer::new(8, 1001, 1001);
const LEAVES_ITS_FILE: Action = Action::Unbind { leaves_file: true };
const SESSION: SessionId = SessionId { index: 0, generation: 1 };
const SOURCE: SourceId = SourceId(0);
const VIDEO: SourceDescription<'static> = SourceDescription {
    codec: Codec::H264,
    shape: Shape {
        width: 0,
        height: 0,
        frame_rate_numerator: 0,
        frame_rate_denominator: 0,
        sample_rate: 0,
        channels: 0,
    },
    codec_data: &[],
};

fn configuration(state: TargetState) -> Configuration<'static> {
    Configuration {
        app: "app1",
        socket: "/run/app1",
        socket_mode: 0o660,
        socket_owner: "",
        socket_group: "video",
        state,
        resources: Resources { max_playback_sessions: 2, max_web_audio_players: 2, max_key_sessions: 0 },
        log_levels: LogLevels::default(),
        video_sink: "fake",
        audio_sink: "fake",
        clients: Allowed::default(),
        health: HealthCheck::OFF,
    }
}

/// A server on a stage where every platform call goes well at once, unless a test plays it by hand.
struct Stage {
    server: Server,
    now: Instant,
}

impl Stage {
    fn started() -> Self {
        let mut stage = Self { server: Server::new(), now: Instant::from_millis(1000) };
        stage.take(Input::Started(Ok(())));
        stage
    }

    fn inactive() -> Self {
        let mut stage = Self::started();
        stage.configure(TargetState::Inactive);
        stage.take(Input::Bound(Ok(())));
        stage
    }

    fn active() -> Self {
        let mut stage = Self::started();
        stage.configure(TargetState::Active);
        stage.take(Input::Bound(Ok(())));
        stage.take(Input::Allocated(Ok(())));
        stage
    }

    fn drain(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.server.poll_action()).collect()
    }

    fn take(&mut self, input: Input<'_>) -> Vec<Action> {
        self.server.handle(self.now, input).unwrap();
        self.drain()
    }

    fn ask_link(&mut self, command: link::Command<'_>) -> Vec<Action> {
        self.take(Input::Link(link::Request { sequence: 7, command }))
    }

    fn configure(&mut self, state: TargetState) -> Vec<Action> {
        self.ask_link(link::Command::SetConfiguration(configuration(state)))
    }

    fn set(&mut self, state: TargetState) -> Vec<Action> {
        self.ask_link(link::Command::SetState(state))
    }

    fn connect(&mut self) -> ClientId {
        self.connect_as(PEER)
    }

    fn connect_as(&mut self, peer: Peer) -> ClientId {
        let actions = self.take(Input::ClientConnected { peer });
        actions
            .iter()
            .find_map(|action| if let Action::Admit { client } = action { Some(*client) } else { None })
            .unwrap()
    }

    fn greeted(&mut self) -> ClientId {
        let client = self.connect();
        self.call(client, Command::Hello);
        client
    }

    fn call(&mut self, client: ClientId, command: Command<'_>) -> Vec<Action> {
        self.take(Input::Call { client, sequence: 5, command })
    }

    /// A client that has its memory and a session in it.
    fn playing_client(&mut self) -> (ClientId, SessionId) {
        let client = self.greeted();
        self.call(client, Command::GetSharedMemory);
        let opened = self.call(client, Command::CreateSession);
        let index =
            opened.iter().find_map(|action| if let Action::Open { session } = action { Some(*session) } else { None });
        let actions = self.take(Input::Opened { session: index.unwrap(), result: Ok(()) });
        let [Action::Reply { response: Response::Session { session, .. }, .. }] = actions[..] else {
            panic!("{actions:?}")
        };
        (client, session)
    }

    /// A session beside those that the client has.
    fn further_session(&mut self, client: ClientId) -> SessionId {
        let opened = self.call(client, Command::CreateSession);
        let [Action::Open { session }] = opened[..] else { panic!("{opened:?}") };
        let actions = self.take(Input::Opened { session, result: Ok(()) });
        let [Action::Reply { response: Response::Session { session, slot: Some(_) }, .. }] = actions[..] else {
            panic!("{actions:?}")
        };
        session
    }

    /// An order of a client, carried out by its decoder.
    fn ordered(&mut self, client: ClientId, command: Command<'_>) -> Vec<Action> {
        let given = self.call(client, command);
        let Some(&Action::Command { session, token, .. }) = given.first() else { panic!("{given:?}") };
        self.take(Input::Decoder(DecoderEvent::Completed { session, token, result: Ok(()) }))
    }

    fn pass(&mut self, duration: core::time::Duration) -> Vec<Action> {
        self.now = self.now.after(duration);
        self.take(Input::Tick)
    }
}

fn reply(result: Result<(), link::Refusal>) -> Action {
    Action::Link(Message::Reply { sequence: 7, result })
}

fn state(state: ServerState) -> Action {
    Action::Link(Message::StateChanged { state, reason: None })
}

fn last_word(state: ServerState, reason: Reason) -> Action {
    Action::Link(Message::StateChanged { state, reason: Some(reason) })
}

fn answer(client: ClientId, response: Response) -> Action {
    Action::Reply { client, sequence: 5, response }
}

fn refuse(client: ClientId, refusal: Refusal) -> Action {
    answer(client, Response::Refused(refusal))
}

fn event(client: ClientId, event: Event) -> Action {
    Action::Event { client, event }
}

fn clients(connected: u8, state: AppState) -> Action {
    Action::Link(Message::Clients { connected, state })
}

/// A machine is all of its state, written and read back. It cannot be cloned, because a share cannot.
fn copy_of(server: &Server) -> Server {
    let mut bytes = std::vec![0; 64 * 1024];
    postcard::from_bytes(postcard::to_slice(server, &mut bytes).unwrap()).unwrap()
}

fn postcard_bytes(server: &Server) -> Vec<u8> {
    let mut bytes = std::vec![0; 16 * 1024];
    postcard::to_slice(server, &mut bytes).unwrap().to_vec()
}
