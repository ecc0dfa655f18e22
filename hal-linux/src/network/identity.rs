//! The certificate by which other devices know this one again.

use std::fs;
use std::path::Path;

use greenroom_core::hal::{ErrorKind, Fingerprint};
use rcgen::{CertificateParams, DnType, KeyPair};
use ring::digest::{SHA256, digest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::LinuxError;
use crate::kept_file;

/// What the certificate is made out to. Nobody looks at it: it is known by its fingerprint.
const COMMON_NAME: &str = "Greenroom";

/// A key, and the self-signed certificate of it. It is made once and kept: devices that have seen it refuse another one.
#[derive(Debug)]
pub struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Reads the one that is kept in this file; where there is no file, makes one and keeps it there, readable for nobody
    /// else.
    ///
    /// A file that holds something else is a failure and stays as it is: with a new certificate this device would be
    /// refused by all that know it. An integrator may put a certificate and its key there, in PEM.
    pub fn load_or_make(path: &Path) -> Result<Self, LinuxError> {
        match fs::read(path) {
            Ok(pem) => {
                kept_file::make_private(path)?;
                Self::read(&pem).map_err(|error| error.about(path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(kept_file::failure("read this device's certificate", path, &error)),
        }
    }

    fn make(path: &Path) -> Result<Self, LinuxError> {
        let pem = new_pem().map_err(|cause| LinuxError::other("make a certificate", ErrorKind::Other, cause))?;
        kept_file::replace(path, pem.as_bytes())?;
        Self::read(pem.as_bytes())
    }

    fn read(pem: &[u8]) -> Result<Self, LinuxError> {
        const STEP: &str = "read this device's certificate";
        let because = |cause| LinuxError::other(STEP, ErrorKind::WrongKind, cause);
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| {
            because("it holds no certificate; remove it, and other devices must be told to forget this one")
        })?;
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|_| because("it holds no key; remove it, and other devices must be told to forget this one"))?;
        let fingerprint = fingerprint(&certificate);
        Ok(Self { certificate, key, fingerprint })
    }

    /// The certificate's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// It never ends: a box whose clock stands at 1970 after a power cut is the same box. The fingerprint is what counts.
fn new_pem() -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    let certificate = params.self_signed(&key)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

/// The fingerprint of a certificate.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    let mut bytes = [0; 32];
    // A SHA-256 has 32 bytes.
    bytes.copy_from_slice(digest(&SHA256, certificate).as_ref());
    Fingerprint(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use greenroom_core::hal::Error;

    use super::*;

    #[test]
    fn a_device_has_the_same_certificate_after_a_restart_and_nobody_else_may_read_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.pem");
        let first = Identity::load_or_make(&path).unwrap().fingerprint();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Identity::load_or_make(&path).unwrap().fingerprint(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_certificate_is_not_silently_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.pem");
        Identity::load_or_make(&path).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        for damaged in
            ["", "nonsense", &whole[..whole.len() / 3], whole.split_once("-----END CERTIFICATE-----").unwrap().0]
        {
            fs::write(&path, damaged).unwrap();
            let error = Identity::load_or_make(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WrongKind, "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn two_devices_have_two_certificates() {
        let directory = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| Identity::load_or_make(&directory.path().join(name)).unwrap());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }
}
