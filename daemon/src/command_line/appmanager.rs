//! The sample application manager.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::appmanager::{Script, Settings};
use crate::runtime;

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
#[derive(Debug, Parser)]
#[command(name = "greenroom-appmanager", version, verbatim_doc_comment)]
pub struct Arguments {
    /// The manager's control socket [default: $GREENROOM_CONTROL, else control.sock in the runtime directory]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// The apps' program [default: greenroom-play beside this one]
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,
    /// An argument for every app, e.g. --app-argument=--json; may be given again
    #[arg(long = "app-argument", value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub app_arguments: Vec<String>,
    /// Where the commands come from
    #[command(subcommand)]
    pub mode: Option<Mode>,
}

/// Where the commands come from.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// Run these commands instead of those on standard input; the first that fails ends it
    Run {
        /// Commands between semicolons
        commands: Script,
    },
}

impl Arguments {
    /// What the application manager is told.
    pub fn settings(&self) -> Settings {
        let control = self.control.clone().unwrap_or_else(runtime::control_socket);
        let mut settings = Settings::new(&control);
        settings.program = self.program.clone().unwrap_or(settings.program);
        settings.arguments = self.app_arguments.clone();
        settings
    }
}
