//! The programs' command lines, in one place: the programs read them, and their manual pages and shell completions are
//! made from them (`examples/manual.rs`).

use clap::{Command, CommandFactory};

pub mod appmanager;
pub mod browser;
pub mod ctl;
pub mod greenroomd;
pub mod play;
pub mod presentation;
pub mod receiver;
pub mod session;
pub mod web;

/// A program, as its manual knows it.
#[derive(Debug)]
pub struct Program {
    /// Its command line.
    pub command: Command,
    /// The section of the manual it belongs to: 1 for people's commands, 8 for the system's.
    pub section: u8,
    /// Whether people call it by its name, so that a shell can complete what they type.
    pub is_in_path: bool,
}

/// All of them.
pub fn programs() -> [Program; 9] {
    [
        Program { command: greenroomd::Arguments::command(), section: 8, is_in_path: true },
        Program { command: session::Arguments::command(), section: 8, is_in_path: false },
        Program { command: presentation::Arguments::command(), section: 8, is_in_path: false },
        Program { command: web::Arguments::command(), section: 8, is_in_path: true },
        Program { command: browser::Arguments::command(), section: 8, is_in_path: true },
        Program { command: receiver::Arguments::command(), section: 8, is_in_path: true },
        Program { command: ctl::Arguments::command(), section: 1, is_in_path: true },
        Program { command: play::Arguments::command(), section: 1, is_in_path: true },
        Program { command: appmanager::Arguments::command(), section: 1, is_in_path: true },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_line_contradicts_itself() {
        for program in programs() {
            program.command.debug_assert();
        }
    }
}
