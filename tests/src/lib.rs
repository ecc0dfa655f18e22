//! Greenroom from the outside.

pub mod conformance;
pub mod session_process;
pub mod session_stage;
