//! The presentation service: a page of one device on the screen of another.

use std::error::Error;
use std::os::fd::RawFd;
use std::process::ExitCode;

use clap::Parser;
use greenroom_daemon::command_line::presentation::Arguments;
use greenroom_daemon::config::Config;
use greenroom_daemon::log::Logging;
use greenroom_daemon::presentation;
use greenroom_hal_linux::harden::harden;
use greenroom_hal_linux::socket::SeqPacket;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let kept: Vec<RawFd> = arguments.link_fd.into_iter().collect();
    let hardening = harden(&kept);
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return fail(2, &error),
    };
    if !config.presentation.enabled {
        eprintln!("greenroom-presentation: there is to be no presentation service; set [presentation] enabled = true");
        return ExitCode::from(2);
    }
    if let Err(error) = Logging::start(&config.log_levels(), config.log.format) {
        return fail(1, &error);
    }
    tracing::debug!("{hardening:?}");
    match serve(&config, arguments.link_fd) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &*error),
    }
}

fn serve(config: &Config, link: Option<RawFd>) -> Result<(), Box<dyn Error>> {
    let link = link.map(SeqPacket::from_inherited).transpose()?;
    Ok(presentation::run(config, link)?)
}

fn fail(status: u8, error: &dyn Error) -> ExitCode {
    eprintln!("greenroom-presentation: {error}");
    ExitCode::from(status)
}
