//! What drives the manager.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::names::{FirstState, Level, Part, Seen, Target};

/// Drives the manager of the box's apps.
#[derive(Debug, Parser)]
#[command(name = "greenroomctl", version, after_help = EXIT_STATUS)]
pub struct Arguments {
    /// The manager's control socket [default: $GREENROOM_CONTROL, else /run/greenroom/control.sock for root, else
    /// $XDG_RUNTIME_DIR/greenroom/control.sock, else /tmp/greenroom-UID/control.sock]
    #[arg(long, global = true, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Print JSON, one value a line
    #[arg(long, global = true)]
    pub json: bool,
    /// What the manager is asked
    #[command(subcommand)]
    pub command: Order,
}

const EXIT_STATUS: &str = "Exit status: 0 done; 1 the manager refused, or the app failed; 2 the command line is wrong; \
                           3 there is no manager or presentation service, or it ended; 4 it did not happen in time";

/// What the manager is asked.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// Start the session server of an app
    Initiate {
        /// The app's name
        app: String,
        /// The state that it is to reach
        #[arg(long, value_enum, default_value_t)]
        state: FirstState,
        /// Its socket: a name in the default directory, or a full path [default: one that the manager chooses]
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        socket: String,
        /// Whether to wait, and how long
        #[command(flatten)]
        wait: Wait,
    },
    /// Move an app's session server to another state
    State {
        /// The app's name
        app: String,
        /// The state that it is to reach
        #[arg(value_enum)]
        state: Target,
        /// Whether to wait, and how long
        #[command(flatten)]
        wait: Wait,
    },
    /// Print where an app's clients connect
    ConnectionInfo {
        /// The app's name
        app: String,
    },
    /// Wait until an app is in a state
    Wait {
        /// The app's name
        app: String,
        /// The state
        #[arg(value_enum)]
        state: Seen,
        /// Give up after this
        #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
        timeout: Duration,
    },
    /// Set how much a part of the system logs, everywhere
    LogLevel {
        /// Which part
        #[arg(value_enum)]
        component: Part,
        /// How much
        #[arg(value_enum)]
        level: Level,
    },
    /// Print every app, and the box
    List,
    /// Show how each app is and what happens, until the manager ends: drawn in place on a terminal, else a line an event
    Watch {
        /// Lines on a terminal too
        #[arg(long)]
        lines: bool,
    },
    /// End every app in order, and then the manager
    Stop,
    /// Have pages shown on other devices, and see and end what is shown here; needs no manager
    Present {
        /// The presentation service's socket [default: $GREENROOM_PRESENTATION, else presentation.sock in the directory of
        /// the default control socket]
        #[arg(long, value_name = "PATH")]
        service: Option<PathBuf>,
        /// What the presentation service is asked
        #[command(subcommand)]
        order: PresentOrder,
    },
    /// Save, replay or draw what the manager and the session servers were told
    Trace {
        /// Which
        #[command(subcommand)]
        order: TraceOrder,
    },
}

/// What the presentation service is asked.
#[derive(Debug, Subcommand)]
pub enum PresentOrder {
    /// Print the devices that can show pages
    Devices,
    /// Have a page shown, wait until it is connected, and print what the presentation is called
    Start {
        /// The page; of several, the first one that the device can show
        #[arg(required = true, value_name = "URL")]
        urls: Vec<String>,
        /// The device [default: somebody is asked for one: see requests]
        #[arg(long)]
        device: Option<String>,
        /// What the presentation is called [default: a name that nobody guesses]
        #[arg(long)]
        name: Option<String>,
        /// Exchange the messages past the presentation services, from process to process and encrypted, where the page can
        #[arg(long)]
        data_channel: bool,
        /// Stay connected, and print the page's messages until it has ended
        #[arg(long)]
        stay: bool,
    },
    /// Print the connections to presentations, on other devices and here
    List,
    /// Send a text to a presentation on another device
    Send {
        /// The presentation
        presentation: String,
        /// The text
        text: String,
        /// Send it past the presentation services, where the page can
        #[arg(long)]
        data_channel: bool,
    },
    /// Connect to a presentation that was started from this box, and print its messages until it has ended
    Reconnect {
        /// The presentation
        presentation: String,
        /// Exchange the messages past the presentation services, where the page can
        #[arg(long)]
        data_channel: bool,
    },
    /// Close the connection that this box has left to a presentation; it goes on
    Close {
        /// The presentation
        presentation: String,
    },
    /// End a presentation, on another device or here
    Terminate {
        /// The presentation
        presentation: String,
    },
    /// Print the requests that a device be chosen
    Requests {
        /// Go on as they come; only while somebody does can a device be asked for
        #[arg(long)]
        watch: bool,
    },
    /// Print how many messages and bytes the presentation service has carried itself: those on data channels are none of them
    Traffic,
    /// Choose the device of a request
    Select {
        /// The request
        request: String,
        /// The device
        device: String,
    },
}

/// What is done with a trace.
#[derive(Debug, Subcommand)]
pub enum TraceOrder {
    /// Save the latest inputs of the manager and of every session server, the last crashed one of each app included
    Save {
        /// Where to
        file: PathBuf,
    },
    /// Run the machines of a saved trace again, step by step, and check that they come to the recorded state; needs no
    /// manager
    Replay {
        /// The trace
        file: PathBuf,
        /// Print the final states only
        #[arg(long, short)]
        quiet: bool,
    },
    /// Draw a saved trace as a sequence diagram: who said what to whom, and when; needs no manager
    Diagram {
        /// The trace; several that were saved during one run, in their order, are one
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How it is drawn
        #[command(flatten)]
        notation: Notation,
        /// Draw also what comes again and again: health checks, positions, statistics, lists
        #[arg(long)]
        all: bool,
        /// Where to [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// How a diagram is drawn; as text unless something else is said.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct Notation {
    /// With characters, for a terminal (the default)
    #[arg(long)]
    pub text: bool,
    /// As a picture, for a report
    #[arg(long)]
    pub svg: bool,
    /// For Mermaid, in Markdown
    #[arg(long)]
    pub mermaid: bool,
    /// For PlantUML
    #[arg(long)]
    pub plantuml: bool,
}

/// Whether to wait, and how long.
#[derive(Debug, clap::Args)]
pub struct Wait {
    /// Wait until it has reached that state
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after this
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10", requires = "wait")]
    pub timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..1.0e9).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds from 0 to a thousand million".into()),
    }
}
