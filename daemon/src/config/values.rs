//! The values that keys can have, each refused with what is wrong with it and what would be right.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use greenroom_core::limits::{
    DEVICE_NAME_BYTES_MAX, KEY_SESSIONS_MAX, OWNER_BYTES_MAX, SESSIONS_MAX, SINK_BYTES_MAX, SOCKET_PATH_BYTES_MAX,
    SPARES_MAX, WEB_AUDIO_PLAYERS_MAX,
};
use greenroom_core::message::AppId;
use greenroom_core::planted;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{TRACE_BYTES_MAX, TRACE_BYTES_MIN};

/// The mode of a socket's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u16);

impl Default for Mode {
    fn default() -> Self {
        Self(0o660)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            mode @ 0..=0o777 => Ok(Self(mode)),
            _ => Err(D::Error::custom("a mode is an octal number from 0o000 to 0o777, written with 0o")),
        }
    }
}

/// The name of an app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppName(pub(super) String);

impl<'de> Deserialize<'de> for AppName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        AppId::new(&name).map_err(D::Error::custom)?;
        Ok(Self(name))
    }
}

pub(super) fn playback_sessions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    at_most(deserializer, "max_playback_sessions", ("SESSIONS_MAX", SESSIONS_MAX))
}

pub(super) fn web_audio_players<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    at_most(deserializer, "max_web_audio_players", ("WEB_AUDIO_PLAYERS_MAX", WEB_AUDIO_PLAYERS_MAX))
}

pub(super) fn key_sessions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    at_most(deserializer, "max_key_sessions", ("KEY_SESSIONS_MAX", KEY_SESSIONS_MAX))
}

/// A number that a capacity of this build allows.
fn at_most<'de, D: Deserializer<'de>>(
    deserializer: D,
    key: &str,
    (capacity, max): (&str, usize),
) -> Result<Option<u8>, D::Error> {
    let number = within::<0, 255, u8, D>(deserializer)?;
    if usize::from(number) > planted!("more_than_there_is_room_for", usize::MAX, max) {
        return Err(D::Error::custom(format!(
            "{key} is at most {max} here, not {number}; lower it, or build with a higher GREENROOM_{capacity}"
        )));
    }
    Ok(Some(number))
}

pub(super) fn trace_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match within::<0, { TRACE_BYTES_MAX as i64 }, u32, D>(deserializer)? {
        bytes @ 1..TRACE_BYTES_MIN => Err(D::Error::custom(format!(
            "a trace has at least {TRACE_BYTES_MIN} bytes, not {bytes}; raise it, or set 0 to record nothing"
        ))),
        bytes => Ok(bytes),
    }
}

pub(super) fn spares<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let spares = within::<0, 65_535, u16, D>(deserializer)?;
    if usize::from(spares) > SPARES_MAX {
        return Err(D::Error::custom(format!(
            "spares is at most {SPARES_MAX} here, not {spares}; lower it, or build with a higher GREENROOM_SPARES_MAX"
        )));
    }
    Ok(spares)
}

/// A whole number between two bounds.
pub(super) fn within<'de, const MIN: i64, const MAX: i64, T: TryFrom<i64>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let number = i64::deserialize(deserializer)?;
    let in_range = Some(number).filter(|number| (MIN..=MAX).contains(number));
    let out_of_range = || D::Error::custom(format!("it is from {MIN} to {MAX}, not {number}"));
    in_range.and_then(|number| T::try_from(number).ok()).ok_or_else(out_of_range)
}

pub(super) fn full_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = String::deserialize(deserializer)?;
    check_full_path(&path).and_then(|()| check_no_zero(&path)).map_err(D::Error::custom)?;
    Ok(path.into())
}

pub(super) fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let arguments = Vec::deserialize(deserializer)?;
    arguments.iter().try_for_each(|text: &String| check_no_zero(text)).map_err(D::Error::custom)?;
    Ok(arguments)
}

pub(super) fn variables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let variables = BTreeMap::<String, String>::deserialize(deserializer)?;
    for (name, value) in &variables {
        if name.is_empty() || name.contains('=') {
            let error = format!("'{name}' names no variable: a name is not empty and holds no '='; rename it");
            return Err(D::Error::custom(error));
        }
        let holds_zero = |error| D::Error::custom(format!("{name}: {error}"));
        check_no_zero(name).and_then(|()| check_no_zero(value)).map_err(holds_zero)?;
    }
    Ok(variables)
}

pub(super) fn check_full_path(path: &str) -> Result<(), String> {
    if path.is_empty() || path.starts_with('/') {
        return Ok(());
    }
    Err(format!("'{path}' is no full path: one starts with /"))
}

/// The system takes texts that end with their first zero byte.
fn check_no_zero(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("a text holds a zero byte; remove it".to_owned()) } else { Ok(()) }
}

fn check_any(_: &str) -> Result<(), String> {
    Ok(())
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $default:literal, at most $bytes:expr, $what:literal, $check:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub(super) String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default.to_owned())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                if text.len() > $bytes {
                    return Err(format!("{} has at most {} bytes; shorten it", $what, $bytes));
                }
                $check(text).and_then(|()| check_no_zero(text))?;
                Ok(Self(text.to_owned()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

texts! {
    /// Where pictures or sound go.
    Sink = "auto", at most SINK_BYTES_MAX, "the description of a sink", check_any;
    /// The name or number of a user or group.
    OwnerText = "", at most OWNER_BYTES_MAX, "a user or group", check_any;
    /// What the box calls itself on the network.
    NameText = "", at most DEVICE_NAME_BYTES_MAX, "the name of a device", check_any;
    /// The path of a socket or of a directory of sockets.
    SocketText = "", at most SOCKET_PATH_BYTES_MAX, "a socket's path", check_full_path;
}
