//! What a ring does between two honest peers.
