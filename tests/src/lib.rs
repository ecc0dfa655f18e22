//! Greenroom from the outside.

pub mod conformance;
