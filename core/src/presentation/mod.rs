//! A page of one device on the screen of another (PS-01 to PS-36).
//!
//! ```text
//!   pages, receivers,                 service                       other devices
//!   the platform      <-- messages --> |   |  <-- control channels --> (`control_channel`)
//!                                      |   |
//!                     one machine for each connection (`session`)
//!                       controlling: this box asked for the page
//!                       presenting:  this box shows it
//! ```
//!
//! A presentation is one page on one screen; it has a name that is hard to guess. A connection is one page's end of it,
//! with a state of its own; a presentation may have several. A control channel brings the two ends of a connection
//! together and is not needed while they talk (PS-33).

pub mod content;
pub mod control_channel;
pub mod pages;
pub mod service;
pub mod session;
mod todo;

pub(crate) use todo::Todo;
