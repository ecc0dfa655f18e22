//! The session server.

use std::os::fd::RawFd;

use clap::Parser;

/// The session server of one app. The manager, greenroomd, starts it; it is not meant to be started by hand.
#[derive(Debug, Parser)]
#[command(name = "greenroom-session", version)]
pub struct Arguments {
    /// The descriptor of its link to the manager.
    #[arg(long, value_name = "N")]
    pub link_fd: Option<RawFd>,
    /// The descriptor of the memory in which it is recorded.
    #[arg(long, value_name = "N")]
    pub trace_fd: Option<RawFd>,
}
