//! What must hold always, whatever comes in which order (PS-30, PS-31, PS-33, PS-35).

use std::collections::{BTreeMap, BTreeSet};
use std::format;

use super::*;
use crate::limits::{CLOSED_KEPT, ESTABLISH_TIMEOUT};

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

impl TheBox {
    /// The connections of a presentation are those that say they are its.
    fn check_rings(&self) {
        for (presentation, _) in self.service.presentations.iter() {
            let said = self.service.connections.iter().filter(|(_, it)| it.presentation == presentation);
            let said: BTreeSet<_> = said.map(|(handle, _)| key(handle)).collect();
            let found: Vec<_> = self.service.connections_of(presentation).map(key).collect();
            assert_eq!((found.len(), found.into_iter().collect()), (said.len(), said));
        }
    }
}

/// Two boxes between which anything may be lost, and whose clients ask anything.
struct Chaos {
    stage: Stage,
    chance: Chance,
    waiting: BTreeSet<(usize, u32)>,
    /// What each page was told last, and since when it has been so.
    states: BTreeMap<(usize, (u16, u16)), (ConnectionState, Instant)>,
    seen: BTreeSet<String>,
    read: [(usize, usize); 2],
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut stage = Stage::new();
        stage.ask(PHONE, 0, Command::WatchSelections);
        stage.sequence += 1;
        Self {
            stage,
            chance: Chance(seed),
            waiting: BTreeSet::new(),
            states: BTreeMap::new(),
            seen: BTreeSet::new(),
            read: [(1, 0), (0, 0)],
        }
    }

    fn step(&mut self) {
        match self.chance.below(12) {
            0..=4 => {
                self.stage.deliver();
            }
            5 | 6 => self.client_asks(),
            7 => self.receiver_does(),
            8 => self.something_is_lost(),
            9 => self.stage.is_reachable = self.chance.below(4) > 0,
            10 => self.stage.pass_quietly(core::time::Duration::from_millis(self.chance.below(3_000) as u64)),
            _ => {
                for _ in 0..self.chance.below(20) {
                    self.stage.deliver();
                }
            }
        }
        self.check();
    }

    fn ask(&mut self, which: usize, place: u16, command: Command<'_>) {
        self.waiting.insert((which, self.stage.sequence + 1));
        self.stage.ask(which, place, command);
    }

    fn client_asks(&mut self) {
        let place = 1 + self.chance.below(2) as u16;
        let id = ["a", "b", "c"][self.chance.below(3)];
        let device = [Some("tv"), None, Some("nobody")][self.chance.below(3)];
        let connection = self.any_connection(PHONE).into();
        let url = [URL, "http://other/"][self.chance.below(5) / 4];
        let command = match self.chance.below(8) {
            0 | 1 => Command::Start {
                presentation_id: id,
                urls: urls(&[url]),
                origin: "x",
                device,
                transport: TransportKind::Tcp,
            },
            2 => Command::Reconnect { presentation_id: id, urls: urls(&[url]) },
            3 => Command::Close { connection, went_away: false },
            4 => Command::Terminate { connection },
            5 => Command::Send { connection, payload: HELLO },
            6 => {
                let selection = self.stage.boxes[PHONE].service.selections().next().map(|(it, ..)| it);
                let Some(selection) = selection else { return };
                return self.ask(PHONE, 0, Command::Select { selection: selection.into(), device: "tv" });
            }
            _ => Command::WatchAvailability { urls: urls(&[URL]) },
        };
        self.ask(PHONE, place, command);
    }

    fn receiver_does(&mut self) {
        let place = 1 + self.chance.below(2) as u16;
        let processes: Vec<_> = self.stage.boxes[TV].processes.values().copied().collect();
        let Some(&(presentation, token)) = processes.get(self.chance.below(4)) else { return };
        let connection = self.any_connection(TV).into();
        match self.chance.below(8) {
            0..=2 => self.ask(TV, place, Command::ReceiverReady { token }),
            3 => self.ask(TV, place, Command::ReceiverFailed { token }),
            4 => self.ask(TV, place, Command::ListenForConnections),
            5 => self.ask(TV, place, Command::Close { connection, went_away: true }),
            6 => self.ask(TV, place, Command::Terminate { connection }),
            _ => {
                self.stage.boxes[TV].processes.remove(&key(presentation));
                let _ = self.stage.give(TV, Input::ReceiverEnded { presentation });
            }
        }
    }

    fn something_is_lost(&mut self) {
        let which = self.chance.below(2);
        if self.chance.below(2) == 0 {
            let peers: Vec<_> = self.stage.boxes[which].peers.iter().map(|(one, other)| (*one, *other)).collect();
            let Some(&((index, generation), (other, peer))) = peers.first() else { return };
            self.stage.boxes[which].peers.remove(&(index, generation));
            self.stage.boxes[other].peers.remove(&key(peer));
            let channel = ChannelHandle::from_parts(index, generation);
            let _ = self.stage.give(which, Input::ChannelClosed { channel });
            let _ = self.stage.give(other, Input::ChannelClosed { channel: peer });
        } else {
            let all: Vec<_> = self.stage.boxes[which].transports.iter().map(|(one, other)| (*one, *other)).collect();
            let Some(&((index, generation), transport)) = all.first() else { return };
            self.stage.boxes[which].transports.remove(&(index, generation));
            let reason = CloseReason::Error(Reason::FAILURE);
            let connection = ConnectionHandle::from_parts(index, generation);
            let _ = self.stage.give(which, Input::TransportClosed { connection, reason });
            if let Some((other, peer)) = transport {
                self.stage.wire.push_back(Wire::Transport(other, peer, reason));
            }
        }
    }

    fn any_connection(&mut self, which: usize) -> ConnectionHandle {
        let place = self.chance.below(6) as u16;
        let found = self.stage.boxes[which].service.connections.handle_at(place);
        found.unwrap_or(ConnectionHandle::from_parts(place, 7))
    }

    fn check(&mut self) {
        for which in [PHONE, TV] {
            let (replies, states) = self.read[which];
            for (ticket, result) in self.stage.boxes[which].told.replies.iter().skip(replies) {
                assert!(self.waiting.remove(&(which, ticket.sequence)), "PS-31: {ticket:?} is answered once");
                self.seen.insert(format!("{result:?}").split(['(', '{']).take(2).collect());
            }
            for (connection, state, _) in self.stage.boxes[which].told.states.iter().skip(states) {
                let place = (which, key(*connection));
                if let Some((before, _)) = self.states.insert(place, (*state, self.stage.now)) {
                    assert!(may_follow(before, *state), "PS-30: {before:?} to {state:?}");
                }
                self.seen.insert(format!("{which} {state:?}"));
            }
            let told = &self.stage.boxes[which].told;
            self.read[which] = (told.replies.len(), told.states.len());
            self.stage.boxes[which].check_rings();
        }
        for ((which, connection), (state, since)) in &self.states {
            let limit = since.after(ESTABLISH_TIMEOUT);
            let is_stuck = *state == ConnectionState::Connecting && self.stage.now > limit;
            assert!(!is_stuck, "PS-30: box {which} connects {connection:?} for ever");
        }
    }

    /// Everybody leaves, and time passes: nothing may be left, and nobody may wait.
    fn finish(&mut self) {
        self.stage.is_reachable = true;
        self.stage.settle();
        self.stage.pass(core::time::Duration::from_secs(200));
        self.stage.pass(ESTABLISH_TIMEOUT);
        self.check();
        assert_eq!(self.waiting, BTreeSet::new(), "PS-31: everything asked is answered");
        for _ in 0..3 {
            self.stage.pass(CLOSED_KEPT);
            self.stage.pass(ESTABLISH_TIMEOUT);
        }
        // Who still talks is interrupted.
        for which in [PHONE, TV] {
            for place in [1, 2] {
                self.stage.give(which, Input::ClientLeft { client: client(place) }).unwrap();
            }
        }
        for _ in 0..3 {
            self.stage.pass(ESTABLISH_TIMEOUT);
            self.stage.pass(CLOSED_KEPT);
        }
        self.stage.pass(ESTABLISH_TIMEOUT);
        for it in &self.stage.boxes {
            assert_eq!(it.service.in_use(), (0, 0, 0), "PS-35: {:?}", it.service);
            assert_eq!(it.service.next_deadline(), None, "PS-35");
            assert!(it.transports.is_empty(), "PS-35: {:?}", it.transports);
            assert!(it.offers.is_empty(), "PS-35: {:?}", it.offers);
            assert!(it.processes.is_empty(), "PS-35");
        }
    }
}

impl Stage {
    /// Time passes, and what is on the wire stays there.
    fn pass_quietly(&mut self, duration: core::time::Duration) {
        self.now = self.now.after(duration);
        for which in [PHONE, TV] {
            self.give(which, Input::Tick).unwrap();
        }
        self.follow_up();
    }
}

fn may_follow(before: ConnectionState, after: ConnectionState) -> bool {
    use ConnectionState::{Closed, Connected, Connecting, Terminated};
    !matches!(
        (before, after),
        (Closed, Connected) | (Connected, Connecting) | (Terminated, Connecting | Connected | Closed)
    )
}

/// PS-30, PS-31, PS-35
#[test]
fn random_walks_settle_everything_and_leave_nothing() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let mut chaos = Chaos::new(seed);
        for _ in 0..400 {
            chaos.step();
        }
        chaos.finish();
        seen.append(&mut chaos.seen);
    }
    for state in ["Connecting", "Connected", "Closed", "Terminated"] {
        assert!(seen.contains(&format!("0 {state}")), "a walk that goes nowhere proves nothing: {seen:?}");
    }
    assert!(seen.contains("1 Connected") && seen.contains("1 Terminated"), "{seen:?}");
}
