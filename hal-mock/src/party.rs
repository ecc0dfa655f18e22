//! Who takes part in a world, and who sees what they say to each other.

use std::fmt;
use std::net::SocketAddr;

use greenroom_core::time::Instant;

/// Who takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// Whoever a test plays, or nobody yet: a connection that was not accepted.
    #[default]
    Nobody,
    /// Who drives the manager, by number: an application manager, or a person.
    Controller(u16),
    /// The manager.
    Manager,
    /// A session server, by the number of its process.
    Server(u32),
    /// The decoders of the session server with this number.
    Decoder(u32),
    /// One connection of an app.
    Client {
        /// Which app, by number.
        app: u16,
        /// Which of its connections.
        client: u16,
    },
    /// The presentation service of the box with this number.
    Presentation(u16),
    /// A local client of the presentation service of a box: a page, a receiver, or a program of the platform.
    Presenter {
        /// Of which box.
        station: u16,
        /// Which one.
        client: u16,
    },
}

impl fmt::Display for Party {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => out.write_str("-"),
            Self::Controller(number) => write!(out, "controller {number}"),
            Self::Manager => out.write_str("manager"),
            Self::Server(process_id) => write!(out, "server {process_id}"),
            Self::Decoder(process_id) => write!(out, "decoder {process_id}"),
            Self::Client { app, client } => write!(out, "app{app}/{client}"),
            Self::Presentation(station) => write!(out, "box {station}"),
            Self::Presenter { station, client } => write!(out, "box {station}/{client}"),
        }
    }
}

/// One message on any socket.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Who sent it.
    pub from: Party,
    /// Who receives it; nobody while its connection is not accepted.
    pub to: Party,
    /// Which connection it goes over: later ones have higher numbers.
    pub connection: u64,
    /// When it was sent.
    pub sent_at: Instant,
    /// The message as it is on the wire.
    pub bytes: &'a [u8],
    /// How many descriptors go with it.
    pub descriptors: usize,
}

/// Sees every message of a world.
pub trait Observer {
    /// It was sent.
    fn sent(&self, said: &Said<'_>);
    /// It was received. One whose receiver has gone never is.
    fn received(&self, said: &Said<'_>);
    /// These bytes were sent on a stream.
    fn carried(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let _ = (from, to, bytes);
    }
}
