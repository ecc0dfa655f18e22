//! Whether pages in browsers may use the presentation service, and which.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::values::{full_path, within};

/// What browsers are served, and who may use it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSection {
    /// Whether there is such a server.
    pub enabled: bool,
    /// Its program; empty for the one that was built or installed with greenroomd.
    #[serde(deserialize_with = "full_path")]
    pub program: PathBuf,
    /// Where browsers connect.
    pub listen: SocketAddr,
    /// Names under which it is reached, besides `localhost` and addresses.
    pub hosts: Vec<HostName>,
    /// Pages that may use it, besides its own.
    pub origins: Vec<WebOrigin>,
    /// What a person's browser has to know; empty for one that is made and kept.
    pub token: TokenText,
    /// What those pages have to know; empty for nothing.
    pub page_token: TokenText,
    /// Pages that are connected at a time.
    #[serde(deserialize_with = "within::<1, 1000, _, _>")]
    pub pages_max: u16,
}

impl Default for WebSection {
    fn default() -> Self {
        Self {
            enabled: false,
            program: PathBuf::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8010)),
            hosts: Vec::new(),
            origins: Vec::new(),
            token: TokenText::default(),
            page_token: TokenText::default(),
            pages_max: 16,
        }
    }
}

macro_rules! checked_texts {
    ($($(#[$doc:meta])* $name:ident: $check:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $check(text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

checked_texts! {
    /// The name of a host, without a port.
    HostName: host_name;
    /// Where pages come from: a scheme, a host, and a port where it is not the scheme's own.
    WebOrigin: origin;
    /// A secret, or nothing.
    TokenText: token;
}

fn host_name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !is_name {
        return Err(format!("'{text}' is no host's name; write one like box.local, without a port"));
    }
    Ok(text.to_ascii_lowercase())
}

fn origin(text: &str) -> Result<String, String> {
    let wrong = || format!("'{text}' is no origin; write one like https://tv.example, without a path or a final /");
    let lower = text.to_ascii_lowercase();
    let (scheme, host) = lower.split_once("://").ok_or_else(wrong)?;
    let is_host =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    if !matches!(scheme, "http" | "https") || !is_host {
        return Err(wrong());
    }
    Ok(lower)
}

/// Short ones can be guessed.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 16..=128;

fn token(text: &str) -> Result<String, String> {
    let fits = text.is_empty() || TOKEN_BYTES.contains(&text.len());
    if !fits || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        let (least, most) = (TOKEN_BYTES.start(), TOKEN_BYTES.end());
        return Err(format!("a token has {least} to {most} letters, digits or any of - . _ ~; or it is empty"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path_and_is_compared_in_lower_case() {
        assert_eq!(origin("HTTPS://TV.example:8443").unwrap(), "https://tv.example:8443");
        for text in
            ["", "tv.example", "https://", "https://tv.example/", "file:///", "ftp://tv.example", "https://a b", "null"]
        {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_is_nothing_or_long() {
        for text in ["", "0123456789abcdef"] {
            assert_eq!(token(text).unwrap(), text);
        }
        for text in ["short", "0123456789abcde#", &"a".repeat(129)] {
            assert!(token(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_is_a_name_without_a_port() {
        assert_eq!(host_name("Box.local").unwrap(), "box.local");
        for text in ["", "box:80", "a b", "http://box"] {
            assert!(host_name(text).is_err(), "{text}");
        }
    }
}
