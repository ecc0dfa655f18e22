//! Bugs that are planted on purpose, to see whether the tests notice them (`make mutants`).
//!
//! A planted bug is one line at the place where such a mistake could be made:
//!
//! ```text
//! if units > planted!("units_granted_twice", self.total, self.free()) {      // wrong, right
//! (P::Killing, E::Said(state, _)) if planted!("dead_one_believed") => ..     // false
//! planted!("unit_freed_on_timer" => self.release(scene));                    // nothing
//! ```
//!
//! Without the feature `planted`, which no program turns on, only what is right is compiled. With it one build has all bugs,
//! and the environment variable `GREENROOM_PLANTED` names the one that is awake.

#[cfg(feature = "planted")]
mod awake;
#[cfg(feature = "planted")]
mod bugs;

#[cfg(feature = "planted")]
pub use awake::{Number, VARIABLE, number};
#[cfg(feature = "planted")]
pub use bugs::{BUGS, Bug};

/// Whether planted bugs are compiled in. A program asserts that they are not.
pub const IS_ENABLED: bool = cfg!(feature = "planted");

/// A bug: its name and what is wrong, beside what is right. See the [module](mod@crate::planted).
#[cfg(not(feature = "planted"))]
#[macro_export]
macro_rules! planted {
    ($name:literal) => {
        false
    };
    ($name:literal, $wrong:expr, $right:expr) => {
        $right
    };
    ($name:literal => $wrong:expr) => {};
}

/// A bug: its name and what is wrong, beside what is right. See the [module](mod@crate::planted).
#[cfg(feature = "planted")]
#[macro_export]
macro_rules! planted {
    ($name:literal) => {
        const { $crate::planted::number($name) }.is_awake()
    };
    ($name:literal, $wrong:expr, $right:expr) => {
        if $crate::planted!($name) { $wrong } else { $right }
    };
    ($name:literal => $wrong:expr) => {
        if $crate::planted!($name) {
            $wrong;
        }
    };
}

#[cfg(all(test, feature = "planted"))]
mod tests {
    /// CANARY: with this bug awake it must fail, or nothing that the harness says is worth anything.
    #[test]
    fn the_canary_is_alive() {
        assert!(!planted!("canary"));
    }
}
