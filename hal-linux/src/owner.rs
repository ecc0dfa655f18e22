//! Users and groups by name.

use std::ffi::CString;

use greenroom_core::hal::ErrorKind;
use rustix::fs::{Gid, Uid};

use crate::error::LinuxError;

/// The user of this name, or with this number. An empty name is nobody in particular.
///
/// Fails with [`ErrorKind::Owner`] when there is none.
pub fn user(name: &str) -> Result<Option<Uid>, LinuxError> {
    let known = || nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
    number(name, known, "find the user").map(|number| number.map(Uid::from_raw))
}

/// The group of this name, or with this number. An empty name is none in particular.
///
/// Fails with [`ErrorKind::Owner`] when there is none.
pub fn group(name: &str) -> Result<Option<Gid>, LinuxError> {
    let known = || nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
    number(name, known, "find the group").map(|number| number.map(Gid::from_raw))
}

/// The groups of a user, as the group database knows them: its primary one and those that name it as a member.
pub(crate) fn groups_of(user_id: u32, group_id: u32) -> Vec<u32> {
    let own = nix::unistd::Gid::from_raw(group_id);
    let user = nix::unistd::User::from_uid(user_id.into()).ok().flatten();
    let name = user.and_then(|user| CString::new(user.name).ok());
    let groups = name.and_then(|name| nix::unistd::getgrouplist(&name, own).ok()).unwrap_or_else(|| vec![own]);
    groups.into_iter().map(nix::unistd::Gid::as_raw).collect()
}

/// Nobody is looked for who has no name: the first search of a process reads files and loads libraries, for milliseconds.
fn number(name: &str, known: impl FnOnce() -> Option<u32>, step: &'static str) -> Result<Option<u32>, LinuxError> {
    if name.is_empty() {
        return Ok(None);
    }
    // The highest number means "leave it as it is" to the kernel.
    let number = known().or_else(|| name.parse().ok()).filter(|number| *number != u32::MAX);
    let unknown = || LinuxError::other(step, ErrorKind::Owner, "there is none of this name").about(name);
    number.map(Some).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use greenroom_core::hal::Error;

    use super::*;

    /// Field failure 19
    #[test]
    fn a_user_and_a_group_are_found_by_name_and_by_number() {
        assert_eq!(user("root").unwrap(), Some(Uid::ROOT));
        assert_eq!(group("0").unwrap(), Some(Gid::ROOT));
        assert_eq!(user("").unwrap(), None);
    }

    #[test]
    fn a_user_that_the_database_does_not_know_has_its_primary_group() {
        assert_eq!(groups_of(4_000_001, 4_000_002), [4_000_002]);
        assert!(groups_of(0, 0).contains(&0));
    }

    /// Field failure 19
    #[test]
    fn an_unknown_owner_is_a_failure_that_names_it() {
        let error = group("no-such-group").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Owner);
        assert_eq!(error.to_string(), "cannot find the group no-such-group: there is none of this name");
        assert_eq!(user("4294967295").unwrap_err().kind(), ErrorKind::Owner);
    }
}
