//! Plays a media file through the client library, as an app would.

use std::process::ExitCode;

use clap::Parser;
use greenroom_core::message::{LogLevel, LogLevels};
use greenroom_daemon::command_line::play::Arguments;
use greenroom_daemon::log::{Format, Logging};
use greenroom_daemon::play::play;
use greenroom_hal_linux::signals::Signals;

fn main() -> ExitCode {
    let options = Arguments::parse().options();
    // Before any thread starts, so that all of them leave the signals to one.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    // A program that has no log still plays.
    let levels = LogLevels { default: LogLevel::Warning, ..LogLevels::default() };
    let logging = Logging::start(&levels, Format::from_environment());
    match play(options, signals, logging.ok()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("greenroom-play: {error}");
    ExitCode::FAILURE
}
