//! Greenroom on Linux. All `unsafe` of the project is here.
//!
//! Features name the roles: `client`, `manager`, `session`, `presentation`, `content`; none is on by default, so that an app
//! that links the client library gets no GStreamer, no TLS and no mDNS.
//!
//! | module | what is in it | for |
//! |---|---|---|
//! | [`error`] | what Linux says when it says no | all |
//! | [`clock`] | `CLOCK_MONOTONIC` | all |
//! | [`event_loop`] | epoll: what is ready, in a fixed order | all |
//! | [`socket`] | `SOCK_SEQPACKET` connections with descriptors | all |
//! | [`memory`] | sealed memfds and eventfds: shared memory and bells | session, client |
//! | `decoder` | playback with GStreamer | session |
//! | `client` | the library by which an app reaches its session server | client |
//! | `listener` | named sockets: made, adopted, removed | manager, presentation, session |
//! | `owner` | users and groups by name | manager, presentation, session |
//! | `signals` | TERM, INT, QUIT and HUP as a descriptor | manager, presentation, session |
//! | `heap` | its parts are shared by all threads | session |
//! | `harden` | what a program gives up first | manager, presentation, session |
//! | `network` | TCP, TLS with pinned certificates, known devices | presentation |
//! | `discovery` | mDNS: announced devices | presentation |
//! | `presentation` | the presentation service | presentation |
//! | `presenter` | the service's local clients | presentation, content |
//! | `content` | data channels, in the process of the page | content |
//! | `process` | children: `posix_spawn` and pidfd | manager, presentation |

#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "content")]
pub mod content;
mod credentials;
#[cfg(feature = "session")]
pub mod decoder;
#[cfg(feature = "presentation")]
pub mod discovery;
pub mod error;
pub mod event_loop;
#[cfg(any(feature = "manager", feature = "presentation", feature = "session"))]
pub mod harden;
#[cfg(feature = "session")]
pub mod heap;
#[cfg(feature = "presentation")]
mod kept_file;
#[cfg(feature = "session")]
pub mod keys;
#[cfg(any(feature = "manager", feature = "presentation", feature = "session"))]
pub mod listener;
pub mod memory;
#[cfg(feature = "presentation")]
pub mod network;
#[cfg(any(feature = "manager", feature = "presentation", feature = "session"))]
pub mod owner;
#[cfg(feature = "presentation")]
pub mod presentation;
#[cfg(any(feature = "content", feature = "presentation"))]
pub mod presenter;
#[cfg(any(feature = "manager", feature = "presentation"))]
pub mod process;
#[cfg(any(feature = "manager", feature = "presentation", feature = "session"))]
pub mod signals;
pub mod socket;
