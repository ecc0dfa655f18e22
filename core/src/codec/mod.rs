//! Bytes to messages and back, at the edge. A codec never decides anything.

pub mod frame;
pub mod papi;
pub mod postcard;
