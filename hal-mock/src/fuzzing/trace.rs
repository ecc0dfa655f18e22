//! Any bytes, read as a file of traces.

use greenroom_core::client::{self, Client};
use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::hal::{ErrorKind, ExitStatus};
use greenroom_core::manager::{self, Manager};
use greenroom_core::message::AppId;
use greenroom_core::session::{self, Server};
use greenroom_core::time::Instant;
use greenroom_core::trace::file::{self, File, Origin};
use greenroom_core::trace::{MachineKind, Replayable, Segment, TraceBuffer, Traced, segments};
use serde::{Deserialize, Serialize};

use crate::replay::replay;

/// Bytes before the parts of a file: its name and its version.
const OPENING_BYTES: usize = 10;
/// Bytes of a machine when it is written down, with much to spare.
const SNAPSHOT_BYTES_MAX: usize = 64 * 1024;
/// The checksums' seeds of a file's part and of a segment's start.
const PART_SEED: u32 = 0x7472_6163;
const START_SEED: u32 = 0;

/// Reads the bytes after the first one as a file; if that is odd, after its lengths and checksums were put right, because
/// nobody would come upon them by chance.
///
/// # Panics
///
/// When what is read is more than what there is, or a machine does not survive being read.
pub fn trace(input: &[u8]) {
    let Some((&kind, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if kind & 1 == 1 {
        put_right(&mut bytes);
    }
    read_file(&bytes);
    // The memory of a trace may be anything, too.
    segments(&bytes).for_each(|segment| read_segment(&segment));
}

fn read_file(bytes: &[u8]) {
    let parsed = match File::parse(bytes) {
        Ok(parsed) => parsed,
        Err(error) => return assert!(!error.to_string().is_empty(), "{error:?} says nothing"),
    };
    let mut read = 0;
    for part in parsed.parts() {
        assert!(!part.origin.to_string().is_empty());
        for segment in part.segments() {
            read += segment.bytes().len();
            read_segment(&segment);
        }
    }
    assert!(read <= bytes.len(), "{read} bytes of segments in a file of {}", bytes.len());
    is_replayed_or_refused(&parsed);
}

/// Whatever was made up, who looks at it is shown how far it goes, and why no further.
fn is_replayed_or_refused(file: &File<'_>) {
    let outcomes = replay(file, |step| assert!(!step.to_string().is_empty()));
    let said = outcomes.map_or_else(|error| error.to_string(), |all| all.iter().map(ToString::to_string).collect());
    assert!(!said.is_empty() || file.parts().next().is_none(), "it says nothing");
}

fn read_segment(segment: &Segment<'_>) {
    let _ = segment.start.capacities_differ();
    match segment.start.machine {
        MachineKind::Manager => {
            survives::<Manager>(segment.snapshot);
            read_entries::<manager::Input<'_>>(segment);
        }
        MachineKind::Session => {
            survives::<Server>(segment.snapshot);
            read_entries::<session::Input<'_>>(segment);
        }
        MachineKind::Client => {
            survives::<Client>(segment.snapshot);
            read_entries::<client::Input<'_>>(segment);
        }
    }
}

/// One that cannot be read is the last.
fn read_entries<'a, Input: Deserialize<'a>>(segment: &Segment<'a>) {
    let mut is_over = false;
    for entry in segment.entries::<Input>() {
        assert!(!is_over, "something follows on what cannot be read");
        is_over = entry.is_none();
    }
}

/// A machine that can be read is written as what is read as the same.
fn survives<M: Serialize + for<'de> Deserialize<'de>>(snapshot: &[u8]) {
    let Ok(machine) = decode::<M>(snapshot) else { return };
    let mut buffer = vec![0; SNAPSHOT_BYTES_MAX];
    let written = encode(&machine, &mut buffer).expect("it fits").to_vec();
    let again = decode::<M>(&written).expect("what was written can be read");
    assert_eq!(encode(&again, &mut buffer).expect("it fits"), written);
}

/// Makes lengths fit what there is, and checksums what they sum up.
fn put_right(bytes: &mut [u8]) {
    let mut opening = Vec::new();
    file::opening(&mut |written| opening.extend_from_slice(written));
    let Some((start, mut parts)) = bytes.split_at_mut_checked(OPENING_BYTES) else { return };
    start.copy_from_slice(&opening);
    while let Some((content, sum, rest)) = split_frame(parts) {
        put_segments_right(content);
        *sum = checksum(PART_SEED, content).to_le_bytes();
        parts = rest;
    }
}

/// The content of the first frame, its checksum's place, and what follows it.
fn split_frame(bytes: &mut [u8]) -> Option<(&mut [u8], &mut [u8; 4], &mut [u8])> {
    let (length_at, rest) = bytes.split_first_chunk_mut::<4>()?;
    let (sum, rest) = rest.split_first_chunk_mut::<4>()?;
    let length = (u32::from_le_bytes(*length_at) as usize).min(rest.len());
    *length_at = (length as u32).to_le_bytes();
    let (content, rest) = rest.split_at_mut(length);
    Some((content, sum, rest))
}

fn put_segments_right(content: &mut [u8]) {
    let Some((1, behind)) = content.split_first() else { return };
    let Some(origin_bytes) = bytes_of_origin(behind) else { return };
    let mut rest = &mut content[1 + origin_bytes..];
    while let Some((length_at, behind)) = std::mem::take(&mut rest).split_first_chunk_mut::<4>() {
        let length = (u32::from_le_bytes(*length_at) as usize).min(behind.len());
        *length_at = (length as u32).to_le_bytes();
        let (segment, next) = behind.split_at_mut(length);
        put_entries_right(segment);
        rest = next;
    }
}

fn bytes_of_origin(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len().min(80)).find(|&length| decode::<Origin>(&bytes[..length]).is_ok())
}

fn put_entries_right(segment: &mut [u8]) {
    let Some((start, sum, mut rest)) = split_frame(segment) else { return };
    *sum = checksum(START_SEED, start).to_le_bytes();
    // Its number is what the entries are summed up with; it stands behind the format.
    let number = start.get(1..).and_then(|number| (1..=number.len().min(5)).find_map(|it| decode(&number[..it]).ok()));
    while let Some((entry, sum, next)) = split_frame(std::mem::take(&mut rest)) {
        *sum = checksum(number.unwrap_or(0), entry).to_le_bytes();
        rest = next;
    }
}

fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// A real file, of a client that could not connect and a session server that has started.
///
/// # Panics
///
/// When the machines do not fit the memory of their traces.
pub fn seed() -> Vec<u8> {
    let mut bytes = vec![1];
    file::opening(&mut |written| bytes.extend_from_slice(written));
    let reconnect_for = std::time::Duration::ZERO;
    let of_client = [
        client::Input::Connect { reconnect_for },
        client::Input::OpenFailed(ErrorKind::Busy),
        client::Input::Tick,
        client::Input::Disconnect,
    ];
    let memory = record(Client::new(), &of_client);
    let app = Some(AppId::new("app1").expect("a name"));
    let origin = Origin { machine: MachineKind::Client, app: app.clone(), process_id: 7, ended: None };
    file::part(&origin, &memory, &mut |written| bytes.extend_from_slice(written));
    let memory = record(Server::new(), &[session::Input::Started(Ok(())), session::Input::Terminate]);
    let ended = Some(ExitStatus::Exited(0));
    let origin = Origin { machine: MachineKind::Session, app, process_id: 8, ended };
    file::part(&origin, &memory, &mut |written| bytes.extend_from_slice(written));
    file::end(&mut |written| bytes.extend_from_slice(written));
    bytes
}

fn record<M>(machine: M, inputs: &[M::Input<'static>]) -> Vec<u8>
where
    M: Replayable,
    for<'a> M::Input<'a>: Serialize + Copy,
{
    let mut traced = Traced::new(machine, TraceBuffer::new(vec![0; 16 * 1024]));
    for (input, second) in inputs.iter().zip(1..) {
        let _ = traced.handle(Instant::from_millis(second * 1000), *input);
        while traced.poll_action().is_some() {}
        traced.settle();
    }
    assert_eq!(traced.recorder().fault(), None);
    traced.recorder().memory().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_file_is_right_already_and_every_one_that_is_made_right_is_read() {
        let [_, file @ ..] = &seed()[..] else { panic!("a file") };
        let mut made_right = file.to_vec();
        put_right(&mut made_right);
        assert!(made_right == file, "nothing was wrong");
        for byte in made_right.iter_mut().skip(OPENING_BYTES + 4).step_by(5) {
            *byte ^= 0x10;
        }
        assert!(File::parse(&made_right).is_err(), "it is damaged");
        let [first, second] =
            [0, 1].map(|part| File::parse(file).expect("sound").parts().nth(part).expect("two parts"));
        assert_eq!((first.segments().count(), second.segments().count()), (1, 1));
    }

    #[test]
    fn another_checksum_than_the_right_one_is_put_right() {
        let mut bytes = seed().split_off(1);
        bytes[OPENING_BYTES + 4] ^= 1;
        bytes[OPENING_BYTES + 68] ^= 1;
        assert!(File::parse(&bytes).is_err());
        put_right(&mut bytes);
        assert!(File::parse(&bytes).is_ok());
    }
}
