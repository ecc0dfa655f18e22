//! Which bug is awake in this process.

extern crate std;

use std::sync::OnceLock;

use super::BUGS;

/// The environment variable that names the bug that is awake; unset or empty: none is.
pub const VARIABLE: &str = "GREENROOM_PLANTED";

/// A bug's place in [`BUGS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(usize);

impl Number {
    /// Whether it is this one that is awake.
    pub fn is_awake(self) -> bool {
        static AWAKE: OnceLock<Option<Number>> = OnceLock::new();
        *AWAKE.get_or_init(chosen) == Some(self)
    }
}

/// The number of a bug. That a line names one that is not in the list is found when it is compiled.
///
/// # Panics
/// When there is no bug of this name.
pub const fn number(name: &str) -> Number {
    let mut place = 0;
    while place < BUGS.len() {
        if is_same(BUGS[place].name.as_bytes(), name.as_bytes()) {
            return Number(place);
        }
        place += 1;
    }
    panic!("no planted bug has this name; see core/src/planted/bugs.rs")
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut place = 0;
    while place < one.len() && place < other.len() && one[place] == other[place] {
        place += 1;
    }
    place == one.len() && place == other.len()
}

fn chosen() -> Option<Number> {
    let name = std::env::var(VARIABLE).ok().filter(|name| !name.is_empty())?;
    Some(number(&name))
}
