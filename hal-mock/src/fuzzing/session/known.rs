//! What a session server has given to its clients, and calls about it.

use greenroom_core::message::audio::{self, PcmFormat, PlayerId, SampleFormat};
use greenroom_core::message::keys::{self, InitDataKind, KeySessionId};
use greenroom_core::message::playback::{Codec, Command, SessionId, Shape, SourceDescription, SourceId, Window};

use super::deed::Call;
use super::model::nth;

/// What clients were ever given, the last of it last.
#[derive(Debug, Default)]
pub(in crate::fuzzing) struct Known {
    pub(in crate::fuzzing) sessions: Vec<SessionId>,
    pub(in crate::fuzzing) players: Vec<PlayerId>,
    pub(in crate::fuzzing) key_sessions: Vec<KeySessionId>,
}

impl Known {
    /// The command of a call about one of what there is or was.
    pub(in crate::fuzzing) fn command(&self, call: Call, which: u8) -> Command<'static> {
        let (low, high) = (which & 7, which >> 3);
        let session = nth(self.sessions.iter().rev().copied(), low).unwrap_or(SessionId { index: 0, generation: 1 });
        let player = nth(self.players.iter().rev().copied(), low).unwrap_or(PlayerId { index: 0, generation: 1 });
        let nobody = KeySessionId { index: 0, generation: 1 };
        let key_session = nth(self.key_sessions.iter().rev().copied(), low).unwrap_or(nobody);
        let source = SourceId(high & 3);
        let attach = |codec| {
            let source = SourceDescription { codec, shape: Shape::default(), codec_data: &[] };
            Command::AttachSource { session, source }
        };
        let format = PcmFormat { rate_hz: 48_000, channels: high & 3, sample: SampleFormat::S16Le };
        match call {
            Call::Hello => Command::Hello,
            Call::Pong => Command::Pong,
            Call::GetSharedMemory => Command::GetSharedMemory,
            Call::ReleaseSharedMemory => Command::ReleaseSharedMemory,
            Call::CreateSession => Command::CreateSession,
            Call::DestroySession => Command::DestroySession { session },
            Call::Load => Command::Load { session, live: high == 1 },
            Call::AttachVideo => attach(Codec::H264),
            Call::AttachAudio => attach(Codec::Aac),
            Call::AttachText => attach(Codec::TextUtf8),
            Call::AllSourcesAttached => Command::AllSourcesAttached { session },
            Call::Play => Command::Play { session },
            Call::Pause => Command::Pause { session },
            Call::Stop => Command::Stop { session },
            Call::Seek => Command::SetPosition { session, position_ns: high.into(), epoch: high.into() },
            Call::Flush => Command::Flush { session, source, reset_time: true, epoch: high.into() },
            Call::SetVolume => Command::SetVolume { session, volume_permille: u16::from(high) * 100 },
            Call::GetPosition => Command::GetPosition { session },
            Call::SetDuration => Command::SetDuration { session, duration_ns: high.into() },
            Call::GetDuration => Command::GetDuration { session },
            Call::GetStatistics => Command::GetStatistics { session, source },
            Call::RemoveSource => Command::RemoveSource { session, source },
            Call::SetPlaybackRate => Command::SetPlaybackRate { session, rate_permille: u16::from(high) * 300 },
            Call::SetVideoWindow => {
                let window = Window { x: 0, y: 0, width: high.into(), height: 1 };
                Command::SetVideoWindow { session, window }
            }
            Call::SetSourceMute => Command::SetSourceMute { session, source, muted: true },
            Call::CreatePlayer => Command::Audio(audio::Command::Create { format }),
            Call::DestroyPlayer => Command::Audio(audio::Command::Destroy { player }),
            Call::PlayPlayer => Command::Audio(audio::Command::Play { player }),
            Call::PausePlayer => Command::Audio(audio::Command::Pause { player }),
            Call::TurnPlayer => {
                Command::Audio(audio::Command::SetVolume { player, volume_permille: u16::from(high) * 100 })
            }
            Call::AskPlayer => Command::Audio(audio::Command::GetPlayed { player }),
            Call::CreateKeys => Command::Keys(keys::Command::Create { key_system: "org.w3.clearkey" }),
            Call::GenerateRequest => {
                let kind = InitDataKind::Cenc;
                Command::Keys(keys::Command::GenerateRequest { key_session, kind, init_data: b"pssh" })
            }
            Call::UpdateKeys => Command::Keys(keys::Command::Update { key_session, response: b"keys" }),
            Call::RemoveKeys => Command::Keys(keys::Command::Remove { key_session }),
            Call::BindKeys => {
                let sessions = self.sessions.iter().rev().copied();
                Command::Keys(keys::Command::Bind { key_session, session: nth(sessions, high).unwrap_or(session) })
            }
            Call::CloseKeys => Command::Keys(keys::Command::Close { key_session }),
        }
    }
}
