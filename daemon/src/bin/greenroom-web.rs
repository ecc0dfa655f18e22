//! The Presentation API for pages in browsers.

use std::error::Error;
use std::os::fd::RawFd;
use std::process::ExitCode;

use clap::Parser;
use greenroom_daemon::command_line::web::Arguments;
use greenroom_daemon::config::Config;
use greenroom_daemon::log::Logging;
use greenroom_daemon::web;
use greenroom_hal_linux::harden::harden;
use greenroom_hal_linux::socket::SeqPacket;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let kept: Vec<RawFd> = arguments.link_fd.into_iter().collect();
    harden(&kept);
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return fail(2, &error),
    };
    if !config.presentation.web.enabled {
        eprintln!("greenroom-web: browsers are not to be served; set [presentation.web] enabled = true");
        return ExitCode::from(2);
    }
    let served = if arguments.link { print_links(&config) } else { serve(&config, arguments.link_fd) };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &*error),
    }
}

fn print_links(config: &Config) -> Result<(), Box<dyn Error>> {
    web::links(config)?.iter().for_each(|link| println!("{link}"));
    Ok(())
}

fn serve(config: &Config, link: Option<RawFd>) -> Result<(), Box<dyn Error>> {
    Logging::start(&config.log_levels(), config.log.format)?;
    let link = link.map(SeqPacket::from_inherited).transpose()?;
    Ok(web::run(config, link)?)
}

fn fail(status: u8, error: &dyn Error) -> ExitCode {
    eprintln!("greenroom-web: {error}");
    ExitCode::from(status)
}
