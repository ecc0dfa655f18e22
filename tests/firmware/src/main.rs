//! The core on a microcontroller without an operating system: an interrupt asks for an app, the manager starts its
//! session server and brings it on stage, another interrupt asks for its end.
//!
//! Both machines lie in statics and are touched by the main loop alone. Interrupts only post into an [`Inbox`].
#![no_std]
#![no_main]

mod stage;

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{SCB, syst::SystClkSource};
use cortex_m::{Peripherals, asm, singleton};
use cortex_m_rt::{entry, exception};
use cortex_m_semihosting::{debug, hprintln};
use defmt_rtt as _;
use greenroom_core::driver::Inbox;
use greenroom_core::manager::{Input, Manager};
use greenroom_core::message::ServerState;
use greenroom_core::session::Server;
use greenroom_core::table::Full;
use greenroom_core::time::Instant;

use stage::Stage;

/// Clock ticks of the board in a millisecond.
const TICKS_PER_MS: u32 = 25_000;

/// What waits for the manager.
static INBOX: Inbox<Input<'static>, 8> = Inbox::new();
static UPTIME_MS: AtomicU32 = AtomicU32::new(0);

#[entry]
fn main() -> ! {
    if let Some(peripherals) = Peripherals::take() {
        start_clock(peripherals);
    }
    let manager = singleton!(: Manager<4> = Manager::new(stage::settings()));
    let server = singleton!(: Server = Server::new());
    let (Some(manager), Some(server)) = (manager, server) else { end(false) };
    let mut stage = Stage::new(manager, server);
    SCB::set_pendsv();
    loop {
        while let Some(input) = INBOX.take() {
            stage.handle(now(), input);
            report(&stage);
        }
        asm::wfi();
    }
}

fn start_clock(mut peripherals: Peripherals) {
    peripherals.SYST.set_clock_source(SystClkSource::Core);
    peripherals.SYST.set_reload(TICKS_PER_MS - 1);
    peripherals.SYST.clear_current();
    peripherals.SYST.enable_interrupt();
    peripherals.SYST.enable_counter();
}

fn now() -> Instant {
    Instant::from_millis(u64::from(UPTIME_MS.load(Ordering::Relaxed)))
}

/// The whole story of the example: on stage, off again, done.
fn report(stage: &Stage) {
    match stage.news() {
        Some(ServerState::Active) => {
            hprintln!("app1 is on stage");
            SCB::set_pendsv();
        }
        Some(ServerState::NotRunning) => {
            hprintln!("app1 has left, its decoder is free: {}", stage.is_free());
            end(stage.is_free());
        }
        Some(ServerState::Error) => end(false),
        Some(ServerState::Uninitialized | ServerState::Inactive) | None => {}
    }
}

fn end(well: bool) -> ! {
    debug::exit(if well { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        asm::wfi();
    }
}

/// A tick that does not fit is no loss: the next one comes in a millisecond.
#[exception]
fn SysTick() {
    UPTIME_MS.fetch_add(1, Ordering::Relaxed);
    let _ = INBOX.post(Input::Tick);
}

/// Somebody has pressed a button: app1 is to come, or to go. A press that does not fit is pressed again.
#[exception]
fn PendSV() {
    static mut PRESSES: u32 = 0;
    match INBOX.post(stage::request(*PRESSES)) {
        Ok(()) => *PRESSES += 1,
        Err(Full(_)) => SCB::set_pendsv(),
    }
}

#[panic_handler]
fn stop(panic: &PanicInfo<'_>) -> ! {
    hprintln!("{}", panic);
    end(false)
}
