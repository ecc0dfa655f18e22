//! A device that connects, says who it is, and is answered.

use std::net::SocketAddr;

use greenroom_core::codec::papi;
use greenroom_core::hal::{Arrived, ByteStream, Interest, Network, Trust};
use greenroom_core::message::papi::Message;
use greenroom_hal_linux::network::{LinuxNetwork, LinuxStream};

use super::wait_for;
use crate::Failure;

/// The first words of a control channel; none of us says them, so that nobody asks it whether it still is there.
fn first_words() -> Result<Vec<u8>, Failure> {
    let mut line = [0; 256];
    Ok(papi::encode(&Message::Connect { device_id: "a visitor", extension: 0 }, &mut line)?.to_vec())
}

/// Connects, and gives back when the first words are answered.
pub(super) fn visit(network: &mut LinuxNetwork, to: SocketAddr, trust: Trust) -> Result<LinuxStream, Failure> {
    let mut stream = network.connect(to, trust)?;
    open(&mut stream)?;
    say(&mut stream, &first_words()?)?;
    if hear(&mut stream)? { Ok(stream) } else { Err("a visitor was sent away".into()) }
}

/// Waits until TCP and TLS are done.
pub(super) fn open(stream: &mut LinuxStream) -> Result<(), Failure> {
    while !stream.advance()? {
        wait_for(stream, stream.interest(Interest::Read))?;
    }
    Ok(())
}

pub(super) fn say(stream: &mut LinuxStream, mut words: &[u8]) -> Result<(), Failure> {
    while !words.is_empty() {
        match stream.send(words)? {
            0 => wait_for(stream, stream.interest(Interest::Write))?,
            sent => words = words.get(sent..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Waits until something was said; `false` when the other side has gone.
pub(super) fn hear(stream: &mut LinuxStream) -> Result<bool, Failure> {
    loop {
        match stream.receive(&mut [0; 512])? {
            Arrived::Bytes(_) => return Ok(true),
            Arrived::End => return Ok(false),
            Arrived::WouldBlock => wait_for(stream, stream.interest(Interest::Read))?,
        }
    }
}

/// Whether the other side still is there.
pub(super) fn is_there(stream: &mut LinuxStream) -> bool {
    !matches!(stream.receive(&mut [0; 512]), Ok(Arrived::End) | Err(_))
}
