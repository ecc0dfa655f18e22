//! Greenroom from the outside.
