//! A directory for each process that shows a page, for what it keeps meanwhile; it goes with the process (PS-35).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Mode;

use crate::error::LinuxError;

/// Nobody else looks into them.
const MODE: u32 = 0o700;
/// A process that is just ending may write still. What is left after this goes with the service's end, or at its next start.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// All of them, in one place that is the service's alone. They go with this.
#[derive(Debug)]
pub(super) struct Directories {
    place: PathBuf,
    made: u64,
}

/// One of them. It goes with this, in a thread of its own: a browser leaves many files.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directories {
    /// What a service that was killed has left there is removed first.
    pub(super) fn open(place: &Path) -> Result<Self, LinuxError> {
        remove(place);
        make(place)?;
        Ok(Self { place: place.to_owned(), made: 0 })
    }

    /// A new one.
    pub(super) fn make(&mut self) -> Result<Directory, LinuxError> {
        self.made = self.made.wrapping_add(1);
        let path = self.place.join(self.made.to_string());
        make(&path)?;
        Ok(Directory(path))
    }
}

impl Directory {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        remove(&self.place);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // Without a thread it goes with the others.
        let _ = thread::Builder::new().name("remove".to_owned()).spawn(move || remove(&path));
    }
}

fn make(path: &Path) -> Result<(), LinuxError> {
    let made = rustix::fs::mkdir(path, Mode::from_raw_mode(MODE));
    made.map_err(|errno| LinuxError::new("make the directory", errno).about(path.display()))
}

fn remove(path: &Path) {
    let until = Instant::now() + PATIENCE;
    while let Err(error) = fs::remove_dir_all(path) {
        if error.kind() == ErrorKind::NotFound {
            return;
        }
        if Instant::now() >= until {
            tracing::warn!("{} cannot be removed: {error}", path.display());
            return;
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Polls until it has gone, for a minute at most.
    fn wait_until_gone(path: &Path) {
        let until = Instant::now() + Duration::from_secs(60);
        while path.exists() {
            assert!(Instant::now() < until, "{} is there still", path.display());
            thread::sleep(PAUSE);
        }
    }

    /// PS-35
    #[test]
    fn a_directory_is_nobody_elses_and_goes_with_what_is_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let mut directories = Directories::open(&parent.path().join("receivers")).unwrap();
        let (first, second) = (directories.make().unwrap(), directories.make().unwrap());
        let path = first.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        fs::create_dir(path.join("profile")).unwrap();
        fs::write(path.join("profile/cookies"), "x").unwrap();
        drop(first);
        wait_until_gone(&path);
        assert!(second.path().exists(), "it is another one's");
    }

    /// PS-35
    #[test]
    fn what_a_killed_service_has_left_goes_when_the_next_one_starts_and_all_with_its_end() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("receivers");
        let mut killed = Directories::open(&place).unwrap();
        let directory = killed.make().unwrap();
        fs::write(directory.path().join("entrance.html"), "x").unwrap();
        std::mem::forget((killed, directory));
        let next = Directories::open(&place).unwrap();
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
        drop(next);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    /// PS-36: in a directory of everybody somebody could have laid a link there.
    #[test]
    fn what_a_link_leads_to_stays() {
        let parent = tempfile::tempdir().unwrap();
        let (place, elsewhere) = (parent.path().join("receivers"), parent.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("kept"), "x").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &place).unwrap();
        drop(Directories::open(&place));
        assert!(elsewhere.join("kept").exists());
    }
}
