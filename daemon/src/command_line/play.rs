//! The player.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use greenroom_core::limits::RECONNECT_TIMEOUT;
use greenroom_core::message::playback::{RATE_PERMILLE, Window};

use crate::app_protocol::ManagedState;
use crate::play::{Options, ShowAs};

/// Plays a media file through the session server of an app.
///
/// Keys on a terminal: space pauses and plays, the left and right arrows jump 10 seconds, + and - set the volume, m
/// mutes, > and < play faster and slower, s shows how it goes, q quits.
#[derive(Debug, Parser)]
#[command(name = "greenroom-play", version)]
pub struct Arguments {
    /// The socket of the app's session server; 'greenroomctl list' shows it
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// Show the first picture and wait
    #[arg(long)]
    pub start_paused: bool,
    /// Start so many seconds into the file
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    pub seek: f64,
    /// How loud, in percent: 100 as recorded, at most 200
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=200))]
    pub volume: u16,
    /// Start silent
    #[arg(long)]
    pub mute: bool,
    /// Play so many times as fast, from 0.1 to 8
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = rate)]
    pub rate: u16,
    /// Show the pictures in this part of the screen: pixels from the left and from the top, width, height
    #[arg(long, value_name = "X,Y,WIDTH,HEIGHT", value_parser = window)]
    pub window: Option<Window>,
    /// Go on when the session server was restarted; without it the player ends with its server
    #[arg(long)]
    pub reconnect: bool,
    /// Lines instead of a progress bar, also on a terminal
    #[arg(long)]
    pub no_progress: bool,
    /// One JSON object a line for each event
    #[arg(long)]
    pub json: bool,
    /// Take 'notify_new_state inactive|running|not-running' on standard input, answer 'state_changed ...' on standard
    /// output, write everything else to standard error
    #[arg(long)]
    pub managed: bool,
    /// The first state of a managed app
    #[arg(long, value_name = "STATE", requires = "managed", default_value = "inactive", value_parser = first_state)]
    pub state: ManagedState,
    /// The media file
    pub file: PathBuf,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..1.0e9).contains(&seconds) => Ok(seconds),
        _ => Err("not a number of seconds from 0 on".into()),
    }
}

/// In thousandths.
fn rate(text: &str) -> Result<u16, String> {
    let permille = text.parse::<f64>().map_or(0.0, |factor| (factor * 1000.0).round());
    // What is no number, or far too large, ends up outside the range.
    let permille = permille as u16;
    let is_one = RATE_PERMILLE.contains(&permille);
    is_one.then_some(permille).ok_or_else(|| "not a number from 0.1 to 8".into())
}

fn window(text: &str) -> Result<Window, String> {
    let numbers: Result<Vec<u32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[x, y, width @ (1..), height @ (1..)]) => Ok(Window { x, y, width, height }),
        _ => Err("not four numbers X,Y,WIDTH,HEIGHT with a width and a height".into()),
    }
}

fn first_state(text: &str) -> Result<ManagedState, String> {
    match text.parse() {
        Ok(state @ (ManagedState::Inactive | ManagedState::Running)) => Ok(state),
        _ => Err("an app starts inactive or running".into()),
    }
}

impl Arguments {
    /// What to play, and how.
    pub fn options(self) -> Options {
        Options {
            show_as: self.show_as(),
            managed: self.managed.then_some(self.state),
            reconnect_for: if self.reconnect { RECONNECT_TIMEOUT } else { Duration::ZERO },
            socket: self.socket,
            file: self.file,
            start_paused: self.start_paused,
            start_at: Duration::from_secs_f64(self.seek),
            volume_permille: self.volume.saturating_mul(10),
            muted: self.mute,
            rate_permille: self.rate,
            window: self.window,
        }
    }

    fn show_as(&self) -> ShowAs {
        let on_terminal = std::io::stderr().is_terminal() && std::io::stdin().is_terminal();
        match (self.json, on_terminal && !self.no_progress && !self.managed) {
            (true, _) => ShowAs::Json,
            (false, true) => ShowAs::Bar,
            (false, false) => ShowAs::Lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_factor_from_a_tenth_to_eight() {
        assert_eq!((rate("1"), rate("0.1"), rate("1.25"), rate("8")), (Ok(1000), Ok(100), Ok(1250), Ok(8000)));
        for text in ["0", "0.09", "8.01", "-1", "fast", "1e99", "NaN"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_is_four_numbers_with_a_width_and_a_height() {
        assert_eq!(window("0, 10,640,360"), Ok(Window { x: 0, y: 10, width: 640, height: 360 }));
        for text in ["", "0,0,0,1", "0,0,1,0", "1,2,3", "1,2,3,4,5", "-1,0,1,1"] {
            assert!(window(text).is_err(), "{text}");
        }
    }
}
