//! Where the programs are that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// A program that is run by another one, which these words start and which becomes it; without words it runs by itself.
pub fn command(runs_within: &[String], program: &Path) -> Command {
    let Some((first, rest)) = runs_within.split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}
