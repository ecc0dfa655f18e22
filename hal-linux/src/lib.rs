//! Greenroom on Linux. All `unsafe` of the project is here.
//!
//! Features name the roles: `client`, `manager`, `session`; none is on by default, so that an app that links
//! the client library gets no GStreamer.

pub mod error;
