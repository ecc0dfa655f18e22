//! What `greenroomctl` shows: the list for people and programs, the live view, and traces.

pub mod live;
mod memory;
pub mod report;
pub mod trace;
