//! Frames through shared memory, between processes that distrust each other.
//!
//! One producer (the app), one consumer (its session server). Each writes one region and can only read the other's, so
//! neither can change the other's cursor. A playback slot has one pair of regions with one ring for each kind of source:
//!
//! ```text
//! the client's region: it writes, the server reads            the server's region: it writes, the client reads
//!
//!     0 ┌───────────────────────────────────────┐  ┐              0 ┌─────────────────────┐  ┐
//!       │ head              (line of its own)   │  │                │ tail                │  │
//!    64 ├───────────────────────────────────────┤  │             64 ├─────────────────────┤  │
//!       │ waiting for space (line of its own)   │  │ video          │ sleeping            │  │ video
//!   128 ├───────────────────────────────────────┤  │            128 ├─────────────────────┤  │
//!       │ descriptor 0 │ 1 │ 2 │ ... RING_SLOTS │  │                │ number of places    │  │
//!       ├───────────────────────────────────────┤  ┘            192 ├─────────────────────┤  ┘
//!       │ the same for audio                    │                  │ the same for audio  │
//!       ├───────────────────────────────────────┤                  ├─────────────────────┤
//!       │ the same for text                     │                  │ the same for text   │
//!       ├═══════════════════════════ page ══════┤                  └─────────────────────┘
//!       │ video payload: a ring of bytes        │
//!       ├═══════════════════════════ page ══════┤      head, tail: how many records were ever put in and taken out,
//!       │ audio payload                         │      wrapping at 2^32; a record's place is its number modulo
//!       ├═══════════════════════════ page ══════┤      RING_SLOTS, a power of two. Ring empty: head = tail.
//!       │ text payload                          │      Always: head - tail <= RING_SLOTS.
//!       └───────────────────────────────────────┘
//! ```
//!
//! # Order of memory
//!
//! - The producer writes payload and descriptor, then stores the head with release order; the consumer loads the head with
//!   acquire order and only then reads them. So it reads what was written.
//! - The consumer reads, then stores the tail with release order; the producer loads the tail with acquire order and only
//!   then writes into those places again. So nothing is overwritten that is still read.
//!
//! # Sleep and wake
//!
//! ```text
//! consumer                               producer
//!   sleeping = 1                           head = head + 1
//!   full fence                             full fence
//!   look at head: moved? do not sleep      look at sleeping: set? ring the data bell
//! ```
//!
//! Each side writes one word and reads the other's. Release and acquire alone would let both reads come before both
//! writes became visible: the consumer sees no record, the producer no sleeper, and nobody ever wakes. A full fence between
//! write and read on both sides forbids that: at least one of them sees the other's write. The same holds with the sides
//! exchanged for a producer that waits for space (`waiting`, `tail`, space bell). While both are awake no bell is rung,
//! so a busy ring costs no system call.
//!
//! # Distrust
//!
//! A cursor from the peer is checked at each load: it must lie between its last value and what the ring can hold. A descriptor
//! is copied once, the copy is checked and only the copy is used. Payload is copied in one or two stretches; what it says
//! is the decoder's business. What is wrong is a [`RingError`], which ends that session and nothing else.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod consumer;
mod descriptor;
mod frame;
mod layout;
mod producer;
mod ring_source;
mod source;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests;

pub use consumer::Consumer;
pub use frame::{FrameHeader, Record, RecordKind};
pub use layout::{DESCRIPTOR_BYTES, LINE_BYTES, PAGE_BYTES, SERVER_BLOCK_BYTES, SlotLayout, client_block_bytes};
pub use producer::{Producer, PushError, Pushed};
pub use ring_source::RingSource;
pub use source::{FrameSource, RingError};
