//! The test programs: built once, with all bugs in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Failure;
use crate::names::Names;

/// The package whose tests take real time: they come last.
const SLOW: &str = "#greenroom-hal-linux@";

/// One test, and what it names.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) program: PathBuf,
    pub(crate) name: String,
    pub(crate) names: Vec<String>,
    /// Its like take real time.
    pub(crate) is_slow: bool,
}

impl Test {
    pub(crate) fn named(&self, requirement: &str) -> bool {
        self.names.iter().any(|name| name == requirement)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Program {
    is_slow: bool,
    path: PathBuf,
}

/// Lists the tests of the programs that cargo says, in its messages, to have built.
pub(crate) fn tests(messages: &Path, names: &Names) -> Result<Vec<Test>, Failure> {
    let messages = fs::read_to_string(messages)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs: Vec<Program> = messages.filter_map(|message| program(&message)).collect();
    programs.sort();
    let mut tests = Vec::new();
    for Program { is_slow, path } in programs {
        for name in list(&path)? {
            let names = names.of(&name).map(|names| names.iter().cloned().collect()).unwrap_or_default();
            tests.push(Test { program: path.clone(), name, names, is_slow });
        }
    }
    if tests.is_empty() { Err(Failure::NoTests) } else { Ok(tests) }
}

fn program(message: &Value) -> Option<Program> {
    let path = message["executable"].as_str().filter(|_| message["profile"]["test"] == true)?;
    Some(Program { is_slow: message["package_id"].as_str()?.contains(SLOW), path: path.into() })
}

fn list(program: &Path) -> Result<Vec<String>, Failure> {
    let listed = Command::new(program).args(["--list", "--format", "terse"]).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}
