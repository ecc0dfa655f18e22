//! Fixed tables whose handles carry a generation.
//!
//! A handle names one stay of one entry: when the entry is removed, its handle is worth nothing, even after
//! another entry has moved into the same place. What arrives late with an old handle is so told apart
//! from what is meant for the present entry.

pub(crate) mod deadlines;
pub(crate) mod index;
pub(crate) mod rings;

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names one stay of an entry in a [`Table`] of `T`.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Handle<T> {
    index: u16,
    generation: u16,
    #[serde(skip)]
    kind: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
    /// A handle from its two parts, as they came back from a platform or a peer.
    ///
    /// Nothing is granted by it: a table gives an entry only to the handle that it made itself.
    pub const fn from_parts(index: u16, generation: u16) -> Self {
        Self { index, generation, kind: PhantomData }
    }

    /// The place in the table.
    pub const fn index(self) -> u16 {
        self.index
    }

    /// Which stay in that place.
    pub const fn generation(self) -> u16 {
        self.generation
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Handle<T> {}
impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.generation) == (other.index, other.generation)
    }
}
impl<T> Eq for Handle<T> {}
impl<T> Hash for Handle<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.index, self.generation).hash(state);
    }
}
impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.index, self.generation)
    }
}
#[cfg(feature = "defmt")]
impl<T> defmt::Format for Handle<T> {
    fn format(&self, out: defmt::Formatter<'_>) {
        defmt::write!(out, "{}.{}", self.index, self.generation);
    }
}

/// The table was full; here is the value back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Slot<T> {
    generation: u16,
    entry: Option<T>,
}

/// At most `N` entries of `T`, found by [`Handle`]. `N` is at most 65535.
#[derive(Clone, Debug)]
pub struct Table<T, const N: usize> {
    slots: [Slot<T>; N],
    in_use: u16,
    /// No place before this one is free, so that a place is not searched from the start each time.
    taken_up_to: u16,
}

impl<T, const N: usize> Default for Table<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Table<T, N> {
    const CAPACITY: u16 = {
        assert!(N <= u16::MAX as usize, "a table has at most 65535 places");
        N as u16
    };

    /// An empty table.
    pub const fn new() -> Self {
        let _ = Self::CAPACITY;
        Self { slots: [const { Slot { generation: 0, entry: None } }; N], in_use: 0, taken_up_to: 0 }
    }

    /// How many entries there can be.
    pub const fn capacity(&self) -> u16 {
        Self::CAPACITY
    }

    /// How many entries there are.
    pub const fn in_use(&self) -> u16 {
        self.in_use
    }

    /// Takes an entry in; a full table gives it back.
    pub fn insert(&mut self, entry: T) -> Result<Handle<T>, Full<T>> {
        let from = usize::from(self.taken_up_to);
        let mut places = self.slots.iter_mut().enumerate().skip(from);
        let Some((index, slot)) = places.find(|(_, slot)| slot.entry.is_none()) else {
            self.taken_up_to = Self::CAPACITY;
            return Err(Full(entry));
        };
        slot.generation = slot.generation.wrapping_add(planted!("same_generation_again", 0, 1));
        slot.entry = Some(entry);
        self.in_use = self.in_use.saturating_add(1);
        // CAPACITY has proved that every index fits.
        self.taken_up_to = index as u16;
        Ok(Handle::from_parts(index as u16, slot.generation))
    }

    /// Takes the entry of this handle out.
    pub fn remove(&mut self, handle: Handle<T>) -> Option<T> {
        let slot = self.slots.get_mut(usize::from(handle.index))?;
        if slot.generation != handle.generation {
            return None;
        }
        let entry = slot.entry.take()?;
        self.in_use = self.in_use.saturating_sub(1);
        self.taken_up_to = planted!("freed_place_forgotten", self.taken_up_to, self.taken_up_to.min(handle.index));
        Some(entry)
    }

    /// The entry of this handle.
    pub fn get(&self, handle: Handle<T>) -> Option<&T> {
        let slot = self.slots.get(usize::from(handle.index))?;
        slot.entry.as_ref().filter(|_| slot.generation == handle.generation)
    }

    /// The entry of this handle, to change.
    pub fn get_mut(&mut self, handle: Handle<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(usize::from(handle.index))?;
        if planted!("wrong_generation", false, slot.generation != handle.generation) {
            return None;
        }
        slot.entry.as_mut()
    }

    /// The present entry of a place, whichever stay it is.
    pub fn handle_at(&self, index: u16) -> Option<Handle<T>> {
        let slot = self.slots.get(usize::from(index))?;
        slot.entry.as_ref().map(|_| Handle::from_parts(index, slot.generation))
    }

    /// All entries with their handles, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (Handle<T>, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            slot.entry.as_ref().map(|entry| (Handle::from_parts(index as u16, slot.generation), entry))
        })
    }

    /// All entries with their handles, to change, in the order of their places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Handle<T>, &mut T)> {
        self.slots.iter_mut().enumerate().filter_map(|(index, slot)| {
            let handle = Handle::from_parts(index as u16, slot.generation);
            slot.entry.as_mut().map(|entry| (handle, entry))
        })
    }
}

impl<T: Serialize, const N: usize> Serialize for Table<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(N))?;
        for slot in &self.slots {
            sequence.serialize_element(slot)?;
        }
        sequence.end()
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Table<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Slots<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Slots<T, N> {
            type Value = Table<T, N>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "the {N} places of a table")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut places: A) -> Result<Self::Value, A::Error> {
                let mut table = Table::new();
                for (index, slot) in table.slots.iter_mut().enumerate() {
                    *slot = places.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &"more places"))?;
                    table.in_use = table.in_use.saturating_add(u16::from(slot.entry.is_some()));
                }
                Ok(table)
            }
        }
        deserializer.deserialize_seq(Slots(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SM-34
    #[test]
    fn a_full_table_gives_the_value_back_and_takes_it_after_a_removal() {
        let mut table = Table::<u8, 2>::new();
        let first = table.insert(1).unwrap();
        table.insert(2).unwrap();
        assert_eq!(table.insert(3), Err(Full(3)));
        assert_eq!(table.in_use(), 2);
        assert_eq!(table.remove(first), Some(1));
        assert!(table.insert(3).is_ok());
    }

    /// SM-12, SM-30: what is late means nothing to who came after.
    #[test]
    fn the_handle_of_a_removed_entry_does_not_reach_its_successor() {
        let mut table = Table::<u8, 1>::new();
        let old = table.insert(1).unwrap();
        table.remove(old);
        let new = table.insert(2).unwrap();
        assert_eq!(old.index(), new.index());
        assert_eq!(table.get(old), None);
        assert_eq!(table.get_mut(old), None);
        assert_eq!(table.remove(old), None);
        assert_eq!(table.get(new), Some(&2));
        assert_eq!(table.handle_at(0), Some(new));
    }

    #[test]
    fn a_handle_outside_the_table_finds_nothing() {
        let mut table = Table::<u8, 1>::new();
        assert_eq!(table.get(Handle::from_parts(9, 0)), None);
        assert_eq!(table.remove(Handle::from_parts(9, 0)), None);
        assert_eq!(table.handle_at(9), None);
    }

    #[test]
    fn a_table_survives_being_written_and_read_back() {
        let mut table = Table::<u8, 3>::new();
        let gone = table.insert(1).unwrap();
        let kept = table.insert(2).unwrap();
        table.remove(gone);
        let mut bytes = [0; 32];
        let written = postcard::to_slice(&table, &mut bytes).unwrap();
        let mut read: Table<u8, 3> = postcard::from_bytes(written).unwrap();
        assert_eq!((read.get(kept), read.get(gone), read.in_use()), (Some(&2), None, 1));
        assert_eq!(read.insert(3).unwrap(), table.insert(3).unwrap());
    }
}
