//! Mozilla's control protocol: one JSON object a line.
//!
//! ```text
//! bytes, split anyhow --> Lines --> one line of UTF-8 --> decode --> Message<&str>, borrowed from the line
//!                          Message<&str> --> encode --> a line of ASCII
//! ```
//!
//! In, much is tolerated: empty lines, CR LF, fields and types that are not known, Latin-1 where UTF-8 is due. Out goes
//! ASCII only: what is not ASCII is escaped, because Mozilla's peers read bytes as Latin-1, and every peer knows escapes.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod emit;
mod lines;
mod parse;
#[cfg(test)]
mod tests;

use core::fmt;

pub use emit::encode;
pub use lines::Lines;
pub use parse::decode;

/// Why a line is no message. The peer is to blame, and what comes after the line is not touched by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Garbage {
    /// It is longer than the buffer for lines; all of it was dropped.
    TooLong,
    /// It is no JSON object, or one that is nested deeper than any message.
    NotJson,
    /// It is a known message without what belongs to it.
    Incomplete,
}

impl fmt::Display for Garbage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TooLong => "the peer sent a line that is longer than any message",
            Self::NotJson => "the peer sent a line that is no message",
            Self::Incomplete => "the peer sent a message that lacks what belongs to it",
        })
    }
}

impl core::error::Error for Garbage {}
