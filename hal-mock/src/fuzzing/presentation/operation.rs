//! What can happen to a presentation service.

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::codec::papi::Garbage;
use greenroom_core::message::papi::{Description, Message, Reason};
use greenroom_core::message::presentation::{
    CloseReason, Command, NoDevice, Payload, Piece, SelectionId, TransportKind, Urls,
};
use greenroom_core::presentation::service::{Access, Origin, Schemes};

use crate::fuzzing::steps::{below, one_of};

pub(super) const NAMES: [&str; 4] = ["p", "q", "r", ""];
const PAGES: [&str; 4] = ["https://a/", "https://b/", "app:tv", "file:///etc/passwd"];
pub(super) const DEVICES: [&str; 3] = ["TV", "phone", "box"];
const KINDS: [TransportKind; 2] = [TransportKind::Tcp, TransportKind::DataChannel];
const REASONS: [Reason; 3] = [Reason::NORMAL, Reason::FAILURE, Reason(7)];
const CLOSE_REASONS: [CloseReason; 4] =
    [CloseReason::Closed, CloseReason::WentAway, CloseReason::Terminated, CloseReason::Error(Reason::FAILURE)];

/// Two addresses, and one certificate that is shown from both.
pub(super) const ORIGINS: [Origin; 4] = [
    Origin { address: [1; 16], certificate: None },
    Origin { address: [2; 16], certificate: None },
    Origin { address: [1; 16], certificate: Some([9; 32]) },
    Origin { address: [2; 16], certificate: Some([9; 32]) },
];

/// A message of another device.
pub(super) type Line = Message<&'static str>;

/// What a client asks; what is known of the world is named by a number.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Plain(Command<'static>),
    Close(u8, bool),
    Terminate(u8),
    Send(u8),
    Built(u8, Piece<'static>),
    /// With the token of one of the processes, or of none.
    Ready(u8),
    Failed(u8),
}

/// What the other end of a channel does.
#[derive(Clone, Debug)]
pub(super) enum ChannelDeed {
    /// What a well-behaved one does next.
    Obeys,
    /// Whether the policy lets it.
    Says(Line, bool),
    Garbage(Garbage),
    Closes,
}

/// What becomes of a transport.
#[derive(Clone, Copy, Debug)]
pub(super) enum TransportDeed {
    /// Its next step: described, up, a message.
    GoesOn,
    Closes(CloseReason),
}

/// What becomes of a process.
#[derive(Clone, Copy, Debug)]
pub(super) enum ProcessDeed {
    Starts,
    FailsToStart,
    Ends,
}

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Join(u8, Access),
    Leave(u8),
    Ask(u8, Ask),
    /// From one of the origins; with what it will say when it behaves.
    Accept(u8, [Line; 3]),
    Channel(u8, ChannelDeed),
    Transport(u8, TransportDeed),
    Process(u8, ProcessDeed),
    Find(&'static str, Schemes),
    Lose(&'static str),
    Pass(u16),
    PassToDeadline,
    WriteAndReadBack,
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 32)? {
            0 => Self::Join(below(input, 4)?, one_of(input, &[Access::Page, Access::Platform])?),
            1 => Self::Leave(below(input, 4)?),
            2..10 => Self::Ask(below(input, 4)?, ask(input)?),
            10 | 11 => Self::Accept(below(input, 4)?, script(input)?),
            12..20 => Self::Channel(below(input, 6)?, input.arbitrary()?),
            20..25 => Self::Transport(below(input, 5)?, transport_deed(input)?),
            25..28 => Self::Process(below(input, 3)?, process_deed(input)?),
            28 => match input.arbitrary()? {
                true => {
                    Self::Find(one_of(input, &DEVICES)?, one_of(input, &[Schemes::WEB, Schemes::APP, Schemes::ALL])?)
                }
                false => Self::Lose(one_of(input, &DEVICES)?),
            },
            29 => Self::Pass(input.arbitrary()?),
            30 => Self::PassToDeadline,
            // It takes as long as all the rest.
            _ => match below(input, 8)? {
                0 => Self::WriteAndReadBack,
                _ => Self::PassToDeadline,
            },
        })
    }
}

impl<'a> Arbitrary<'a> for ChannelDeed {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 16)? {
            0..10 => Self::Obeys,
            10..14 => Self::Says(line(input)?, input.arbitrary()?),
            14 => Self::Garbage(one_of(input, &[Garbage::NotJson, Garbage::TooLong, Garbage::Incomplete])?),
            _ => Self::Closes,
        })
    }
}

fn transport_deed(input: &mut Unstructured<'_>) -> Result<TransportDeed> {
    Ok(match below(input, 8)? {
        0..7 => TransportDeed::GoesOn,
        _ => TransportDeed::Closes(one_of(input, &CLOSE_REASONS)?),
    })
}

fn process_deed(input: &mut Unstructured<'_>) -> Result<ProcessDeed> {
    Ok(match below(input, 8)? {
        0..5 => ProcessDeed::Starts,
        5 => ProcessDeed::FailsToStart,
        _ => ProcessDeed::Ends,
    })
}

/// A controller that launches a page or comes back to it, and one that only ends it.
fn script(input: &mut Unstructured<'_>) -> Result<[Line; 3]> {
    let (device_id, extension) = (one_of(input, &DEVICES)?, below(input, 2)?);
    let (presentation_id, url) = (one_of(input, &NAMES)?, one_of(input, &PAGES)?);
    let hello = Message::Connect { device_id, extension };
    let offer = Message::Offer(description(one_of(input, &KINDS)?));
    Ok(match below(input, 4)? {
        0 | 1 => [hello, Message::Launch { presentation_id, url }, offer],
        2 => [hello, Message::Reconnect { presentation_id, url }, offer],
        _ => [hello, Message::Terminate { presentation_id }, Message::Disconnect { reason: Reason::NORMAL }],
    })
}

pub(super) fn description(kind: TransportKind) -> Description<&'static str> {
    match kind {
        TransportKind::Tcp => {
            Description::Tcp { addresses: ["192.0.2.1"].into_iter().collect(), port: 1, framed: None }
        }
        TransportKind::DataChannel => Description::DataChannel { sdp: "v=0" },
    }
}

fn line(input: &mut Unstructured<'_>) -> Result<Line> {
    let presentation_id = one_of(input, &NAMES)?;
    let url = one_of(input, &PAGES)?;
    Ok(match below(input, 15)? {
        0 => Message::Connect { device_id: one_of(input, &DEVICES)?, extension: below(input, 2)? },
        1 => Message::ConnectAck { extension: below(input, 2)? },
        2 => Message::Disconnect { reason: one_of(input, &REASONS)? },
        3 => Message::Launch { presentation_id, url },
        4 => Message::LaunchAck { presentation_id },
        5 => Message::Terminate { presentation_id },
        6 => Message::TerminateAck { presentation_id },
        7 => Message::Reconnect { presentation_id, url },
        8 => Message::ReconnectAck { presentation_id },
        9 => Message::Offer(description(one_of(input, &KINDS)?)),
        10 => Message::Answer(description(one_of(input, &KINDS)?)),
        11 => Message::IceCandidate { candidate: "c" },
        12 => Message::Ping,
        13 => Message::Pong,
        _ => Message::Unknown,
    })
}

fn urls(input: &mut Unstructured<'_>) -> Result<Urls<'static>> {
    let first = one_of(input, &PAGES)?;
    Ok([first, "https://a/"].into_iter().collect())
}

fn selection(input: &mut Unstructured<'_>) -> Result<SelectionId> {
    Ok(SelectionId { index: below(input, 3)?.into(), generation: below(input, 4)?.into() })
}

fn ask(input: &mut Unstructured<'_>) -> Result<Ask> {
    let presentation_id = one_of(input, &NAMES)?;
    Ok(Ask::Plain(match below(input, 24)? {
        0..4 => Command::Start {
            presentation_id,
            urls: urls(input)?,
            origin: "o",
            device: one_of(input, &[Some("TV"), Some("TV"), Some("phone"), None])?,
            transport: one_of(input, &KINDS)?,
        },
        4 | 5 => Command::Reconnect { presentation_id, urls: urls(input)? },
        6 => return Ok(Ask::Close(input.arbitrary()?, input.arbitrary()?)),
        7 => return Ok(Ask::Terminate(input.arbitrary()?)),
        8 => Command::End { presentation_id },
        9 | 10 => return Ok(Ask::Send(input.arbitrary()?)),
        11 => Command::WatchAvailability { urls: urls(input)? },
        12 => match below(input, 4)? {
            0 => Command::Hello,
            1 => Command::UnwatchAvailability,
            2 => Command::RegisterBuilder,
            _ => Command::Traffic,
        },
        13 => Command::ListDevices { from: below(input, 3)?.into() },
        14 => Command::List { from: below(input, 6)?.into() },
        15 => Command::WatchSelections,
        16 => Command::Select { selection: selection(input)?, device: one_of(input, &DEVICES)? },
        17 => Command::Cancel {
            selection: selection(input)?,
            because: one_of(input, &[NoDevice::Cancelled, NoDevice::NotFound])?,
        },
        18..21 => return Ok(Ask::Ready(below(input, 4)?)),
        21 => return Ok(Ask::Failed(below(input, 4)?)),
        22 => Command::ListenForConnections,
        _ => {
            let pieces = [Piece::Offer("o"), Piece::Answer("a"), Piece::Candidate("c"), Piece::Open, Piece::Closed];
            let over = [CloseReason::Closed, CloseReason::WentAway].map(Piece::Over);
            let pieces = [pieces.as_slice(), &over].concat();
            return Ok(Ask::Built(input.arbitrary()?, one_of(input, &pieces)?));
        }
    }))
}

/// The body of every message.
pub(super) const HELLO: Payload<'static> = Payload::Text("hello");
