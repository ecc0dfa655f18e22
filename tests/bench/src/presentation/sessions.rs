//! How many inputs the service's machine handles in a second, by the number of sessions that there are.
//!
//! As with the manager's machine, what an input costs must not grow with the sessions that it does not concern. Each in
//! its turn passes a message either way, is closed by its page and taken up again: the channel, the greeting, the offer and
//! the answer are those of the protocol, eleven inputs with all that the machine wants done for them.

use std::hint::black_box;

use greenroom_core::driver::Machine;
use greenroom_core::message::papi::{Description, Message};
use greenroom_core::message::presentation::{Command, Payload, TransportKind};
use greenroom_core::presentation::service::{
    Access, Action, ChannelHandle, Client, ConnectionHandle, Input, Schemes, Service, Settings, Ticket,
};
use greenroom_core::table::Handle;
use greenroom_core::time::Instant;

use crate::Failure;
use crate::figure::{Figure, Target};
use crate::report::{Report, progress};
use crate::rounds::{Contestant, interleave};

/// Inputs in one turn: some ten milliseconds.
const TURN_INPUTS: u32 = 11 * 4096;
/// What a service with the most sessions is to reach of one with the fewest.
const RATIO_MIN: f64 = 0.8;

const NOW: Instant = Instant::from_millis(1);
const DEVICE: &str = "tv";
const URL: &str = "https://tv.example/";
const PAGE: Handle<Client> = Handle::from_parts(0, 1);

pub(super) fn measure(report: &mut Report, rounds: u32) -> Result<(), Failure> {
    let (mut few, mut some, mut many) = (Bench::<10>::new()?, Bench::<100>::new()?, Bench::<1000>::new()?);
    let bar = progress("the presentation machine", 3 * rounds);
    let [few, some, many] = interleave([&mut few, &mut some, &mut many], rounds, || bar.inc(1))?;
    bar.finish_and_clear();
    let names = ["presentation_inputs_10", "presentation_inputs_100", "presentation_inputs_1000"];
    for (name, value) in names.into_iter().zip([few, some, many]) {
        let figure = Figure::new(name, "inputs/s", value, "presentation_inputs_10", few);
        report.add(if name == names[2] { figure.target(Target::RatioMin(RATIO_MIN)) } else { figure });
    }
    Ok(())
}

/// A controlling connection, and the presentation that it is of.
struct Session {
    presentation_id: String,
    connection: ConnectionHandle,
    channel: ChannelHandle,
}

/// A machine whose places are all taken by sessions of one page.
struct Bench<const SESSIONS: usize> {
    machine: Box<Service<SESSIONS, SESSIONS, SESSIONS>>,
    sessions: Vec<Session>,
    next: usize,
    inputs: u32,
}

impl<const SESSIONS: usize> Bench<SESSIONS> {
    fn new() -> Result<Self, Failure> {
        let machine = Box::new(Service::new(Settings::default()));
        let mut bench = Self { machine, sessions: vec![], next: 0, inputs: 0 };
        bench.give(Input::ClientJoined { client: PAGE, access: Access::Page })?;
        bench.give(Input::DeviceFound { device_id: DEVICE, name: DEVICE, schemes: Schemes::ALL })?;
        for number in 0..SESSIONS {
            bench.start(format!("presentation-{number}"))?;
        }
        Ok(bench)
    }

    fn start(&mut self, presentation_id: String) -> Result<(), Failure> {
        let command = Command::Start {
            presentation_id: &presentation_id,
            urls: [URL].into_iter().collect(),
            origin: "bench",
            device: Some(DEVICE),
            transport: TransportKind::Tcp,
        };
        let channel = self.reach(command)?;
        let build = self.hear(channel, Message::ConnectAck { extension: 1 })?;
        let Some(Action::Build { connection, .. }) = build else { return Err("no transport was to be built".into()) };
        self.hear(channel, Message::LaunchAck { presentation_id: &presentation_id })?;
        self.connect(channel, connection)?;
        self.sessions.push(Session { presentation_id, connection, channel });
        Ok(())
    }

    /// The next session passes messages, is closed and taken up again.
    fn cycle(&mut self) -> Result<(), Failure> {
        let place = self.next;
        self.next = (place + 1) % SESSIONS;
        let Session { presentation_id, connection, channel } = &mut self.sessions[place];
        let (presentation_id, connection, channel) = (std::mem::take(presentation_id), *connection, *channel);
        self.give(Input::Data { connection })?;
        self.ask(Command::Send { connection: connection.into(), payload: Payload::Text("hello") })?;
        self.ask(Command::Close { connection: connection.into(), went_away: false })?;
        self.give(Input::ChannelClosed { channel })?;
        let urls = [URL].into_iter().collect();
        let channel = self.reach(Command::Reconnect { presentation_id: &presentation_id, urls })?;
        self.hear(channel, Message::ConnectAck { extension: 1 })?;
        self.hear(channel, Message::ReconnectAck { presentation_id: &presentation_id })?;
        self.connect(channel, connection)?;
        self.sessions[place] = Session { presentation_id, connection, channel };
        Ok(())
    }

    /// Asks for what needs a channel to the device, and opens it.
    fn reach(&mut self, command: Command<'_>) -> Result<ChannelHandle, Failure> {
        let asked = self.ask(command)?;
        let Some(Action::OpenChannel { channel }) = asked else { return Err("no channel was to be opened".into()) };
        self.give(Input::ChannelOpened { channel })?;
        Ok(channel)
    }

    /// Offers the transport, and has it answered and made.
    fn connect(&mut self, channel: ChannelHandle, connection: ConnectionHandle) -> Result<(), Failure> {
        self.give(Input::OfferReady { connection })?;
        let answer = Description::Tcp { addresses: Default::default(), port: 0, framed: None };
        self.hear(channel, Message::Answer(answer))?;
        self.give(Input::TransportReady { connection }).map(drop)
    }

    fn ask(&mut self, command: Command<'_>) -> Result<Option<Action>, Failure> {
        self.give(Input::Request { from: Ticket { client: PAGE, sequence: self.inputs }, command })
    }

    fn hear(&mut self, channel: ChannelHandle, message: Message<&str>) -> Result<Option<Action>, Failure> {
        self.give(Input::Received { channel, message, is_allowed: true })
    }

    /// Hands in an input and takes all that is to be done; gives what has to be made.
    fn give(&mut self, input: Input<'_>) -> Result<Option<Action>, Failure> {
        self.inputs += 1;
        self.machine.handle(NOW, input).map_err(|not_taken| format!("an input was not taken: {not_taken:?}"))?;
        let mut made = None;
        while let Some(action) = black_box(self.machine.poll_action()) {
            match action {
                Action::Reply { result: Err(refusal), .. } => return Err(refusal.to_string().into()),
                Action::OpenChannel { .. } | Action::Build { .. } => made = Some(action),
                _ => {}
            }
        }
        Ok(made)
    }
}

impl<const SESSIONS: usize> Contestant for Bench<SESSIONS> {
    fn turn(&mut self) -> Result<f64, Failure> {
        self.inputs = 0;
        let start = std::time::Instant::now();
        while self.inputs < TURN_INPUTS {
            self.cycle()?;
        }
        Ok(f64::from(self.inputs) / start.elapsed().as_secs_f64())
    }
}
