//! What `greenroomctl` shows: the list for people and programs, and the live view.

pub mod live;
mod memory;
pub mod report;
