//! The GStreamer decoder, as an app sees it, fed from memory.

mod changes;
mod clip;
mod commands;
mod endurance;
mod failures;
mod feed;
mod playback;
mod player;
mod rate;
mod ring;
mod sources;
mod texts;
mod underflow;
mod window;
