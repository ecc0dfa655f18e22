//! Which key systems session servers have.

use std::env;

use serde::Deserialize;

/// The environment variable that says it to session servers.
pub const PROVIDER_VARIABLE: &str = "GREENROOM_KEY_PROVIDER";

/// Where key systems come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// There are none.
    #[default]
    None,
    /// The one for tests alone: `greenroom.test`.
    Test,
}

impl Provider {
    /// What [`PROVIDER_VARIABLE`] says; anything but `test` is none.
    pub fn from_environment() -> Self {
        match env::var(PROVIDER_VARIABLE).as_deref() {
            Ok("test") => Self::Test,
            _ => Self::None,
        }
    }

    /// The variable with which a session server has this provider.
    pub fn environment(self) -> Option<(String, String)> {
        match self {
            Self::None => None,
            Self::Test => Some((PROVIDER_VARIABLE.to_owned(), "test".to_owned())),
        }
    }
}
