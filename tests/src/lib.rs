//! Greenroom from the outside: what the end-to-end tests share.
//!
//! A test makes a [`tv_box::TvBox`], which is a real `greenroomd` with a directory of its own, and talks to it as an
//! application manager or a person would. Nothing sleeps to wait: [`deadline::until`] polls.

pub mod barcode;
pub mod chooser;
pub mod chromium;
pub mod clip;
pub mod coded_pictures;
pub mod conformance;
pub mod deadline;
pub mod heap;
pub mod neighbour;
pub mod numbered_clip;
pub mod observe;
pub mod passage;
pub mod picture;
pub mod picture_fifo;
pub mod playing_app;
pub mod programs;
pub mod recording;
pub mod sequence;
pub mod session_process;
pub mod session_stage;
pub mod site;
pub mod terminal;
pub mod test_card;
pub mod tv_box;
pub mod web;
