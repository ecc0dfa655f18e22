//! What browsers are served by.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Parser;

/// Serves the Presentation API to pages in browsers, and a page with which a person drives this box's presentations.
///
/// It serves what the section 'presentation.web' of the manager's configuration says. The manager, greenroomd, starts it;
/// started by hand it serves without a manager. TERM and INT end it.
#[derive(Debug, Parser)]
#[command(name = "greenroom-web", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// The manager's configuration file [default: /etc/greenroom/greenroom.toml, if it is there]; the files
    /// greenroom.d/*.toml beside it are read after it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the addresses to open, with the token, and end
    #[arg(long)]
    pub link: bool,
    /// The descriptor of its link to the manager
    #[arg(long, value_name = "N", hide = true)]
    pub link_fd: Option<RawFd>,
}

const EXIT_STATUS: &str = "Exit status: 0 it was told to end and did, or printed the addresses; 1 it could not start or go \
                           on; 2 the command line or the configuration is wrong, or there is to be no such service";
