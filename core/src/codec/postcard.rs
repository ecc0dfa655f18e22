//! The native encoding: postcard, with an opening before the first message of each direction's asker.
//!
//! ```text
//! first datagram of a connection:  C7 'G' 'R'  version min  version max  message
//! every other datagram:            message
//! ```
//!
//! `C7` is not `0A`, the first byte of a message in RDK Rialto's protobuf transport, so one socket can tell the two
//! apart by the first byte.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::message::VERSIONS;

const MAGIC: [u8; 3] = [0xC7, b'G', b'R'];
/// Bytes of the opening that stands before the first message of a connection.
pub const OPENING_BYTES: usize = 5;

/// Why bytes are no message, or a message does not go into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CodecError {
    /// Caller: the message is longer than the buffer.
    TooLong,
    /// Peer: the bytes are no message of this version, or more than one.
    Malformed,
    /// Peer: a connection that does not begin with the opening.
    NoOpening,
    /// Peer: it speaks only versions that this build does not.
    Version {
        /// The lowest that the peer speaks.
        min: u8,
        /// The highest that the peer speaks.
        max: u8,
    },
}

impl fmt::Display for CodecError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => out.write_str("the message does not fit its buffer"),
            Self::Malformed => out.write_str("the bytes are no message of this version"),
            Self::NoOpening => out.write_str("the connection does not begin with Greenroom's opening"),
            Self::Version { min, max } => write!(out, "the peer speaks protocol versions {min} to {max} only"),
        }
    }
}

impl core::error::Error for CodecError {}

/// Writes a message; gives the bytes that it took.
pub fn encode<'b, M: Serialize>(message: &M, buffer: &'b mut [u8]) -> Result<&'b [u8], CodecError> {
    let written = ::postcard::to_slice(message, buffer).map(|written| &*written).map_err(|_| CodecError::TooLong);
    planted!("message_cut" => return written.map(|bytes| bytes.split_last().map_or(bytes, |(_, cut)| cut)));
    written
}

/// Reads the one message that these bytes are.
pub fn decode<'b, M: Deserialize<'b>>(bytes: &'b [u8]) -> Result<M, CodecError> {
    match ::postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(CodecError::Malformed),
    }
}

/// Writes the opening and the first message of a connection.
pub fn encode_first<'b, M: Serialize>(message: &M, buffer: &'b mut [u8]) -> Result<&'b [u8], CodecError> {
    let (opening, rest) = buffer.split_at_mut_checked(OPENING_BYTES).ok_or(CodecError::TooLong)?;
    let [a, b, c] = MAGIC;
    opening.copy_from_slice(&[a, b, c, VERSIONS.0, VERSIONS.1]);
    let message_bytes = encode(message, rest)?.len();
    let whole = OPENING_BYTES.saturating_add(message_bytes);
    buffer.get(..whole).ok_or(CodecError::TooLong)
}

/// Reads the opening and the first message of a connection; gives the highest version that both sides speak.
pub fn decode_first<'b, M: Deserialize<'b>>(bytes: &'b [u8]) -> Result<(u8, M), CodecError> {
    let (version, message) = split_opening(bytes)?;
    Ok((version, decode(message)?))
}

/// The number of a request of which nothing else is understood, so that it can be refused.
///
/// Every request begins with its number; the first one of a connection after the opening.
pub fn sequence(bytes: &[u8], is_first: bool) -> Option<u32> {
    let request = if is_first { bytes.get(OPENING_BYTES..).filter(|_| bytes.starts_with(&MAGIC))? } else { bytes };
    ::postcard::take_from_bytes(request).map(|(sequence, _)| sequence).ok()
}

fn split_opening(bytes: &[u8]) -> Result<(u8, &[u8]), CodecError> {
    let [a, b, c, min, max, message @ ..] = bytes else { return Err(CodecError::NoOpening) };
    if [*a, *b, *c] != MAGIC {
        return Err(CodecError::NoOpening);
    }
    let version = VERSIONS.1.min(*max);
    if version < VERSIONS.0 || version < *min {
        return Err(CodecError::Version { min: *min, max: *max });
    }
    Ok((version, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hal::ExitStatus;
    use crate::message::control::{Answer, Command, Message, Refusal, Request};
    use crate::message::{AppId, TargetState, audio, keys, link, papi, playback, presentation};
    use crate::trace::MachineKind;
    use crate::trace::file::Origin;

    /// What stands here went out into the world: a change of these bytes breaks every installed peer.
    ///
    /// Field failure 58
    #[test]
    fn golden_bytes_do_not_change() {
        let mut buffer = [0; 128];
        let initiate =
            Request { sequence: 7, command: Command::Initiate { app: "app1", state: TargetState::Active, socket: "" } };
        assert_eq!(encode(&initiate, &mut buffer).unwrap(), [7, 1, 4, b'a', b'p', b'p', b'1', 1, 0]);
        let refusal = Message::Reply { sequence: 300, result: Err(Refusal::UnknownApp) };
        assert_eq!(encode(&refusal, &mut buffer).unwrap(), [0, 0xAC, 2, 1, 3]);
        let up = link::Message::StateChanged { state: crate::message::ServerState::Uninitialized, reason: None };
        assert_eq!(encode_first(&up, &mut buffer).unwrap(), [0xC7, b'G', b'R', 1, 1, 1, 0, 0]);
        let trace = Request { sequence: 7, command: Command::Trace { from: 3 } };
        assert_eq!(encode(&trace, &mut buffer).unwrap(), [7, 8, 3]);
        let ended = Some(ExitStatus::Killed(9));
        let origin = Origin { machine: MachineKind::Session, app: AppId::new("a").ok(), process_id: 300, ended };
        let found = Message::Reply { sequence: 7, result: Ok(Answer::Trace { next: 4, origin }) };
        assert_eq!(encode(&found, &mut buffer).unwrap(), [0, 7, 0, 5, 4, 1, 1, 1, b'a', 0xAC, 2, 1, 1, 9]);
        let session = playback::SessionId { index: 1, generation: 2 };
        let play = playback::Request { sequence: 1, command: playback::Command::Play { session } };
        assert_eq!(encode(&play, &mut buffer).unwrap(), [1, 8, 1, 2]);
        let source = playback::SourceId(2);
        let muted = playback::Command::SetSourceMute { session, source, muted: true };
        let mute = playback::Request { sequence: 1, command: muted };
        assert_eq!(encode(&mute, &mut buffer).unwrap(), [1, 22, 1, 2, 2, 1]);
        let text = playback::Text { source, start_ns: 3, duration_ns: None, missed: 0, body: "hi" };
        let due = playback::Message::Text { session, text };
        assert_eq!(encode(&due, &mut buffer).unwrap(), [2, 1, 2, 2, 3, 0, 0, 2, b'h', b'i']);
        let size = playback::Event::PictureSize { session, source, width: 1, height: 2 };
        assert_eq!(encode(&playback::Message::Event(size), &mut buffer).unwrap(), [1, 9, 1, 2, 2, 1, 2]);
    }

    /// Field failure 58
    #[test]
    fn golden_bytes_of_web_audio_do_not_change() {
        use audio::{Answer, Command, Event, PlayerState};
        let player = audio::PlayerId { index: 1, generation: 2 };
        let format = audio::PcmFormat { rate_hz: 48_000, channels: 2, sample: audio::SampleFormat::F32Le };
        let ask = |command| bytes(&playback::Request { sequence: 1, command: playback::Command::Audio(command) });
        assert_eq!(ask(Command::Create { format }), [1, 23, 0, 0x80, 0xF7, 2, 2, 3]);
        assert_eq!(ask(Command::Destroy { player }), [1, 23, 1, 1, 2]);
        assert_eq!(ask(Command::SetVolume { player, volume_permille: 300 }), [1, 23, 4, 1, 2, 0xAC, 2]);
        assert_eq!(ask(Command::GetPlayed { player }), [1, 23, 6, 1, 2]);
        let answer = |answer| {
            let result = Ok(playback::Answer::Audio(answer));
            bytes(&playback::Message::Reply { sequence: 1, result })
        };
        let ring = playback::RingPlace { client_offset: 0, server_offset: 3, payload_offset: 4, payload_bytes: 5 };
        let device = audio::DeviceInfo { preferred_frames: 6, maximum_frames: 7, supports_deferred_play: true };
        let made = Answer::Player { player, client_bytes: 8, server_bytes: 9, ring, device, format };
        let expected = [0, 1, 0, 8, 0, 1, 2, 8, 9, 0, 3, 4, 5, 6, 7, 1, 0x80, 0xF7, 2, 2, 3];
        assert_eq!(answer(made), expected);
        assert_eq!(answer(Answer::Volume { volume_permille: 7 }), [0, 1, 0, 8, 1, 7]);
        assert_eq!(answer(Answer::Played { frames: 300 }), [0, 1, 0, 8, 2, 0xAC, 2]);
        let event = |event| bytes(&playback::Message::Event(playback::Event::Audio(event)));
        assert_eq!(event(Event::State { player, state: PlayerState::Paused }), [1, 10, 0, 1, 2, 2]);
        assert_eq!(event(Event::Failed { player, error: playback::PlaybackError::Sink }), [1, 10, 1, 1, 2, 2]);
        assert_eq!(event(Event::Ended { player }), [1, 10, 2, 1, 2]);
    }

    /// Field failure 58
    #[test]
    fn golden_bytes_of_keys_do_not_change() {
        use keys::{Answer, Command, Event, Notice};
        let key_session = keys::KeySessionId { index: 1, generation: 2 };
        let session = playback::SessionId { index: 3, generation: 4 };
        let ask = |command| bytes(&playback::Request { sequence: 1, command: playback::Command::Keys(command) });
        assert_eq!(ask(Command::Create { key_system: "ck" }), [1, 25, 0, 2, b'c', b'k']);
        let kind = keys::InitDataKind::Webm;
        assert_eq!(ask(Command::GenerateRequest { key_session, kind, init_data: &[9] }), [1, 25, 1, 1, 2, 2, 1, 9]);
        assert_eq!(ask(Command::Update { key_session, response: &[8, 7] }), [1, 25, 2, 1, 2, 2, 8, 7]);
        assert_eq!(ask(Command::Bind { key_session, session }), [1, 25, 4, 1, 2, 3, 4]);
        assert_eq!(ask(Command::Close { key_session }), [1, 25, 5, 1, 2]);
        let result = Ok(playback::Answer::Keys(Answer::KeySession { key_session }));
        assert_eq!(bytes(&playback::Message::Reply { sequence: 1, result }), [0, 1, 0, 9, 0, 1, 2]);
        let result = Err(playback::Refusal::Keys(keys::KeyError::Response));
        assert_eq!(bytes(&playback::Message::Reply { sequence: 1, result }), [0, 1, 1, 17, 2]);
        let notice = |notice| bytes(&playback::Message::Keys(notice));
        let message = keys::LicenseMessage { kind: keys::LicenseMessageKind::Renewal, body: &[9] };
        assert_eq!(notice(Notice::License { key_session, message }), [3, 0, 1, 2, 1, 1, 9]);
        let statuses = keys::KeyStatuses(&[9; keys::KEY_STATUS_BYTES]);
        let mut expected = std::vec![3, 1, 1, 2, 17];
        expected.extend([9; 17]);
        assert_eq!(notice(Notice::KeyStatuses { key_session, statuses }), expected);
        let ended = playback::Event::Keys(Event::Ended { key_session });
        assert_eq!(bytes(&playback::Message::Event(ended)), [1, 12, 0, 1, 2]);
    }

    /// Field failure 58
    #[test]
    fn golden_bytes_of_presentation_do_not_change() {
        use presentation::{Answer, CloseReason, Command, ConnectionState, Event, Message, Payload, Refusal};
        let connection = presentation::ConnectionId { index: 1, generation: 2 };
        let selection = presentation::SelectionId { index: 3, generation: 4 };
        let ask = |command| bytes(&presentation::Request { sequence: 7, command });
        let urls = || ["u"].into_iter().collect::<presentation::Urls<'_>>();
        assert_eq!(ask(Command::Hello), [7, 0]);
        let transport = presentation::TransportKind::DataChannel;
        let start = Command::Start { presentation_id: "p", urls: urls(), origin: "o", device: Some("d"), transport };
        assert_eq!(ask(start), [7, 1, 1, b'p', 1, 1, b'u', 1, b'o', 1, 1, b'd', 1]);
        assert_eq!(ask(Command::Reconnect { presentation_id: "p", urls: urls() }), [7, 2, 1, b'p', 1, 1, b'u']);
        assert_eq!(ask(Command::Close { connection, went_away: true }), [7, 3, 1, 2, 1]);
        assert_eq!(ask(Command::Terminate { connection }), [7, 4, 1, 2]);
        let send = Command::Send { connection, payload: Payload::Binary(&[9]) };
        assert_eq!(ask(send), [7, 6, 1, 2, 1, 1, 9]);
        assert_eq!(ask(Command::Select { selection, device: "d" }), [7, 12, 3, 4, 1, b'd']);
        let token = presentation::LaunchToken([5; 16]);
        assert_eq!(ask(Command::ReceiverReady { token })[..4], [7, 14, 5, 5]);
        let piece = presentation::Piece::Candidate("c");
        assert_eq!(ask(Command::Built { connection, piece }), [7, 17, 1, 2, 2, 1, b'c']);
        let piece = presentation::Piece::Over(CloseReason::WentAway);
        assert_eq!(ask(Command::Built { connection, piece }), [7, 17, 1, 2, 5, 1]);
        assert_eq!(ask(Command::RegisterBuilder), [7, 18]);
        assert_eq!(ask(Command::Traffic), [7, 19]);
        let traffic =
            presentation::Traffic { sent_messages: 1, sent_bytes: 2, received_messages: 3, received_bytes: 300 };
        let answer = bytes(&Message::Reply { sequence: 7, result: Ok(Answer::Traffic(traffic)) });
        assert_eq!(answer, [0, 7, 0, 7, 1, 2, 3, 0xAC, 2]);
        let answer = Answer::Connection { connection, presentation_id: "p", url: "u" };
        let answer = bytes(&Message::Reply { sequence: 7, result: Ok(answer) });
        assert_eq!(answer, [0, 7, 0, 2, 1, 2, 1, b'p', 1, b'u']);
        let refusal = bytes(&Message::Reply { sequence: 7, result: Err(Refusal::Congested) });
        assert_eq!(refusal, [0, 7, 1, 15]);
        let event = |event| bytes(&Message::Event(event));
        let reason = Some(CloseReason::Error(papi::Reason(300)));
        assert_eq!(
            event(Event::State { connection, state: ConnectionState::Closed, reason }),
            [1, 0, 1, 2, 2, 1, 3, 0xAC, 2]
        );
        assert_eq!(event(Event::Message { connection, payload: Payload::Text("t") }), [1, 1, 1, 2, 0, 1, b't']);
        assert_eq!(event(Event::Build { connection, offers: true }), [1, 6, 1, 2, 1]);
        assert_eq!(event(Event::Built { connection, piece: presentation::Piece::Closed }), [1, 7, 1, 2, 4]);
    }

    fn bytes(message: &impl Serialize) -> std::vec::Vec<u8> {
        encode(message, &mut [0; 128]).unwrap().into()
    }

    #[test]
    fn bytes_behind_a_message_make_it_malformed() {
        let mut buffer = [0; 32];
        let mut bytes = std::vec::Vec::from(encode(&7_u32, &mut buffer).unwrap());
        assert_eq!(decode::<u32>(&bytes), Ok(7));
        bytes.push(0);
        assert_eq!(decode::<u32>(&bytes), Err(CodecError::Malformed));
    }

    #[test]
    fn an_opening_cut_short_or_foreign_is_told_from_a_version_that_is_not_spoken() {
        assert_eq!(decode_first::<u8>(&[0xC7, b'G', b'R', 1]), Err(CodecError::NoOpening));
        assert_eq!(decode_first::<u8>(&[0x0A, b'G', b'R', 1, 1, 0]), Err(CodecError::NoOpening));
        assert_eq!(decode_first::<u8>(&[0xC7, b'G', b'R', 9, 12, 0]), Err(CodecError::Version { min: 9, max: 12 }));
        assert_eq!(decode_first::<u8>(&[0xC7, b'G', b'R', 1, 200, 5]), Ok((1, 5)));
    }

    /// Field failure K
    #[test]
    fn the_number_of_a_request_is_found_when_the_rest_is_not_understood() {
        assert_eq!(sequence(&[0xAC, 2, 99, 99], false), Some(300));
        assert_eq!(sequence(&[0xC7, b'G', b'R', 9, 9, 7, 99], true), Some(7));
        assert_eq!(sequence(&[0x0A, 1, 2, 3, 4, 5, 6], true), None);
        assert_eq!(sequence(&[0xFF], false), None);
    }

    #[test]
    fn an_app_name_that_is_no_name_does_not_get_through() {
        let mut buffer = [0; 32];
        let bytes = encode(&"../etc", &mut buffer).unwrap();
        assert_eq!(decode::<AppId>(bytes), Err(CodecError::Malformed));
    }
}
