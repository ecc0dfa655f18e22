//! The simulated world: what the platform does, without a platform.
