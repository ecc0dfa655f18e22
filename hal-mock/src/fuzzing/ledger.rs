//! Operations on a ledger, against a list of who holds what.

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::resources::{Ledger, Reservation, Shortage};

use super::steps::{below, steps};

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// Another box, with so many units and nothing reserved.
    Renew(u8),
    Reserve(u8),
    /// What was reserved so many reservations ago.
    Release(u8),
    WriteAndReadBack,
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 16)? {
            0 => Self::Renew(input.arbitrary()?),
            1..8 => Self::Reserve(input.arbitrary()?),
            8..15 => Self::Release(input.arbitrary()?),
            _ => Self::WriteAndReadBack,
        })
    }
}

struct Comparison {
    ledger: Ledger,
    total: u8,
    held: Vec<(Reservation, u8)>,
}

impl Comparison {
    fn new(total: u8) -> Self {
        Self { ledger: Ledger::new(total), total, held: Vec::new() }
    }

    fn free(&self) -> u8 {
        let held: u32 = self.held.iter().map(|(_, units)| u32::from(*units)).sum();
        let free = u32::from(self.total).checked_sub(held).expect("more is held than there is");
        free.try_into().expect("no more than there are")
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Renew(total) => *self = Self::new(total),
            Operation::Reserve(units) => self.reserve(units),
            Operation::Release(back) if usize::from(back) < self.held.len() => {
                let (reservation, units) = self.held.remove(self.held.len() - 1 - usize::from(back));
                assert_eq!(reservation.units(), units);
                self.ledger.release(reservation);
            }
            Operation::Release(_) => {}
            Operation::WriteAndReadBack => {
                let mut buffer = [0; 8];
                let written = encode(&self.ledger, &mut buffer).expect("it fits");
                self.ledger = decode(written).expect("it can be read back");
            }
        }
    }

    fn reserve(&mut self, units: u8) {
        let free = self.free();
        match self.ledger.reserve(units) {
            Ok(reservation) => {
                assert!(units <= free, "{units} of {free}");
                self.held.push((reservation, units));
            }
            Err(shortage) => {
                assert!(units > free, "{units} of {free} are there");
                assert_eq!(shortage, Shortage { wanted: units, free, total: self.total });
            }
        }
    }
}

/// Reserves and releases, and compares the ledger after each operation with a sum.
///
/// # Panics
///
/// When the two differ (SM-33, SM-40).
pub fn ledger(bytes: &[u8]) {
    let mut comparison = Comparison::new(2);
    for operation in steps(bytes) {
        comparison.perform(operation);
        assert_eq!(comparison.ledger.free(), comparison.free());
        assert_eq!(comparison.ledger.total(), comparison.total);
    }
}
