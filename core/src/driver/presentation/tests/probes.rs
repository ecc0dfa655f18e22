//! Thousands of peers that say what no peer should, several at a time, while a page plays.
//!
//! What each of them is to hear is foretold by [`Oracle`], which knows the protocol's tables and no code of the driver.

use core::fmt::Write as _;

use super::*;
use crate::codec::papi;
use crate::limits::{CHANNEL_GARBAGE_MAX, CONTROL_LINE_BYTES_MAX};
use crate::message::papi::{Message, Reason};
use crate::presentation::control_channel::{Side, Word};

/// Peers at the same time.
const PEERS: usize = 8;
const CONTROLLERS: usize = 8_000;
const RECEIVERS: usize = 2_000;

/// The same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Of which presentation a message is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Whose {
    /// Of the peer's own.
    Own,
    /// Of the one that plays beside it.
    Played,
    /// Of none.
    Nobodys,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Line {
    Connect { is_kin: bool },
    ConnectOfLongName,
    ConnectAck { is_kin: bool },
    Disconnect,
    Launch(Whose),
    LaunchOfFile,
    LaunchAck,
    Terminate(Whose),
    TerminateAck,
    Reconnect(Whose),
    ReconnectAck,
    Offer,
    Answer,
    AnswerOfAnotherKind,
    Candidate,
    Ping,
    FromTheFuture,
    Empty,
    NotJson,
    NotUtf8,
    Incomplete,
    TooLong,
}

const LINES: [Line; 27] = [
    Line::Connect { is_kin: false },
    Line::Connect { is_kin: true },
    Line::ConnectAck { is_kin: false },
    Line::ConnectAck { is_kin: true },
    Line::Launch(Whose::Own),
    Line::Launch(Whose::Own),
    Line::Launch(Whose::Played),
    Line::Launch(Whose::Nobodys),
    Line::LaunchAck,
    Line::Terminate(Whose::Own),
    Line::Terminate(Whose::Played),
    Line::Terminate(Whose::Nobodys),
    Line::TerminateAck,
    Line::Reconnect(Whose::Own),
    Line::Reconnect(Whose::Played),
    Line::ReconnectAck,
    Line::Offer,
    Line::Offer,
    Line::Answer,
    Line::Candidate,
    Line::Ping,
    Line::FromTheFuture,
    Line::Empty,
    Line::NotJson,
    Line::NotJson,
    Line::NotUtf8,
    Line::NotUtf8,
];

/// What ends a channel at once.
const LAST_LINES: [Line; 6] = [
    Line::Disconnect,
    Line::Incomplete,
    Line::ConnectOfLongName,
    Line::LaunchOfFile,
    Line::AnswerOfAnotherKind,
    Line::TooLong,
];

impl Line {
    /// Mostly what can be gone on after, and in most cases a greeting first.
    fn script(chance: &mut Chance, side: Side) -> Vec<Self> {
        let is_kin = chance.one_in(3);
        let greeting = match side {
            Side::Controller => Self::ConnectAck { is_kin },
            Side::Receiver => Self::Connect { is_kin },
        };
        let mut script = Vec::new();
        for _ in 0..chance.below(16) {
            let line = if chance.one_in(24) { chance.of(&LAST_LINES) } else { chance.of(&LINES) };
            script.push(line);
        }
        if chance.one_in(30) {
            script.extend([Self::NotJson; CHANNEL_GARBAGE_MAX as usize]);
        }
        if !chance.one_in(8) {
            script.insert(chance.below(2).min(script.len()), greeting);
        }
        if side == Side::Receiver && !chance.one_in(3) {
            script.insert(chance.below(4).min(script.len()), Self::Launch(Whose::Own));
        }
        script
    }

    fn bytes(self, chance: &mut Chance, own: &str, played: &str) -> Vec<u8> {
        let of = |whose| match whose {
            Whose::Own => own,
            Whose::Played => played,
            Whose::Nobodys => "nobody's",
        };
        let kin = |is_kin| if is_kin { r#","greenroom":1"# } else { "" };
        let typed = |kind: &str, whose| std::format!(r#"{{"type":"{kind}","presentationId":"{}"}}"#, of(whose));
        let paged = |kind: &str, whose, url: &str| {
            std::format!(r#"{{"type":"{kind}","presentationId":"{}","url":"{url}"}}"#, of(whose))
        };
        let text = match self {
            Self::Connect { is_kin } => std::format!(r#"{{"type":"connect","deviceId":"fox"{}}}"#, kin(is_kin)),
            Self::ConnectOfLongName => std::format!(r#"{{"type":"connect","deviceId":"{}"}}"#, "x".repeat(5000)),
            Self::ConnectAck { is_kin } => std::format!(r#"{{"type":"connect-ack"{}}}"#, kin(is_kin)),
            Self::Disconnect => r#"{"type":"disconnect","reason":0}"#.to_string(),
            Self::Launch(whose) => paged("launch", whose, "https://tv.example/"),
            Self::LaunchOfFile => paged("launch", Whose::Own, "file:///etc/passwd"),
            Self::LaunchAck => typed("launch-ack", Whose::Own),
            Self::Terminate(whose) => typed("terminate", whose),
            Self::TerminateAck => typed("terminate-ack", Whose::Own),
            Self::Reconnect(whose) => paged("reconnect", whose, "https://tv.example/"),
            Self::ReconnectAck => typed("reconnect-ack", Whose::Own),
            Self::Offer => r#"{"type":"offer","offer":{"type":1,"tcpAddress":["192.0.2.66"],"tcpPort":9}}"#.to_string(),
            Self::Answer => r#"{"type":"answer","answer":{"type":1,"tcpAddress":[""],"tcpPort":0}}"#.to_string(),
            Self::AnswerOfAnotherKind => r#"{"type":"answer","answer":{"type":2,"dataChannelSDP":"v=0"}}"#.to_string(),
            Self::Candidate => r#"{"type":"ice-candidate","candidate":"{\"candidate\":\"a\"}"}"#.to_string(),
            Self::Ping => r#"{"type":"greenroom-ping"}"#.to_string(),
            Self::FromTheFuture => r#"{"type":"hologram","x":[1,{"type":"launch"}]}"#.to_string(),
            Self::Empty => chance.of(&["", "\r", "  \t"]).to_string(),
            Self::NotJson => {
                chance.of(&["null", "42", "-1e9", "[]", "\"connect\"", "}{", "{\"type\":", "GET /"]).into()
            }
            Self::NotUtf8 => return [b"\xFF\xC3\x28".as_slice(), &[chance.below(256) as u8 | 0x80]].concat(),
            Self::Incomplete => r#"{"type":"offer"}"#.to_string(),
            Self::TooLong => {
                let bytes = if chance.one_in(8) { 1 << 20 } else { CONTROL_LINE_BYTES_MAX + 1 };
                "{".repeat(bytes)
            }
        };
        text.into_bytes()
    }
}

/// How far a peer is with the box.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Greeting,
    Connected,
    /// The box has left, or was left.
    Left,
}

/// What a peer hears for what it says.
struct Oracle {
    /// The box's side.
    side: Side,
    stage: Stage,
    is_kin: bool,
    /// There is a presentation on its channel.
    is_bound: bool,
    garbage: u8,
    hears: Vec<Word>,
}

impl Oracle {
    fn new(side: Side) -> Self {
        let mut oracle =
            Self { side, stage: Stage::Greeting, is_kin: false, is_bound: false, garbage: 0, hears: Vec::new() };
        if side == Side::Controller {
            oracle.hears.push(Word::Connect { extension: 1 });
        }
        oracle
    }

    fn leaves(&mut self, reason: Reason) {
        self.hears.push(Word::Disconnect(reason));
        self.stage = Stage::Left;
    }

    fn says(&mut self, line: Line) {
        match (line, self.stage, self.side) {
            (_, Stage::Left, _) => {}
            (Line::Disconnect, _, _) => self.stage = Stage::Left,
            (Line::Incomplete | Line::TooLong, _, _) => self.leaves(Reason::FAILURE),
            (Line::ConnectOfLongName, Stage::Greeting, Side::Receiver) => self.leaves(Reason::FAILURE),
            (Line::NotJson | Line::NotUtf8, _, _) => {
                self.garbage += 1;
                if self.garbage > CHANNEL_GARBAGE_MAX {
                    self.leaves(Reason::FAILURE);
                }
            }
            (Line::Connect { is_kin }, Stage::Greeting, Side::Receiver) => {
                (self.stage, self.is_kin) = (Stage::Connected, is_kin);
                self.hears.push(Word::ConnectAck { extension: is_kin.into() });
            }
            (Line::ConnectAck { is_kin }, Stage::Greeting, Side::Controller) => {
                (self.stage, self.is_kin, self.is_bound) = (Stage::Connected, is_kin, true);
                self.hears.extend([Word::Launch, Word::Offer]);
            }
            (Line::Ping, Stage::Connected, _) if self.is_kin => self.hears.push(Word::Pong),
            (line, Stage::Connected, Side::Receiver) => self.asks(line),
            (line, Stage::Connected, Side::Controller) => self.answers(line),
            (_, Stage::Greeting, _) => {}
        }
    }

    /// A controller of a page on the box.
    fn asks(&mut self, line: Line) {
        match (line, self.is_bound) {
            (Line::Launch(Whose::Own | Whose::Nobodys), false) => {
                self.is_bound = true;
                self.hears.push(Word::LaunchAck);
            }
            (Line::Launch(Whose::Played) | Line::LaunchOfFile, false) => self.leaves(Reason::NOT_ALLOWED),
            (Line::Reconnect(Whose::Played), false) => self.leaves(Reason::NOT_ALLOWED),
            (Line::Reconnect(_), false) => self.leaves(Reason::NOT_FOUND),
            (Line::Launch(Whose::Played) | Line::Reconnect(Whose::Played), true) => self.leaves(Reason::OPERATION),
            (Line::Offer, false) => self.leaves(Reason::OPERATION),
            (Line::Terminate(Whose::Own), true) => {
                self.hears.push(Word::TerminateAck);
                self.leaves(Reason::NORMAL);
            }
            (Line::Terminate(Whose::Played), _) => self.leaves(Reason::NOT_ALLOWED),
            (Line::Terminate(_), _) => self.leaves(Reason::NOT_FOUND),
            _ => {}
        }
    }

    /// A device that was asked to show a page.
    fn answers(&mut self, line: Line) {
        match line {
            Line::AnswerOfAnotherKind => self.leaves(Reason::OPERATION),
            Line::Terminate(Whose::Own) => {
                self.hears.push(Word::TerminateAck);
                self.leaves(Reason::NORMAL);
            }
            Line::Terminate(Whose::Played) => self.leaves(Reason::NOT_ALLOWED),
            Line::Terminate(Whose::Nobodys) => self.leaves(Reason::NOT_FOUND),
            _ => {}
        }
    }
}

/// One that probes.
struct Peer {
    stream: Stream,
    own: String,
    script: Vec<Line>,
    unsent: Vec<u8>,
    oracle: Oracle,
    heard: Vec<u8>,
}

impl Peer {
    fn new(chance: &mut Chance, stream: Stream, box_side: Side, own: String, played: &str) -> Self {
        let mut script = Line::script(chance, box_side);
        // A name of its own is nobody else's: one that is nobody's is launched by one of them only.
        script.retain(|line| !matches!(line, Line::Launch(Whose::Nobodys)));
        let (mut unsent, mut oracle) = (Vec::new(), Oracle::new(box_side));
        for line in &script {
            unsent.extend(line.bytes(chance, &own, played));
            unsent.push(b'\n');
            oracle.says(*line);
        }
        if chance.one_in(4) {
            unsent.extend(b"{\"type\":\"launch\",\"pres");
        }
        Self { stream, own, script, unsent, oracle, heard: Vec::new() }
    }

    /// Says so many bytes more; whether the box takes them.
    fn says(&mut self, home: &mut Home, bytes: usize) {
        let mut piece: Vec<u8> = self.unsent.drain(..bytes.min(self.unsent.len())).collect();
        let mut is_stuck = false;
        while !piece.is_empty() && !is_stuck {
            let taken = self.stream.write(&piece).unwrap_or(0);
            piece.drain(..taken);
            home.settle();
            self.hears();
            is_stuck = taken == 0;
        }
        // Who has left does not listen any more.
        assert!(!is_stuck || self.oracle.stage == Stage::Left, "{:?} hangs", self.script);
        if is_stuck {
            self.unsent.clear();
        }
    }

    fn hears(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = self.stream.read(&mut buffer) {
            self.heard.extend_from_slice(&buffer[..bytes]);
        }
    }

    /// What it has heard is what the protocol has for what it said, and about its own presentation.
    fn assert_answered(&self) {
        let mut heard = Vec::new();
        for line in self.heard.split_inclusive(|byte| *byte == b'\n') {
            let mut line = line.to_vec();
            let message = papi::decode(&mut line).unwrap();
            if let Message::LaunchAck { presentation_id } | Message::TerminateAck { presentation_id } = &message {
                assert_eq!(*presentation_id, self.own);
            }
            heard.push(Word::of(&message));
        }
        assert_eq!(heard, self.oracle.hears, "{:?}", self.script);
    }
}

/// The page that plays beside all of it, and its receiver.
struct Play {
    page: Client,
    receiver: Client,
    said: usize,
}

impl Play {
    fn begin(home: &mut Home) -> Self {
        let (page, receiver) = connected(home);
        Self { page, receiver, said: 0 }
    }

    /// One message in each direction, and nothing else, arrives.
    fn goes_on(&mut self, home: &mut Home) {
        self.said += 1;
        let mut text = String::new();
        write!(text, "{}", self.said).unwrap();
        for is_page in [true, false] {
            let (one, other) =
                if is_page { (&mut self.page, &mut self.receiver) } else { (&mut self.receiver, &mut self.page) };
            one.say(send(Payload::Text(&text)));
            assert_eq!(one.news(home), ["done"]);
            assert_eq!(other.news(home), [std::format!("Text({text:?})")]);
        }
    }
}

/// Says everything that these peers have to say, in pieces of any size and in any order among them.
fn say_all(home: &mut Home, chance: &mut Chance, peers: &mut [Peer]) {
    while peers.iter().any(|peer| !peer.unsent.is_empty()) {
        let peer = &mut peers[chance.below(PEERS)];
        let bytes = if peer.unsent.len() > 8192 || chance.one_in(3) { peer.unsent.len() } else { chance.below(120) };
        peer.says(home, bytes);
    }
    home.settle();
    peers.iter_mut().for_each(Peer::hears);
}

fn name_of_first(home: &Home) -> String {
    home.boxes[PHONE].driver.machine().connection(first().into()).unwrap().0.to_string()
}

/// PS-30, PS-32, PS-34, PS-35: what comes split, joined, empty, as garbage, too long, twice or out of place is answered where
/// the protocol has an answer, and neither the page that plays nor any other peer notices.
///
/// Presentation defects 1, 2, 3, 5, 10, 14
#[test]
fn thousands_of_probing_controllers_each_hear_what_is_due_to_them_while_a_page_plays() {
    let (mut home, mut chance) = (Home::new(Protection::None), Chance(1));
    let mut play = Play::begin(&mut home);
    let played = name_of_first(&home);
    let address = SocketAddr::from(([192, 0, 2, 2], CONTROL_PORT));
    let in_use = home.boxes[TV].driver.machine().in_use();
    for wave in 0..CONTROLLERS / PEERS {
        let mut peers: Vec<Peer> = (0..PEERS)
            .map(|number| {
                let stream = stranger(&home, 10 + number as u8).connect(address, Trust::Plain).unwrap();
                let own = std::format!("{wave}-{number}");
                Peer::new(&mut chance, stream, Side::Receiver, own, &played)
            })
            .collect();
        home.now = home.now.after(Duration::from_millis(10));
        say_all(&mut home, &mut chance, &mut peers);
        peers.iter().for_each(Peer::assert_answered);
        play.goes_on(&mut home);
        drop(peers);
        home.settle();
        assert_eq!(home.boxes[TV].driver.machine().in_use(), in_use, "wave {wave}");
    }
    let shown = &home.boxes[TV].host.platform.receivers.shown;
    assert!(shown.len() > CONTROLLERS / 4 && !shown[0].2.get());
    assert!(shown[1..].iter().all(|(_, _, has_ended)| has_ended.get()), "what they launched is gone");
    play.page.say(Command::Terminate { connection: first() });
    home.settle();
    drop(play);
    home.assert_nothing_left();
}

/// PS-30 to PS-32, PS-34, PS-35: the same from a device that was asked to show a page. Its page learns of the end once.
///
/// Presentation defect 17
#[test]
fn thousands_of_probing_receivers_leave_no_page_connecting_and_another_one_plays() {
    let (mut home, mut chance) = (Home::new(Protection::None), Chance(2));
    let mut play = Play::begin(&mut home);
    let played = name_of_first(&home);
    let mut doors: Vec<_> = (0..PEERS).map(|number| liar(&home, number)).collect();
    let mut pages: Vec<Client> = (0..PEERS).map(|_| home.boxes[PHONE].client()).collect();
    home.settle();
    for page in &mut pages {
        page.say(Command::Hello);
        assert_eq!(page.news(&mut home), ["welcome"]);
    }
    let in_use = home.boxes[PHONE].driver.machine().in_use();
    for wave in 0..RECEIVERS / PEERS {
        let mut peers = Vec::new();
        for (number, (page, door)) in pages.iter_mut().zip(&mut doors).enumerate() {
            let (own, device) = (std::format!("{wave}-{number}"), std::format!("liar {number}"));
            page.say(start_on(&own, &device));
            home.settle();
            let stream = door.accept().unwrap().expect("it is reached");
            peers.push(Peer::new(&mut chance, stream, Side::Controller, own, &played));
        }
        say_all(&mut home, &mut chance, &mut peers);
        peers.iter().for_each(Peer::assert_answered);
        play.goes_on(&mut home);
        drop(peers);
        home.pass(ESTABLISH_TIMEOUT);
        for page in &mut pages {
            let told = page.news(&mut home);
            assert_eq!(&told[..2], ["connection", "connecting"]);
            let has_ended = told[2].starts_with("closed: Error") || told[2] == "terminated: Terminated";
            assert!(told.len() == 3 && has_ended, "{told:?}");
        }
        assert_eq!(home.boxes[PHONE].driver.machine().in_use(), in_use, "wave {wave}");
    }
}

pub(super) fn start_on<'a>(presentation_id: &'a str, device: &'a str) -> Command<'a> {
    let urls = ["https://tv.example/"].into_iter().collect();
    Command::Start { presentation_id, urls, origin: "test", device: Some(device), transport: TransportKind::Tcp }
}

/// A device that shows nothing, found by everybody.
pub(super) fn liar(home: &Home, number: usize) -> platform::StreamQueue {
    let address = [192, 0, 2, 100 + number as u8].into();
    let mut network = Net { world: Rc::clone(&home.world), address, own: Fingerprint([50; 32]), chance: 0 };
    let door = network.listen(SocketAddr::new(address, CONTROL_PORT), Protection::None).unwrap();
    let mut sight = Sight { world: Rc::clone(&home.world), address, told: 0, browses: 0 };
    let name = std::format!("liar {number}");
    let announcement = Announcement { name: &name, port: CONTROL_PORT, fingerprint: None, version: CONTROL_VERSION };
    sight.announce(&announcement).unwrap();
    door
}
