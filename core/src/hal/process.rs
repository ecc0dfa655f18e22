//! The session servers' processes.

use serde::{Deserialize, Serialize};

use super::{ErrorType, Socket};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ExitStatus {
    /// By itself, with this status.
    Exited(u8),
    /// By this signal.
    Killed(u8),
}

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Signal {
    /// It may clean up.
    Terminate,
    /// It is gone.
    Kill,
}

/// A process that this one started. Readable when it has ended.
pub trait Child: ErrorType {
    /// Its number, for people to read; never used to address it.
    fn process_id(&self) -> u32;
    /// Sends a signal. To one that has ended it does nothing.
    fn signal(&mut self, signal: Signal) -> Result<(), Self::Error>;
    /// Reaps it, if it has ended.
    fn try_wait(&mut self) -> Result<Option<ExitStatus>, Self::Error>;
}

/// Starts session servers.
pub trait Spawn: ErrorType {
    /// What it starts.
    type Child: Child;
    /// The manager's end of the private channel between the two (SM-02).
    type Socket: Socket;

    /// Starts the program, hands it its end of a new channel and no other descriptor (SM-03). It is the same for every
    /// app, and learns over the channel which one it serves: it may be started before that is known.
    fn spawn(&mut self) -> Result<(Self::Child, Self::Socket), Self::Error>;
}
