//! What the presentation service may show, and where it is found.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use greenroom_core::hal::{Fingerprint, Visitor};
use greenroom_core::limits::{ESTABLISH_TIMEOUT, ESTABLISH_TIMEOUT_MAX, PAGE_LOAD_TIMEOUT};
use greenroom_core::presentation::pages;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::WebSection;
use super::values::{Mode, NameText, OwnerText, SocketText, arguments, check_full_path, full_path, within};

/// Pages of other devices on this box's screen, and its own on theirs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PresentationSection {
    /// Whether there is such a service.
    pub enabled: bool,
    /// Its program; empty for the one beside the manager's.
    #[serde(deserialize_with = "full_path")]
    pub program: PathBuf,
    /// What the box calls itself; empty for its host name.
    pub name: NameText,
    /// Where devices connect; 0 for any port.
    #[serde(deserialize_with = "within::<0, 65_535, _, _>")]
    pub port: u16,
    /// Whether they connect with TLS.
    pub encrypt: bool,
    /// Whether those that know no TLS may connect all the same.
    pub accept_plain: bool,
    /// On which interfaces the box is announced; none for all.
    pub interfaces: Vec<String>,
    /// Where its certificate and the known devices are kept; empty for the default.
    #[serde(deserialize_with = "full_path")]
    pub state_directory: PathBuf,
    /// Where local clients connect; empty for the default.
    pub socket: SocketText,
    /// The mode of that socket.
    pub mode: Mode,
    /// Its user; empty for the service's own.
    pub owner: OwnerText,
    /// Its group; empty for the service's own.
    pub group: OwnerText,
    /// How long a page may load.
    #[serde(deserialize_with = "wait_ms")]
    pub page_load_timeout_ms: u32,
    /// How long a connection may take to be made.
    #[serde(deserialize_with = "wait_ms")]
    pub establish_timeout_ms: u32,
    /// What may be shown, and how.
    pub page: Vec<PageSection>,
    /// Whether pages in browsers may use the service.
    pub web: WebSection,
}

impl Default for PresentationSection {
    fn default() -> Self {
        Self {
            enabled: false,
            program: PathBuf::new(),
            name: NameText::default(),
            port: 0,
            encrypt: true,
            accept_plain: false,
            interfaces: Vec::new(),
            state_directory: PathBuf::new(),
            socket: SocketText::default(),
            mode: Mode::default(),
            owner: OwnerText::default(),
            group: OwnerText::default(),
            page_load_timeout_ms: PAGE_LOAD_TIMEOUT.as_millis() as u32,
            establish_timeout_ms: ESTABLISH_TIMEOUT.as_millis() as u32,
            page: Vec::new(),
            web: WebSection::default(),
        }
    }
}

impl PresentationSection {
    /// A page that is launched is there within this (PS-13).
    pub fn page_load_timeout(&self) -> Duration {
        Duration::from_millis(self.page_load_timeout_ms.into())
    }

    /// A connection is made within this (PS-30).
    pub fn establish_timeout(&self) -> Duration {
        Duration::from_millis(self.establish_timeout_ms.into())
    }
}

/// Nobody waits for ever (PS-30).
fn wait_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within::<1, { ESTABLISH_TIMEOUT_MAX.as_millis() as i64 }, _, _>(deserializer)
}

/// Pages that may be shown, for whom, and what shows them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageSection {
    /// Which pages.
    pub urls: Vec<Pattern>,
    /// For which devices, by their certificates; none named for every device.
    #[serde(deserialize_with = "fingerprints")]
    pub devices: Vec<Fingerprint>,
    /// The program, as a full path, and its arguments, in which `{url}` and `{id}` stand for the page and the presentation.
    #[serde(deserialize_with = "command")]
    pub command: Vec<String>,
}

impl PageSection {
    /// Whether it is about this page.
    pub fn means(&self, url: &str) -> bool {
        self.urls.iter().any(|pattern| pages::means(&pattern.0, url))
    }

    /// Whether this device may have it shown.
    pub fn lets(&self, visitor: &Visitor<'_>) -> bool {
        self.devices.is_empty() || visitor.fingerprint.is_some_and(|shown| self.devices.contains(&shown))
    }
}

/// Which pages are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if pages::is_pattern(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("'{text}' means no pages; write a whole URL, or one like https://tv.example/*, https://* or app:*"))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn fingerprints<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Fingerprint>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let none = |text: &str| D::Error::custom(format!("'{text}' is no fingerprint of a certificate: one is AB:CD:.."));
    texts.iter().map(|text| Fingerprint::parse(text).ok_or_else(|| none(text))).collect()
}

fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let command = arguments(deserializer)?;
    check_full_path(command.first().map_or("", String::as_str)).map_err(D::Error::custom)?;
    Ok(command)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// PS-13, PS-30
    #[test]
    fn waits_are_as_configured_and_as_the_core_has_them_by_default() {
        let waits = |text: &str| {
            let section: PresentationSection = toml::from_str(text).unwrap();
            (section.page_load_timeout(), section.establish_timeout())
        };
        assert_eq!(waits(""), (PAGE_LOAD_TIMEOUT, ESTABLISH_TIMEOUT));
        let configured = waits("page_load_timeout_ms = 1\nestablish_timeout_ms = 120000");
        assert_eq!(configured, (Duration::from_millis(1), ESTABLISH_TIMEOUT_MAX));
    }

    /// PS-11, PS-34
    #[test]
    fn a_page_is_shown_for_the_devices_that_are_named_or_for_all() {
        let own = Fingerprint([1; 32]);
        let visitor = |fingerprint| Visitor { device_id: "TV", address: Ipv4Addr::LOCALHOST.into(), fingerprint };
        let all = PageSection { urls: vec!["app:*".parse().unwrap()], ..PageSection::default() };
        assert!(all.means("app:tv") && !all.means("https://tv.example/"));
        assert!(all.lets(&visitor(None)));
        let some = PageSection { devices: vec![own], ..all };
        assert!(some.lets(&visitor(Some(own))));
        assert!(!some.lets(&visitor(None)) && !some.lets(&visitor(Some(Fingerprint([2; 32])))));
    }
}
