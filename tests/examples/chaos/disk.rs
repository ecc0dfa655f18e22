//! A slow disk, and the player that has its clip on it: a process of its own that takes frames as its disk gives them.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fastrand::Rng;
use greenroom_core::message::AppState;
use greenroom_core::message::playback::{Codec, Event, PlaybackState, Shape, SourceDescription};
use greenroom_hal_linux::client::{Client, ClientEvent, Events, Frame, Source};

use crate::Failure;
use crate::clips::{PICTURE_INTERVAL, SIZE};
use crate::tally::{Count, Tally};

/// Pictures that come at once.
const BURST: std::ops::Range<usize> = 1..20;
/// Until the next ones come.
const STALL_MS: std::ops::Range<u64> = 50..2_500;
/// How long a player waits to be on stage, to be rid of a picture, and to hear the end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Feeds a player's input with the pictures of a clip, in bursts, until all are through or nobody reads any more.
pub(crate) fn feed(tally: &Tally, mut rng: Rng, pictures: &[Vec<u8>], mut input: impl Write) {
    let mut pictures = pictures.iter();
    loop {
        for picture in pictures.by_ref().take(rng.usize(BURST)) {
            if write_record(&mut input, picture).is_err() {
                return;
            }
        }
        if pictures.len() == 0 {
            return;
        }
        tally.count(Count::DiskStalled);
        std::thread::sleep(Duration::from_millis(rng.u64(STALL_MS)));
    }
}

/// The program that plays what [`feed`] gives it.
pub(crate) fn player(socket: &Path) -> io::Result<Command> {
    let mut player = Command::new(std::env::current_exe()?);
    player.arg("--play-at").arg(socket).stdin(Stdio::piped());
    player.stdout(Stdio::piped()).stderr(Stdio::null());
    Ok(player)
}

/// Is that program: plays what comes on standard input, once its app is on stage.
pub(crate) fn play_from_input(socket: &PathBuf) -> Result<(), Failure> {
    let client = Client::connect(socket)?;
    client.wait_for_application_state(AppState::Running, PATIENCE)?;
    client.set_application_state(AppState::Running)?;
    let events = client.events();
    let session = client.create_session()?;
    session.load(true)?;
    let shape = Shape { width: SIZE.0, height: SIZE.1, ..Shape::default() };
    let mut source = session.attach_source(SourceDescription { codec: Codec::H264, shape, codec_data: &[] })?;
    session.all_sources_attached()?;
    session.play()?;
    push_all(&mut source, &events)?;
    source.end_of_stream(PATIENCE)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match events.next(Duration::from_secs(1)) {
            Some(ClientEvent::Server(Event::PlaybackState { state: PlaybackState::EndOfStream, .. })) => {
                println!("{{\"event\":\"end\",\"reason\":\"end_of_stream\"}}");
                return Ok(());
            }
            Some(ClientEvent::ConnectionLost(_)) => break,
            _ => {}
        }
    }
    Err("the end was not heard of".into())
}

fn push_all(source: &mut Source, events: &Events) -> Result<(), Failure> {
    let (mut input, mut number) = (io::stdin().lock(), 0);
    while let Some(picture) = read_record(&mut input)? {
        let frame = Frame {
            presentation: Some(PICTURE_INTERVAL * number),
            is_key: number == 0,
            data: &picture,
            ..Frame::default()
        };
        source.push(&frame, PATIENCE)?;
        number += 1;
        while let Some(event) = events.try_next() {
            if matches!(event, ClientEvent::Server(Event::FirstFrame { .. })) {
                println!("{{\"event\":\"first_frame\"}}");
            }
        }
    }
    Ok(())
}

fn write_record(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(bytes)
}

/// `None` at the end, also where it is in the middle.
fn read_record(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    let mut bytes = match from.read_exact(&mut length) {
        Ok(()) => vec![0; u32::from_le_bytes(length) as usize],
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    match from.read_exact(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| Some(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_and_a_cut_one_is_the_end() {
        let mut bytes = Vec::new();
        write_record(&mut bytes, b"picture").unwrap();
        let mut input = &bytes[..];
        assert_eq!(read_record(&mut input).unwrap().as_deref(), Some(&b"picture"[..]));
        assert_eq!(read_record(&mut input).unwrap(), None);
        assert_eq!(read_record(&mut &bytes[..7]).unwrap(), None);
    }
}
