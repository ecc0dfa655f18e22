//! Which file a page is: the last segment of its URL, in one directory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Why a page is no file that can be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Caller: the URL ends with nothing that could be a file of the directory.
    #[error("{0} names no file: its last part is to be the name of one, without separators")]
    NoName(String),
    /// Caller or platform: there is none.
    #[error("{path} cannot be played: {cause}")]
    Unreadable {
        /// Where it would be.
        path: PathBuf,
        /// What the platform said.
        cause: std::io::Error,
    },
    /// Caller: it is something else.
    #[error("{0} is no file")]
    NotAFile(PathBuf),
}

/// The file in `media` that `url` names.
///
/// Another device has chosen the URL: nothing but what lies in the directory itself is reached by it, and nothing hidden.
pub(super) fn find(media: &Path, url: &str) -> Result<PathBuf, FileError> {
    let name = name_in(url).ok_or_else(|| FileError::NoName(url.to_owned()))?;
    let path = media.join(name);
    let found = path.metadata().map_err(|cause| FileError::Unreadable { path: path.clone(), cause })?;
    if found.is_file() { Ok(path) } else { Err(FileError::NotAFile(path)) }
}

fn name_in(url: &str) -> Option<OsString> {
    let page = url.split(['?', '#']).next()?;
    let (_, segment) = page.rsplit_once(['/', ':'])?;
    let name = decoded(segment)?;
    let is_name = !name.is_empty() && !name.starts_with(b".") && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
    is_name.then(|| OsString::from_vec(name))
}

/// What `%20` and the like stand for.
fn decoded(segment: &str) -> Option<Vec<u8>> {
    let mut pieces = segment.split('%');
    let mut name = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        name.push(u8::from_str_radix(digits, 16).ok()?);
        name.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_page_is_the_file_of_its_last_segment_whatever_follows_it() {
        for (url, name) in [
            ("https://tv.example/film.mp4", "film.mp4"),
            ("https://tv.example/a/b/film.mp4?t=3#x/y", "film.mp4"),
            ("https://tv.example/one%20film%2e.mp4", "one film..mp4"),
            ("https://tv.example/%C3%A9t%c3%a9.mp4", "été.mp4"),
            ("app:film.mp4", "film.mp4"),
        ] {
            assert_eq!(name_in(url), Some(name.into()), "{url}");
        }
    }

    /// PS-36: what is elsewhere is not reached.
    #[test]
    fn a_page_that_is_no_plain_name_is_no_file() {
        for segment in [
            "",
            ".",
            "..",
            "%2e%2e",
            ".hidden",
            "%2ehidden",
            "..%2fpasswd",
            "a%2Fb",
            "a%00b",
            "%",
            "a%2",
            "a%zz",
            "a%+1b",
        ] {
            assert_eq!(name_in(&format!("https://tv.example/{segment}")), None, "{segment}");
        }
        assert_eq!(name_in("film.mp4"), None);
    }

    #[test]
    fn what_is_not_there_or_no_file_is_refused_by_its_path() {
        let media = tempfile::tempdir().unwrap();
        fs::write(media.path().join("film.mp4"), "").unwrap();
        fs::create_dir(media.path().join("films")).unwrap();
        let found = |name: &str| find(media.path(), &format!("https://tv.example/{name}"));
        assert_eq!(found("film.mp4").unwrap(), media.path().join("film.mp4"));
        assert!(matches!(found("films").unwrap_err(), FileError::NotAFile(path) if path.ends_with("films")));
        let error = found("other.mp4").unwrap_err();
        assert!(matches!(&error, FileError::Unreadable { path, .. } if path.ends_with("other.mp4")), "{error}");
        assert!(matches!(found("films%2ffilm.mp4").unwrap_err(), FileError::NoName(_)));
    }
}
