//! Steps of a client library.

use greenroom_core::client::{Action, Input, Notification, Outcome};
use greenroom_core::message::playback::{Command, Message};
use greenroom_core::time::Instant;

use super::{Asker, Kind, Lifeline, Sequence, Side, words};

/// It is no message: the connection is made.
pub(super) const CONNECT: &str = "connect";
/// Nor is this: the connection is closed.
pub(super) const CLOSE: &str = "close the connection";

impl Sequence {
    /// The client library in this process of an app has handled an input, which came to these actions.
    pub fn client(&mut self, process: u32, app: &str, at: Instant, input: &Input<'_>, actions: &[Action]) {
        let client = self.client_of(process, app);
        let Some(server) = self.session_server(app) else { return };
        self.client_heard((client, server), at, input);
        for action in actions {
            self.client_did((client, server), app, at, input, action);
        }
    }

    fn client_heard(&mut self, (client, server): (Lifeline, Lifeline), at: Instant, input: &Input<'_>) {
        match input {
            Input::Opened => self.tell(Side::Sent, at, Kind::Call, (client, server), CONNECT.to_owned()),
            Input::OpenFailed(kind) => self.work(at, client, &format!("connecting failed: {kind:?}")),
            Input::Received { message: Message::Event(event), .. } if words::is_chatter(event) => {}
            Input::Received { message, .. } => self.heard((client, server), at, message),
            Input::Broken(_) => self.lost((client, server), at),
            // What comes of them is drawn.
            Input::Connect { .. } | Input::Call(_) | Input::Disconnect | Input::Tick => {}
        }
    }

    /// Who has ended says nothing; its platform closed what it held.
    fn lost(&mut self, (client, server): (Lifeline, Lifeline), at: Instant) {
        let was_closed = self.is_on_its_way((server, client), CLOSE);
        if was_closed || !self.has_ended(server) {
            self.tell(Side::Received, at, Kind::Notification, (server, client), CLOSE.to_owned());
        } else {
            self.work(at, client, "the connection has ended");
        }
    }

    fn heard(&mut self, (client, server): (Lifeline, Lifeline), at: Instant, message: &Message<'_>) {
        let kind = if matches!(message, Message::Reply { .. }) { Kind::Answer } else { Kind::Notification };
        if let Message::Reply { sequence, .. } = message
            && self.unshown.contains(&(Asker::Client(client), *sequence))
        {
            return;
        }
        self.tell(Side::Received, at, kind, (server, client), words::message(message));
    }

    fn client_did(
        &mut self,
        (client, server): (Lifeline, Lifeline),
        app: &str,
        at: Instant,
        input: &Input<'_>,
        action: &Action,
    ) {
        match action {
            Action::Send(request) => self.sends((client, server), at, request.sequence, &request.command),
            Action::SendCall { sequence, .. } => {
                if let Input::Call(command) = input {
                    self.sends((client, server), at, *sequence, command);
                }
            }
            Action::DropMemory(_) => self.work(at, client, "unmap the shared memory"),
            Action::Close if matches!(input, Input::Disconnect) => {
                self.tell(Side::Sent, at, Kind::Notification, (client, server), "disconnect".to_owned());
            }
            Action::Notify(Notification::Event(event)) if !words::is_chatter(event) => {
                let application = self.application(app);
                self.draw(at, Kind::Notification, (client, application), &words::event(event));
            }
            Action::Complete { outcome: outcome @ (Outcome::TimedOut | Outcome::ConnectionLost), .. } => {
                let application = self.application(app);
                self.draw(at, Kind::Answer, (client, application), &format!("ERROR: {outcome}"));
            }
            // How a call ended is for the app to say, which knows what it is a part of.
            Action::Close
            | Action::Complete { .. }
            | Action::Notify(_)
            | Action::NotifyText
            | Action::NotifyKeys
            | Action::Open => {}
        }
    }

    fn sends(&mut self, (client, server): (Lifeline, Lifeline), at: Instant, sequence: u32, command: &Command<'_>) {
        if words::is_small_talk(command) && !self.shows_all() {
            self.unshown.insert((Asker::Client(client), sequence));
        } else {
            self.tell(Side::Sent, at, Kind::Call, (client, server), words::call(command));
        }
    }
}
