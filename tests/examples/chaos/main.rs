//! The box under random faults, for as long as you like; `make chaos MINUTES=n` runs it.
//!
//! Everything is a real process. Signals kill and stop managers, session servers and players; hostile clients do their worst
//! at every socket; disks stall; and somebody zaps all the time. Meanwhile it is checked what must always hold, and at
//! the end that nothing is left and nothing has grown. What is random comes from the seed.
//!
//! Exit status: 0 nothing was violated; 1 something was, or the run could not be made.

mod census;
mod clips;
mod disk;
mod hostile;
mod inspector;
mod players;
mod plot;
mod quarry;
mod remote;
mod report;
mod run;
mod samples;
mod screen;
mod stage;
mod states;
mod tally;
mod weather;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// Why the run could not be made.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the box under random faults.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 5.0, value_parser = minutes)]
    minutes: f64,
    /// What everything random comes from; another one each time unless it is given
    #[arg(long)]
    seed: Option<u64>,
    /// Be one of the players instead, in this app's session server.
    #[arg(long, hide = true)]
    play_at: Option<PathBuf>,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if (0.1..10_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("not a number of minutes from 0.1 on".into()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.play_at {
        Some(socket) => disk::play_from_input(socket).map(|()| true),
        None => {
            let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
            run::run(Duration::from_secs_f64(arguments.minutes * 60.0), seed)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("chaos: {failure}");
            ExitCode::FAILURE
        }
    }
}
