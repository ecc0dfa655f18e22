//! What the programs share.
//!
//! | room | what is in it |
//! |---|---|
//! | [`app_protocol`] | what an application manager and an app say to each other |
//! | [`appmanager`] | a sample application manager |
//! | [`browser`] | showing a page of another device in a browser |
//! | [`command_line`] | the programs' command lines |
//! | [`companion`] | the manager's companions: the presentation service, and what serves browsers |
//! | [`config`] | the manager's configuration file |
//! | [`control`] | asking the manager, and hearing its events |
//! | [`keys`] | which key systems session servers have |
//! | [`log`] | what is written to stderr, at levels that change at run time |
//! | [`manager`] | the manager's process |
//! | [`names`] | what people call states, levels and components |
//! | [`play`] | playing a media file through the client library |
//! | [`presentation`] | the presentation service's process |
//! | [`receiver`] | showing a page of another device by playing a file |
//! | [`runtime`] | where sockets and programs lie when nobody says otherwise |
//! | [`service`] | what the service manager, systemd, is told |
//! | [`web`] | the Presentation API for pages in browsers |

pub mod access;
pub mod app_protocol;
pub mod appmanager;
pub mod browser;
pub mod command_line;
pub mod companion;
pub mod config;
pub mod control;
pub mod ctl;
pub mod keys;
pub mod log;
pub mod manager;
pub mod names;
pub mod play;
pub mod presentation;
pub mod receiver;
pub mod runtime;
pub mod service;
mod terminal;
pub mod web;

const _: () = assert!(!greenroom_core::planted::IS_ENABLED, "no program is built with planted bugs");
