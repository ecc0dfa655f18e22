//! The token of a person's pages: the configured one, or one that is made once and kept.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::{Config, TokenText};
use crate::runtime;

const FILE: &str = "web-token";
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;
/// 128 bits.
const RANDOM_BYTES: usize = 16;
/// No token is longer.
const FILE_BYTES_MAX: u64 = 256;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("the token cannot be kept in {path}: {cause}; remove that file, or configure a token")]
pub struct TokenError {
    path: PathBuf,
    cause: io::Error,
}

/// The token; made now, if there is none.
pub(super) fn of(config: &Config) -> Result<String, TokenError> {
    match config.presentation.web.token.as_str() {
        "" => kept(&config.presentation_state()),
        token => Ok(token.to_owned()),
    }
}

fn kept(directory: &Path) -> Result<String, TokenError> {
    let path = directory.join(FILE);
    let token = make(directory, &path).and_then(|()| read(&path));
    token.map_err(|cause| TokenError { path, cause })
}

/// Whole or not there: two programs that make one at once agree on the first.
fn make(directory: &Path, path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if !directory.is_dir() {
        runtime::make_directory(directory, PRIVATE_DIRECTORY)?;
    }
    let own = path.with_extension(std::process::id().to_string());
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(&own)?;
    file.write_all(random()?.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&own, path);
    fs::remove_file(&own)?;
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

fn random() -> io::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    let token: Result<TokenText, _> = text.trim().parse();
    let token = token.ok().filter(|token| !token.as_str().is_empty());
    token
        .map(|token| token.as_str().to_owned())
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "it holds no token"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_kept_from_others() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("state");
        let token = kept(&directory).unwrap();
        assert_eq!(token.len(), 2 * RANDOM_BYTES);
        assert_eq!(kept(&directory).unwrap(), token);
        let mode = fs::metadata(directory.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE_FILE);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_file_without_a_token_is_an_error_that_names_it() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(FILE), "short").unwrap();
        assert!(kept(place.path()).unwrap_err().to_string().contains(FILE));
    }
}
