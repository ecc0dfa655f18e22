//! Where the programs are that the tests run.

use std::path::PathBuf;

/// The path of a program of this workspace, in the same build directory as the running test.
///
/// # Panics
/// When it has not been built: `cargo build --bins` builds all of them.
pub fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("tests lie in target/PROFILE/deps");
    let program = profile.join(name);
    assert!(program.exists(), "{} is not there; run 'cargo build --bins' first", program.display());
    program
}
