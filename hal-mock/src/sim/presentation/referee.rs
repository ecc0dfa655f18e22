//! What must hold between those who take part, seen from outside.

use std::collections::BTreeMap;

/// Where messages were sent from, from one connect to the end: they arrive there whole, in order, and nowhere else.
#[derive(Debug)]
struct Stint {
    presentation_id: String,
    by_receiver: bool,
    tried: u64,
}

/// What was sent and heard, and who started what.
#[derive(Debug, Default)]
pub(super) struct Referee {
    stints: Vec<Stint>,
    /// What a device of another make sends has no bounds: presentation, and what was sent to its page.
    flows: BTreeMap<String, String>,
    /// Which device started a presentation.
    starters: BTreeMap<String, String>,
    names: u64,
    /// Connections that were asked for and are connecting.
    pub(super) sessions: u64,
    /// Connections that were connected.
    pub(super) connected: u64,
}

/// A rule, and how it was broken.
pub(super) type Broken = (&'static str, String);

/// What a message says of itself: `stint:number:presentation:padding`.
struct Label<'a> {
    stint: usize,
    number: u64,
    presentation_id: &'a str,
}

impl<'a> Label<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(bytes).ok()?.splitn(4, ':');
        let (stint, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { stint, number, presentation_id: parts.next()? })
    }
}

/// What came in on one connection since it was connected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Incoming {
    stint: Option<usize>,
    next: u64,
    flowed: usize,
}

#[cfg(test)]
impl Incoming {
    pub(super) const fn heard(&self) -> u64 {
        self.next
    }
}

impl Referee {
    /// A name that no presentation had.
    pub(super) fn new_name(&mut self, device: &str) -> String {
        self.names += 1;
        format!("{device}-{}", self.names)
    }

    /// A presentation is started by this device.
    pub(super) fn starts(&mut self, presentation_id: &str, device: &str) {
        self.starters.insert(presentation_id.to_owned(), device.to_owned());
    }

    pub(super) fn starter(&self, presentation_id: &str) -> Option<&str> {
        self.starters.get(presentation_id).map(String::as_str)
    }

    /// Somebody begins to send.
    pub(super) fn begin(&mut self, presentation_id: &str, by_receiver: bool) -> usize {
        self.stints.push(Stint { presentation_id: presentation_id.to_owned(), by_receiver, tried: 0 });
        self.stints.len() - 1
    }

    /// The next message of a stint, with so much beside its label.
    pub(super) fn message(&mut self, stint: usize, number: u64, padding: usize) -> String {
        let stints = &mut self.stints[stint];
        stints.tried = stints.tried.max(number + 1);
        format!("{stint}:{number}:{}:{}", stints.presentation_id, "x".repeat(padding))
    }

    /// A device of another make sends to its page.
    pub(super) fn flows(&mut self, presentation_id: &str, text: &str) {
        self.flows.entry(presentation_id.to_owned()).or_default().push_str(text);
    }

    /// PS-18, PS-19, PS-34: what is heard was sent by the other end of the same presentation, and it is the next.
    pub(super) fn hears(
        &self,
        presentation_id: &str,
        is_receiver: bool,
        incoming: &mut Incoming,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        if let Some(flow) = self.flows.get(presentation_id) {
            return flows_on(flow, incoming, bytes);
        }
        let Some(label) = Label::read(bytes) else {
            return Err(("PS-19", format!("{presentation_id} hears what nobody has sent: {}", bytes.escape_ascii())));
        };
        let Some(stint) = self.stints.get(label.stint) else {
            return Err(("PS-19", format!("{presentation_id} hears message {} of nobody", label.number)));
        };
        if stint.presentation_id != presentation_id || label.presentation_id != presentation_id {
            return Err(("PS-34", format!("{presentation_id} hears what was sent to {}", stint.presentation_id)));
        }
        if stint.by_receiver == is_receiver {
            return Err(("PS-18", format!("{presentation_id} hears its own message {}", label.number)));
        }
        let is_next = *incoming.stint.get_or_insert(label.stint) == label.stint
            && label.number == incoming.next
            && label.number < stint.tried;
        incoming.next += 1;
        if is_next {
            return Ok(());
        }
        let what = format!("{presentation_id} hears message {} and not {}", label.number, incoming.next - 1);
        Err(("PS-19", what))
    }
}

fn flows_on(flow: &str, incoming: &mut Incoming, bytes: &[u8]) -> Result<(), Broken> {
    let end = incoming.flowed + bytes.len();
    if flow.as_bytes().get(incoming.flowed..end) != Some(bytes) {
        return Err(("PS-19", format!("what flows is not what was sent: {}", bytes.escape_ascii())));
    }
    incoming.flowed = end;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(referee: &Referee, incoming: &mut Incoming, text: &str) -> Option<&'static str> {
        referee.hears("p", true, incoming, text.as_bytes()).err().map(|(rule, _)| rule)
    }

    #[test]
    fn what_is_lost_doubled_turned_round_or_somebody_elses_is_seen() {
        let mut referee = Referee::default();
        let (ours, theirs, own) = (referee.begin("p", false), referee.begin("q", false), referee.begin("p", true));
        let texts: Vec<String> = (0..3).map(|number| referee.message(ours, number, 5)).collect();
        let mut incoming = Incoming::default();
        assert_eq!(heard(&referee, &mut incoming, &texts[0]), None);
        assert_eq!(heard(&referee, &mut incoming.clone(), &texts[0]), Some("PS-19"));
        assert_eq!(heard(&referee, &mut incoming.clone(), &texts[2]), Some("PS-19"));
        assert_eq!(heard(&referee, &mut incoming.clone(), "hello"), Some("PS-19"));
        let other = referee.message(theirs, 1, 0);
        assert_eq!(heard(&referee, &mut incoming.clone(), &other), Some("PS-34"));
        let echo = referee.message(own, 1, 0);
        assert_eq!(heard(&referee, &mut incoming.clone(), &echo), Some("PS-18"));
        assert_eq!(heard(&referee, &mut incoming, &texts[1]), None);
    }

    #[test]
    fn what_flows_is_cut_anywhere_and_is_the_same_in_the_end() {
        let mut referee = Referee::default();
        referee.flows("p", "hello ");
        referee.flows("p", "there");
        let mut incoming = Incoming::default();
        assert_eq!(heard(&referee, &mut incoming, "hel"), None);
        assert_eq!(heard(&referee, &mut incoming, "lo th"), None);
        assert_eq!(heard(&referee, &mut incoming, "e"), None);
        assert_eq!(heard(&referee, &mut incoming, "x"), Some("PS-19"));
    }
}
