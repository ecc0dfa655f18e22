//! The core on a microcontroller without an operating system.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::{entry, exception};
use defmt_rtt as _;
use greenroom_core::driver::Inbox;

static INBOX: Inbox<u32, 8> = Inbox::new();

#[entry]
fn main() -> ! {
    loop {
        while let Some(x) = INBOX.take() {
            defmt::info!("{}", x);
        }
        cortex_m::asm::wfi();
    }
}

#[exception]
fn SysTick() {
    let _ = INBOX.post(1);
}

#[panic_handler]
fn stop(_: &PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::bkpt();
    }
}
