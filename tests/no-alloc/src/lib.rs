//! All of the core in one archive that has no allocator.
//!
//! The archive does not even build if anything below the core wants the `alloc` crate: there is no global
//! allocator in it. `.ci/no-alloc` then links what [`greenroom_no_alloc`] reaches and looks at what is still missing:
//! memory moves and a critical section are all that the core may want from its platform.
#![no_std]

mod codec;
mod platform;
mod rooms;

use core::panic::PanicInfo;

/// Reaches every room of the core; what it computes is of no interest.
// SAFETY: no other symbol of the archive has this name.
#[unsafe(no_mangle)]
pub extern "C" fn greenroom_no_alloc(bytes: &mut [u8; 64]) {
    codec::exercise(bytes);
    rooms::exercise(bytes);
    platform::exercise(bytes);
}

#[panic_handler]
fn stop(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
