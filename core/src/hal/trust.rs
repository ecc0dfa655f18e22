//! Who the peer must be.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::ErrorType;

/// Bytes of a fingerprint as text: pairs of digits with colons between them.
pub const FINGERPRINT_TEXT_BYTES: usize = 95;

/// The SHA-256 of a certificate (DER). Its text is `AA:BB:..`, as in the discovery record.
///
/// ```
/// use greenroom_core::hal::Fingerprint;
///
/// let fingerprint = Fingerprint([0xAB; 32]);
/// assert!(fingerprint.to_string().starts_with("AB:AB:AB"));
/// assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Reads the text, in digits of either case. Anything else is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut pairs = text.split(':');
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            let pair =
                pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(pair?, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(out, "{first:02X}")?;
        rest.iter().try_for_each(|byte| write!(out, ":{byte:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// What a connection relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Trust {
    /// On nothing: the device offers no encryption.
    Plain,
    /// On the device having the key of this certificate.
    Pinned(Fingerprint),
}

/// Why a device is not talked to. The peer is to blame, or who pretends to be it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Distrust {
    /// It is known by a certificate, and now offers none.
    Unencrypted {
        /// The one that it is known by.
        known: Fingerprint,
    },
    /// It is known, or announced, by another certificate than the one that it has.
    OtherCertificate {
        /// The one that it is known or announced by.
        expected: Fingerprint,
        /// The one that it offers or has shown.
        shown: Fingerprint,
    },
}

impl fmt::Display for Distrust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unencrypted { known } => write!(
                out,
                "the device was encrypted before, with certificate {known}, and is not any more; \
                 if it was reset on purpose, forget it and connect again"
            ),
            Self::OtherCertificate { expected, shown } => write!(
                out,
                "the device has certificate {shown}, and {expected} was expected; \
                 if it was reset on purpose, forget it and connect again"
            ),
        }
    }
}

impl core::error::Error for Distrust {}

/// What a connection to a device shall rely on: the certificate that it is `known` by, and the one that it is announced
/// with, the `offered` one.
///
/// A certificate that was seen once is never given up silently: the announcement is not authentic.
pub fn judge(known: Option<Fingerprint>, offered: Option<Fingerprint>) -> Result<Trust, Distrust> {
    match (known, offered) {
        (None, None) => Ok(Trust::Plain),
        (None, Some(offered)) => Ok(Trust::Pinned(offered)),
        (Some(known), Some(shown)) if known == shown => Ok(Trust::Pinned(known)),
        (Some(expected), Some(shown)) => Err(Distrust::OtherCertificate { expected, shown }),
        (Some(known), None) => Err(Distrust::Unencrypted { known }),
    }
}

/// The devices that this one has been connected to, and their certificates. It outlives the program.
pub trait KnownDevices: ErrorType {
    /// The certificate that a device is known by.
    fn fingerprint(&self, device_id: &str) -> Option<Fingerprint>;

    /// Remembers one, in place of what was known of that device. To be called once the device has proved that it has it.
    ///
    /// A full store is [`ErrorKind::Exhausted`](super::ErrorKind::Exhausted); nothing else is forgotten for it.
    fn remember(&mut self, device_id: &str, fingerprint: Fingerprint) -> Result<(), Self::Error>;

    /// Forgets a device, because a person said so. One that is not known is forgotten already.
    fn forget(&mut self, device_id: &str) -> Result<(), Self::Error>;
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    const ONE: Fingerprint = Fingerprint([0x0A; 32]);
    const OTHER: Fingerprint = Fingerprint([0xF1; 32]);

    /// Presentation defect 7
    #[test]
    fn a_known_device_is_refused_without_its_certificate() {
        assert_eq!(judge(None, None), Ok(Trust::Plain));
        assert_eq!(judge(None, Some(ONE)), Ok(Trust::Pinned(ONE)));
        assert_eq!(judge(Some(ONE), Some(ONE)), Ok(Trust::Pinned(ONE)));
        let other = Distrust::OtherCertificate { expected: ONE, shown: OTHER };
        assert_eq!(judge(Some(ONE), Some(OTHER)), Err(other));
        assert_eq!(judge(Some(ONE), None), Err(Distrust::Unencrypted { known: ONE }));
    }

    #[test]
    fn a_fingerprint_has_the_form_of_the_discovery_record() {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(0xE0..=0xFF).for_each(|(byte, value)| *byte = value);
        let text = Fingerprint(bytes).to_string();
        assert_eq!(text.len(), FINGERPRINT_TEXT_BYTES);
        assert!(text.starts_with("E0:E1:E2:") && text.ends_with(":FE:FF"), "{text}");
        assert_eq!(Fingerprint::parse(&text), Some(Fingerprint(bytes)));
        assert_eq!(Fingerprint::parse(&text.to_lowercase()), Some(Fingerprint(bytes)));
    }

    #[test]
    fn what_is_no_fingerprint_is_none() {
        let good = ONE.to_string();
        let longer = good.clone() + ":0A";
        let shorter: String = good.chars().skip(3).collect();
        for text in ["", ":", &longer, &shorter, &good.replace("0A:0A", "0A:+A"), &good.replacen(':', "", 1)] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }
}
