//! `greenroom-browser`: shows a page of another device in a browser of this box.
//!
//! ```text
//! presentation service: greenroom-browser https://tv.example/ -- chromium --kiosk --user-data-dir={profile} {page}
//! this program:         writes, into the directory that it is given, an entrance page that leads on to
//!                       https://tv.example/#greenroom-launch=TOKEN:PORT
//! the page:             presentation.js takes the token out of its address and shows it to greenroom-web      PS-12
//! TERM, or its end:     the browser ends; the service removes the directory, whoever was killed               PS-35
//! ```
//!
//! The token stands in no command line and in no environment of the browser, where other users or programs could read it: the
//! entrance page is readable for nobody else, and what follows `#` is sent to no server. The service takes the token once.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use greenroom_core::message::presentation::{Command as Order, LaunchToken};
use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::presenter::{
    LAUNCH_TOKEN_VARIABLE, PresenterClient, PresenterError, RECEIVER_DIRECTORY_VARIABLE, inherited_directory,
    inherited_token,
};
use greenroom_hal_linux::signals::{Asked, Signals};
use rustix::process::{Pid, Signal, kill_process};

const PRIVATE_FILE: u32 = 0o600;
/// How long one wait lasts before signals and the browser are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// A browser that was asked to end is killed after this: shorter than what the service gives all of us.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// What is shown, and by what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The page.
    pub url: String,
    /// Where greenroom-web listens on this box.
    pub port: u16,
    /// The presentation service's socket.
    pub presentation: PathBuf,
    /// The browser, and its arguments, in which `{page}` and `{profile}` are filled in.
    pub command: Vec<String>,
}

/// Why a page was not shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// Caller: nobody asked for it.
    #[error("there is no launch token in {LAUNCH_TOKEN_VARIABLE}; greenroom-presentation starts this program")]
    NotLaunched,
    /// Caller: there is no place for what a browser keeps.
    #[error("there is no directory in {RECEIVER_DIRECTORY_VARIABLE}; greenroom-presentation starts this program")]
    NoDirectory,
    /// Caller: a browser must not be led there.
    #[error("'{0}' is no page of the web; let [[presentation.page]] urls name http and https only")]
    NotWeb(String),
    /// Platform: its directory cannot be used.
    #[error("cannot write into the browser's directory: {0}")]
    Directory(io::Error),
    /// Caller: no such program.
    #[error("cannot start {program}: {cause}; correct the command in [[presentation.page]]")]
    Start {
        /// Which.
        program: String,
        /// What the platform said.
        cause: io::Error,
    },
    /// Platform: the browser cannot be waited for.
    #[error("the browser cannot be waited for: {0}")]
    Wait(io::Error),
    /// Peer: the browser has ended by itself.
    #[error("the browser has ended by itself: {0}")]
    Ended(ExitStatus),
    /// Platform: no signal can be received.
    #[error(transparent)]
    Platform(#[from] LinuxError),
    /// The presentation service cannot be asked, or has gone.
    #[error(transparent)]
    Service(#[from] PresenterError),
}

/// Shows the page until a signal says that it is to end, or the service has gone. `signals` is made before any thread.
pub fn run(settings: &Settings, mut signals: Signals) -> Result<(), BrowserError> {
    let token = inherited_token().ok_or(BrowserError::NotLaunched)?;
    let mut service = PresenterClient::connect(&settings.presentation)?;
    let shown = show(settings, token, || {
        let is_told = is_to_end(&mut signals)?;
        service.next_event(Instant::now() + LOOK_INTERVAL)?;
        Ok(is_told)
    });
    if shown.is_err() {
        // Who has asked for it is told at once; of one that was there and has ended the service learns by our end.
        let _ = service.request(Order::ReceiverFailed { token });
    }
    shown
}

fn is_to_end(signals: &mut Signals) -> Result<bool, LinuxError> {
    while let Some(asked) = signals.receive()? {
        if asked == Asked::End {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `look` waits for a moment, and tells whether it is to end.
fn show(
    settings: &Settings,
    token: LaunchToken,
    look: impl FnMut() -> Result<bool, BrowserError>,
) -> Result<(), BrowserError> {
    let is_web = ["http://", "https://"].iter().any(|scheme| settings.url.starts_with(scheme));
    if !is_web {
        return Err(BrowserError::NotWeb(settings.url.clone()));
    }
    let directory = inherited_directory().ok_or(BrowserError::NoDirectory)?;
    let page = write_entrance(&directory, settings, token).map_err(BrowserError::Directory)?;
    let mut browser = start(&settings.command, &page, &directory)?;
    let ended = watch(&mut browser, look);
    end(&mut browser);
    ended
}

/// Writes a page that leads to the page, with its token; gives its address.
fn write_entrance(directory: &Path, settings: &Settings, token: LaunchToken) -> io::Result<String> {
    let path = directory.join("entrance.html");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(&path)?;
    file.write_all(entrance(&settings.url, token, settings.port).as_bytes())?;
    Ok(format!("file://{}", path.display()))
}

fn entrance(url: &str, token: LaunchToken, port: u16) -> String {
    let token: String = token.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let joint = if url.contains('#') { '&' } else { '#' };
    let address = format!("{url}{joint}greenroom-launch={token}:{port}");
    // A text of JSON is one of JavaScript; `<` could end the script.
    let text = serde_json::Value::from(address).to_string().replace('<', "\\u003c");
    format!("<!doctype html><meta charset=utf-8><script>location.replace({text})</script>\n")
}

/// What it keeps elsewhere for a while, it keeps there, too: all of it goes with the directory.
fn start(command: &[String], page: &str, directory: &Path) -> Result<Child, BrowserError> {
    let profile = directory.join("profile").to_string_lossy().into_owned();
    let mut words =
        command.iter().map(|word| OsString::from(word.replace("{page}", page).replace("{profile}", &profile)));
    let program = words.next().unwrap_or_default();
    Command::new(&program)
        .args(words)
        .env_remove(LAUNCH_TOKEN_VARIABLE)
        .env("TMPDIR", directory)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|cause| BrowserError::Start { program: program.to_string_lossy().into_owned(), cause })
}

fn watch(browser: &mut Child, mut look: impl FnMut() -> Result<bool, BrowserError>) -> Result<(), BrowserError> {
    loop {
        if let Some(status) = browser.try_wait().map_err(BrowserError::Wait)? {
            return Err(BrowserError::Ended(status));
        }
        if look()? {
            return Ok(());
        }
    }
}

fn end(browser: &mut Child) {
    // One that has ended is told nothing: it was waited for.
    if matches!(browser.try_wait(), Ok(None)) {
        let _ = kill_process(Pid::from_child(browser), Signal::TERM);
    }
    let until = Instant::now() + END_TIMEOUT;
    while matches!(browser.try_wait(), Ok(None)) {
        if Instant::now() >= until {
            let _ = browser.kill();
        }
        sleep(LOOK_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: LaunchToken = LaunchToken([0xA7; 16]);

    /// PS-12: a URL was chosen by another device, and must not become a script.
    #[test]
    fn the_entrance_leads_to_the_page_and_nowhere_else() {
        let page = entrance("https://tv.example/x", TOKEN, 8010);
        assert!(
            page.contains(&format!("\"https://tv.example/x#greenroom-launch={}:8010\"", "a7".repeat(16))),
            "{page}"
        );
        let page = entrance("https://tv.example/#at=3", TOKEN, 8010);
        assert!(page.contains("#at=3&greenroom-launch="), "{page}");
        let page = entrance("https://tv.example/\"</script><script>alert(1)//", TOKEN, 8010);
        assert_eq!(page.matches("<script>").count(), 1);
        assert!(page.contains("\\\"\\u003c/script"), "{page}");
    }

    /// PS-36: the token stands in it.
    #[test]
    fn the_entrance_is_readable_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (presentation, command) = (PathBuf::new(), Vec::new());
        let settings = Settings { url: "https://tv.example/".into(), port: 8010, presentation, command };
        let page = write_entrance(directory.path(), &settings, TOKEN).unwrap();
        let file = page.strip_prefix("file://").unwrap();
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, PRIVATE_FILE);
    }

    #[test]
    fn a_browser_that_ends_by_itself_is_an_error() {
        let mut browser = start(&["/bin/false".into()], "", Path::new("/")).unwrap();
        assert!(matches!(watch(&mut browser, || Ok(false)), Err(BrowserError::Ended(_))));
        end(&mut browser);
    }

    #[test]
    fn the_command_gets_the_page_and_a_profile_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("out");
        let script = format!("echo \"$1 $2 $GREENROOM_LAUNCH_TOKEN\" > {}", out.display());
        let command = ["/bin/sh", "-c", &script, "sh", "--profile={profile}", "{page}"].map(String::from);
        let mut browser = start(&command, "file:///entrance", place.path()).unwrap();
        assert!(browser.wait().unwrap().success());
        let told = std::fs::read_to_string(out).unwrap();
        assert_eq!(told.trim_end(), format!("--profile={}/profile file:///entrance", place.path().display()));
    }
}
