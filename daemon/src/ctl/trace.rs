//! Saves what the manager and the session servers have recorded, replays it, and draws it.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use greenroom_core::message::control::{Answer, Command};
use greenroom_core::trace::file::{File, FileError, Origin};
use greenroom_core::trace::segments;
use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::memory::trace;
use greenroom_hal_mock::replay::{Outcome, ReplayError, file_of, replay};
use greenroom_hal_mock::sequence::Detail;
use greenroom_hal_mock::sequence::trace::{Story, sequence_of};

use crate::command_line::ctl::Notation;
use crate::config::TRACE_BYTES_MAX;
use crate::control::{ControlClient, ControlError};

/// Why there is no trace, or none that can be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The manager was not asked, or refused.
    #[error("{0}")]
    Control(#[from] ControlError),
    /// Caller: nobody records.
    #[error("nothing is recorded; set [trace] bytes in the configuration and restart the manager")]
    Off,
    /// Caller: the file cannot be written.
    #[error("cannot write {path}: {cause}; give another path")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the platform said.
        cause: io::Error,
    },
    /// Caller: the file cannot be read.
    #[error("cannot read {path}: {cause}; give another path")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the platform said.
        cause: io::Error,
    },
    /// Platform: what a process has recorded cannot be read.
    #[error("{0}")]
    Memory(#[from] LinuxError),
    /// Caller: the file is no trace, or is not whole.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: FileError,
    },
    /// The replay does not come to what was recorded.
    #[error("{path}: {error}")]
    Replay {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: ReplayError,
    },
}

/// One trace of a file that was saved.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Whose it is.
    pub origin: Origin,
    /// Segments that are whole.
    pub segments: usize,
}

/// Saves the traces of the manager and of all session servers; those that have only just started have none.
pub fn save(client: &mut ControlClient, path: &Path) -> Result<Vec<Saved>, TraceError> {
    let mut read = Vec::new();
    for (origin, memory) in traces(client)? {
        read.push((origin, trace::read(memory, TRACE_BYTES_MAX)?));
    }
    let bytes = file_of(read.iter().map(|(origin, memory)| (origin, memory.as_slice())));
    let count = |(origin, memory): (Origin, Vec<u8>)| Saved { origin, segments: segments(&memory).count() };
    let saved: Vec<Saved> = read.into_iter().map(count).filter(|saved| saved.segments > 0).collect();
    if saved.is_empty() {
        return Err(TraceError::Off);
    }
    write_whole(path, &bytes).map_err(|cause| TraceError::Unwritable { path: path.to_owned(), cause })?;
    Ok(saved)
}

fn traces(client: &mut ControlClient) -> Result<Vec<(Origin, OwnedFd)>, ControlError> {
    let (mut traces, mut from) = (Vec::new(), 0);
    loop {
        match client.request_with_descriptors(Command::Trace { from })? {
            (Answer::Trace { next, origin }, mut descriptors) if next > from => {
                traces.push((origin, descriptors.pop().ok_or(ControlError::Protocol)?));
                from = next;
            }
            (Answer::Done, _) => return Ok(traces),
            _ => return Err(ControlError::Protocol),
        }
    }
}

/// Nobody finds half a file, and what is in it is for who may drive the box only: it goes to no file that somebody else has
/// put there, and what is no file (a device, a pipe) is not replaced.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is no file"));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    // Left by one that was killed.
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// Replays a file. `line` gets what can be read about each step.
pub fn replay_file(path: &Path, mut line: impl FnMut(&str)) -> Result<Vec<Outcome>, TraceError> {
    let bytes = read(path)?;
    let outcomes = replay(&parse(path, &bytes)?, |step| line(&step.to_string()));
    outcomes.map_err(|error| TraceError::Replay { path: path.to_owned(), error })
}

/// Draws files: what is in any of them of one and the same run.
pub fn draw_files(paths: &[PathBuf], notation: Notation, detail: Detail) -> Result<Drawn, TraceError> {
    let contents = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let files = paths.iter().zip(&contents).map(|(path, bytes)| parse(path, bytes)).collect::<Result<Vec<_>, _>>()?;
    let path = paths.last().cloned().unwrap_or_default();
    let title = path.file_name().unwrap_or_default().to_string_lossy();
    let sequence = sequence_of(&files, &Story { title: &title, detail, apps: &[] });
    let sequence = sequence.map_err(|error| TraceError::Replay { path: path.clone(), error })?;
    let left_out = sequence.left_out();
    let diagram = sequence.finish();
    let text = match notation {
        Notation { svg: true, .. } => diagram.to_svg(),
        Notation { mermaid: true, .. } => diagram.to_mermaid(),
        Notation { plantuml: true, .. } => diagram.to_plantuml(),
        Notation { .. } => diagram.to_text(),
    };
    Ok(Drawn { text, left_out })
}

/// A diagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// In the notation that was wanted.
    pub text: String,
    /// Messages that come again and again and are not in it.
    pub left_out: usize,
}

fn read(path: &Path) -> Result<Vec<u8>, TraceError> {
    fs::read(path).map_err(|cause| TraceError::Unreadable { path: path.to_owned(), cause })
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<File<'a>, TraceError> {
    File::parse(bytes).map_err(|error| TraceError::File { path: path.to_owned(), error })
}

/// Writes a diagram that was drawn.
pub fn write_diagram(path: &Path, drawn: &Drawn) -> Result<(), TraceError> {
    fs::write(path, &drawn.text).map_err(|cause| TraceError::Unwritable { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_trace_goes_into_no_file_that_somebody_else_has_put_there() {
        let place = tempfile::tempdir().unwrap();
        let [path, beside, other] = ["box.trace", "box.trace.part", "other"].map(|name| place.path().join(name));
        fs::write(&other, "of somebody else").unwrap();
        symlink(&other, &beside).unwrap();
        symlink(&other, &path).unwrap();
        write_whole(&path, b"secret").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"of somebody else");
        let written = fs::symlink_metadata(&path).unwrap();
        assert!(written.is_file() && written.permissions().mode() & 0o777 == 0o600);
        assert!(!beside.exists() && fs::read(&path).unwrap() == b"secret");
    }

    #[test]
    fn what_is_no_file_is_not_replaced_by_a_trace() {
        let place = tempfile::tempdir().unwrap();
        let device = place.path().join("null");
        symlink("/dev/null", &device).unwrap();
        assert!(write_whole(&device, b"secret").is_err());
        assert!(write_whole(place.path(), b"secret").is_err());
        assert_eq!(fs::read_link(&device).unwrap(), Path::new("/dev/null"));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
