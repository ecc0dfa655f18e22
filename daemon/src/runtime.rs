//! Where sockets and programs lie when nobody says otherwise.

use std::env;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

const SESSION_PROGRAM: &str = "greenroom-session";
const PRESENTATION_PROGRAM: &str = "greenroom-presentation";
const WEB_PROGRAM: &str = "greenroom-web";

/// The environment variable that names the manager's control socket.
pub const CONTROL_VARIABLE: &str = "GREENROOM_CONTROL";

/// The directory of Greenroom's sockets: `$RUNTIME_DIRECTORY`, which systemd sets for a service with
/// `RuntimeDirectory=greenroom`, else `/run/greenroom` for root, else `$XDG_RUNTIME_DIR/greenroom`, else
/// `/tmp/greenroom-UID`.
pub fn directory() -> PathBuf {
    let named = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(of_service) = named("RUNTIME_DIRECTORY") {
        return of_service;
    }
    let user = rustix::process::geteuid();
    if user.is_root() {
        return PathBuf::from("/run/greenroom");
    }
    match named("XDG_RUNTIME_DIR") {
        Some(own) => own.join("greenroom"),
        None => PathBuf::from(format!("/tmp/greenroom-{}", user.as_raw())),
    }
}

/// The manager's control socket: `$GREENROOM_CONTROL`, else `control.sock` in [`directory`].
pub fn control_socket() -> PathBuf {
    env::var_os(CONTROL_VARIABLE).map_or_else(|| directory().join("control.sock"), PathBuf::from)
}

/// The environment variable that names the presentation service's socket.
pub const PRESENTATION_VARIABLE: &str = "GREENROOM_PRESENTATION";

/// The presentation service's socket: `$GREENROOM_PRESENTATION`, else `presentation.sock` in [`directory`].
pub fn presentation_socket() -> PathBuf {
    env::var_os(PRESENTATION_VARIABLE).map_or_else(|| directory().join("presentation.sock"), PathBuf::from)
}

/// Where what outlives the programs is kept: `$STATE_DIRECTORY`, which systemd sets for a service with
/// `StateDirectory=greenroom`, else `/var/lib/greenroom` for root, else `$XDG_STATE_HOME/greenroom`, else
/// `~/.local/state/greenroom`.
pub fn state_directory() -> PathBuf {
    let named = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(of_service) = named("STATE_DIRECTORY") {
        return of_service;
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/greenroom");
    }
    let own = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
    own.unwrap_or_else(|| PathBuf::from("/var/lib")).join("greenroom")
}

/// The session server's program.
pub fn session_program() -> PathBuf {
    own_program(SESSION_PROGRAM)
}

/// The presentation service's program.
pub fn presentation_program() -> PathBuf {
    own_program(PRESENTATION_PROGRAM)
}

/// The program that serves browsers.
pub fn web_program() -> PathBuf {
    own_program(WEB_PROGRAM)
}

/// A program of ours: beside this one, where a build leaves it, else where an installation has it, in
/// `../libexec/greenroom`.
fn own_program(name: &str) -> PathBuf {
    let own = env::current_exe().ok();
    let directory = own.as_deref().and_then(Path::parent).unwrap_or(Path::new("/usr/bin"));
    let beside = directory.join(name);
    let installed = directory.with_file_name("libexec").join("greenroom").join(name);
    if installed.exists() && !beside.exists() { installed } else { beside }
}

/// Makes the directory with this mode, if it is not there.
///
/// One that is there must be a directory of this user or of root: in `/tmp` anybody could have made it first.
pub fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_owner(path),
        made => made,
    }
}

fn check_owner(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let by_root = found.uid() == 0;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if (found.is_dir() && (ours || by_root)) || (found.is_symlink() && by_root) {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::PermissionDenied, "it is there, but is no directory of this user; remove it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_with_its_mode_and_found_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("greenroom");
        make_directory(&path, 0o700).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        make_directory(&path, 0o700).unwrap();
    }

    #[test]
    fn what_is_no_directory_is_not_used() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("greenroom");
        fs::write(&path, "").unwrap();
        assert_eq!(make_directory(&path, 0o700).unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
}
