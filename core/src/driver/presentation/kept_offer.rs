//! What another device offers for a data channel, until the page that builds it is there (PS-14, PS-15).

use super::Given;
use crate::limits::CANDIDATES_KEPT_BYTES_MAX;
use crate::message::papi::Message;

/// Bytes of a candidate's length, before it.
const LENGTH_BYTES: usize = 2;

/// An offer, and the candidates that came after it, in their order: each with its length before it.
pub(super) struct KeptOffer<B> {
    buffer: B,
    offer_bytes: usize,
    filled: usize,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> KeptOffer<B> {
    /// `None` when there is no memory.
    pub(super) fn new(offer: &str, lend: impl FnOnce(usize) -> Option<B>) -> Option<Self> {
        let mut buffer = lend(offer.len().saturating_add(CANDIDATES_KEPT_BYTES_MAX))?;
        buffer.as_mut().get_mut(..offer.len())?.copy_from_slice(offer.as_bytes());
        Some(Self { buffer, offer_bytes: offer.len(), filled: offer.len() })
    }

    pub(super) fn offer(&self) -> &str {
        text(self.buffer.as_ref().get(..self.offer_bytes))
    }

    /// One that finds no room is left out: the others will do.
    pub(super) fn keep_candidate(&mut self, given: Given<'_>) {
        if let Given::Heard(Message::IceCandidate { candidate }) = given {
            let _ = self.keep(candidate);
        }
    }

    fn keep(&mut self, candidate: &str) -> Option<()> {
        let length = u16::try_from(candidate.len()).ok()?;
        let end = self.filled.checked_add(LENGTH_BYTES)?.checked_add(candidate.len())?;
        let most = self.offer_bytes.checked_add(CANDIDATES_KEPT_BYTES_MAX)?;
        let room = self.buffer.as_mut().get_mut(self.filled..end).filter(|_| end <= most)?;
        let (head, rest) = room.split_at_mut_checked(LENGTH_BYTES)?;
        head.copy_from_slice(&length.to_le_bytes());
        rest.copy_from_slice(candidate.as_bytes());
        self.filled = end;
        Some(())
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.buffer.as_ref().get(self.offer_bytes..self.filled).unwrap_or_default();
        core::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk::<LENGTH_BYTES>()?;
            let (candidate, others) = behind.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            rest = others;
            Some(text(Some(candidate)))
        })
    }
}

/// It was a text when it was kept.
fn text(bytes: Option<&[u8]>) -> &str {
    bytes.and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn kept(offer: &str) -> KeptOffer<Vec<u8>> {
        KeptOffer::new(offer, |bytes| Some(vec![0; bytes + 100])).unwrap()
    }

    /// PS-14
    #[test]
    fn an_offer_and_its_candidates_are_kept_in_their_order() {
        let mut kept = kept("offer");
        assert_eq!((kept.offer(), kept.candidates().count()), ("offer", 0));
        for candidate in ["one", "", "thr\u{e9}e"] {
            kept.keep_candidate(Given::Heard(&Message::IceCandidate { candidate }));
        }
        assert_eq!(kept.offer(), "offer");
        assert_eq!(kept.candidates().collect::<Vec<_>>(), ["one", "", "thr\u{e9}e"]);
    }

    /// PS-32, PS-35
    #[test]
    fn who_sends_candidates_without_end_has_the_first_ones_kept() {
        let mut kept = kept("offer");
        let candidate = "c".repeat(1000);
        for _ in 0..100 {
            kept.keep_candidate(Given::Heard(&Message::IceCandidate { candidate: &candidate }));
        }
        assert_eq!(kept.candidates().count(), CANDIDATES_KEPT_BYTES_MAX / (1000 + LENGTH_BYTES));
        assert!(kept.candidates().all(|it| it == candidate));
        kept.keep_candidate(Given::Heard(&Message::IceCandidate { candidate: &"d".repeat(70_000) }));
        assert!(kept.candidates().all(|it| it == candidate));
    }
}
