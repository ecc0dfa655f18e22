//! The manager's driver.

use core::hint::black_box;
use core::mem::MaybeUninit;

use greenroom_core::driver::{ManagerDriver, ManagerHost};
use greenroom_core::hal::{Authority, Launcher, Peer, Profile, Ready, Right, Token};
use greenroom_core::manager::{Manager, Settings};
use greenroom_core::message::{Allowed, AppId, LogLevels, Resources};
use greenroom_core::time::Instant;
use greenroom_core::trace::TraceBuffer;

use crate::platform::Platform;

impl Launcher for Platform {
    fn profile(&self, app: &AppId) -> Profile<'_> {
        black_box(app);

        black_box(Profile {
            resources: Resources::default(),
            socket_directory: "/run",
            socket_mode: 0o660,
            socket_owner: "",
            socket_group: "",
            video_sink: "fake",
            audio_sink: "fake",
            clients: Allowed::default(),
        })
    }
}

impl Authority for Platform {
    fn may(&self, peer: &Peer, right: Right<'_>) -> bool {
        black_box(peer).user_id == 0 || black_box(right) == Right::Any
    }
}

impl ManagerHost for Platform {
    type Control = Self;
    type Spawn = Self;
    type Listen = Self;
    type Watch = Self;

    fn watch(&mut self) -> &mut Self {
        self
    }

    fn spawn(&mut self) -> &mut Self {
        self
    }

    fn listen(&mut self) -> &mut Self {
        self
    }

    fn apply_log_levels(&mut self, levels: &LogLevels) {
        black_box(levels);
    }
}

/// Its size is what a manager takes of static memory.
// SAFETY: no other symbol of the archive has this name.
#[unsafe(no_mangle)]
static GREENROOM_MANAGER: MaybeUninit<ManagerDriver<Platform>> = MaybeUninit::uninit();

pub(crate) fn exercise(now: Instant, token: Token) {
    let machine = Manager::<4>::new(black_box(Settings::default()));
    let mut memory = [0; 4096];
    let recorder = TraceBuffer::new(black_box(&mut memory[..]));
    let mut driver = ManagerDriver::new(machine, Platform, Platform, recorder);
    let _ = black_box(driver.start());
    black_box(driver.turn(now, &[Ready { token, readable: true, writable: true }]));
    black_box((driver.next_deadline(), driver.controllers(), driver.machine().box_status()));
    black_box(driver.terminate(now));
}
