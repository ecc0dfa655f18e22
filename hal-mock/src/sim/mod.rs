//! A whole box in virtual time: the drivers, machines, rings and codecs that ship, in a world that does its worst.
//!
//! | module | what is in it |
//! |---|---|
//! | [`tv_box`], `turns` | the box, what a scenario can do, and whose turn it is |
//! | `manager`, `server`, `client` | the drivers that ship, each in its process |
//! | `decoder`, `hardware` | decoders that take frames out of the rings, and how many there are |
//! | `viewer`, `controller` | what apps and application managers do |
//! | [`fault`], `weather`, `guest` | the classes of faults, and when which strikes whom |
//! | [`run`] | an hour of a box under faults, and what must come of it |
//! | `referee`, `book`, `archive` | what must hold, seen from outside, and what is written down |
//! | [`presentation`] | boxes on a network that put pages on each other's screens |
//! | [`event`] | what happened, for who draws it or looks for why |

pub mod event;
pub mod fault;
pub mod presentation;
pub mod run;
pub mod tv_box;

mod archive;
mod book;
mod client;
mod conductor;
mod controller;
mod decoder;
mod digest;
mod guest;
mod hardware;
mod manager;
mod payload;
mod referee;
mod server;
mod turns;
mod viewer;
mod weather;

pub use book::Violation;
pub use event::{Event, What};
pub use fault::{Fault, FaultSet};
pub use run::{Household, Outcome, Run, Story};
pub use tv_box::{Plan, TvBox};
pub use viewer::Wish;
