//! Any bytes as the trace of a machine: what it was, and what it was told from then on.
//!
//! A trace comes from outside, and who makes one up puts its checksums right. So here there are none: the bytes are a
//! machine and records of its inputs, one behind the other, and the file around them is written by the recorder that ships.
//!
//! ```text
//! bytes = which machine | the machine | record...
//! machine --record--> told what it was told, recorded --file--> replayed --> the same, shown and drawn
//! ```

use std::time::Duration;

use greenroom_core::client::{self, Client, LostReason};
use greenroom_core::codec::postcard::encode;
use greenroom_core::hal::{DecoderEvent, ExitStatus, Peer};
use greenroom_core::health::HealthCheck;
use greenroom_core::manager::{self, Facts, Manager, Settings, Ticket};
use greenroom_core::message::playback::{Answer, Codec, Command, Message, SessionId, Shape, SourceDescription};
use greenroom_core::message::{Allowed, AppState, LogLevels, Resources, ServerState, TargetState, control, link};
use greenroom_core::session::{self, Server};
use greenroom_core::table::Handle;
use greenroom_core::time::Instant;
use greenroom_core::trace::file::{File, Origin};
use greenroom_core::trace::{Polled, Record, Replayable, TraceBuffer, Traced, checksum_of};
use serde::{Deserialize, Serialize};

use crate::replay::{file_of, replay};
use crate::sequence::trace::{Story, sequence_of};

/// Bytes of a trace's memory: the machines and inputs of some kilobytes fit in.
const MEMORY_BYTES: usize = 128 * 1024;
/// Actions that one input can lead to at most, with much to spare.
const ACTIONS_MAX: usize = 1024;
/// Inputs that are looked at: what takes longer to go wrong is for the simulator.
const INPUTS_MAX: usize = 64;

/// Tells a machine that was made up what was made up for it, and replays what was recorded of that.
///
/// # Panics
///
/// When the machine does, when it wants things done without end, or when the replay comes to something else.
pub fn forged(bytes: &[u8]) {
    match bytes.split_first() {
        None => {}
        Some((0, bytes)) => replays_as_recorded::<Manager>(bytes),
        Some((1, bytes)) => replays_as_recorded::<Client>(bytes),
        Some((_, bytes)) => replays_as_recorded::<Server>(bytes),
    }
}

fn replays_as_recorded<'f, M>(bytes: &'f [u8])
where
    M: Replayable + Deserialize<'f>,
    for<'a> M::Input<'a>: Serialize + Copy,
    M::Input<'f>: Deserialize<'f>,
{
    let Ok((machine, rest)) = postcard::take_from_bytes::<M>(bytes) else { return };
    let mut traced = Traced::new(machine, TraceBuffer::new(vec![0; MEMORY_BYTES]));
    drain(&mut traced);
    let mut rest = rest;
    for _ in 0..INPUTS_MAX {
        let Ok((record, behind)) = postcard::take_from_bytes::<Record<M::Input<'f>>>(rest) else { break };
        let _ = traced.handle(record.at, record.input);
        drain(&mut traced);
        traced.settle();
        let _ = traced.next_deadline();
        rest = behind;
    }
    traced.settle_for_reader();
    comes_to_the_same(&traced);
}

fn drain<M>(traced: &mut Traced<M, TraceBuffer<Vec<u8>>>)
where
    M: Replayable,
    for<'a> M::Input<'a>: Serialize + Copy,
{
    for _ in 0..ACTIONS_MAX {
        if traced.poll_action().is_none() {
            return;
        }
    }
    panic!("it wants things done without end");
}

fn comes_to_the_same<M: Replayable>(traced: &Traced<M, TraceBuffer<Vec<u8>>>) {
    let origin = Origin { machine: M::KIND, app: None, process_id: 7, ended: None };
    let bytes = file_of([(&origin, &traced.recorder().memory()[..])]);
    let file = File::parse(&bytes).expect("what the recorder writes is sound");
    let outcomes =
        replay(&file, |step| assert!(!step.to_string().is_empty())).expect("it is replayed as it was recorded");
    let drawn = sequence_of(&[file], &Story::default()).expect("what is replayed can be drawn").finish();
    assert!(drawn.to_svg().starts_with("<svg"));
    if let (None, [outcome]) = (traced.recorder().fault(), &outcomes[..]) {
        assert_eq!(outcome.checksum, checksum_of::<M>(traced).0, "the final state: {outcome}");
    }
}

/// Short lives to start from: each machine as it was in the middle of one, and how that went on.
///
/// # Panics
///
/// When a machine cannot be written down.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "an app that is Active dies, and comes back",
            story(0, <Manager>::new(Settings::default()), &lives_of_an_app(), 4),
        ),
        ("a client loses its server", story(1, Client::new(), &life_of_a_client(), 4)),
        ("a session server plays and ends", story(2, Server::new(), &life_of_a_server(), 12)),
    ]
}

/// The machine after the first inputs, and the others.
fn story<M>(kind: u8, mut machine: M, inputs: &[M::Input<'static>], before: usize) -> Vec<u8>
where
    M: Replayable,
    for<'a> M::Input<'a>: Serialize + Copy,
{
    let at = |second: usize| Instant::from_millis(second as u64 * 1000);
    for (second, input) in inputs.iter().enumerate().take(before) {
        let _ = machine.handle(at(second), *input);
        while machine.poll_action().is_some() {}
    }
    let mut bytes = vec![kind];
    append(&mut bytes, &machine);
    for (second, input) in inputs.iter().enumerate().skip(before) {
        let record = Record { before: Polled::default(), at: at(second), input: *input };
        append(&mut bytes, &record);
    }
    bytes
}

fn append(bytes: &mut Vec<u8>, written: &impl Serialize) {
    bytes.extend_from_slice(encode(written, &mut vec![0; MEMORY_BYTES]).expect("it fits"));
}

fn lives_of_an_app() -> [manager::Input<'static>; 9] {
    use manager::Input as I;
    let app = Handle::from_parts(0, 1);
    let from = Ticket { controller: Handle::from_parts(0, 1), sequence: 1 };
    let facts = Some(Facts { resources: Resources::default(), socket_directory: "/run" });
    let says = |state| I::Link { app, message: link::Message::StateChanged { state, reason: None } };
    let answers = |sequence| I::Link { app, message: link::Message::Reply { sequence, result: Ok(()) } };
    [
        I::Request {
            from,
            command: control::Command::Initiate { app: "app1", state: TargetState::Active, socket: "" },
            facts,
        },
        I::Spawned { app, result: Ok(7) },
        says(ServerState::Uninitialized),
        answers(1),
        says(ServerState::Active),
        I::ChildExited { app, status: ExitStatus::Killed(11) },
        I::Spawned { app, result: Ok(8) },
        I::Tick,
        I::Terminate,
    ]
}

fn life_of_a_client() -> [client::Input<'static>; 8] {
    use client::Input as I;
    let answers =
        |sequence, answer| I::Received { message: Message::Reply { sequence, result: Ok(answer) }, descriptors: 2 };
    let memory = Answer::SharedMemory { client_bytes: 131_072, server_bytes: 65_536 };
    [
        I::Connect { reconnect_for: Duration::from_secs(9) },
        I::Opened,
        I::Received {
            message: Message::Reply {
                sequence: 1,
                result: Ok(Answer::Welcome { version: 1, state: AppState::Running }),
            },
            descriptors: 0,
        },
        I::Call(Command::GetSharedMemory),
        answers(2, memory),
        I::Call(Command::CreateSession),
        I::Broken(LostReason::Closed),
        I::Tick,
    ]
}

fn life_of_a_server() -> [session::Input<'static>; 20] {
    use session::Input as I;
    let client = Handle::from_parts(0, 1);
    let session = SessionId { index: 0, generation: 1 };
    let call = |sequence, command| I::Call { client, sequence, command };
    let completed = |token| I::Decoder(DecoderEvent::Completed { session: 0, token, result: Ok(()) });
    let source = SourceDescription { codec: Codec::H264, shape: Shape::default(), codec_data: &[] };
    [
        I::Started(Ok(())),
        I::Link(link::Request { sequence: 1, command: link::Command::SetConfiguration(configuration()) }),
        I::Bound(Ok(())),
        I::Allocated(Ok(())),
        I::ClientConnected { peer: Peer::new(7, 1000, 1000) },
        call(1, Command::Hello),
        call(2, Command::GetSharedMemory),
        I::Renewed { slot: 0, result: Ok(()) },
        call(3, Command::CreateSession),
        I::Opened { session: 0, result: Ok(()) },
        call(4, Command::Load { session, live: false }),
        completed(1),
        call(5, Command::AttachSource { session, source }),
        completed(2),
        call(6, Command::AllSourcesAttached { session }),
        completed(3),
        call(7, Command::Play { session }),
        I::Link(link::Request { sequence: 2, command: link::Command::Ping }),
        I::Tick,
        I::Terminate,
    ]
}

fn configuration() -> link::Configuration<'static> {
    link::Configuration {
        app: "app1",
        socket: "/run/app1",
        socket_mode: 0o660,
        socket_owner: "",
        socket_group: "video",
        state: TargetState::Active,
        resources: Resources { max_playback_sessions: 2, max_web_audio_players: 1, max_key_sessions: 1 },
        log_levels: LogLevels::default(),
        video_sink: "fake",
        audio_sink: "fake",
        clients: Allowed::default(),
        health: HealthCheck { interval_ms: 500, failures_max: 2 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inputs behind the machine; what is left is none.
    fn inputs_of<'f, M>(bytes: &'f [u8]) -> usize
    where
        M: Replayable + Deserialize<'f>,
        M::Input<'f>: Deserialize<'f>,
    {
        let (_, mut rest) = postcard::take_from_bytes::<M>(bytes).expect("a machine");
        let mut inputs = 0;
        while !rest.is_empty() {
            let (_, behind) = postcard::take_from_bytes::<Record<M::Input<'f>>>(rest).expect("an input");
            (rest, inputs) = (behind, inputs + 1);
        }
        inputs
    }

    #[test]
    fn a_seed_is_a_machine_and_the_rest_of_its_life() {
        let seeds = seeds();
        let [(_, app), (_, client), (_, server)] = &seeds[..] else { panic!("a life of each machine") };
        assert_eq!(inputs_of::<Manager>(&app[1..]), 5);
        assert_eq!(inputs_of::<Client>(&client[1..]), 4);
        assert_eq!(inputs_of::<Server>(&server[1..]), 8);
        seeds.iter().for_each(|(_, bytes)| forged(bytes));
    }
}
