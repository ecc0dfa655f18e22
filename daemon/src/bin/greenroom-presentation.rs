//! The presentation service: a page of one device on the screen of another.

use std::process::ExitCode;

use clap::Parser;
use greenroom_daemon::command_line::presentation::Arguments;
use greenroom_daemon::config::Config;
use greenroom_daemon::log::Logging;
use greenroom_daemon::presentation;
use greenroom_hal_linux::harden::harden;

fn main() -> ExitCode {
    let hardening = harden(&[]);
    let arguments = Arguments::parse();
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return fail(2, &error),
    };
    if !config.presentation.enabled {
        eprintln!("greenroom-presentation: there is to be no presentation service; set [presentation] enabled = true");
        return ExitCode::from(2);
    }
    let started = Logging::start(&config.log_levels(), config.log.format);
    if let Err(error) = started {
        return fail(1, &error);
    }
    tracing::debug!("{hardening:?}");
    match presentation::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

fn fail(status: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("greenroom-presentation: {error}");
    ExitCode::from(status)
}
