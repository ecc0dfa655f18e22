//! The manager: one per box; starts, moves and ends the apps' session servers.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use greenroom_daemon::access::Access;
use greenroom_daemon::command_line::greenroomd::Arguments;
use greenroom_daemon::config::{Config, DOCUMENTED, Layers};
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
    let (layers, config) = match configure(&arguments) {
        Ok(configured) => configured,
        Err(error) => return fail(2, &*error),
    };
    if arguments.show_config {
        print!("{}", layers.show());
        return ExitCode::SUCCESS;
    }
    if arguments.check_config {
        return check(&layers, &config);
    }
    let logging = match Logging::start(&config.log_levels(), config.log.format) {
        Ok(logging) => logging,
        Err(error) => return fail(1, &error),
    };
    tracing::debug!("{hardening:?}");
    let file = match arguments.config.as_deref().map(std::path::absolute).transpose() {
        Ok(file) => file,
        Err(error) => return fail(2, &error),
    };
    match manager::run(config, file, logging) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

fn configure(arguments: &Arguments) -> Result<(Layers, Config), Box<dyn std::error::Error>> {
    let mut layers = Layers::load(arguments.config.as_deref())?;
    if let Some(path) = &arguments.control {
        layers.set("control", "socket", absolute(path, "--control")?, "--control")?;
    }
    if let Some(path) = &arguments.session_program {
        layers.set("session", "program", absolute(path, "--session-program")?, "--session-program")?;
    }
    if let Some(decoders) = arguments.decoders {
        layers.set("box", "decoders", i64::from(decoders), "--decoders")?;
    }
    let config = layers.config()?;
    Ok((layers, config))
}

fn absolute(path: &Path, option: &str) -> Result<String, Box<dyn std::error::Error>> {
    let path = std::path::absolute(path)?;
    let text = path.to_str().ok_or_else(|| format!("{option} is not UTF-8; choose another path"))?;
    Ok(text.to_owned())
}

fn check(layers: &Layers, config: &Config) -> ExitCode {
    if let Err(error) = Access::resolve(config) {
        return fail(2, &error);
    }
    let files: Vec<String> = layers.files().iter().map(|file| file.display().to_string()).collect();
    let files = if files.is_empty() { "there is no file, all is default".to_owned() } else { files.join(", ") };
    println!("the configuration is sound: {files}");
    ExitCode::SUCCESS
}

fn fail(status: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("greenroomd: {error}");
    ExitCode::from(status)
}
