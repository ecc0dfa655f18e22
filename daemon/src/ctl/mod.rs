//! What `greenroomctl` shows: the list for people and programs, the live view, traces, and presentations.

pub mod live;
mod memory;
pub mod present;
pub mod report;
pub mod trace;
