//! Shows a page of another device in a browser.

use std::process::ExitCode;

use clap::Parser;
use greenroom_core::message::LogLevels;
use greenroom_daemon::browser;
use greenroom_daemon::command_line::browser::Arguments;
use greenroom_daemon::log::{Format, Logging};
use greenroom_hal_linux::harden::harden;
use greenroom_hal_linux::signals::Signals;

fn main() -> ExitCode {
    let hardening = harden(&[]);
    let settings = Arguments::parse().settings();
    // Before any thread starts, so that all of them leave the signals to one.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    if let Err(error) = Logging::start(&LogLevels::default(), Format::from_environment()) {
        return fail(&error);
    }
    tracing::debug!("{hardening:?}");
    match browser::run(&settings, signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("greenroom-browser: {error}");
    ExitCode::FAILURE
}
