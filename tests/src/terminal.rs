//! A terminal of the test's own: what is typed, what is shown, and what the terminal is like for the program.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// Both ends of a terminal.
pub struct Terminal {
    keyboard: OwnedFd,
    screen: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// A new one, 160 columns wide.
    ///
    /// # Panics
    /// When the platform has none.
    #[must_use]
    pub fn open() -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&keyboard).expect("its other end is ours");
        unlockpt(&keyboard).expect("its other end can be opened");
        let name = ptsname(&keyboard, Vec::new()).expect("its other end has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let screen = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("its other end");
        let size = Winsize { ws_row: 40, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).expect("it has a size");
        let shown = Arc::default();
        read_all(keyboard.try_clone().expect("a descriptor"), Arc::clone(&shown));
        Self { keyboard, screen, shown }
    }

    /// For a program to read from or to write to.
    ///
    /// # Panics
    /// When this process has no descriptor left.
    pub fn stdio(&self) -> Stdio {
        Stdio::from(self.screen.try_clone().expect("a descriptor"))
    }

    /// Types keys.
    ///
    /// # Panics
    /// When the terminal takes none.
    pub fn type_keys(&self, keys: &[u8]) {
        rustix::io::write(&self.keyboard, keys).expect("the terminal takes keys");
    }

    /// All that was written to it.
    ///
    /// # Panics
    /// When its reader has panicked.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("its reader lives")).into_owned()
    }

    /// Whether lines are edited and shown, as a shell wants it.
    ///
    /// # Panics
    /// When the terminal does not say how it is.
    pub fn is_for_lines(&self) -> bool {
        let modes = tcgetattr(&self.screen).expect("it says how it is").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }
}

/// What is shown must be read, or the program would wait for the screen.
fn read_all(keyboard: OwnedFd, shown: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = rustix::io::read(&keyboard, &mut bytes) {
            shown.lock().expect("nobody panics with it").extend_from_slice(&bytes[..count]);
        }
    });
}
