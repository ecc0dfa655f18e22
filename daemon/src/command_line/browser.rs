//! What shows a page in a browser.

use clap::Parser;

use crate::browser::Settings;
use crate::runtime;

/// Shows a page of another device in a browser of this box.
///
/// The presentation service starts it, as a command of [[presentation.page]] in its configuration, with the token of the
/// launch. The page reaches greenroom-web with it, at this box, and is the receiver of the presentation. TERM and INT end
/// the browser and take away its profile.
#[derive(Debug, Parser)]
#[command(name = "greenroom-browser", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// The port at which greenroom-web listens on this box
    #[arg(long, value_name = "N", default_value_t = 8010)]
    pub port: u16,
    /// The page
    pub url: String,
    /// The browser, with its arguments; {page} stands for the address that it opens, {profile} for a directory of its own
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl Arguments {
    /// What is shown, and by what.
    pub fn settings(self) -> Settings {
        let presentation = runtime::presentation_socket();
        Settings { url: self.url, port: self.port, presentation, command: self.command }
    }
}

const EXIT_STATUS: &str = "Exit status: 0 it was told to end and did; 1 the page was not shown, or not to its end; \
                           2 the command line is wrong";
