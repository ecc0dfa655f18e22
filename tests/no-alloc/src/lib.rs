//! All of the core in one archive that has no allocator.
//!
//! The archive does not even build if anything below the core wants the `alloc` crate: there is no global
//! allocator in it. `.ci/no-alloc` then links what [`greenroom_no_alloc`] reaches and looks at what is still missing:
//! memory moves and a critical section are all that the core may want from its platform.
#![no_std]

mod client;
mod codec;
mod machines;
mod manager;
mod platform;
mod ring;
mod rooms;
mod session;
mod streams;

use core::hint::black_box;
use core::panic::PanicInfo;

use greenroom_core::hal::Token;
use greenroom_core::time::Instant;

/// Reaches every room of the core; what it computes is of no interest.
// SAFETY: no other symbol of the archive has this name.
#[unsafe(no_mangle)]
pub extern "C" fn greenroom_no_alloc(bytes: &mut [u8; 64]) {
    // Bytes that outlive the call, so that a message may borrow from them.
    let incoming: &'static [u8] = black_box(b"\xC7GR\x01\x01\x07\x01\x04app1\x01\x00");
    let now = black_box(Instant::from_millis(1));
    let token = black_box(Token { kind: 1, index: 0, generation: 1 });
    rooms::exercise(bytes);
    codec::exercise(incoming, bytes);
    machines::exercise(now, incoming, bytes);
    ring::exercise(bytes);
    manager::exercise(now, token);
    session::exercise(now, token);
    client::exercise(now, token);
    streams::exercise(now, token, incoming, bytes);
}

#[panic_handler]
fn stop(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
