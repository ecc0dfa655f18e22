//! What every platform must do, whichever it is.
//!
//! A suite is a list of claims about the traits of `greenroom_core::hal`, each a function over a [`platform::Platform`].
//! `tests/conformance_*.rs` make a test of each claim on each platform.

pub mod authority;
pub mod children;
pub mod linux;
pub mod listeners;
pub mod memory;
pub mod mock;
pub mod networks;
pub mod platform;
pub mod sockets;
pub mod streams;
pub mod watching;

/// Makes a test of each of these claims of a suite, in a module of its name.
#[macro_export]
macro_rules! claims {
    ($suite:ident, $platform:expr; $($claim:ident)*) => {
        mod $suite {
            $(#[test]
            fn $claim() {
                greenroom_tests::conformance::$suite::$claim(&mut $platform);
            })*
        }
    };
}
