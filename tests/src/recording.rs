//! What a driver in the simulated world has recorded, once more.

use greenroom_core::trace::file::{File, Origin};
use greenroom_core::trace::{Replayable, TraceBuffer, checksum_of};
use greenroom_hal_mock::replay::{Outcome, file_of, replay};

/// Keeps what is recorded.
pub type Recorder = TraceBuffer<Vec<u8>>;

const BYTES: usize = 256 * 1024;

/// A recorder with nothing in it.
pub fn recorder() -> Recorder {
    TraceBuffer::new(vec![0; BYTES])
}

/// What was recorded leads another machine to the state of this one.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn replays_to<M: Replayable>(machine: &M, recorder: &Recorder) -> Outcome {
    let origin = Origin { machine: M::KIND, app: None, process_id: 1, ended: None };
    let bytes = file_of([(&origin, recorder.memory().as_slice())]);
    let file = File::parse(&bytes).expect("it was just written");
    let outcome = replay(&file, |_| {}).unwrap_or_else(|error| panic!("{error}")).remove(0);
    assert_eq!((outcome.checksum, outcome.gaps), (checksum_of(machine).0, 0), "{outcome}");
    assert!(outcome.compared > 0, "{outcome}");
    outcome
}
