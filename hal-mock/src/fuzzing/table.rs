//! Operations on a table, against a list of what was put in.

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::table::{Full, Handle, Table};

use super::steps::{below, steps};

const PLACES: usize = 5;
/// Bytes that a table of this size takes at most when it is written.
const WRITTEN_BYTES_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Insert(u8),
    /// Of one of the handles that were ever given out, counted from the last.
    Remove(u8),
    Change(u8, u8),
    /// With a handle that nobody gave out, or somebody may have.
    Forge(u16, u16),
    WriteAndReadBack,
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 8)? {
            0..3 => Self::Insert(input.arbitrary()?),
            3 | 4 => Self::Remove(input.arbitrary()?),
            5 => Self::Change(input.arbitrary()?, input.arbitrary()?),
            6 => Self::Forge(below(input, 8)?.into(), below(input, 8)?.into()),
            _ => Self::WriteAndReadBack,
        })
    }
}

/// A table, and what is known to be in it.
struct Comparison {
    table: Table<u8, PLACES>,
    /// Every handle that was ever given out.
    given: Vec<Handle<u8>>,
    /// What must be in the table.
    model: Vec<(Handle<u8>, u8)>,
}

impl Comparison {
    fn expected(&self, handle: Handle<u8>) -> Option<u8> {
        self.model.iter().find(|(known, _)| *known == handle).map(|(_, entry)| *entry)
    }

    fn handle(&self, back: u8) -> Option<Handle<u8>> {
        self.given.iter().rev().nth(back.into()).copied()
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Insert(entry) => self.insert(entry),
            Operation::Remove(back) => {
                let Some(handle) = self.handle(back) else { return };
                let expected = self.expected(handle);
                assert_eq!(self.table.remove(handle), expected);
                self.model.retain(|(known, _)| *known != handle);
            }
            Operation::Change(back, to) => {
                let Some(handle) = self.handle(back) else { return };
                let found = self.table.get_mut(handle).map(|entry| std::mem::replace(entry, to));
                assert_eq!(found, self.expected(handle));
                self.model.iter_mut().filter(|(known, _)| *known == handle).for_each(|(_, entry)| *entry = to);
            }
            Operation::Forge(index, generation) => {
                let forged = Handle::from_parts(index, generation);
                assert_eq!(self.table.get(forged).copied(), self.expected(forged));
            }
            Operation::WriteAndReadBack => {
                let mut buffer = [0; WRITTEN_BYTES_MAX];
                let written = encode(&self.table, &mut buffer).expect("it fits");
                self.table = decode(written).expect("it can be read back");
            }
        }
    }

    fn insert(&mut self, entry: u8) {
        match self.table.insert(entry) {
            Ok(handle) => {
                assert!(self.model.len() < PLACES, "more than there are places");
                assert!(!self.given.contains(&handle), "{handle:?} was given out before");
                self.given.push(handle);
                self.model.push((handle, entry));
            }
            Err(Full(back)) => assert_eq!((back, self.model.len()), (entry, PLACES), "full, and gives it back"),
        }
    }

    fn check(&self) {
        assert_eq!(usize::from(self.table.in_use()), self.model.len());
        for &handle in &self.given {
            assert_eq!(self.table.get(handle).copied(), self.expected(handle));
        }
        let mut expected = self.model.clone();
        expected.sort_by_key(|(handle, _)| handle.index());
        let found: Vec<_> = self.table.iter().map(|(handle, entry)| (handle, *entry)).collect();
        assert_eq!(found, expected);
        for index in 0..PLACES as u16 + 1 {
            let present = expected.iter().find(|(handle, _)| handle.index() == index).map(|(handle, _)| *handle);
            assert_eq!(self.table.handle_at(index), present);
        }
    }
}

/// Performs operations on a table and compares it after each with a list.
///
/// # Panics
///
/// When the two differ, or a handle reaches what it does not name.
pub fn table(bytes: &[u8]) {
    let mut comparison = Comparison { table: Table::new(), given: Vec::new(), model: Vec::new() };
    for operation in steps(bytes) {
        comparison.perform(operation);
        comparison.check();
    }
}
