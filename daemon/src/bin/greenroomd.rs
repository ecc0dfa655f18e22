//! The manager: one per box; starts, moves and ends the apps' session servers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use greenroom_daemon::config::{Config, DOCUMENTED};
use greenroom_daemon::log::Logging;
use greenroom_daemon::manager;
use greenroom_hal_linux::harden::harden;

/// Starts, moves and ends the apps' session servers, and answers greenroomctl.
///
/// TERM and INT end every app in order and then the manager.
#[derive(Parser)]
#[command(version, after_help = EXIT_STATUS)]
struct Arguments {
    /// The configuration file [default: /etc/greenroom/greenroom.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The control socket, instead of the configured one
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// The session server's program, instead of the configured one
    #[arg(long, value_name = "PATH")]
    session_program: Option<PathBuf>,
    /// The box's decoders, instead of the configured number
    #[arg(long, value_name = "N")]
    decoders: Option<u8>,
    /// Print the default configuration, with every key explained, and end
    #[arg(long)]
    print_config: bool,
}

const EXIT_STATUS: &str = "Exit status: 0 it was told to end and did; 1 it could not start or go on; \
                           2 the command line or the configuration is wrong";

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
    let logging = match Logging::start(&config.log_levels()) {
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
