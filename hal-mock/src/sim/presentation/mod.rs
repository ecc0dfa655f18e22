//! Boxes on a network that put pages on each other's screens: the presentation service that ships, in a world that does its
//! worst.
//!
//! | module | what is in it |
//! |---|---|
//! | `lan` | the network, who is on it, and how its time passes |
//! | `station` | a box with the driver that ships |
//! | `presenter`, `page`, `screen` | a local client, what pages do, and processes that show them |
//! | `builder`, `path` | data channels between the processes of pages: the machine that ships, and their way past the services |
//! | `wire`, `controller`, `stranger` | devices of other makes, which share no code with the boxes |
//! | [`doom`] | processes of pages that are killed in the middle of something |
//! | [`fault`], `weather` | the classes of faults, and when which strikes whom |
//! | [`run`] | minutes under faults, and what must come of them |
//! | `witness`, `referee`, `book` | what must hold, seen from outside, and what is written down |

pub mod doom;
pub mod fault;
pub mod run;

mod book;
mod builder;
mod controller;
mod lan;
mod page;
mod path;
mod presenter;
mod referee;
mod screen;
mod station;
mod stranger;
mod weather;
mod wire;
mod witness;

pub use fault::{Area, FAULTS, Fault};
pub use run::{Outcome, Run};
