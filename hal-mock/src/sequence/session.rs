//! Steps of a session server.

use greenroom_core::hal::Peer;
use greenroom_core::message::link;
use greenroom_core::session::{Action, ClientId, FIRST_PLAYER, Input, Response};
use greenroom_core::time::Instant;

use super::{Asker, Kind, Lifeline, Sequence, Side, words};

impl Sequence {
    /// The session server of this process has handled an input, which came to these actions.
    pub fn session(&mut self, process: u32, at: Instant, input: &Input<'_>, actions: &[Action]) {
        self.session_heard(process, at, input);
        for action in actions {
            if let (Action::Admit { client }, Input::ClientConnected { peer }) = (action, input) {
                self.admitted(process, at, *client, peer);
            } else {
                self.session_did(process, at, action);
            }
        }
    }

    fn session_heard(&mut self, process: u32, at: Instant, input: &Input<'_>) {
        let server = self.server(process);
        match input {
            Input::Link(request) => self.manager_asked(process, at, request),
            Input::Started(Err(kind)) => self.work(at, server, &format!("initialization failed: {kind:?}")),
            Input::Bound(Err(kind)) => self.work(at, server, &format!("binding failed: {kind:?}")),
            Input::Allocated(Err(kind)) => self.work(at, server, &format!("allocating failed: {kind:?}")),
            Input::Opened { result: Err(kind), .. } => self.work(at, server, &format!("no decoder: {kind:?}")),
            Input::LinkClosed => self.work(at, server, "the link has ended"),
            Input::Terminate => self.work(at, server, "asked to end by a signal"),
            Input::Call { client, sequence, command } => {
                let client = self.client_at(process, *client);
                if words::is_small_talk(command) && !self.shows_all() {
                    self.unshown.insert((Asker::Client(client), *sequence));
                } else {
                    self.tell(Side::Received, at, Kind::Call, (client, server), words::call(command));
                }
            }
            Input::ClientClosed { client } => {
                let client = self.leaving(process, *client);
                self.tell(Side::Received, at, Kind::Notification, (client, server), "disconnect".to_owned());
            }
            // What comes of them is drawn.
            Input::Started(Ok(()))
            | Input::Bound(Ok(()))
            | Input::Allocated(Ok(()))
            | Input::Opened { result: Ok(()), .. }
            | Input::LinkBlocked
            | Input::LinkWritable
            | Input::Renewed { .. }
            | Input::ClientConnected { .. }
            | Input::ClientBlocked { .. }
            | Input::ClientWritable { .. }
            | Input::Undelivered { .. }
            | Input::Decoder(_)
            | Input::KeysOpened { .. }
            | Input::Keys(_)
            | Input::Tick => {}
        }
    }

    fn manager_asked(&mut self, process: u32, at: Instant, request: &link::Request<'_>) {
        if let link::Command::SetConfiguration(configuration) = &request.command {
            self.serves(process, configuration.app);
        }
        let server = self.server(process);
        if request.command == link::Command::Ping && !self.shows_all() {
            self.unshown.insert((Asker::Manager(server), request.sequence));
            return;
        }
        self.tell(Side::Received, at, Kind::Call, (self.manager, server), words::link_command(&request.command));
    }

    fn admitted(&mut self, process: u32, at: Instant, client: ClientId, peer: &Peer) {
        let app = self.names.get(&process).cloned().unwrap_or_default();
        let lifeline = self.connecting(peer.process_id, &app);
        self.connections.insert((process, client.index(), client.generation()), lifeline);
        let server = self.server(process);
        self.tell(Side::Received, at, Kind::Call, (lifeline, server), super::client::CONNECT.to_owned());
    }

    fn leaving(&mut self, process: u32, client: ClientId) -> Lifeline {
        let lifeline = self.client_at(process, client);
        let app = self.names.get(&process).cloned().unwrap_or_default();
        if self.connections.remove(&(process, client.index(), client.generation())).is_some() {
            self.has_left(&app, lifeline);
        }
        lifeline
    }

    /// A client whose connection was not seen to be made was connected before.
    fn client_at(&mut self, process: u32, client: ClientId) -> Lifeline {
        let key = (process, client.index(), client.generation());
        if let Some(known) = self.connections.get(&key) {
            return *known;
        }
        let app = self.names.get(&process).cloned().unwrap_or_default();
        let lifeline = self.another(&format!("Client({app})"));
        self.connections.insert(key, lifeline);
        lifeline
    }

    fn session_did(&mut self, process: u32, at: Instant, action: &Action) {
        let server = self.server(process);
        match action {
            Action::Link(message) => {
                if let link::Message::StateChanged { state, .. } = message {
                    self.work(at, server, &format!("set current_state = {state:?}"));
                }
                self.server_said(at, process, message, Side::Sent);
            }
            Action::Bind if self.has_predecessor(process) => self.work(at, server, "take over the listening socket"),
            Action::Bind => self.work(at, server, "create the listening socket, bind it"),
            Action::Unbind { leaves_file: false } => self.work(at, server, "unbind the socket, if it was made"),
            Action::Unbind { leaves_file: true } => self.work(at, server, "close the listening socket, if it was made"),
            Action::Allocate { .. } => self.work(at, server, "allocate the shared memory"),
            Action::Free => self.work(at, server, "unmap and free the shared memory"),
            Action::Open { session } => self.work(at, server, &format!("open {}", pipeline(*session))),
            Action::Close { session } => self.work(at, server, &format!("close {}", pipeline(*session))),
            Action::OpenKeys { key_session } => self.work(at, server, &format!("open key session {key_session}")),
            Action::CloseKeys { key_session } => self.work(at, server, &format!("close key session {key_session}")),
            Action::Reply { client, sequence, response } => self.replied(process, at, *client, *sequence, response),
            Action::Event { client, event } => {
                let client = self.client_at(process, *client);
                if !words::is_chatter(event) || self.shows_all() {
                    self.tell(Side::Sent, at, Kind::Notification, (server, client), words::event(event));
                }
            }
            Action::CloseClient { client } => {
                let client = self.leaving(process, *client);
                self.tell(Side::Sent, at, Kind::Notification, (server, client), super::client::CLOSE.to_owned());
            }
            Action::Exit { status } => self.ended(at, process, server, &format!("exit the process, status {status}")),
            // How a session plays is between it and its decoder.
            Action::SetLogLevels(_)
            | Action::Renew { .. }
            | Action::Command { .. }
            | Action::Admit { .. }
            | Action::Text { .. }
            | Action::CommandKeys { .. }
            | Action::BindKeys { .. }
            | Action::LicenseMessage { .. }
            | Action::KeyStatuses { .. } => {}
        }
    }

    /// Whether the manager has the socket of a server of this app before this one: it is in the configuration (SM-36).
    fn has_predecessor(&self, process: u32) -> bool {
        self.names.get(&process).is_some_and(|app| self.kept_sockets.contains(app))
    }

    fn replied(&mut self, process: u32, at: Instant, client: ClientId, sequence: u32, response: &Response) {
        let (server, client) = (self.server(process), self.client_at(process, client));
        if !self.unshown.remove(&(Asker::Client(client), sequence)) {
            self.tell(Side::Sent, at, Kind::Answer, (server, client), words::response(response));
        }
    }
}

fn pipeline(session: u16) -> String {
    match session.checked_sub(FIRST_PLAYER) {
        Some(player) => format!("the pipeline of web audio player {player}"),
        None => format!("the pipeline of playback session {session}"),
    }
}
