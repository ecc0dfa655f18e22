//! A sample application manager: starts apps and moves them, with the manager, in the right order.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use greenroom_daemon::appmanager::{ApplicationManager, Script, ScriptCommand, Settings};
use greenroom_daemon::runtime;

/// Starts apps that play files, tells them their states, and drives the manager in the right order.
///
/// Commands come from the command line or from standard input, one a line or between semicolons:
///
///   start APP FILE [inactive|running]   start the session server, then the app
///   running APP                         server active, then app running
///   inactive APP                        app inactive, then server inactive
///   stop APP                            app ended, then server ended
///   switch FROM TO                      FROM inactive, and only then TO running
///   wait SECONDS                        do nothing for a while
///   wait APP STATE [SECONDS]            until the app says so
///   quit                                stop all apps and end
///
/// At the end of the commands all apps are stopped. Exit status: 0 everything was done; 1 something was not.
#[allow(rustdoc::broken_intra_doc_links, reason = "shown by --help as it is; brackets say what may be left out")]
#[derive(Parser)]
#[command(name = "greenroom-appmanager", version, verbatim_doc_comment)]
struct Arguments {
    /// The manager's control socket [default: $GREENROOM_CONTROL, else control.sock in the runtime directory]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// The apps' program [default: greenroom-play beside this one]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// An argument for every app, e.g. --app-argument=--json; may be given again
    #[arg(long = "app-argument", value_name = "ARGUMENT", allow_hyphen_values = true)]
    app_arguments: Vec<String>,
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Subcommand)]
enum Mode {
    /// Run these commands instead of those on standard input; the first that fails ends it
    Run {
        /// Commands between semicolons
        commands: Script,
    },
}

impl Arguments {
    fn settings(&self) -> Settings {
        let control = self.control.clone().unwrap_or_else(runtime::control_socket);
        let mut settings = Settings::new(&control);
        settings.program = self.program.clone().unwrap_or(settings.program);
        settings.arguments = self.app_arguments.clone();
        settings
    }
}

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
