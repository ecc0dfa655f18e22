//! Where an app's socket lies (SM-01).

use core::fmt::Write;

use crate::message::{AppId, SocketPath};

/// The path that a request's text means; `None` when it is no plain path or too long.
///
/// A bare name lies in `directory`; a full path is taken as it is; `..` leads nowhere.
pub(super) fn resolve(directory: &str, socket: &str) -> Option<SocketPath> {
    let is_plain = |part: &str| part != ".." && part != "." && !part.contains('\0');
    if socket.ends_with('/') || !socket.split('/').all(is_plain) {
        return None;
    }
    if socket.starts_with('/') {
        return SocketPath::try_from(socket).ok();
    }
    if socket.contains('/') {
        return None;
    }
    let mut path = SocketPath::new();
    write!(path, "{}/{socket}", planted!("bare_name_misplaced", "", directory)).ok()?;
    Some(path)
}

/// The `attempt`th name of the manager's own choice for an app; the first one is plain.
pub(super) fn own(directory: &str, app: &AppId, attempt: u16) -> Option<SocketPath> {
    let mut path = SocketPath::new();
    match attempt {
        0 => write!(path, "{directory}/{app}.sock").ok()?,
        _ => write!(path, "{directory}/{app}.{attempt}.sock").ok()?,
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(socket: &str) -> Option<std::string::String> {
        resolve("/run/greenroom", socket).map(|path| path.as_str().into())
    }

    /// SM-01
    #[test]
    fn a_bare_name_lies_in_the_default_directory_and_a_full_path_is_as_it_is() {
        assert_eq!(resolved("app1.sock").as_deref(), Some("/run/greenroom/app1.sock"));
        assert_eq!(resolved("/tmp/a/b.sock").as_deref(), Some("/tmp/a/b.sock"));
    }

    /// SM-01
    #[test]
    fn a_path_that_could_lead_elsewhere_or_does_not_fit_is_none() {
        for odd in ["..", ".", "/tmp/../etc/x", "a/b", "../x", "/tmp/", "/tmp/a\0b", "/"] {
            assert_eq!(resolved(odd), None, "{odd}");
        }
        let longest = std::format!("/{}", "x".repeat(106));
        assert_eq!(resolved(&longest), Some(longest.clone()));
        assert_eq!(resolved(&std::format!("{longest}x")), None);
        assert_eq!(resolved(&"x".repeat(93)), None);
    }

    /// SM-01
    #[test]
    fn names_of_the_managers_choice_differ() {
        let app = AppId::new("app1").unwrap();
        assert_eq!(own("/run", &app, 0).unwrap(), "/run/app1.sock");
        assert_eq!(own("/run", &app, 2).unwrap(), "/run/app1.2.sock");
        assert_eq!(own(&"/x".repeat(60), &app, 0), None);
    }
}
