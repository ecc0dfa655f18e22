use std::time::Duration;

use super::*;

/// Two ends in one process, over the real sockets of this box.
struct Pair {
    ends: [DataChannel; 2],
    heard: [Vec<News>; 2],
}

impl Pair {
    fn open() -> Self {
        Self::open_over(|_| true)
    }

    /// By those of the candidates only.
    fn open_over(is_used: impl Fn(&str) -> bool) -> Self {
        let [mut one, mut other] = [DataChannel::new().unwrap(), DataChannel::new().unwrap()];
        let offer = one.offer().unwrap();
        assert!(offer.contains("webrtc-datachannel") && !offer.contains("a=candidate"), "{offer}");
        let answer = other.answer(&offer).unwrap();
        one.take_answer(&answer).unwrap();
        let mut candidates = [one.gather(), other.gather()];
        candidates.iter_mut().for_each(|all| all.retain(|candidate| is_used(candidate)));
        assert!(candidates.iter().all(|all| !all.is_empty()), "each end has an address");
        candidates[0].iter().for_each(|candidate| other.take_candidate(candidate));
        candidates[1].iter().for_each(|candidate| one.take_candidate(candidate));
        let mut pair = Self { ends: [one, other], heard: [Vec::new(), Vec::new()] };
        pair.until("both ends are open", |pair| pair.heard.iter().all(|heard| heard.contains(&News::Opened)));
        pair.heard = [Vec::new(), Vec::new()];
        pair
    }

    fn turn(&mut self) {
        for (end, heard) in self.ends.iter_mut().zip(&mut self.heard) {
            end.advance(true);
            heard.extend(std::iter::from_fn(|| end.news()));
        }
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !is_so(self) {
            assert!(Instant::now() < end, "{what}: never; heard {:?}", self.heard);
            self.turn();
            std::thread::yield_now();
        }
    }

    fn send(&mut self, from: usize, payload: Payload<'_>) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.ends[from].send(payload).unwrap() {
            assert!(Instant::now() < end, "the channel never takes it");
            self.turn();
        }
    }
}

fn payloads() -> Vec<Received> {
    let long = "é".repeat(128 * 1024);
    let texts = ["hello", "?", "ünïcode", &long].map(|text| Received::Text(text.to_owned()));
    let binaries = [vec![0], vec![0, 255], vec![7; 256 * 1024]].map(Received::Binary);
    texts.into_iter().zip(binaries.into_iter().chain([Received::Binary(vec![1])])).flat_map(|(a, b)| [a, b]).collect()
}

/// PS-07, PS-18, PS-19: both ways, whole, and in order, from the shortest message to the longest.
#[test]
fn texts_and_bytes_arrive_whole_and_in_order_both_ways() {
    let mut pair = Pair::open();
    for from in [0, 1] {
        let sent = payloads();
        sent.iter().for_each(|message| pair.send(from, message.payload()));
        pair.until("all has arrived", |pair| pair.heard[1 - from].len() == sent.len());
        let expected: Vec<News> = sent.into_iter().map(News::Received).collect();
        assert!(pair.heard[1 - from] == expected, "what arrives is what was sent");
        pair.heard[1 - from].clear();
    }
}

/// PS-06, PS-07: each family of addresses does alone, where the box has it.
#[test]
fn a_channel_opens_over_each_family_of_addresses_alone() {
    let families = [(" 127.0.0.1 ", "127.0.0.1:0"), (" ::1 ", "[::1]:0")];
    for (candidate, address) in families.into_iter().filter(|(_, address)| std::net::UdpSocket::bind(address).is_ok()) {
        let mut pair = Pair::open_over(|text| text.contains(candidate));
        pair.send(0, Payload::Text(address));
        pair.until("it has arrived", |pair| !pair.heard[1].is_empty());
    }
}

/// PS-19
#[test]
fn what_was_sent_is_buffered_until_it_has_arrived_and_no_more_than_the_limit_is_taken() {
    let mut pair = Pair::open();
    let message = vec![9; 256 * 1024];
    let mut taken = 0;
    while pair.ends[0].send(Payload::Binary(&message)).unwrap() {
        taken += 1;
    }
    assert!((1..=4).contains(&taken), "{taken}");
    assert!(pair.ends[0].buffered_bytes() > 0);
    pair.until("it has arrived", |pair| pair.heard[1].len() == taken);
    let end = Instant::now() + Duration::from_secs(60);
    while pair.ends[0].buffered_bytes() > 0 {
        assert!(Instant::now() < end, "it is never acknowledged");
        pair.turn();
    }
}

#[test]
fn an_end_that_closes_tells_the_other_one() {
    let mut pair = Pair::open();
    pair.send(0, Payload::Text("last words"));
    pair.until("they have arrived", |pair| !pair.heard[1].is_empty());
    pair.ends[0].close();
    pair.until("the other end knows", |pair| pair.heard[1].contains(&News::Closed));
    assert_eq!(pair.heard[1][0], News::Received(Received::Text("last words".to_owned())));
}

/// PS-32
#[test]
fn a_description_of_something_else_is_refused() {
    let mut end = DataChannel::new().unwrap();
    for text in ["", "{}", r#"{"type":"offer","sdp":"v=0\r\n"}"#] {
        assert!(end.answer(text).is_err(), "{text}");
    }
    assert!(end.take_answer("{}").is_err());
}
