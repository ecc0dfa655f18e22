//! Small files that outlive the program: whole or not there, whatever happens while they are written.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use greenroom_core::hal::ErrorKind;

use crate::error::LinuxError;

const PRIVATE: u32 = 0o600;

/// Puts a file with these bytes in the place of what is there, readable for nobody else. Whoever reads it, and even the
/// next start after a power cut, finds the old bytes or the new ones.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), LinuxError> {
    let (directory, new) = (parent(path), beside(path));
    let replaced =
        write_new(&new, bytes).and_then(|()| fs::rename(&new, path)).and_then(|()| sync_directory(&directory));
    replaced.map_err(|error| {
        // What is left of it would be in nobody's way, and nobody would know it.
        let _ = fs::remove_file(&new);
        failure("write", path, &error)
    })
}

/// Takes the right to read a file from everybody else.
pub(crate) fn make_private(path: &Path) -> Result<(), LinuxError> {
    let mode = fs::metadata(path).map_err(|error| failure("look at", path, &error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!("{} could be read by others; it holds a key", path.display());
    fs::set_permissions(path, Permissions::from_mode(PRIVATE)).map_err(|error| failure("protect", path, &error))
}

/// Why something could not be done with a file.
pub(crate) fn failure(step: &'static str, path: &Path, error: &io::Error) -> LinuxError {
    match rustix::io::Errno::from_io_error(error) {
        Some(errno) => LinuxError::new(step, errno),
        None => LinuxError::other(step, ErrorKind::Other, error),
    }
    .about(path.display())
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    }
}

/// In the same directory, so that it can take the other's place; one process writes a file.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
