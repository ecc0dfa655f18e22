//! What happens to a page's connection whose data channel the page builds, in any order, against a list of what was said and
//! given.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::limits::{DATA_CHANNEL_TIMEOUT, DEPARTURE_TIMEOUT, ESTABLISH_TIMEOUT_MAX};
use greenroom_core::message::presentation::{ConnectionState, Refusal};
use greenroom_core::presentation::content::{Content, Deed, Event, Phase, Route};
use greenroom_core::time::Instant;

use super::steps::{below, steps};

/// Deadlines that pass until nothing is waited for.
const ROUNDS_MAX: usize = 3;
/// Bytes of a connection when it is written down.
const WRITTEN_BYTES_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Happen(Event),
    /// So many milliseconds pass; what is due is told.
    Pass(u16),
    WriteAndReadBack,
}

const EVENTS: [Event; 16] = [
    Event::Build { offers: true },
    Event::Build { offers: false },
    Event::Described,
    Event::OfferHeard,
    Event::AnswerHeard,
    Event::CandidateHeard,
    Event::Gathered,
    Event::Opened,
    Event::Connected,
    Event::Unwanted,
    Event::Over,
    Event::ChannelClosed,
    Event::ChannelFailed,
    Event::Close { went_away: false },
    Event::Close { went_away: true },
    Event::Drained,
];

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 18)? {
            16 => Self::Pass(input.arbitrary()?),
            17 => Self::WriteAndReadBack,
            number => Self::Happen(EVENTS[usize::from(number)]),
        })
    }
}

/// What is known of a channel from outside.
#[derive(Clone, Copy, Debug, Default)]
struct Channel {
    /// Our description is made, and was said.
    is_described: bool,
    is_said: bool,
    /// It was given the other one's description.
    is_given: bool,
    is_open: bool,
    /// The page knows.
    is_told: bool,
}

struct Comparison {
    content: Content,
    now: Instant,
    channel: Option<Channel>,
    /// Candidates that were not said yet, and those that were not given.
    gathered: bool,
    heard: bool,
    closes: u32,
    leaves: u32,
}

impl Comparison {
    const fn new() -> Self {
        Self {
            content: Content::new(),
            now: Instant::from_millis(1000),
            channel: None,
            gathered: false,
            heard: false,
            closes: 0,
            leaves: 0,
        }
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Happen(event) => self.happen(event),
            Operation::Pass(milliseconds) => {
                self.now = self.now.after(Duration::from_millis(milliseconds.into()));
                if self.content.deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.happen(Event::TimedOut);
                }
            }
            Operation::WriteAndReadBack => {
                let mut buffer = [0; WRITTEN_BYTES_MAX];
                let written = encode(&self.content, &mut buffer).expect("it fits");
                self.content = decode(written).expect("it can be read back");
            }
        }
        self.check();
    }

    fn happen(&mut self, event: Event) {
        let before = self.content.phase();
        if let Some(channel) = &mut self.channel {
            match event {
                Event::Described => channel.is_described |= matches!(before, Phase::Describing | Phase::Answering),
                Event::Opened => channel.is_open |= before == Phase::Opening,
                Event::Connected => channel.is_told |= channel.is_open,
                Event::Gathered => self.gathered |= before != Phase::Draining,
                _ => {}
            }
        }
        let waits = matches!(before, Phase::Describing | Phase::Offering | Phase::Listening);
        self.heard |= event == Event::CandidateHeard && (waits || self.channel.is_some() && before != Phase::Draining);
        self.closes += u32::from(matches!(event, Event::Close { .. }));
        if matches!(event, Event::Build { .. }) {
            (self.gathered, self.heard) = (false, false);
        }
        self.content.handle(self.now, event);
        while let Some(deed) = self.content.poll() {
            self.carry_out(event, deed);
        }
    }

    fn there(&mut self, event: Event, deed: Deed) -> &mut Channel {
        self.channel.as_mut().unwrap_or_else(|| panic!("{deed:?} on no channel after {event:?}"))
    }

    fn carry_out(&mut self, event: Event, deed: Deed) {
        match deed {
            Deed::Offer | Deed::Answer => {
                assert!(self.channel.is_none(), "two channels after {event:?}");
                self.channel = Some(Channel { is_given: deed == Deed::Answer, ..Channel::default() });
            }
            Deed::SayDescription => {
                let channel = self.there(event, deed);
                assert!(channel.is_described && !channel.is_said, "{channel:?} after {event:?}");
                channel.is_said = true;
            }
            Deed::SayCandidates => {
                assert!(self.there(event, deed).is_said, "candidates are said before the description after {event:?}");
                self.gathered = false;
            }
            Deed::TakeAnswer => {
                let channel = self.there(event, deed);
                assert!(channel.is_said && !channel.is_given, "{channel:?} after {event:?}");
                channel.is_given = true;
            }
            Deed::TakeCandidates => {
                assert!(self.there(event, deed).is_given, "candidates are given before a description after {event:?}");
                self.heard = false;
            }
            Deed::SayOpen => assert!(self.there(event, deed).is_open, "nothing is open after {event:?}"),
            Deed::Deliver => assert!(self.there(event, deed).is_told, "the page does not know after {event:?}"),
            Deed::CloseChannel => assert!(self.there(event, deed).is_open, "nothing is open after {event:?}"),
            Deed::SayOver => {}
            Deed::Leave => self.leaves += 1,
            Deed::Drop => (self.channel, self.gathered, self.heard) = (None, false, false),
        }
    }

    /// PS-07, PS-17, PS-18, PS-30
    fn check(&self) {
        let phase = self.content.phase();
        assert!(self.leaves <= self.closes, "it leaves unasked");
        let is_told = self.channel.is_some_and(|channel| channel.is_open && channel.is_told);
        assert!(!self.content.is_read() || is_told, "the page is given messages before it knows, in {phase:?}");
        let is_said = self.channel.is_some_and(|channel| channel.is_said) && phase != Phase::Draining;
        assert!(!(self.gathered && is_said), "candidates are kept back in {phase:?}");
        let is_given = self.channel.is_some_and(|channel| channel.is_given) && phase != Phase::Draining;
        assert!(!(self.heard && is_given), "candidates of the other one are kept back in {phase:?}");
        self.check_deadline(phase);
        let state = match phase {
            Phase::Waiting | Phase::Relayed => return assert_eq!(self.content.route(1, 0), Ok(Route::Service)),
            Phase::Open { .. } => return assert_eq!(self.content.route(1, 0), Ok(Route::Channel)),
            Phase::Draining | Phase::Lost | Phase::Ended => ConnectionState::Closed,
            _ => ConnectionState::Connecting,
        };
        assert_eq!(self.content.route(1, 0), Err(Refusal::WrongState { state }));
    }

    fn check_deadline(&self, phase: Phase) {
        let limit = match phase {
            Phase::Describing | Phase::Listening | Phase::Answering | Phase::Opening => DATA_CHANNEL_TIMEOUT,
            Phase::Offering => ESTABLISH_TIMEOUT_MAX,
            Phase::Draining => DEPARTURE_TIMEOUT,
            Phase::Waiting | Phase::Relayed | Phase::Open { .. } | Phase::Lost | Phase::Ended => {
                return assert_eq!(self.content.deadline(), None, "{phase:?}");
            }
        };
        let deadline = self.content.deadline().unwrap_or_else(|| panic!("{phase:?} has no limit"));
        assert!(deadline <= self.now.after(limit), "{phase:?} waits until {deadline:?}");
    }

    /// Whatever is waited for ends, and nothing is left (PS-30, PS-35).
    fn end(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if let Some(deadline) = self.content.deadline() {
                self.now = self.now.max(deadline);
                self.happen(Event::TimedOut);
                self.check();
            }
        }
        assert_eq!(self.content.deadline(), None, "{:?}", self.content.phase());
        self.happen(Event::Over);
        self.check();
        assert!(self.channel.is_none() && self.content.phase() == Phase::Ended);
    }
}

/// Events, each followed by a look at what came of it.
///
/// # Panics
///
/// When something is said, given or delivered in another order than it must be, when something is waited for without a
/// limit, or when something is left in the end.
pub fn content(bytes: &[u8]) {
    let mut comparison = Comparison::new();
    steps(bytes).for_each(|operation| comparison.perform(operation));
    comparison.end();
}
