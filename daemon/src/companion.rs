//! The manager's companions, the presentation service and what serves browsers: which programs they are, and what they are
//! given.

use std::env;
use std::path::{Path, PathBuf};

use greenroom_core::driver::CompanionDriver;
use greenroom_core::hal::Ready;
use greenroom_core::manager::Settings;
use greenroom_core::manager::companion::Companion;
use greenroom_core::time::{Instant, earliest};
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::process::{Program, Spawner};

use crate::config::Config;
use crate::runtime;

/// What the manager's own service manager has told the manager alone.
const NOT_INHERITED: [&str; 5] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"];

/// Those that there are to be.
#[derive(Debug)]
pub struct Companions(Vec<One>);

#[derive(Debug)]
struct One {
    driver: CompanionDriver<Spawner>,
    spawner: Spawner,
}

impl Companions {
    /// They are started in the first turn, watched under tokens of these kinds, and read the configuration that the manager
    /// has read.
    pub fn configured(config: &Config, file: Option<&Path>, settings: Settings, kinds: [u8; 2]) -> Self {
        let has_service = config.presentation.enabled;
        let programs = [
            (has_service, config.presentation_program()),
            (has_service && config.presentation.web.enabled, config.web_program()),
        ];
        let wanted = programs.into_iter().zip(kinds).filter(|((is_wanted, _), _)| *is_wanted);
        Self(wanted.map(|((_, path), kind)| One::new(path, config, file, settings, kind)).collect())
    }

    /// When [`Self::turn`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.iter().fold(None, |first, one| earliest(first, one.driver.next_deadline()))
    }

    /// Starts them, looks at them, starts them again.
    pub fn turn(&mut self, now: Instant, events: &mut EventLoop, ready: &[Ready]) {
        for one in &mut self.0 {
            one.driver.turn(now, &mut one.spawner, events, ready);
        }
    }

    /// Asks them to end.
    pub fn stop(&mut self, now: Instant, events: &mut EventLoop) {
        for one in &mut self.0 {
            one.driver.stop(now, &mut one.spawner, events);
        }
    }

    /// Whether they have ended, after [`Self::stop`].
    pub fn are_over(&self) -> bool {
        self.0.iter().all(|one| one.driver.is_over())
    }
}

impl One {
    fn new(path: PathBuf, config: &Config, file: Option<&Path>, settings: Settings, kind: u8) -> Self {
        let spawner = Spawner::new(Program {
            path,
            arguments: file.map(|file| format!("--config={}", file.display())).into_iter().collect(),
            environment: environment(config),
        });
        Self { driver: CompanionDriver::new(Companion::new(settings), kind), spawner }
    }
}

/// All that the manager has but what is meant for the manager alone, and where the manager is asked.
fn environment(config: &Config) -> Vec<(String, String)> {
    let is_ours = |name: &str| !NOT_INHERITED.contains(&name) && name != runtime::CONTROL_VARIABLE;
    let inherited =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let control = (runtime::CONTROL_VARIABLE.to_owned(), config.control_socket().to_string_lossy().into_owned());
    inherited.filter(|(name, _)| is_ours(name)).chain([control]).collect()
}
