//! Any text as the manager's configuration file.
//!
//! The parser is taken as source and not out of the daemon's library, which links GStreamer. It finds the rest of the
//! daemon at the root of the program that it is in.

#[allow(dead_code, unreachable_pub, unused_imports, reason = "the programs use the rest")]
#[path = "../../daemon/src"]
pub(crate) mod daemon {
    pub mod config;
    pub mod keys;
    pub mod log {
        pub mod format;
        pub use format::Format;
    }
    pub mod names;
    pub mod runtime;
}

use daemon::config::Config;
use greenroom_core::limits::{KEY_SESSIONS_MAX, SESSIONS_MAX, SINK_BYTES_MAX, SPARES_MAX, WEB_AUDIO_PLAYERS_MAX};
use greenroom_core::message::AppId;

/// Reads a file. What is refused is refused in words.
///
/// # Panics
///
/// When something is taken that would be refused, or overflow, later.
pub(crate) fn config(text: &str) {
    match text.parse::<Config>() {
        Ok(config) => check(&config),
        Err(error) => assert!(!error.to_string().is_empty(), "{error:?} says nothing"),
    }
}

/// What is taken can be used as it is: nothing of it is refused, or overflows, later.
fn check(config: &Config) {
    let settings = config.settings();
    assert!(usize::from(settings.spares) <= SPARES_MAX && settings.health.failures_max > 0);
    assert!(settings.ready_timeout.is_none_or(|timeout| !timeout.is_zero()));
    assert!(config.control.mode.0 <= 0o777 && config.socket.mode.0 <= 0o777);
    assert!(config.control_socket().is_absolute() && config.socket_directory().is_absolute());
    for (name, value) in config.session_environment() {
        assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'), "{name}={value}");
    }
    for (app, _, _) in config.access() {
        assert!(AppId::new(app).is_ok(), "{app} is no app's name");
        let resources = config.resources(app);
        assert!(usize::from(resources.max_playback_sessions) <= SESSIONS_MAX);
        assert!(usize::from(resources.max_web_audio_players) <= WEB_AUDIO_PLAYERS_MAX);
        assert!(usize::from(resources.max_key_sessions) <= KEY_SESSIONS_MAX);
        let (video, audio) = config.sinks(app);
        assert!(video.len() <= SINK_BYTES_MAX && audio.len() <= SINK_BYTES_MAX);
    }
}
