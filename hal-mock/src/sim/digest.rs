//! The hash of a log, made as the log grows.

use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// A hash of everything that was put in, in its order. It is for comparing two runs, not for keeping out forgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    state: u64,
    word: u64,
    bytes: u32,
}

impl Default for Digest {
    fn default() -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15, word: 0, bytes: 0 }
    }
}

impl Digest {
    /// Takes a number.
    pub(super) fn number(&mut self, number: u64) {
        let mixed = (self.state ^ number).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.state = mixed ^ (mixed >> 32);
    }

    /// Takes anything that can be written.
    pub(super) fn value(&mut self, value: &impl Serialize) {
        match postcard::serialize_with_flavor(value, *self) {
            Ok(digest) => *self = digest,
            Err(error) => unreachable!("every input can be written: {error}"),
        }
    }

    /// What it comes to so far.
    pub(super) fn finish(mut self) -> u64 {
        self.number(self.word);
        self.number(u64::from(self.bytes));
        self.state
    }
}

impl Flavor for Digest {
    type Output = Self;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.word = self.word << 8 | u64::from(byte);
        self.bytes = self.bytes.wrapping_add(1);
        if self.bytes.is_multiple_of(8) {
            self.number(self.word);
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(values: &[(u32, &str)]) -> u64 {
        let mut digest = Digest::default();
        values.iter().for_each(|value| digest.value(value));
        digest.finish()
    }

    #[test]
    fn two_logs_that_differ_in_one_thing_or_in_order_have_different_hashes() {
        let log = digest_of(&[(1, "one"), (2, "two")]);
        assert_eq!(digest_of(&[(1, "one"), (2, "two")]), log);
        assert_ne!(digest_of(&[(2, "two"), (1, "one")]), log);
        assert_ne!(digest_of(&[(1, "one"), (2, "twp")]), log);
        assert_ne!(digest_of(&[(1, "one")]), log);
    }
}
