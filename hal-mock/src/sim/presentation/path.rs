//! The way of data channels: from the process of one page to that of another, past the services of both boxes.
//!
//! It stands for datagrams and for what is built on them. Two ends find each other when each was given the other's
//! description, and one of them a candidate of the other. What is sent arrives in order; an end that goes without a word
//! is missed after some seconds.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::time::Instant;

use super::book::Book;
use super::witness::Key;
use crate::party::Party;
use crate::world::World;

/// What is sent takes up to so many milliseconds.
const LATENCY_MS_MAX: u64 = 20;
/// Nothing is heard of the other end for so long: it has gone.
const MISSED: Duration = Duration::from_secs(8);
/// What stands before the number of an end in its description.
const DESCRIBES: &str = "v=0\r\no=- ";
/// Bytes of the longest description, and of usual ones.
const LONG_BYTES_MAX: u64 = 60_000;
const USUAL_BYTES_MAX: u64 = 2_000;

/// What comes out at an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parcel {
    /// Both ends have found each other.
    Opened,
    /// The other end has sent this.
    Message(Vec<u8>),
    /// The other end was closed in order.
    Closed,
    /// Nothing is heard of the other end any more.
    Missed,
}

/// One end.
#[derive(Debug)]
struct End {
    owner: (Party, Key),
    description: String,
    /// The end whose description it was given.
    other: Option<u64>,
    /// It was given a candidate of that one.
    reaches: bool,
    is_open: bool,
    is_severed: bool,
    says_goodbye: bool,
    is_spared: bool,
    /// What it has sent and will never arrive.
    lost_bytes: usize,
    incoming: VecDeque<(Instant, Parcel)>,
}

impl End {
    const fn new(owner: (Party, Key), description: String) -> Self {
        Self {
            owner,
            description,
            other: None,
            reaches: false,
            is_open: false,
            is_severed: false,
            says_goodbye: false,
            is_spared: false,
            lost_bytes: 0,
            incoming: VecDeque::new(),
        }
    }
}

impl Parcel {
    const fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            Self::Opened | Self::Closed | Self::Missed => 0,
        }
    }
}

/// All of them.
pub(super) struct Paths {
    world: World,
    book: Rc<Book>,
    ends: RefCell<BTreeMap<u64, End>>,
    last: Cell<u64>,
}

impl Paths {
    pub(super) fn new(world: &World, book: &Rc<Book>) -> Rc<Self> {
        let (ends, last) = (RefCell::default(), Cell::default());
        Rc::new(Self { world: world.clone(), book: Rc::clone(book), ends, last })
    }

    /// One more end, of this connection.
    pub(super) fn add(&self, owner: (Party, Key)) -> u64 {
        let end = self.last.get() + 1;
        self.last.set(end);
        let most = if self.world.random(40) == 0 { LONG_BYTES_MAX } else { USUAL_BYTES_MAX };
        let padding = "a".repeat(self.world.random(most) as usize);
        let description =
            format!("{DESCRIBES}{end} 2 IN IP4 0.0.0.0\r\ns=\"\\T\u{e9}l\u{e9}vision \u{1f4fa}\r\na={padding}\r\n");
        self.ends.borrow_mut().insert(end, End::new(owner, description));
        end
    }

    /// What the other end is to be given.
    pub(super) fn description(&self, end: u64) -> String {
        self.ends.borrow().get(&end).map(|end| end.description.clone()).unwrap_or_default()
    }

    /// One more way to reach an end.
    pub(super) fn candidate(end: u64, number: u64) -> String {
        format!(r#"{{"candidate":"candidate:{end} {number} udp 7 192.0.2.1 9 typ host","sdpMLineIndex":0}}"#)
    }

    /// Gives an end the description of the other one; `false` when it is none.
    ///
    /// PS-06: it comes whole.
    pub(super) fn take_description(&self, end: u64, text: &str) -> bool {
        let number = text.strip_prefix(DESCRIBES).and_then(|rest| rest.split(' ').next()?.parse().ok());
        let Some(other) = number else { return false };
        let expected = self.description(other);
        if !expected.is_empty() && expected != text {
            self.book.violation("PS-06", format!("the description of end {other} arrives as {}", text.escape_debug()));
        }
        if let Some(end) = self.ends.borrow_mut().get_mut(&end) {
            end.other = Some(other);
        }
        self.try_open(end, other);
        true
    }

    /// Gives an end a way to reach the other one.
    ///
    /// PS-07: that comes after its description.
    pub(super) fn take_candidate(&self, end: u64, text: &str) {
        let known = self.ends.borrow().get(&end).map(|end| end.other);
        let Some(Some(other)) = known else {
            let what = format!("end {end} is given a candidate before a description: {}", text.escape_debug());
            return self.book.violation("PS-07", what);
        };
        if (0..4).any(|number| Self::candidate(other, number) == text) {
            if let Some(end) = self.ends.borrow_mut().get_mut(&end) {
                end.reaches = true;
            }
            self.try_open(end, other);
        }
    }

    fn try_open(&self, one: u64, other: u64) {
        let opens = {
            let ends = self.ends.borrow();
            let (Some(one_end), Some(other_end)) = (ends.get(&one), ends.get(&other)) else { return };
            let is_new = !one_end.is_open && !one_end.is_severed && !other_end.is_severed;
            is_new && other_end.other == Some(one) && (one_end.reaches || other_end.reaches)
        };
        if opens {
            for end in [one, other] {
                self.push(end, Duration::from_millis(1 + self.world.random(LATENCY_MS_MAX)), Parcel::Opened);
                if let Some(end) = self.ends.borrow_mut().get_mut(&end) {
                    end.is_open = true;
                }
            }
        }
    }

    /// In order, whatever the latency.
    fn push(&self, end: u64, after: Duration, parcel: Parcel) {
        if let Some(end) = self.ends.borrow_mut().get_mut(&end) {
            let last = end.incoming.back().map_or(Instant::default(), |(at, _)| *at);
            end.incoming.push_back((self.world.now().after(after).max(last), parcel));
        }
    }

    /// The end at the other side of one that is open and can be reached.
    fn across(&self, end: u64) -> Option<u64> {
        let ends = self.ends.borrow();
        ends.get(&end).filter(|end| end.is_open && !end.is_severed)?.other.filter(|other| ends.contains_key(other))
    }

    pub(super) fn send(&self, end: u64, message: Vec<u8>) {
        if let Some(other) = self.across(end) {
            let after = Duration::from_millis(1 + self.world.random(LATENCY_MS_MAX));
            self.push(other, after, Parcel::Message(message));
        } else if let Some(end) = self.ends.borrow_mut().get_mut(&end) {
            end.lost_bytes += message.len();
        }
    }

    /// Bytes that this end has sent and that have not arrived.
    pub(super) fn buffered_bytes(&self, end: u64) -> usize {
        let (now, ends) = (self.world.now(), self.ends.borrow());
        let Some(one) = ends.get(&end) else { return 0 };
        let incoming = one.other.and_then(|other| ends.get(&other)).map(|other| &other.incoming);
        let on_the_way = incoming.into_iter().flatten().filter(|(at, _)| *at > now);
        one.lost_bytes + on_the_way.map(|(_, parcel)| parcel.bytes()).sum::<usize>()
    }

    /// When the last of what this end has sent arrives.
    pub(super) fn arrives_at(&self, end: u64) -> Option<Instant> {
        let ends = self.ends.borrow();
        let other = ends.get(&ends.get(&end)?.other?)?;
        other.incoming.back().map(|(at, _)| *at)
    }

    /// Closes an end in order.
    pub(super) fn close(&self, end: u64) {
        if let Some(other) = self.across(end) {
            let after = Duration::from_millis(1 + self.world.random(LATENCY_MS_MAX));
            self.push(other, after, Parcel::Closed);
        }
        if let Some(end) = self.ends.borrow_mut().get_mut(&end) {
            end.says_goodbye = true;
        }
    }

    /// The end is not there any more. What it has sent arrives still.
    pub(super) fn remove(&self, end: u64) {
        let across = self.across(end);
        let says_goodbye = self.ends.borrow_mut().remove(&end).is_some_and(|end| end.says_goodbye);
        if let Some(other) = across.filter(|_| !says_goodbye) {
            self.push(other, MISSED, Parcel::Missed);
        }
    }

    /// Nothing passes between this end and the other one any more, which nobody is told.
    pub(super) fn sever(&self, end: u64) {
        let other = self.ends.borrow().get(&end).and_then(|end| end.other);
        for (end, across) in [(Some(end), other), (other, Some(end))] {
            let lost_bytes = end.map_or(0, |end| self.let_vanish(end));
            if let Some(across) = self.ends.borrow_mut().get_mut(&across.unwrap_or_default()) {
                across.lost_bytes += lost_bytes;
            }
        }
    }

    /// Gives how many bytes were on their way to this end.
    fn let_vanish(&self, end: u64) -> usize {
        self.push(end, MISSED, Parcel::Missed);
        let mut ends = self.ends.borrow_mut();
        let Some(end) = ends.get_mut(&end) else { return 0 };
        end.is_severed = true;
        let lost_bytes = end.incoming.iter().map(|(_, parcel)| parcel.bytes()).sum();
        end.incoming.retain(|(_, parcel)| *parcel == Parcel::Missed);
        lost_bytes
    }

    /// Ends that are open and that something may happen to.
    pub(super) fn open(&self) -> Vec<u64> {
        let ends = self.ends.borrow();
        ends.iter().filter(|(_, end)| end.is_open && !end.is_spared).map(|(end, _)| *end).collect()
    }

    /// Nothing happens to those that there are.
    pub(super) fn spare(&self) {
        self.ends.borrow_mut().values_mut().for_each(|end| end.is_spared = true);
    }

    pub(super) fn count(&self) -> usize {
        self.ends.borrow().len()
    }

    /// Whose an end is.
    pub(super) fn owner(&self, end: u64) -> Option<(Party, Key)> {
        self.ends.borrow().get(&end).map(|end| end.owner)
    }

    /// Whose the other end is.
    pub(super) fn partner(&self, end: u64) -> Option<(Party, Key)> {
        let other = self.ends.borrow().get(&end)?.other?;
        self.owner(other)
    }

    /// When the next parcel comes out.
    pub(super) fn due(&self, end: u64) -> Option<Instant> {
        self.ends.borrow().get(&end)?.incoming.front().map(|(at, _)| *at)
    }

    pub(super) fn take(&self, end: u64) -> Option<Parcel> {
        let now = self.world.now();
        let mut ends = self.ends.borrow_mut();
        let incoming = &mut ends.get_mut(&end)?.incoming;
        incoming.front().filter(|(at, _)| *at <= now)?;
        incoming.pop_front().map(|(_, parcel)| parcel)
    }
}
