//! The ledger: who holds how many of a kind of unit that is scarce.
//!
//! The manager keeps one for the box's decoders (SM-40). A unit is free when its holder gave it back or its holder's
//! end was observed, never because time passed; so there is no clock here.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Units that are not there, so nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shortage {
    /// How many were wanted.
    pub wanted: u8,
    /// How many are free.
    pub free: u8,
    /// How many there are.
    pub total: u8,
}

impl fmt::Display for Shortage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} wanted, {} of {} free", self.wanted, self.free, self.total)
    }
}

impl core::error::Error for Shortage {}

/// Units that are reserved. It cannot be copied: who has it holds them, and [`Ledger::release`] takes it back.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a reservation that is dropped keeps its units for ever; release it"]
pub struct Reservation {
    units: u8,
}

impl Reservation {
    /// How many units it holds.
    pub const fn units(&self) -> u8 {
        self.units
    }
}

/// So many units of one kind, and how many of them are taken.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ledger {
    total: u8,
    taken: u8,
}

impl Ledger {
    /// A ledger of `total` units, all free.
    pub const fn new(total: u8) -> Self {
        Self { total, taken: 0 }
    }

    /// How many there are.
    pub const fn total(&self) -> u8 {
        self.total
    }

    /// How many are free.
    pub const fn free(&self) -> u8 {
        self.total.saturating_sub(self.taken)
    }

    /// Takes all of `units`, or none.
    pub fn reserve(&mut self, units: u8) -> Result<Reservation, Shortage> {
        if units > planted!("units_granted_twice", self.total, self.free()) {
            return Err(Shortage { wanted: units, free: self.free(), total: self.total });
        }
        self.taken = self.taken.saturating_add(units);
        Ok(Reservation { units })
    }

    /// Takes units back, once their holder has let go of them or is seen to have ended.
    pub fn release(&mut self, reservation: Reservation) {
        self.taken = self.taken.saturating_sub(planted!("units_never_returned", 0, reservation.units));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SM-33, SM-40
    #[test]
    fn a_shortage_reserves_nothing_and_says_what_is_free() {
        let mut ledger = Ledger::new(2);
        let one = ledger.reserve(1).unwrap();
        assert_eq!(ledger.reserve(2), Err(Shortage { wanted: 2, free: 1, total: 2 }));
        assert_eq!(ledger.free(), 1);
        ledger.release(one);
        assert_eq!(ledger.reserve(2).unwrap().units(), 2);
    }

    #[test]
    fn nothing_is_always_there_to_be_reserved() {
        let mut ledger = Ledger::new(0);
        let none = ledger.reserve(0).unwrap();
        assert_eq!((none.units(), ledger.free()), (0, 0));
        assert!(ledger.reserve(1).is_err());
    }
}
