//! What happens to a session server, made up from bytes.

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::hal::ErrorKind;
use greenroom_core::message::TargetState;
use greenroom_core::message::playback::{PlaybackState, SourceId};

use crate::fuzzing::steps::{below, one_of};

#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Link(LinkDeed),
    Connect {
        is_stranger: bool,
    },
    /// By one of the clients that there are, counted from the first; the same below.
    Client(u8, ClientDeed),
    Decoder(u8, DecoderDeed),
    Keys(u8, KeyDeed),
    Fail(Failure),
    Pass(u16),
    PassToDeadline,
    Terminate,
    WriteAndReadBack,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum LinkDeed {
    Configures { state: TargetState, shares: u8, choices: u8 },
    Sets(TargetState),
    SetsLevels,
    Pings,
    Blocks,
    IsWritable,
    Closes,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ClientDeed {
    /// The byte says about which session, player, source or key session.
    Calls(Call, u8),
    Blocks,
    IsWritable,
    Closes,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::fuzzing) enum Call {
    Hello,
    Pong,
    GetSharedMemory,
    ReleaseSharedMemory,
    CreateSession,
    DestroySession,
    Load,
    AttachVideo,
    AttachAudio,
    AttachText,
    AllSourcesAttached,
    Play,
    Pause,
    Stop,
    Seek,
    Flush,
    SetVolume,
    GetPosition,
    SetDuration,
    GetDuration,
    GetStatistics,
    RemoveSource,
    SetPlaybackRate,
    SetVideoWindow,
    SetSourceMute,
    CreatePlayer,
    DestroyPlayer,
    PlayPlayer,
    PausePlayer,
    TurnPlayer,
    AskPlayer,
    CreateKeys,
    GenerateRequest,
    UpdateKeys,
    RemoveKeys,
    BindKeys,
    CloseKeys,
}

impl Call {
    pub(in crate::fuzzing) const ALL: [Self; 37] = [
        Self::Hello,
        Self::GetSharedMemory,
        Self::CreateSession,
        Self::Load,
        Self::AttachVideo,
        Self::AllSourcesAttached,
        Self::Play,
        Self::DestroySession,
        Self::CreatePlayer,
        Self::PlayPlayer,
        Self::CreateKeys,
        Self::GenerateRequest,
        Self::BindKeys,
        Self::CloseKeys,
        Self::ReleaseSharedMemory,
        Self::Pong,
        Self::AttachAudio,
        Self::AttachText,
        Self::Pause,
        Self::Stop,
        Self::Seek,
        Self::Flush,
        Self::SetVolume,
        Self::GetPosition,
        Self::SetDuration,
        Self::GetDuration,
        Self::GetStatistics,
        Self::RemoveSource,
        Self::SetPlaybackRate,
        Self::SetVideoWindow,
        Self::SetSourceMute,
        Self::DestroyPlayer,
        Self::PausePlayer,
        Self::TurnPlayer,
        Self::AskPlayer,
        Self::UpdateKeys,
        Self::RemoveKeys,
    ];
}

#[derive(Clone, Copy, Debug)]
pub(super) enum DecoderDeed {
    Completes(bool),
    /// What it was told before and was given up.
    CompletesLate,
    LetsGo,
    Fails,
    Says(PlaybackState),
    ShowsFirst(SourceId),
    IsAt(u64),
    Starves(SourceId),
    DropsFrames(SourceId),
    HasSize(SourceId),
    HasText,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum KeyDeed {
    Completes(bool),
    HasMessage,
    HasStatuses,
    LetsGo,
}

/// What goes wrong the next time that it is tried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    Bind(ErrorKind),
    Memory,
    Decoder,
    Keys,
    Delivery,
    ClientBlocks,
    LinkBlocks,
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 32)? {
            0..3 => Self::Link(input.arbitrary()?),
            3 => Self::Connect { is_stranger: below(input, 8)? == 7 },
            4..17 => Self::Client(below(input, 10)?, input.arbitrary()?),
            17..24 => Self::Decoder(below(input, 6)?, input.arbitrary()?),
            24..26 => Self::Keys(below(input, 3)?, input.arbitrary()?),
            26 => Self::Fail(input.arbitrary()?),
            27 => Self::Pass(input.arbitrary()?),
            28..31 => Self::PassToDeadline,
            // The one ends everything, the other takes as long as all the rest.
            _ => match below(input, 8)? {
                6 => Self::WriteAndReadBack,
                7 => Self::Terminate,
                _ => Self::PassToDeadline,
            },
        })
    }
}

impl<'a> Arbitrary<'a> for LinkDeed {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let states = [TargetState::Active, TargetState::Inactive, TargetState::NotRunning];
        Ok(match below(input, 16)? {
            0..3 => Self::Configures {
                state: one_of(input, &states)?,
                shares: input.arbitrary()?,
                choices: input.arbitrary()?,
            },
            3..9 => Self::Sets(one_of(input, &[states[0], states[0], states[1], states[1], states[2]])?),
            9 => Self::SetsLevels,
            10 | 11 => Self::Pings,
            12 => Self::Blocks,
            13 | 14 => Self::IsWritable,
            _ => Self::Closes,
        })
    }
}

impl<'a> Arbitrary<'a> for ClientDeed {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 64)? {
            place @ 0..37 => Self::Calls(Call::ALL[usize::from(place)], input.arbitrary()?),
            // What leads further is called more often.
            place @ 37..60 => Self::Calls(Call::ALL[usize::from(place - 37) % 12], input.arbitrary()?),
            60 => Self::Blocks,
            61 | 62 => Self::IsWritable,
            _ => Self::Closes,
        })
    }
}

impl<'a> Arbitrary<'a> for DecoderDeed {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        use PlaybackState::{Buffering, EndOfStream, Failed, Idle, Paused, Playing};
        let source = |input: &mut Unstructured<'a>| below(input, 4).map(SourceId);
        Ok(match below(input, 24)? {
            0..10 => Self::Completes(true),
            10 => Self::Completes(false),
            11 => Self::CompletesLate,
            12 | 13 => Self::LetsGo,
            14 => Self::Fails,
            15..18 => Self::Says(one_of(input, &[Playing, Paused, Buffering, EndOfStream, Idle, Failed])?),
            18 => Self::ShowsFirst(source(input)?),
            19 => Self::IsAt(input.arbitrary::<u16>()?.into()),
            20 => Self::Starves(source(input)?),
            21 => Self::DropsFrames(source(input)?),
            22 => Self::HasSize(source(input)?),
            _ => Self::HasText,
        })
    }
}

impl<'a> Arbitrary<'a> for KeyDeed {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 8)? {
            0..3 => Self::Completes(true),
            3 => Self::Completes(false),
            4 | 5 => Self::HasMessage,
            6 => Self::HasStatuses,
            _ => Self::LetsGo,
        })
    }
}

impl<'a> Arbitrary<'a> for Failure {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 8)? {
            0 => Self::Bind(one_of(input, &[ErrorKind::Busy, ErrorKind::NotFound, ErrorKind::Other])?),
            1 => Self::Memory,
            2 => Self::Decoder,
            3 => Self::Keys,
            4 => Self::Delivery,
            5 | 6 => Self::ClientBlocks,
            _ => Self::LinkBlocks,
        })
    }
}
