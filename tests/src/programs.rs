//! Where the programs are that the tests run.

use std::path::PathBuf;

/// Caller: a program has not been built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not there; run 'cargo build --bins' first", .0.display())]
pub struct NotBuilt(PathBuf);

/// The path of a program of this workspace, in the same build directory as the running test, example or program.
///
/// # Panics
/// When it has not been built: `cargo build --bins` builds all of them.
pub fn path(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|missing| panic!("{missing}"))
}

/// As [`path`], for who can do without.
pub fn find(name: &str) -> Result<PathBuf, NotBuilt> {
    let own = std::env::current_exe().expect("a process has a path");
    // Programs lie in target/PROFILE itself, tests and examples one deeper.
    let beside = own.ancestors().skip(1).take(2).map(|directory| directory.join(name)).find(|path| path.exists());
    beside.ok_or_else(|| NotBuilt(own.with_file_name(name)))
}
