//! A sample application manager: starts apps and moves them, with the manager, in the right order.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use greenroom_daemon::appmanager::{ApplicationManager, Script, ScriptCommand};
use greenroom_daemon::command_line::appmanager::{Arguments, Mode};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let told = |step: &_| {
        // Nobody reads any more: then nobody misses it.
        let _ = writeln!(std::io::stdout(), "{step}");
    };
    let mut manager = match ApplicationManager::connect(arguments.settings(), told) {
        Ok(manager) => manager,
        Err(error) => return complain(&error),
    };
    let done = match arguments.mode {
        Some(Mode::Run { commands }) => run_all(&mut manager, &commands),
        None => run_from_stdin(&mut manager),
    };
    match manager.stop_all() {
        Ok(()) => done,
        Err(error) => complain(&error),
    }
}

fn run_all(manager: &mut ApplicationManager<'_>, commands: &Script) -> ExitCode {
    for command in &commands.0 {
        if let Err(error) = command.run(manager) {
            return complain(&error);
        }
        if *command == ScriptCommand::Quit {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// A person may go on after a mistake; a script that is piped in has failed with it.
fn run_from_stdin(manager: &mut ApplicationManager<'_>) -> ExitCode {
    let is_person = std::io::stdin().is_terminal();
    let mut status = ExitCode::SUCCESS;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        status = match line.parse::<Script>() {
            Ok(script) if script.0.contains(&ScriptCommand::Quit) => return run_all(manager, &script),
            Ok(script) => run_all(manager, &script),
            Err(error) => complain(&error),
        };
        if status != ExitCode::SUCCESS && !is_person {
            return status;
        }
    }
    status
}

fn complain(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("greenroom-appmanager: {error}");
    ExitCode::FAILURE
}
