//! What is in the memory of a trace, whenever one looks.

use std::format;
use std::vec;
use std::vec::Vec;

use super::file::{File, FileError, Origin, Part};
use super::*;
use crate::hal::ExitStatus;
use crate::limits::{APP_ID_BYTES_MAX, APPS_MAX, INIT_DATA_BYTES_MAX, LICENSE_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::manager::{Action, Facts, Input, Manager, Settings, Ticket};
use crate::message::control::Command;
use crate::message::keys::{self, InitDataKind, KeySessionId};
use crate::message::{AppId, Resources, TargetState, playback};
use crate::session::{self, Server};
use crate::table::Handle;

const BYTES: usize = 16 * 1024;
/// What `[trace] bytes` is if nothing is said.
const TRACE_BYTES: usize = 64 * 1024;

type Recorded = Traced<Manager<2>, TraceBuffer<Vec<u8>>>;

fn recorded(bytes: usize) -> Recorded {
    Traced::new(Manager::new(Settings::default()), TraceBuffer::new(vec![0; bytes]))
}

/// One turn: a request and its answer.
fn ask(machine: &mut Recorded, sequence: u32) {
    let from = Ticket { controller: Handle::from_parts(0, 1), sequence };
    let input = Input::Request { from, command: Command::ConnectionInfo { app: "app1" }, facts: None };
    let _ = machine.handle(Instant::from_millis(sequence.into()), input);
    while machine.poll_action().is_some() {}
    machine.settle();
}

fn memory(machine: &Recorded) -> &[u8] {
    machine.recorder().memory()
}

/// The numbers of the requests in it, and of the segments.
fn found(memory: &[u8]) -> (Vec<u32>, Vec<u32>) {
    let numbers = segments(memory).map(|segment| segment.start.number).collect();
    let all: Vec<_> = segments(memory).collect();
    let entries = all.iter().flat_map(|segment| segment.entries::<Input<'_>>());
    let sequences = entries.filter_map(|entry| match entry {
        Some(Entry::Input(Record { input: Input::Request { from, .. }, .. })) => Some(from.sequence),
        Some(Entry::Input(_) | Entry::Settled { .. }) => None,
        None => panic!("an entry that is whole can be read"),
    });
    (sequences.collect(), numbers)
}

#[test]
fn the_latest_inputs_are_there_and_the_oldest_go_a_segment_at_a_time() {
    let mut machine = recorded(BYTES);
    for sequence in 1..=1000 {
        ask(&mut machine, sequence);
        let (sequences, numbers) = found(memory(&machine));
        assert!(numbers.len() <= SEGMENTS);
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        let first = sequences[0];
        assert_eq!(sequences, (first..=sequence).collect::<Vec<_>>());
    }
    let (sequences, numbers) = found(memory(&machine));
    assert!(numbers[0] > 1 && sequences.len() > 100, "{numbers:?}, {} inputs", sequences.len());
}

#[test]
fn each_segment_begins_with_the_machine_that_the_one_before_leads_to() {
    let mut machine = recorded(BYTES);
    (1..=1000).for_each(|sequence| ask(&mut machine, sequence));
    for segment in segments(memory(&machine)) {
        let mut restored: Manager<2> = postcard::from_bytes(segment.snapshot).unwrap();
        for entry in segment.entries::<Input<'_>>() {
            match entry.unwrap() {
                Entry::Input(record) => {
                    let _ = restored.handle(record.at, record.input);
                }
                Entry::Settled { before, checksum } => {
                    let taken = core::iter::from_fn(|| restored.poll_action()).count();
                    assert_eq!((taken, true), (before.actions.into(), before.drained));
                    assert_eq!(checksum, Some(checksum_of(&restored).0));
                }
            }
        }
    }
}

#[test]
fn memory_torn_at_any_byte_holds_what_was_whole_before() {
    let (mut before, mut machine) = (recorded(BYTES), recorded(BYTES));
    for sequence in 1..=300 {
        ask(&mut machine, sequence);
        let (old, new) = (memory(&before), memory(&machine));
        let changed: Vec<usize> = (0..BYTES).filter(|&at| old[at] != new[at]).collect();
        let (first, last) = (changed[0], changed[changed.len() - 1]);
        let (known, _) = found(old);
        for torn_at in [first, first + 1, first + 4, first + 9, (first + last) / 2, last] {
            let mut torn = old.to_vec();
            torn[first..torn_at].copy_from_slice(&new[first..torn_at]);
            let (sequences, _) = found(&torn);
            // Where a segment is begun, one that was there is gone, which is the oldest.
            let is_begun = segments(old).count() > segments(&torn).count();
            let is_kept = if is_begun { known.ends_with(&sequences) } else { sequences.starts_with(&known) };
            assert!(is_kept || sequences == found(new).0, "{sequences:?} of {known:?}");
            assert!(!sequences.is_empty() || segments(old).count() < 2);
        }
        ask(&mut before, sequence);
    }
}

#[test]
fn bytes_that_are_no_trace_hold_no_segment() {
    assert_eq!(segments(&[]).count(), 0);
    assert_eq!(segments(&[0; 3]).count(), 0);
    assert_eq!(segments(&[0; BYTES]).count(), 0);
    assert_eq!(segments(&[0xff; BYTES]).count(), 0);
}

#[test]
fn memory_that_is_too_small_is_a_fault_and_nothing_else() {
    let mut machine = recorded(256);
    ask(&mut machine, 1);
    ask(&mut machine, 2);
    assert_eq!(machine.recorder().fault(), Some(Fault::TooSmall));
    assert_eq!(machine.box_status().refusals, 2);
}

#[test]
fn an_input_that_does_not_fit_leaves_a_gap_that_can_be_seen() {
    let mut machine = recorded(BYTES);
    ask(&mut machine, 1);
    let long: std::string::String = "x".repeat(BYTES);
    let from = Ticket { controller: Handle::from_parts(0, 1), sequence: 2 };
    let command = Command::ConnectionInfo { app: &long };
    let _ = machine.handle(Instant::from_millis(2), Input::Request { from, command, facts: None });
    while machine.poll_action().is_some() {}
    machine.settle();
    ask(&mut machine, 3);
    let (sequences, numbers) = found(memory(&machine));
    assert_eq!(sequences, [1, 3]);
    assert!(numbers.windows(2).any(|pair| pair[0] + 1 != pair[1]), "{numbers:?}");
}

fn origin() -> Origin {
    Origin {
        machine: MachineKind::Manager,
        app: Some(AppId::new("app1").unwrap()),
        process_id: 7,
        ended: Some(ExitStatus::Killed(9)),
    }
}

fn file() -> Vec<u8> {
    let mut machine = recorded(BYTES);
    (1..=400).for_each(|sequence| ask(&mut machine, sequence));
    let mut bytes = Vec::new();
    let mut write = |written: &[u8]| bytes.extend_from_slice(written);
    file::opening(&mut write);
    assert_eq!(file::part(&origin(), memory(&machine), &mut write), SEGMENTS);
    assert_eq!(file::part(&origin(), &[], &mut write), 0);
    file::end(&mut write);
    bytes
}

#[test]
fn what_is_written_to_a_file_is_read_from_it() {
    let bytes = file();
    let parts: Vec<Part<'_>> = File::parse(&bytes).unwrap().parts().collect();
    assert_eq!(parts.iter().map(|part| part.segments().count()).collect::<Vec<_>>(), [SEGMENTS, 0]);
    assert!(parts.iter().all(|part| part.origin == origin()));
    assert_eq!(format!("{}", parts[0].origin), "manager (process 7, killed by signal 9)");
}

#[test]
fn a_file_cut_short_anywhere_says_so() {
    let bytes = file();
    assert_eq!(File::parse(&[]), Err(FileError::NoTrace));
    for length in 1..bytes.len() {
        assert_eq!(File::parse(&bytes[..length]), Err(FileError::Truncated), "{length}");
    }
}

#[test]
fn a_file_with_any_other_byte_is_refused() {
    let bytes = file();
    for place in (0..bytes.len()).step_by(7).chain(0..40) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        assert!(File::parse(&damaged).is_err(), "{place}");
    }
    let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
    assert!(File::parse(&longer).is_err());
}

#[test]
fn a_file_of_another_version_says_which() {
    let mut bytes = file();
    bytes[8] = 9;
    assert_eq!(File::parse(&bytes), Err(FileError::Version { found: 9 }));
}

/// What stands here lies in files of the field: another encoding is another version.
#[test]
fn the_opening_and_the_end_of_a_file_do_not_change() {
    let mut bytes = Vec::new();
    let mut write = |written: &[u8]| bytes.extend_from_slice(written);
    file::opening(&mut write);
    file::end(&mut write);
    assert_eq!(bytes[..10], *b"GRTRACE\n\x01\x00");
    assert_eq!(bytes[10..14], [1, 0, 0, 0]);
    assert_eq!(bytes[18..], [0]);
}

/// A manager in which every place is taken by an app with the longest names.
fn full() -> std::boxed::Box<Manager> {
    let mut manager = std::boxed::Box::new(Manager::new(Settings { decoders: u8::MAX, ..Settings::default() }));
    let resources = Resources { max_playback_sessions: 1, max_web_audio_players: 1, max_key_sessions: 1 };
    let facts = Some(Facts { resources, socket_directory: "/run" });
    for number in 0..APPS_MAX {
        let (app, socket) = (format!("{number:0>APP_ID_BYTES_MAX$}"), format!("/{number:0>106}"));
        let from = Ticket { controller: Handle::from_parts(0, 1), sequence: u32::MAX };
        let command = Command::Initiate { app: &app, state: TargetState::Active, socket: &socket };
        let now = Instant::from_millis(u64::from(u32::MAX));
        manager.handle(now, Input::Request { from, command, facts }).unwrap();
        let actions: Vec<Action> = core::iter::from_fn(|| manager.poll_action()).collect();
        let Some(Action::Spawn { app }) = actions.first() else { panic!("it is started: {actions:?}") };
        manager.handle(now, Input::Spawned { app: *app, result: Ok(u32::MAX) }).unwrap();
        while manager.poll_action().is_some() {}
    }
    assert_eq!(manager.apps().count(), APPS_MAX);
    manager
}

#[test]
fn a_full_box_fits_the_memory_of_a_trace() {
    let mut recorder = TraceBuffer::new(vec![0; TRACE_BYTES]);
    recorder.settle(&*full(), Polled::default());
    assert_eq!((recorder.fault(), segments(recorder.memory()).count()), (None, 1));
}

#[test]
fn a_machine_that_was_too_large_is_recorded_again_behind_a_gap_that_can_be_seen() {
    let (full, empty) = (full(), std::boxed::Box::new(<Manager>::new(Settings::default())));
    let mut recorder = TraceBuffer::new(vec![0; BYTES]);
    let mut tell = |machine: &Manager, at| {
        recorder
            .record(machine, &Record { before: Polled::default(), at: Instant::from_millis(at), input: Input::Tick });
        let numbers: Vec<u32> = segments(recorder.memory()).map(|segment| segment.start.number).collect();
        (recorder.fault(), numbers)
    };
    let mut at = 0..;
    let mut tell = |machine| tell(machine, at.next().unwrap());
    while tell(&empty).1.len() < SEGMENTS {}
    while tell(&full).0.is_none() {}
    let (_, before) = tell(&full);
    assert_eq!(before.len(), SEGMENTS - 1);
    assert!(
        (0..2_000).all(|_| tell(&full) == (Some(Fault::TooSmall), before.clone())),
        "the latest that there is stays"
    );
    while tell(&empty).0.is_some() {}
    let (_, after) = tell(&empty);
    assert_eq!(after[..SEGMENTS - 1], before);
    assert!(after[SEGMENTS - 1] > before[SEGMENTS - 2] + 1, "{after:?}");
}

#[test]
fn no_licence_is_recorded_also_none_that_is_too_long() {
    let secret = [0x5a; MESSAGE_BYTES_MAX];
    let key_session = KeySessionId { index: 0, generation: 1 };
    let client = Handle::from_parts(0, 1);
    for length in
        [1, INIT_DATA_BYTES_MAX, INIT_DATA_BYTES_MAX + 1, LICENSE_BYTES_MAX, LICENSE_BYTES_MAX + 1, secret.len()]
    {
        let payload = &secret[..length];
        for (command, length_max) in [
            (
                keys::Command::GenerateRequest { key_session, kind: InitDataKind::Cenc, init_data: payload },
                INIT_DATA_BYTES_MAX,
            ),
            (keys::Command::Update { key_session, response: payload }, LICENSE_BYTES_MAX),
        ] {
            let mut input = session::Input::Call { client, sequence: 1, command: playback::Command::Keys(command) };
            Server::strip_payload(&mut input);
            let mut buffer = [0; 2 * MESSAGE_BYTES_MAX];
            let written = postcard::to_slice(&input, &mut buffer).unwrap();
            assert!(!written.contains(&0x5a), "{length} bytes");
            assert_eq!(written.len() > length_max, length > length_max, "it is refused for its length all the same");
        }
    }
}
