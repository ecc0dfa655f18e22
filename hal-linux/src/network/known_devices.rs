//! The devices that this one has been connected to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use greenroom_core::hal::{ErrorKind, ErrorType, Fingerprint, KnownDevices};
use serde::{Deserialize, Serialize};

use crate::error::LinuxError;
use crate::kept_file;

/// Devices that are remembered: many times what a home has. It bounds what a hostile network can fill.
pub const KNOWN_DEVICES_MAX: usize = 256;

const READ: &str = "read the known devices in";

/// Devices and their certificates, in a TOML file that people can read and edit.
///
/// ```toml
/// [device."kitchen.local"]
/// fingerprint = "0A:1B:..."
/// ```
#[derive(Debug)]
pub struct KnownDeviceFile {
    path: PathBuf,
    known: Known,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    #[serde(default)]
    device: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    fingerprint: String,
}

impl KnownDeviceFile {
    /// Reads the file; no file means that nobody is known.
    ///
    /// A file that is damaged is a failure and stays: without it every device would be a new one, and any certificate
    /// right.
    pub fn open(path: &Path) -> Result<Self, LinuxError> {
        let known = match fs::read_to_string(path) {
            Ok(text) => parse(&text).map_err(|error| error.about(path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Known::default(),
            Err(error) => return Err(kept_file::failure(READ, path, &error)),
        };
        Ok(Self { path: path.to_owned(), known })
    }

    /// Writes first, and then believes it.
    fn change(&mut self, change: impl FnOnce(&mut BTreeMap<String, Entry>)) -> Result<(), LinuxError> {
        let mut known = self.known.clone();
        change(&mut known.device);
        let text = toml::to_string(&known)
            .map_err(|cause| LinuxError::other("write", ErrorKind::Other, cause).about(self.path.display()))?;
        kept_file::replace(&self.path, text.as_bytes())?;
        self.known = known;
        Ok(())
    }
}

fn parse(text: &str) -> Result<Known, LinuxError> {
    let known: Known = toml::from_str(text).map_err(|cause| LinuxError::other(READ, ErrorKind::WrongKind, cause))?;
    let wrong = known.device.iter().find(|(_, entry)| Fingerprint::parse(&entry.fingerprint).is_none());
    match wrong {
        Some((id, _)) => {
            Err(LinuxError::other(READ, ErrorKind::WrongKind, format!("the fingerprint of {id:?} is none")))
        }
        None => Ok(known),
    }
}

impl ErrorType for KnownDeviceFile {
    type Error = LinuxError;
}

impl KnownDevices for KnownDeviceFile {
    fn fingerprint(&self, device_id: &str) -> Option<Fingerprint> {
        Fingerprint::parse(&self.known.device.get(device_id)?.fingerprint)
    }

    fn remember(&mut self, device_id: &str, fingerprint: Fingerprint) -> Result<(), LinuxError> {
        if self.fingerprint(device_id) == Some(fingerprint) {
            return Ok(());
        }
        if self.known.device.len() >= KNOWN_DEVICES_MAX && !self.known.device.contains_key(device_id) {
            let cause = format!("{KNOWN_DEVICES_MAX} are known already; forget some");
            return Err(LinuxError::other("remember", ErrorKind::Exhausted, cause).about(device_id));
        }
        let entry = Entry { fingerprint: fingerprint.to_string() };
        self.change(|devices| drop(devices.insert(device_id.to_owned(), entry)))
    }

    fn forget(&mut self, device_id: &str) -> Result<(), LinuxError> {
        if !self.known.device.contains_key(device_id) {
            return Ok(());
        }
        self.change(|devices| drop(devices.remove(device_id)))
    }
}

#[cfg(test)]
mod tests {
    use greenroom_core::hal::Error;

    use super::*;

    const ONE: Fingerprint = Fingerprint([0x1A; 32]);
    const OTHER: Fingerprint = Fingerprint([0x2B; 32]);

    fn file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("known-devices.toml");
        (directory, path)
    }

    #[test]
    fn what_was_remembered_is_known_after_a_restart_until_it_is_forgotten() {
        let (_directory, path) = file();
        let mut devices = KnownDeviceFile::open(&path).unwrap();
        assert_eq!(devices.fingerprint("kitchen.local"), None);
        devices.remember("kitchen.local", ONE).unwrap();
        devices.remember("a \"quoted\" name\n", OTHER).unwrap();
        let mut again = KnownDeviceFile::open(&path).unwrap();
        assert_eq!(again.fingerprint("kitchen.local"), Some(ONE));
        assert_eq!(again.fingerprint("a \"quoted\" name\n"), Some(OTHER));
        again.remember("kitchen.local", OTHER).unwrap();
        again.forget("nobody").unwrap();
        again.forget("a \"quoted\" name\n").unwrap();
        let last = KnownDeviceFile::open(&path).unwrap();
        assert_eq!((last.fingerprint("kitchen.local"), last.known.device.len()), (Some(OTHER), 1));
    }

    #[test]
    fn a_damaged_file_does_not_make_every_device_a_new_one() {
        let (_directory, path) = file();
        for damaged in ["[device", "[device.a]\nfingerprint = 'AA'", "device = 7", "[device.a]"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(KnownDeviceFile::open(&path).unwrap_err().kind(), ErrorKind::WrongKind, "{damaged}");
        }
    }

    #[test]
    fn a_full_store_forgets_nobody() {
        let (_directory, path) = file();
        let full: BTreeMap<String, Entry> =
            (0..KNOWN_DEVICES_MAX).map(|n| (n.to_string(), Entry { fingerprint: ONE.to_string() })).collect();
        fs::write(&path, toml::to_string(&Known { device: full }).unwrap()).unwrap();
        let mut devices = KnownDeviceFile::open(&path).unwrap();
        assert_eq!(devices.remember("one more", ONE).unwrap_err().kind(), ErrorKind::Exhausted);
        devices.remember("7", OTHER).unwrap();
        assert_eq!((devices.fingerprint("one more"), devices.fingerprint("7")), (None, Some(OTHER)));
    }

    #[test]
    fn what_cannot_be_kept_is_not_known() {
        let (directory, path) = file();
        let mut devices = KnownDeviceFile::open(&path).unwrap();
        drop(directory);
        assert_eq!(devices.remember("kitchen.local", ONE).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(devices.fingerprint("kitchen.local"), None);
    }
}
