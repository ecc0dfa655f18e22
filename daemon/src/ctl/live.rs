//! The live view: how things are now, drawn in place, with what has happened last below it.

use std::collections::VecDeque;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::signals::Signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::report;
use crate::control::{ControlClient, ControlError};
use crate::terminal::FullScreen;

/// It is drawn again after this, events or not: memory and time go on.
const REFRESH: Duration = Duration::from_secs(1);
/// It is not drawn more often than this, however many events come.
const PAUSE: Duration = Duration::from_millis(100);
/// Events that are shown.
const EVENTS_MAX: usize = 100;
/// The keys that end it.
const QUIT: &[u8] = b"qQ\x03\x04";

/// Why it ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The manager could not be asked.
    #[error("{0}")]
    Control(#[from] ControlError),
    /// Platform: signals cannot be received.
    #[error("{0}")]
    Signals(#[from] LinuxError),
    /// Platform: the terminal cannot be written or read.
    #[error("the terminal cannot be used: {0}; 'greenroomctl watch --lines' needs none")]
    Terminal(std::io::Error),
}

/// Whether standard output is a terminal on which can be drawn.
pub fn can_draw() -> bool {
    stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|kind| kind != "dumb" && !kind.is_empty())
}

/// Shows it until q is pressed, a signal comes, or the manager ends. The connection watches already.
///
/// It is called before other threads are started, because it takes the signals.
pub fn run(client: &mut ControlClient) -> Result<(), LiveError> {
    let mut signals = Signals::new()?;
    let mut screen = FullScreen::enter().map_err(LiveError::Terminal)?;
    let mut events = VecDeque::new();
    loop {
        match draw(client, &mut screen, &mut events) {
            Err(LiveError::Control(ControlError::Closed)) => break,
            drawn => drawn?,
        }
        let drawn_at = Instant::now();
        if is_ended(None, &screen, &mut signals, drawn_at + PAUSE)?
            || is_ended(Some(client), &screen, &mut signals, drawn_at + REFRESH)?
        {
            return Ok(());
        }
    }
    drop(screen);
    println!("the manager has ended");
    Ok(())
}

fn draw(client: &mut ControlClient, screen: &mut FullScreen, events: &mut VecDeque<String>) -> Result<(), LiveError> {
    let (apps, status) = client.list()?;
    while let Some(event) = client.next_event(Instant::now())? {
        events.push_front(report::event_text(&event));
        events.truncate(EVENTS_MAX);
    }
    let shown = report::text(&apps, &status);
    let keys = if screen.has_keys() { "q ends this" } else { "Ctrl-C ends this" };
    let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
    lines.extend([String::new(), format!("{keys}; what happened last:")]);
    lines.extend(events.iter().cloned());
    screen.draw(&lines).map_err(LiveError::Terminal)
}

/// Waits until the deadline, or until there is news of the manager; whether a key or a signal ends it.
fn is_ended(
    news: Option<&ControlClient>,
    screen: &FullScreen,
    signals: &mut Signals,
    deadline: Instant,
) -> Result<bool, LiveError> {
    while Instant::now() < deadline {
        let ready = wait(news, screen, signals, deadline)?;
        if signals.receive()?.is_some() || (ready.keys && is_quit_key()?) {
            return Ok(true);
        }
        if ready.news {
            break;
        }
    }
    Ok(false)
}

struct Ready {
    keys: bool,
    news: bool,
}

fn wait(
    news: Option<&ControlClient>,
    screen: &FullScreen,
    signals: &Signals,
    deadline: Instant,
) -> Result<Ready, LiveError> {
    let stdin = std::io::stdin();
    let readable = |source| PollFd::from_borrowed_fd(source, PollFlags::IN);
    // What is not to be looked at is the signals once more.
    let keys = if screen.has_keys() { stdin.as_fd() } else { signals.as_fd() };
    let mut sources = [signals.as_fd(), keys, news.map_or(signals.as_fd(), AsFd::as_fd)].map(readable);
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    match poll(&mut sources, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(LiveError::Terminal(errno.into())),
    }
    let [_, keys, news] = sources.map(|source| !source.revents().is_empty());
    Ok(Ready { keys: keys && screen.has_keys(), news })
}

/// The end of the input ends it too: the terminal has gone.
fn is_quit_key() -> Result<bool, LiveError> {
    let mut keys = [0; 64];
    let count = rustix::io::read(std::io::stdin(), &mut keys).map_err(|errno| LiveError::Terminal(errno.into()))?;
    let pressed = keys.get(..count).unwrap_or_default();
    Ok(pressed.is_empty() || pressed.iter().any(|key| QUIT.contains(key)))
}
