//! The manager: one per box; starts, moves and ends the apps' session servers.

use std::process::ExitCode;

use clap::Parser;
use greenroom_daemon::command_line::greenroomd::Arguments;
use greenroom_daemon::config::{Config, DOCUMENTED};
use greenroom_daemon::log::Logging;
use greenroom_daemon::manager;
use greenroom_hal_linux::harden::harden;

fn main() -> ExitCode {
    let hardening = harden(&[]);
    let arguments = Arguments::parse();
    if arguments.print_config {
        print!("{DOCUMENTED}");
        return ExitCode::SUCCESS;
    }
    let config = match configure(&arguments) {
        Ok(config) => config,
        Err(error) => return fail(2, &*error),
    };
    let logging = match Logging::start(&config.log_levels(), config.log.format) {
        Ok(logging) => logging,
        Err(error) => return fail(1, &error),
    };
    tracing::debug!("{hardening:?}");
    match manager::run(config, logging) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

fn configure(arguments: &Arguments) -> Result<Config, Box<dyn std::error::Error>> {
    let mut config = Config::load(arguments.config.as_deref())?;
    if let Some(path) = &arguments.control {
        let path = std::path::absolute(path)?;
        config.control.socket = path.to_str().ok_or("--control is not UTF-8; choose another path")?.parse()?;
    }
    if let Some(path) = &arguments.session_program {
        config.session.program = std::path::absolute(path)?;
    }
    config.box_.decoders = arguments.decoders.unwrap_or(config.box_.decoders);
    config.check()?;
    Ok(config)
}

fn fail(status: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("greenroomd: {error}");
    ExitCode::from(status)
}
