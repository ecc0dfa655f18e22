//! The presentation service.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Parser;

/// Shows pages of other devices on this box's screen, and has this box's pages shown on theirs.
///
/// It serves what the section 'presentation' of the manager's configuration says. The manager, greenroomd, starts it;
/// started by hand it serves without a manager. TERM and INT end what it has started and then itself.
#[derive(Debug, Parser)]
#[command(name = "greenroom-presentation", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// The manager's configuration file [default: /etc/greenroom/greenroom.toml, if it is there]; the files
    /// greenroom.d/*.toml beside it are read after it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The descriptor of its link to the manager
    #[arg(long, value_name = "N", hide = true)]
    pub link_fd: Option<RawFd>,
}

const EXIT_STATUS: &str = "Exit status: 0 it was told to end and did; 1 it could not start or go on; \
                           2 the command line or the configuration is wrong, or there is to be no such service";
