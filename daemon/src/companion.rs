//! The presentation service as the manager's companion: which program it is, and what it is given.

use std::env;
use std::path::Path;

use greenroom_core::driver::CompanionDriver;
use greenroom_core::hal::Ready;
use greenroom_core::manager::Settings;
use greenroom_core::manager::companion::Companion;
use greenroom_core::time::Instant;
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::process::{Program, Spawner};

use crate::config::Config;
use crate::runtime;

/// What the manager's own service manager has told the manager alone.
const NOT_INHERITED: [&str; 5] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"];

/// The presentation service, where there is to be one.
#[derive(Debug)]
pub struct PresentationService {
    driver: CompanionDriver<Spawner>,
    spawner: Spawner,
}

impl PresentationService {
    /// It is started in the first turn, watched under tokens of this kind, and reads the configuration that the manager has
    /// read.
    pub fn configured(config: &Config, file: Option<&Path>, settings: Settings, kind: u8) -> Option<Self> {
        if !config.presentation.enabled {
            return None;
        }
        let spawner = Spawner::new(Program {
            path: config.presentation_program(),
            arguments: file.map(|file| format!("--config={}", file.display())).into_iter().collect(),
            environment: environment(config),
        });
        Some(Self { driver: CompanionDriver::new(Companion::new(settings), kind), spawner })
    }

    /// When [`Self::turn`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.driver.next_deadline()
    }

    /// Starts it, looks at it, starts it again.
    pub fn turn(&mut self, now: Instant, events: &mut EventLoop, ready: &[Ready]) {
        self.driver.turn(now, &mut self.spawner, events, ready);
    }

    /// Asks it to end.
    pub fn stop(&mut self, now: Instant, events: &mut EventLoop) {
        self.driver.stop(now, &mut self.spawner, events);
    }

    /// Whether it has ended, after [`Self::stop`].
    pub fn is_over(&self) -> bool {
        self.driver.is_over()
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
