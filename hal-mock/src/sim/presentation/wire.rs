//! A device that speaks on a stream by itself: none of the code that ships has a part in it.

use std::collections::VecDeque;

use embedded_io::{Read, Write};
use greenroom_core::hal::{ByteStream, Network, Trust};

use crate::network::Host;
use crate::stream::MockStream;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 4096;

/// A connection, what is still to be said on it, and what was heard.
#[derive(Debug)]
pub(super) struct Wire {
    stream: MockStream,
    /// It has ended, or failed.
    pub(super) has_ended: bool,
    unsent: VecDeque<u8>,
    heard: Vec<u8>,
    /// It takes nothing more out of the stream.
    pub(super) is_deaf: bool,
}

impl Wire {
    pub(super) fn reach(host: &mut Host, to: std::net::SocketAddr, trust: Trust) -> Option<Self> {
        host.connect(to, trust).ok().map(Self::on)
    }

    pub(super) fn on(stream: MockStream) -> Self {
        Self { stream, has_ended: false, unsent: VecDeque::new(), heard: Vec::new(), is_deaf: false }
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.unsent.extend(bytes);
    }

    pub(super) fn say_line(&mut self, line: &str) {
        self.say(line.as_bytes());
        self.say(b"\n");
    }

    pub(super) const fn heard(&self) -> &Vec<u8> {
        &self.heard
    }

    /// What was heard since this was last asked.
    pub(super) fn take_heard(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard)
    }

    /// Sends what it takes now, and hears what is there.
    pub(super) fn pump(&mut self) {
        if self.has_ended {
            return;
        }
        match self.stream.advance() {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => return self.has_ended = true,
        }
        while !self.unsent.is_empty() {
            let (first, _) = self.unsent.as_slices();
            match self.stream.write(first) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(_) => break,
            }
        }
        if !self.is_deaf {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return self.has_ended = true,
                Ok(bytes) => self.heard.extend(&chunk[..bytes]),
                Err(error) if embedded_io_exhausted(&error) => return,
                Err(_) => return self.has_ended = true,
            }
        }
    }
}

fn embedded_io_exhausted(error: &crate::error::SimulatedError) -> bool {
    greenroom_core::hal::Error::kind(error) == greenroom_core::hal::ErrorKind::Exhausted
}
