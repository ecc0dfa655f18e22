//! What can be seen of a process from the outside, in `/proc`.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Whether there is a process of this number, be it a zombie.
pub fn exists(process_id: u32) -> bool {
    Path::new(&format!("/proc/{process_id}")).exists()
}

/// The memory of traces: each process has its own, and the manager keeps that of the last crashed server of each app.
pub const TRACE: &str = "/memfd:greenroom-trace";

/// What the open descriptors of a process refer to, e.g. `/dev/null`, `socket:[123]`, `/memfd:name (deleted)`; without
/// those of traces, which come and go with what happens.
pub fn descriptors(process_id: u32) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process_id}/fd")) else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, fs::read_link(entry.path()).ok()?))
        })
        .filter(|(_, target): &(u32, PathBuf)| !target.to_string_lossy().starts_with(TRACE))
        .collect()
}

/// How many descriptors of shared memory a process has open.
pub fn memfds(process_id: u32) -> usize {
    descriptors(process_id).iter().filter(|(_, target)| target.to_string_lossy().starts_with("/memfd:")).count()
}

/// How many mappings of shared memory a process has.
pub fn memfd_mappings(process_id: u32) -> usize {
    let maps = fs::read_to_string(format!("/proc/{process_id}/maps")).unwrap_or_default();
    maps.lines().filter(|line| line.contains("/memfd:") && !line.contains(TRACE)).count()
}

/// The processes whose parent is this one, whichever of its threads started them.
pub fn children(process_id: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process_id}/task")) else { return Vec::new() };
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Whether a process has ended and was not reaped.
pub fn is_zombie(process_id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// The names of the socket files in a directory, in order.
///
/// # Panics
/// When there is no such directory.
pub fn socket_files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory is there");
    let mut sockets: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    sockets.sort();
    sockets
}
