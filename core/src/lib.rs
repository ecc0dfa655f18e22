//! Greenroom's core: who is on stage, decided without a heap, a clock or a system call.
//!
//! A request passes through these rooms in this order:
//!
//! | room | what is in it |
//! |---|---|
//! | [`limits`] | every capacity and time limit: name, default, reason |
//! | [`time`] | instants and durations as plain numbers; nobody here reads a clock |
//! | [`table`] | fixed tables whose handles carry a generation |
//! | [`message`] | what the processes say to each other, typed |
//! | [`codec`] | bytes to messages and back, at the edge |
//! | [`ring`] | frames through shared memory between processes that distrust each other |
//! | [`resources`] | the ledger: who holds which decoders |
//! | [`health`] | whether a peer gets on |
//! | [`manager`] | one per box: starts, moves and ends the session servers |
//! | [`session`] | one per app: socket, shared memory, playback sessions |
//! | [`client`] | in the app: calls, events, what is still outstanding |
//! | [`presentation`] | a page of one device on the screen of another |
//! | [`transport`] | messages of a presentation over a stream of bytes |
//! | [`hal`] | what a platform must offer |
//! | [`driver`] | pumps inputs into machines and their actions into a platform |
//! | [`trace`] | the record of inputs from which a run can be replayed |
//! | [`mod@planted`] | bugs that are there on purpose, in builds for tests only |
//!
//! Every machine keeps one contract: after each `handle`, drain `poll_action` until it gives `None`.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod fmt;
#[macro_use]
pub mod planted;

pub mod client;
pub mod codec;
pub mod driver;
pub mod hal;
pub mod health;
pub mod limits;
pub mod manager;
pub mod message;
pub mod presentation;
pub mod resources;
pub mod ring;
pub mod session;
pub mod table;
pub mod time;
pub mod trace;
pub mod transport;
