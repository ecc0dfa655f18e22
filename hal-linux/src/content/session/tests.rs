use std::time::Duration;

use super::*;

/// Two pages' ends of a connection, and what two services do between them: pass on what they say.
struct Pair {
    ends: [Session; 2],
    said: [Vec<Said>; 2],
}

impl Pair {
    fn building() -> Self {
        let connection = ConnectionId { index: 0, generation: 1 };
        let mut ends = [Session::new(connection), Session::new(connection)];
        ends[0].build(true);
        ends[1].build(false);
        Self { ends, said: [Vec::new(), Vec::new()] }
    }

    fn connected() -> Self {
        let mut pair = Self::building();
        pair.until("both ends are open", |pair| pair.said.iter().all(|said| said.contains(&Said::Open)));
        pair.ends.iter_mut().for_each(|end| end.be(ConnectionState::Connected));
        pair
    }

    fn turn(&mut self) {
        for from in [0, 1] {
            self.ends[from].advance(true);
            while let Some(said) = self.ends[from].next_said() {
                if matches!(said, Said::Offer(_) | Said::Answer(_) | Said::Candidate(_)) {
                    self.ends[1 - from].hear(said.piece());
                }
                self.said[from].push(said);
            }
        }
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        self.until_now(what, |pair| is_so(pair));
    }

    fn until_now(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !is_so(self) {
            assert!(Instant::now() < end, "{what}: never; said {:?}", self.said);
            self.turn();
            std::thread::yield_now();
        }
    }

    fn delivered(&mut self, to: usize) -> Received {
        self.until("a message has arrived", |pair| !pair.ends[to].delivered.is_empty());
        self.ends[to].next_delivered().unwrap()
    }
}

/// PS-06, PS-07, PS-16 to PS-19: nothing is taken before the channel is open, and nothing is given to a page that does not know
/// that it is connected.
#[test]
fn two_pages_find_each_other_by_what_their_services_pass_on() {
    let mut pair = Pair::building();
    let connecting = Refusal::WrongState { state: ConnectionState::Connecting };
    assert_eq!(pair.ends[0].send(Payload::Text("too early")), Err(connecting));
    pair.until("both ends are open", |pair| pair.said.iter().all(|said| said.contains(&Said::Open)));
    assert_eq!(pair.ends[0].send(Payload::Text("")), Err(Refusal::TextLength));
    assert_eq!(pair.ends[0].send(Payload::Text("early")), Ok(true));
    assert!(matches!(pair.said[0][..2], [Said::Offer(_), Said::Candidate(_)]), "{:?}", pair.said[0]);
    assert!(matches!(pair.said[1][..2], [Said::Answer(_), Said::Candidate(_)]), "{:?}", pair.said[1]);
    pair.until("it has arrived", |pair| !pair.ends[1].unread.is_empty());
    assert_eq!(pair.ends[1].next_delivered(), None, "the page does not know yet that it is connected");
    pair.ends.iter_mut().for_each(|end| end.be(ConnectionState::Connected));
    assert_eq!(pair.delivered(1), Received::Text("early".to_owned()));
    assert_eq!(pair.ends[1].send(Payload::Binary(&[1, 2])), Ok(true));
    assert_eq!(pair.delivered(0), Received::Binary(vec![1, 2]));
}

/// PS-19: who sends to a page that never learns that it is connected is held back.
#[test]
fn no_more_is_kept_for_a_page_that_does_not_listen_than_is_said() {
    let mut pair = Pair::building();
    pair.until("both ends are open", |pair| pair.said.iter().all(|said| said.contains(&Said::Open)));
    let long = vec![7; 200 * 1024];
    let mut is_held_back = false;
    pair.until_now("no more is taken", |pair| {
        is_held_back = pair.ends[0].send(Payload::Binary(&long)) == Err(Refusal::Congested) && pair.ends[1].is_full();
        is_held_back
    });
    assert!(pair.ends[1].unread_bytes() < 2 * UNREAD_BYTES_MAX);
    assert_eq!(pair.ends[1].descriptors().count(), 0, "nobody wakes up for what is not read");
    pair.ends[1].be(ConnectionState::Connected);
    pair.until("it is read again", |pair| !pair.ends[1].is_full());
    assert!(pair.delivered(1) == Received::Binary(long));
}

/// PS-09: and the other side hears all of it first.
#[test]
fn who_closes_has_left_when_all_has_arrived() {
    let mut pair = Pair::connected();
    let long = vec![3; 200 * 1024];
    assert_eq!(pair.ends[0].send(Payload::Binary(&long)), Ok(true));
    pair.ends[0].close(false);
    assert!(!pair.ends[0].has_left());
    assert!(pair.ends[0].send(Payload::Text("too late")).is_err());
    pair.until("it has left", |pair| pair.ends[0].has_left());
    assert!(pair.delivered(1) == Received::Binary(long));
    pair.until("the other side knows", |pair| pair.said[1].contains(&Said::Over(CloseReason::Closed)));
    assert!(pair.ends.iter().all(|end| end.descriptors().count() == 0), "no socket is left");
}

/// PS-35
#[test]
fn who_goes_away_says_nothing_and_leaves_no_socket() {
    let mut pair = Pair::connected();
    pair.ends[0].close(true);
    assert!(pair.ends[0].has_left());
    assert_eq!(pair.ends[0].descriptors().count(), 0);
    pair.ends[1].be(ConnectionState::Closed);
    assert_eq!(pair.ends[1].descriptors().count(), 0);
    assert!(pair.ends[1].has_ended());
}

/// PS-32: the service is told, and decides.
#[test]
fn a_description_that_is_none_is_reported() {
    let mut pair = Pair::building();
    pair.ends[1].hear(Piece::Offer("nonsense"));
    assert!(matches!(pair.ends[1].next_said(), Some(Said::Over(CloseReason::Error(_)))));
    assert_eq!(pair.ends[1].descriptors().count(), 0);
}
