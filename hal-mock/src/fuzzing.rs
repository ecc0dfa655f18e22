//! What must hold for any bytes at all: the oracles of the fuzz targets, and the seeds that they start from.

use std::vec::Vec;

use greenroom_core::codec::postcard::{decode, decode_first, encode, encode_first};
use greenroom_core::health::HealthCheck;
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::control::{self, Holding};
use greenroom_core::message::link::{self, Configuration};
use greenroom_core::message::playback::{self, Codec, SessionId, SourceDescription, SourceId};
use greenroom_core::message::{
    Allowed, AppId, Ids, LogLevels, Reason, Resources, ServerState, SocketPath, TargetState,
};
use serde::Serialize;

/// What is a message comes back as the same message from its own encoding, and that encoding is no longer than the
/// bytes were: a number may be written longer than it needs to be, never shorter.
macro_rules! survives {
    ($bytes:ident as $message:ty) => {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        if let Ok(message) = decode::<$message>($bytes) {
            let encoded = encode(&message, &mut buffer).expect("what was received can be sent");
            assert!(encoded.len() <= $bytes.len(), "{message:?} has become longer");
            assert_eq!(decode::<$message>(encoded).as_ref(), Ok(&message));
        }
        if let Ok((version, message)) = decode_first::<$message>($bytes) {
            let encoded = encode_first(&message, &mut buffer).expect("what was received can be sent");
            assert!(encoded.len() <= $bytes.len(), "{message:?} has become longer");
            assert_eq!(decode_first::<$message>(encoded), Ok((version, message)));
        }
    };
}

/// Reads the bytes as every message of every conversation, as the first of a connection and as a later one.
///
/// # Panics
///
/// When one of them is read and does not survive its encoding.
pub fn messages_survive_their_encoding(bytes: &[u8]) {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return;
    }
    survives!(bytes as control::Request<'_>);
    survives!(bytes as control::Message);
    survives!(bytes as link::Request<'_>);
    survives!(bytes as link::Message);
    survives!(bytes as playback::Request<'_>);
    survives!(bytes as playback::Message);
}

/// Real messages in their encoding, each with a name for its file.
///
/// # Panics
///
/// When one of them does not fit a message.
pub fn message_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = control_seeds();
    seeds.extend(link_seeds());
    seeds.extend(playback_seeds());
    seeds
}

fn later(message: &impl Serialize) -> Vec<u8> {
    encode(message, &mut [0; MESSAGE_BYTES_MAX]).expect("a seed fits a message").to_vec()
}

fn first(message: &impl Serialize) -> Vec<u8> {
    encode_first(message, &mut [0; MESSAGE_BYTES_MAX]).expect("a seed fits a message").to_vec()
}

fn control_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let hello = control::Request { sequence: 1, command: control::Command::Hello };
    let initiate = control::Command::Initiate { app: "app1", state: TargetState::Active, socket: "/run/app1" };
    let app = AppId::new("app1").expect("a name");
    let holders = [Holding { app: app.clone(), decoders: 2 }].into_iter().collect();
    let decoders = control::Refusal::Decoders { wanted: 1, free: 0, total: 2, holders };
    let status = control::AppStatus {
        app: app.clone(),
        state: Some(ServerState::Active),
        wanted: TargetState::Active,
        socket: SocketPath::try_from("/run/app1").expect("a path"),
        process_id: 4242,
        resources: Resources::default(),
        decoders: 1,
        restarts: 2,
        clients: 1,
        refusals: 3,
        uptime_s: 4,
        is_restarting: false,
    };
    let killed = control::Event::StateChanged { app, state: ServerState::NotRunning, reason: Some(Reason::Killed(9)) };
    vec![
        ("control-hello", first(&hello)),
        ("control-initiate", later(&control::Request { sequence: 300, command: initiate })),
        ("control-refused", later(&control::Message::Reply { sequence: 300, result: Err(decoders) })),
        (
            "control-app",
            later(&control::Message::Reply { sequence: 2, result: Ok(control::Answer::App { next: 1, status }) }),
        ),
        ("control-killed", later(&control::Message::Event(killed))),
    ]
}

fn link_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let configuration = Configuration {
        app: "app1",
        socket: "/run/app1",
        socket_mode: 0o660,
        socket_owner: "tv",
        socket_group: "video",
        state: TargetState::Active,
        resources: Resources::default(),
        log_levels: LogLevels::default(),
        video_sink: "fake",
        audio_sink: "fake",
        clients: Allowed { users: Ids::first_of(&[0, 1000]), groups: Ids::first_of(&[44]) },
        health: HealthCheck::OFF,
    };
    let up = link::Message::StateChanged { state: ServerState::Uninitialized, reason: None };
    let configure = link::Request { sequence: 1, command: link::Command::SetConfiguration(configuration) };
    let end = link::Request { sequence: 2, command: link::Command::SetState(TargetState::NotRunning) };
    vec![("link-up", first(&up)), ("link-configure", later(&configure)), ("link-end", later(&end))]
}

fn playback_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let session = SessionId { index: 1, generation: 513 };
    let source = SourceDescription { codec: Codec::H264, shape: playback::Shape::default(), codec_data: &[1, 100] };
    let request = |command| later(&playback::Request { sequence: 1_000_000, command });
    let failed = playback::PlaybackError::NoDecoder(Codec::Av1);
    let place =
        playback::RingPlace { client_offset: 64, server_offset: 64, payload_offset: 4096, payload_bytes: 1 << 23 };
    let attached = Ok(playback::Answer::Source { source: SourceId(0), ring: place });
    vec![
        ("playback-hello", first(&playback::Request { sequence: 1, command: playback::Command::Hello })),
        ("playback-attach", request(playback::Command::AttachSource { session, source })),
        ("playback-seek", request(playback::Command::SetPosition { session, position_ns: 40_000_000_000, epoch: 7 })),
        ("playback-attached", later(&playback::Message::Reply { sequence: 3, result: attached })),
        ("playback-failed", later(&playback::Message::Event(playback::Event::Failed { session, error: failed }))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_a_message_that_survives_its_encoding() {
        for (name, bytes) in message_seeds() {
            let read = decode::<control::Request<'_>>(&bytes).is_ok()
                || decode::<control::Message>(&bytes).is_ok()
                || decode::<link::Request<'_>>(&bytes).is_ok()
                || decode::<link::Message>(&bytes).is_ok()
                || decode::<playback::Request<'_>>(&bytes).is_ok()
                || decode::<playback::Message>(&bytes).is_ok()
                || decode_first::<control::Request<'_>>(&bytes).is_ok()
                || decode_first::<link::Message>(&bytes).is_ok();
            assert!(read, "{name} is no message");
            messages_survive_their_encoding(&bytes);
        }
    }
}
