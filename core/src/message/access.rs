//! Users and groups by number, and lists of those who may.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::hal::Peer;
use crate::limits::IDS_MAX;

/// Numbers of users, or of groups; at most [`IDS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(from = "Vec<u32, IDS_MAX>", into = "Vec<u32, IDS_MAX>")]
pub struct Ids {
    ids: [u32; IDS_MAX],
    length: u16,
}

impl fmt::Debug for Ids {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.as_slice()).finish()
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::NONE
    }
}

impl Ids {
    /// No numbers.
    pub const NONE: Self = Self { ids: [0; IDS_MAX], length: 0 };

    /// These numbers; `None` when there are more than [`IDS_MAX`].
    pub fn new(ids: &[u32]) -> Option<Self> {
        (ids.len() <= IDS_MAX).then(|| Self::first_of(ids))
    }

    /// The first [`IDS_MAX`] of these numbers.
    pub fn first_of(ids: &[u32]) -> Self {
        let mut list = Self::NONE;
        for (place, id) in list.ids.iter_mut().zip(ids) {
            *place = *id;
            list.length = list.length.saturating_add(1);
        }
        list
    }

    /// The numbers, in their order.
    pub fn as_slice(&self) -> &[u32] {
        self.ids.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Whether this is one of them.
    pub fn contains(&self, id: u32) -> bool {
        self.as_slice().contains(&id)
    }
}

impl From<Vec<u32, IDS_MAX>> for Ids {
    fn from(ids: Vec<u32, IDS_MAX>) -> Self {
        Self::first_of(&ids)
    }
}

impl From<Ids> for Vec<u32, IDS_MAX> {
    fn from(ids: Ids) -> Self {
        ids.as_slice().iter().copied().collect()
    }
}

/// Who may do something: these users, and the members of these groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Allowed {
    /// Users.
    pub users: Ids,
    /// Groups; a peer's own one and its supplementary ones count.
    pub groups: Ids,
}

impl Allowed {
    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.users.as_slice().is_empty() && self.groups.as_slice().is_empty()
    }

    /// Whether it names this peer, or a group of it.
    pub fn names(&self, peer: &Peer) -> bool {
        let is_member = |group: &u32| *group == peer.group_id || peer.groups.contains(*group);
        self.users.contains(peer.user_id) || self.groups.as_slice().iter().any(is_member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::postcard::{decode, encode};

    fn peer(user_id: u32, group_id: u32, groups: &[u32]) -> Peer {
        Peer { process_id: 1, user_id, group_id, groups: Ids::first_of(groups) }
    }

    #[test]
    fn a_user_is_named_by_its_number_or_by_any_of_its_groups() {
        let allowed = Allowed { users: Ids::first_of(&[1000]), groups: Ids::first_of(&[44, 29]) };
        assert!(allowed.names(&peer(1000, 1000, &[])));
        assert!(allowed.names(&peer(1001, 44, &[])));
        assert!(allowed.names(&peer(1001, 1001, &[7, 29])));
        assert!(!allowed.names(&peer(44, 1000, &[1000])), "a user's number is no group's");
    }

    #[test]
    fn more_than_fit_are_refused_or_left_out_and_never_granted() {
        let many: std::vec::Vec<u32> = (1..=IDS_MAX as u32 + 1).collect();
        assert_eq!(Ids::new(&many), None);
        let first = Ids::first_of(&many);
        assert_eq!(first.as_slice(), &many[..IDS_MAX]);
        assert!(!first.contains(0), "an empty place is nobody");
    }

    #[test]
    fn a_list_takes_no_more_bytes_than_its_numbers_and_a_longer_one_is_malformed() {
        let mut buffer = [0; 256];
        assert_eq!(encode(&Ids::first_of(&[0, 300]), &mut buffer).unwrap(), [2, 0, 0xAC, 2]);
        assert_eq!(decode::<Ids>(&[2, 0, 0xAC, 2]), Ok(Ids::first_of(&[0, 300])));
        let mut long = std::vec![0; IDS_MAX + 2];
        long[0] = IDS_MAX as u8 + 1;
        assert!(decode::<Ids>(&long).is_err());
    }
}
