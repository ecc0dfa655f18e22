//! One app: its process and what it says.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::Settings;
use crate::app_protocol::{Line, ManagedState};

/// An app that was killed is reaped within this.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Why an app did not follow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// Platform: its program cannot be started.
    #[error("{program} cannot be started: {cause}; give it with --program")]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// Peer: it has ended.
    #[error("it has ended ({0}); its last words are above")]
    Ended(String),
    /// Peer: it did not answer.
    #[error("it was not {wanted} in time")]
    Silent {
        /// Where it should be.
        wanted: ManagedState,
    },
    /// Peer: it answered that it is elsewhere.
    #[error("it is {state} instead of {wanted}")]
    Refused {
        /// Where it is.
        state: ManagedState,
        /// Where it should be.
        wanted: ManagedState,
    },
}

/// A running app. Its process ends with its standard input, so it does not outlive this for long.
#[derive(Debug)]
pub(super) struct AppProcess {
    child: Child,
    input: ChildStdin,
    said: Receiver<ManagedState>,
    state: Option<ManagedState>,
    news: Vec<ManagedState>,
}

impl AppProcess {
    pub(super) fn start(
        settings: &Settings,
        app: &str,
        socket: &Path,
        file: &Path,
        state: ManagedState,
    ) -> Result<Self, AppError> {
        let not_started = |cause| AppError::NotStarted { program: settings.program.clone(), cause };
        let mut child = Command::new(&settings.program)
            .args(["--managed", "--state", &state.to_string(), "--socket"])
            .arg(socket)
            .args(&settings.arguments)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if settings.words.is_some() { Stdio::piped() } else { Stdio::inherit() })
            .spawn()
            .map_err(not_started)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(not_started(std::io::ErrorKind::BrokenPipe.into()));
        };
        if let (Some(words), Some(errors)) = (settings.words.clone(), child.stderr.take()) {
            pass_on(app.to_owned(), errors, words);
        }
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(Line::StateChanged(state)) = Line::parse(&line) {
                    let _ = tell.send(state);
                }
            }
        });
        Ok(Self { child, input, said, state: None, news: Vec::new() })
    }

    /// What it said last.
    pub(super) fn state(&self) -> Option<ManagedState> {
        self.state
    }

    /// What it has said and nobody has taken yet.
    pub(super) fn take_news(&mut self) -> Vec<ManagedState> {
        while let Ok(state) = self.said.try_recv() {
            self.hear(state);
        }
        std::mem::take(&mut self.news)
    }

    pub(super) fn tell(&mut self, line: Line) -> Result<(), AppError> {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).map_err(|_| self.ended())
    }

    /// Waits for the answer to what it was told: the next state that it says.
    pub(super) fn wait_for_answer(&mut self, wanted: ManagedState, timeout: Duration) -> Result<(), AppError> {
        match self.next(Instant::now() + timeout, wanted)? {
            state if state == wanted => Ok(()),
            state => Err(AppError::Refused { state, wanted }),
        }
    }

    /// Waits until it says that it is in this state; for NotRunning, until it has ended.
    pub(super) fn wait(&mut self, wanted: ManagedState, timeout: Duration) -> Result<(), AppError> {
        let deadline = Instant::now() + timeout;
        loop {
            if wanted == ManagedState::NotRunning && self.exit_status(deadline).is_some() {
                return Ok(());
            }
            if self.state == Some(wanted) {
                return Ok(());
            }
            self.next(deadline, wanted)?;
        }
    }

    /// Whether its process has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.exit_status(Instant::now()).is_some()
    }

    /// Ends it: by the end of its input, and after `timeout` for good. Gives its exit status, unless a signal ended it.
    pub(super) fn end(self, timeout: Duration) -> Option<i32> {
        let Self { mut child, input, .. } = self;
        drop(input);
        let status = reap(&mut child, Instant::now() + timeout).or_else(|| {
            // One that has ended meanwhile is reaped all the same.
            let _ = child.kill();
            reap(&mut child, Instant::now() + KILL_TIMEOUT)
        });
        status.and_then(|status| status.code())
    }

    fn exit_status(&mut self, deadline: Instant) -> Option<ExitStatus> {
        reap(&mut self.child, deadline)
    }

    fn next(&mut self, deadline: Instant, wanted: ManagedState) -> Result<ManagedState, AppError> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.said.recv_timeout(left) {
            Ok(state) => {
                self.hear(state);
                Ok(state)
            }
            Err(RecvTimeoutError::Timeout) => Err(AppError::Silent { wanted }),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    fn hear(&mut self, state: ManagedState) {
        self.state = Some(state);
        self.news.push(state);
    }

    fn ended(&mut self) -> AppError {
        let status = reap(&mut self.child, Instant::now() + KILL_TIMEOUT);
        AppError::Ended(status.map_or_else(|| "but does not exit".into(), |status| status.to_string()))
    }
}

/// Passes on what an app writes to standard error until it ends, also when nobody listens any more.
fn pass_on(app: String, errors: ChildStderr, words: Sender<(String, String)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            let _ = words.send((app.clone(), line));
        }
    });
}

/// Reaps a child that ends before `deadline`. A process that ends says so to nobody but who asks.
fn reap(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_INTERVAL),
            Ok(None) | Err(_) => return None,
        }
    }
}
