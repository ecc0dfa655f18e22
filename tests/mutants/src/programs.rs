//! The test programs: built once, with all bugs in them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Failure;
use crate::names::Names;

/// What is tested without a program of its own, and what is tested on the mock; what needs real time comes last.
const PACKAGES: &[&str] = &["greenroom-core", "greenroom-hal-mock", "greenroom-mutants", "greenroom-hal-linux"];

/// One test, and what it names.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// Where its package stands: those in front take less time.
    pub(crate) rank: usize,
    pub(crate) program: PathBuf,
    pub(crate) name: String,
    pub(crate) names: Vec<String>,
}

impl Test {
    pub(crate) fn named(&self, requirement: &str) -> bool {
        self.names.iter().any(|name| name == requirement)
    }
}

/// Builds all test programs and lists their tests.
pub(crate) fn build(names: &Names) -> Result<Vec<Test>, Failure> {
    let mut tests = Vec::new();
    for (rank, program) in compile()? {
        for name in list(&program)? {
            let names = names.of(&name).map(|names| names.iter().cloned().collect()).unwrap_or_default();
            tests.push(Test { rank, program: program.clone(), name, names });
        }
    }
    if tests.is_empty() {
        return Err(Failure::NoTests);
    }
    Ok(tests)
}

/// Where cargo has put them.
fn compile() -> Result<Vec<(usize, PathBuf)>, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["test", "--no-run", "--lib", "--tests", "--message-format=json-render-diagnostics"]);
    build.args(PACKAGES.iter().flat_map(|package| ["-p", package]));
    let built = build.stderr(Stdio::inherit()).output()?;
    if !built.status.success() {
        return Err(Failure::Build);
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs: Vec<(usize, PathBuf)> = messages.filter_map(|message| program(&message)).collect();
    programs.sort();
    Ok(programs)
}

/// A test program, and the place of its package in [`PACKAGES`].
fn program(message: &Value) -> Option<(usize, PathBuf)> {
    let program = message["executable"].as_str().filter(|_| message["profile"]["test"] == true)?;
    let id = message["package_id"].as_str()?;
    let rank = PACKAGES.iter().position(|package| id.contains(&format!("#{package}@")))?;
    Some((rank, PathBuf::from(program)))
}

fn list(program: &PathBuf) -> Result<Vec<String>, Failure> {
    let listed = Command::new(program).args(["--list", "--format", "terse"]).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}
