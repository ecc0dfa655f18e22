//! The GStreamer decoder, as an app sees it, fed from memory.

mod clip;
mod commands;
mod endurance;
mod failures;
mod feed;
mod playback;
mod player;
mod ring;
mod sources;
