//! The manager.

use std::path::PathBuf;

use clap::Parser;

/// Starts, moves and ends the apps' session servers, and answers greenroomctl.
///
/// TERM and INT end every app in order and then the manager.
#[derive(Debug, Parser)]
#[command(name = "greenroomd", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// The configuration file [default: /etc/greenroom/greenroom.toml, if it is there]; the files greenroom.d/*.toml beside
    /// it are read after it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The control socket, instead of the configured one
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// The session server's program, instead of the configured one
    #[arg(long, value_name = "PATH")]
    pub session_program: Option<PathBuf>,
    /// The box's decoders, instead of the configured number
    #[arg(long, value_name = "N")]
    pub decoders: Option<u8>,
    /// Print the default configuration, with every key explained, and end
    #[arg(long)]
    pub print_config: bool,
    /// Say whether the configuration is sound, its files and the options together, and end
    #[arg(long, conflicts_with = "print_config")]
    pub check_config: bool,
    /// Print the configuration that holds, with the file and the line that each value comes from, and end
    #[arg(long, conflicts_with_all = ["print_config", "check_config"])]
    pub show_config: bool,
}

const EXIT_STATUS: &str = "Exit status: 0 it was told to end and did; 1 it could not start or go on; \
                           2 the command line or the configuration is wrong";
