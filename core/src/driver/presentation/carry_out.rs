//! What is done with each action of the machine.

use super::{Given, PresentationDriver, PresentationHost};
use crate::hal::Signal;
use crate::message::presentation::{Answer, CloseReason, ConnectionState, Event, Message, Refusal};
use crate::presentation::service::{Action, ClientHandle, ConnectionHandle, Done, SelectionHandle, Ticket};
use crate::time::Instant;

impl<H: PresentationHost> PresentationDriver<H> {
    pub(super) fn carry_out(&mut self, host: &mut H, now: Instant, action: Action, given: Given<'_>) {
        match action {
            Action::Reply { to, result } => self.reply(host, to, result),
            Action::Admit { channel, .. } => self.take_admitted(host, channel),
            Action::OpenChannel { channel } => self.open_channel(host, now, channel),
            Action::Say { channel, word, connection } => self.say(host, channel, word, connection, given),
            Action::CloseChannel { channel } => self.close_channel(host, now, channel),
            Action::KeepOffer { connection } => self.keep_offer(host, connection, given),
            Action::TakeAnswer { connection } | Action::TakeCandidate { connection } => {
                self.take_piece(host, connection, given);
            }
            Action::Build { connection, kind, offers, client } => {
                self.build(host, now, connection, (kind, offers), client);
            }
            Action::CloseTransport { connection, reason } => self.close_transport(host, now, connection, reason),
            Action::Transmit { connection } => self.transmit(host, connection, given),
            Action::Deliver { client, connection } => self.deliver(host, client, connection, given),
            Action::TellState { client, connection, state, reason } => {
                self.tell_state(host, client, connection, state, reason);
            }
            Action::TellAvailable { client, connection } => self.tell_available(host, client, connection),
            Action::TellAvailability { client, available } => {
                self.clients.send(host, client, &Message::Event(Event::Availability { available }));
            }
            Action::TellSelection { selection, is_over } => self.tell_selection(host, selection, is_over),
            Action::Launch { presentation } => self.launch(host, presentation),
            Action::Stop { presentation } => self.signal(presentation, Signal::Terminate),
            Action::Kill { presentation } => self.signal(presentation, Signal::Kill),
        }
    }

    /// The machine takes a message to be on its way; the transport may say otherwise.
    fn reply(&mut self, host: &mut H, to: Ticket, result: Result<Done, Refusal>) {
        let result = match (result, self.unsent.take()) {
            (Ok(Done::Done), Some(refusal)) => Err(refusal),
            (result, _) => result,
        };
        let result = result.map(|done| match done {
            Done::Traffic => Answer::Traffic(self.traffic),
            done => self.machine.answer(done),
        });
        self.clients.send(host, to.client, &Message::Reply { sequence: to.sequence, result });
    }

    fn deliver(&mut self, host: &mut H, client: ClientHandle, connection: ConnectionHandle, given: Given<'_>) {
        if let Given::Payload(payload) = given {
            let event = Event::Message { connection: connection.into(), payload };
            self.clients.send(host, client, &Message::Event(event));
        }
    }

    fn tell_state(
        &mut self,
        host: &mut H,
        client: ClientHandle,
        connection: ConnectionHandle,
        state: ConnectionState,
        reason: Option<CloseReason>,
    ) {
        let event = Event::State { connection: connection.into(), state, reason };
        self.clients.send(host, client, &Message::Event(event));
        // Its messages are waited for now, or no longer.
        self.transports.touched.add(connection.index());
    }

    fn tell_available(&mut self, host: &mut H, client: ClientHandle, connection: ConnectionHandle) {
        let (_, _, device_id) = self.machine.connection(connection).unwrap_or_default();
        let event = Event::Available { connection: connection.into(), device_id };
        self.clients.send(host, client, &Message::Event(event));
        self.transports.touched.add(connection.index());
    }

    fn tell_selection(&mut self, host: &mut H, selection: SelectionHandle, is_over: bool) {
        let event = if is_over {
            Some(Event::SelectionOver { selection: selection.into() })
        } else {
            let mut all = self.machine.selections();
            let found = all.find(|(handle, _, _)| *handle == selection);
            found.map(|(_, origin, urls)| Event::SelectionAsked { selection: selection.into(), origin, urls })
        };
        let Some(event) = event else { return };
        let message = Message::Event(event);
        for place in 0..crate::limits::PRESENTERS_MAX {
            if let Some(client) = u16::try_from(place).ok().and_then(|place| self.clients.chooser_at(place)) {
                self.clients.send(host, client, &message);
            }
        }
    }
}
