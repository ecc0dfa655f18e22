//! Users and groups by name.

use greenroom_core::hal::ErrorKind;
use rustix::fs::{Gid, Uid};

use crate::error::LinuxError;

/// The user of this name, or with this number. An empty name is nobody in particular.
///
/// Fails with [`ErrorKind::Owner`] when there is none.
pub fn user(name: &str) -> Result<Option<Uid>, LinuxError> {
    let known = nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
    number(name, known, "find the user").map(|number| number.map(Uid::from_raw))
}

/// The group of this name, or with this number. An empty name is none in particular.
///
/// Fails with [`ErrorKind::Owner`] when there is none.
pub fn group(name: &str) -> Result<Option<Gid>, LinuxError> {
    let known = nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
    number(name, known, "find the group").map(|number| number.map(Gid::from_raw))
}

fn number(name: &str, known: Option<u32>, step: &'static str) -> Result<Option<u32>, LinuxError> {
    if name.is_empty() {
        return Ok(None);
    }
    // The highest number means "leave it as it is" to the kernel.
    let number = known.or_else(|| name.parse().ok()).filter(|number| *number != u32::MAX);
    let unknown = || LinuxError::other(step, ErrorKind::Owner, "there is none of this name").about(name);
    number.map(Some).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use greenroom_core::hal::Error;

    use super::*;

    #[test]
    fn a_user_and_a_group_are_found_by_name_and_by_number() {
        assert_eq!(user("root").unwrap(), Some(Uid::ROOT));
        assert_eq!(group("0").unwrap(), Some(Gid::ROOT));
        assert_eq!(user("").unwrap(), None);
    }

    #[test]
    fn an_unknown_owner_is_a_failure_that_names_it() {
        let error = group("no-such-group").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Owner);
        assert_eq!(error.to_string(), "cannot find the group no-such-group: there is none of this name");
        assert_eq!(user("4294967295").unwrap_err().kind(), ErrorKind::Owner);
    }
}
