//! The receiver that plays.

use std::path::PathBuf;

use clap::Parser;

use crate::receiver::Settings;
use crate::runtime;

/// Shows a page of another device: plays a file of this box in an app of this box.
///
/// The presentation service starts it, by a section [[presentation.page]] of the configuration with a command like
/// /usr/bin/greenroom-receiver --app tv --media /var/lib/tv {url}. It may drive the app: it runs as the service's user.
///
/// Controllers send one word a message: pause, play, where or stop. Each is answered by one JSON object that says what is
/// played; they are told so, too, when they connect and when it changes.
#[allow(rustdoc::broken_intra_doc_links, reason = "shown by --help as it is; brackets are those of the configuration")]
#[derive(Debug, Parser)]
#[command(name = "greenroom-receiver", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// The app that plays
    #[arg(long, value_name = "NAME")]
    pub app: String,
    /// The directory of the files
    #[arg(long, value_name = "DIRECTORY")]
    pub media: PathBuf,
    /// The manager's control socket [default: $GREENROOM_CONTROL, else control.sock in the runtime directory]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// The page; the last part of its URL is the name of a file in the directory
    pub url: String,
}

impl Arguments {
    /// What is shown, and where.
    pub fn settings(self) -> Settings {
        Settings {
            app: self.app,
            media: self.media,
            url: self.url,
            control: self.control.unwrap_or_else(runtime::control_socket),
            presentation: runtime::presentation_socket(),
        }
    }
}

const EXIT_STATUS: &str = "Exit status: 0 it was told to end and did; 1 the page was not shown, or not to its end; \
                           2 the command line is wrong";
