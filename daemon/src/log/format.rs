//! How a line of the log looks.

use std::env;

use serde::Deserialize;

/// The environment variable that says `json` to session servers, who log before they are configured.
pub const FORMAT_VARIABLE: &str = "GREENROOM_LOG_FORMAT";

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl Format {
    /// What [`FORMAT_VARIABLE`] says; anything but `json` is text.
    pub fn from_environment() -> Self {
        match env::var(FORMAT_VARIABLE).as_deref() {
            Ok("json") => Self::Json,
            _ => Self::Text,
        }
    }

    /// The variable with which a child logs in this format.
    pub fn environment(self) -> Option<(String, String)> {
        match self {
            Self::Text => None,
            Self::Json => Some((FORMAT_VARIABLE.to_owned(), "json".to_owned())),
        }
    }
}
