//! The manager machine.
