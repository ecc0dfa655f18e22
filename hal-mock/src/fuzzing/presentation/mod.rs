//! Operations on the presentation service's machine, against clients, devices, channels, transports and processes that are
//! counted outside of it.

mod model;
mod operation;

use std::time::Duration;

use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::driver::Machine;
use greenroom_core::message::papi::{Message, Reason};
use greenroom_core::message::presentation::{Command, LaunchToken};
use greenroom_core::presentation::service::{Access, ChannelHandle, Input, Schemes, Service, Settings, Ticket};
use greenroom_core::time::Instant;

use self::model::{Cause, Due, Model, Step};
use self::operation::{Ask, ChannelDeed, DEVICES, HELLO, Line, ORIGINS, Operation, ProcessDeed, TransportDeed};
use super::steps::steps;

/// As many channels, connections and presentations as can be in each other's way.
type Small = Service<6, 5, 3>;

/// Actions that one input can lead to at most, with much to spare.
const ACTIONS_MAX: usize = 200;
/// Deadlines that pass until all is over, with much to spare.
const ROUNDS_MAX: usize = 300;
/// Bytes of a service of this size when it is written down.
const WRITTEN_BYTES_MAX: usize = 64 * 1024;

/// The machine and the world that it believes to be in.
struct Comparison {
    service: Box<Small>,
    world: Model,
    now: Instant,
    sequence: u32,
    tokens: u8,
}

impl Comparison {
    /// Somebody of the platform is there, and a page, and one device.
    fn new() -> Self {
        let settings = Settings { device_id: "box".try_into().expect("it is short"), ..Settings::default() };
        let place = Box::new_uninit();
        let service = Box::write(place, Small::new(settings));
        let now = Instant::from_millis(1000);
        let mut comparison = Self { service, world: Model::default(), now, sequence: 0, tokens: 0 };
        comparison.perform(Operation::Join(0, Access::Platform));
        comparison.perform(Operation::Join(1, Access::Page));
        comparison.perform(Operation::Find(DEVICES[0], Schemes::ALL));
        comparison
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Join(place, access) => {
                if let Some(client) = self.world.join(place, access) {
                    self.give(Cause::Other, Input::ClientJoined { client, access });
                }
            }
            Operation::Leave(place) => self.leave(place),
            Operation::Ask(place, ask) => self.ask(place, ask),
            Operation::Accept(from, script) => {
                let origin = ORIGINS[usize::from(from)];
                self.world.arriving = Some((from, script));
                self.give(Cause::Other, Input::Accepted { number: 7, origin });
            }
            Operation::Channel(number, deed) => self.channel(number, deed),
            Operation::Transport(number, deed) => self.transport(number, deed),
            Operation::Process(number, deed) => self.process(number, deed),
            Operation::Find(device_id, schemes) => {
                self.world.devices.insert(device_id, schemes);
                self.give(Cause::Other, Input::DeviceFound { device_id, name: device_id, schemes });
            }
            Operation::Lose(device_id) => {
                self.world.devices.remove(device_id);
                self.give(Cause::Other, Input::DeviceLost { device_id });
            }
            Operation::Pass(milliseconds) => self.pass(self.now.after(Duration::from_millis(milliseconds.into()))),
            Operation::PassToDeadline => {
                if let Some(at) = self.service.next_deadline() {
                    self.pass(at.max(self.now));
                }
            }
            Operation::WriteAndReadBack => self.write_and_read_back(),
        }
    }

    fn leave(&mut self, place: u8) {
        if let Some(client) = self.world.leave(place) {
            self.give(Cause::Other, Input::ClientLeft { client });
        }
    }

    fn ask(&mut self, place: u8, ask: Ask) {
        let Some(client) = self.world.client_at(place) else { return };
        let connection = |number| self.world.known_connection(number).into();
        let command = match ask {
            Ask::Plain(command) => command,
            Ask::Close(number, went_away) => Command::Close { connection: connection(number), went_away },
            Ask::Terminate(number) => Command::Terminate { connection: connection(number) },
            Ask::Send(number) => Command::Send { connection: connection(number), payload: HELLO },
            Ask::Built(number, piece) => Command::Built { connection: connection(number), piece },
            Ask::Ready(number) => Command::ReceiverReady { token: self.world.token(number) },
            Ask::Failed(number) => Command::ReceiverFailed { token: self.world.token(number) },
        };
        self.sequence += 1;
        let from = Ticket { client, sequence: self.sequence };
        self.world.asks(from);
        self.give(Cause::Asked(from, command.clone()), Input::Request { from, command });
    }

    fn channel(&mut self, number: u8, deed: ChannelDeed) {
        let Some((channel, is_open, is_ours)) = self.world.channel(number) else { return };
        match (deed, is_open) {
            (ChannelDeed::Closes, false) if is_ours => {
                self.world.forget_channel(channel);
                self.give(Cause::Channel, Input::ChannelFailed { channel, reason: Reason::NETWORK_TIMEOUT });
            }
            (ChannelDeed::Closes, _) => {
                self.world.forget_channel(channel);
                self.give(Cause::Channel, Input::ChannelClosed { channel });
            }
            (ChannelDeed::Obeys | ChannelDeed::Says(..) | ChannelDeed::Garbage(_), false) => {
                self.world.open(channel);
                self.give(Cause::Channel, Input::ChannelOpened { channel });
            }
            (ChannelDeed::Obeys, true) => match self.world.next_due(channel) {
                Some(Due::Says(line)) => self.hear(channel, line, true),
                Some(Due::Closes) => self.channel(number, ChannelDeed::Closes),
                None => {}
            },
            (ChannelDeed::Says(line, is_allowed), true) => self.hear(channel, line, is_allowed),
            (ChannelDeed::Garbage(garbage), true) => self.give(Cause::Channel, Input::Garbage { channel, garbage }),
        }
    }

    fn hear(&mut self, channel: ChannelHandle, message: Line, is_allowed: bool) {
        let cause = match message {
            Message::Disconnect { .. } => Cause::Channel,
            _ => Cause::Heard(channel, message.clone(), is_allowed),
        };
        self.give(cause, Input::Received { channel, message, is_allowed });
    }

    fn transport(&mut self, number: u8, deed: TransportDeed) {
        let Some((connection, step)) = self.world.transport(number) else { return };
        let input = match (deed, step) {
            (TransportDeed::Closes(reason), _) => {
                self.world.forget_transport(connection);
                Input::TransportClosed { connection, reason }
            }
            (TransportDeed::GoesOn, Step::Offer) => Input::OfferReady { connection },
            (TransportDeed::GoesOn, Step::Answer) => Input::AnswerReady { connection },
            (TransportDeed::GoesOn, Step::Open) => Input::TransportReady { connection },
            // Until somebody takes them, messages are left where they are (PS-17).
            (TransportDeed::GoesOn, Step::Message) if self.service.reader_of(connection).is_none() => return,
            (TransportDeed::GoesOn, Step::Message) => Input::Data { connection },
        };
        self.give(Cause::Other, input);
    }

    fn process(&mut self, number: u8, deed: ProcessDeed) {
        let Some((presentation, has_started)) = self.world.process(number) else { return };
        let input = match (deed, has_started) {
            (ProcessDeed::FailsToStart, false) => {
                self.world.forget_process(presentation);
                Input::Launched { presentation, result: Err(Reason::OPERATION) }
            }
            (_, false) => {
                self.tokens = self.tokens.wrapping_add(1);
                let token = LaunchToken([self.tokens; 16]);
                self.world.start_process(presentation, token);
                Input::Launched { presentation, result: Ok(token) }
            }
            (ProcessDeed::Ends, true) => {
                self.world.forget_process(presentation);
                Input::ReceiverEnded { presentation }
            }
            (ProcessDeed::Starts | ProcessDeed::FailsToStart, true) => return,
        };
        self.give(Cause::Other, input);
    }

    fn pass(&mut self, to: Instant) {
        self.now = to;
        self.give(Cause::Other, Input::Tick);
        let next = self.service.next_deadline();
        assert!(next.is_none_or(|at| at > to), "at {to:?} it was handed its tick, and wants another at {next:?}");
        self.world.check_waits(to);
    }

    /// Hands the machine an input, and does what it wants done.
    fn give(&mut self, cause: Cause, input: Input<'_>) {
        let _ = self.service.handle(self.now, input);
        self.world.begin(self.now, cause);
        for number in 0.. {
            let Some(action) = self.service.poll_action() else { break };
            assert!(number < ACTIONS_MAX, "it wants something done without end: {action:?}");
            self.world.carry_out(&self.service, action);
        }
        self.world.end();
    }

    fn write_and_read_back(&mut self) {
        let mut buffer = vec![0; WRITTEN_BYTES_MAX];
        let written = encode(&*self.service, &mut buffer).expect("it fits");
        *self.service = decode(written).expect("it can be read back");
        let mut again = vec![0; WRITTEN_BYTES_MAX];
        assert_eq!(encode(&*self.service, &mut again).expect("it fits"), written);
    }

    /// PS-30, PS-31, PS-35: nobody does anything any more. Everybody is answered all the same, and when those have gone,
    /// and what was asked to end has ended, nothing is left.
    fn wind_down(&mut self) {
        self.pass_deadlines_until(Model::is_answered);
        assert!(self.world.is_answered(), "somebody is never answered: {:?}", self.world);
        (0..4).for_each(|place| self.leave(place));
        while self.world.channel(0).is_some() {
            self.channel(0, ChannelDeed::Closes);
        }
        self.pass_deadlines_until(|_| false);
        assert!(self.world.is_empty(), "something is left: {:?}", self.world);
        assert_eq!((self.service.in_use(), self.service.next_deadline()), ((0, 0, 0), None));
    }

    /// Or until there are no more.
    fn pass_deadlines_until(&mut self, is_over: impl Fn(&Model) -> bool) {
        for _ in 0..ROUNDS_MAX {
            while let Some(presentation) = self.world.next_to_end() {
                self.world.forget_process(presentation);
                self.give(Cause::Other, Input::ReceiverEnded { presentation });
            }
            while let Some(number) = self.world.next_to_start() {
                self.process(number, ProcessDeed::Starts);
            }
            match self.service.next_deadline().filter(|_| !is_over(&self.world)) {
                Some(at) => self.pass(at.max(self.now)),
                None => break,
            }
        }
    }
}

/// Performs operations on a presentation service, and looks at all that it wants done.
///
/// # Panics
///
/// When it wants something that must not be: PS-22, PS-30, PS-31, PS-33, PS-34, PS-35, PS-36.
pub fn presentation(bytes: &[u8]) {
    let mut comparison = Comparison::new();
    for operation in steps(bytes) {
        comparison.perform(operation);
    }
    comparison.wind_down();
}
