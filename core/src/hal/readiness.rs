//! Who is ready: what the platform's loop watches.

use super::ErrorType;

/// Names a source of readiness; the driver chooses it, the platform gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Token {
    /// What the source is. Lower ones are served first in a turn.
    pub kind: u8,
    /// Its place in the driver's table of that kind.
    pub index: u16,
    /// Which stay in that place: readiness of an earlier stay is stale.
    pub generation: u16,
}

impl Token {
    /// As one number, for a platform's own tables.
    pub const fn to_bits(self) -> u64 {
        (self.kind as u64) << 32 | (self.index as u64) << 16 | self.generation as u64
    }

    /// Back from [`Token::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self { kind: (bits >> 32) as u8, index: (bits >> 16) as u16, generation: bits as u16 }
    }
}

/// What a source of readiness is watched for. Its end is always reported, again and again, as readable: one that is
/// readable although reading was not asked for has ended, and is to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Interest {
    /// Something can be read.
    Read,
    /// Something can be written: set only while there is something to write.
    Write,
    /// Either.
    ReadWrite,
    /// Nothing but its end: the reply slot is full, so the source is not read.
    None,
}

/// A source is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ready {
    /// Which one.
    pub token: Token,
    /// Something can be read, or the end can be seen.
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
}

/// Watches sources of type `S` for readiness, level-triggered.
pub trait Watch<S: ?Sized>: ErrorType {
    /// Starts to watch.
    fn watch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), Self::Error>;
    /// Watches for something else from now on.
    fn rewatch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), Self::Error>;
    /// Ends watching; before the source is dropped.
    fn unwatch(&mut self, source: &S);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_platforms_number() {
        let token = Token { kind: 3, index: 65_535, generation: 7 };
        assert_eq!(Token::from_bits(token.to_bits()), token);
    }
}
