//! One web audio player: PCM frames into its ring.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use greenroom_core::hal::Doorbell;
use greenroom_core::message::audio::{self, DeviceInfo, PcmFormat, PlayerId, PlayerState};
use greenroom_core::message::playback::{Answer, Command};
use greenroom_core::ring::{Producer, PushError as RingPushError, Pushed, Record};

use super::deadline::Deadline;
use super::error::{CallError, PushError, SessionEnd};
use super::link::{Ask, Link, Reply};
use super::source::{RingProducer, wait_for_either};
use crate::error::LinuxError;
use crate::memory::{EventFd, OwnRegion, PeerRegion};

/// A web audio player: PCM frames are played as they come, without times. Dropping it destroys it.
///
/// It can be told to play before there is a frame. One that has run dry goes on with the next frame.
#[derive(Debug)]
pub struct AudioPlayer {
    link: Arc<Link>,
    desk: Arc<Desk>,
    format: PcmFormat,
    device: DeviceInfo,
    data: EventFd,
    space: EventFd,
}

/// What comes with a new player.
pub(super) struct Parts {
    pub(super) desk: Arc<Desk>,
    pub(super) format: PcmFormat,
    pub(super) device: DeviceInfo,
    pub(super) data: EventFd,
    pub(super) space: EventFd,
}

impl AudioPlayer {
    pub(super) fn new(link: Arc<Link>, parts: Parts) -> Self {
        let Parts { desk, format, device, data, space } = parts;
        Self { link, desk, format, device, data, space }
    }

    /// Its number, as it stands in events.
    pub fn id(&self) -> PlayerId {
        self.desk.player
    }

    /// What it does, as the session server said last.
    pub fn state(&self) -> PlayerState {
        self.desk.lock().state
    }

    /// Why it has ended, if it has.
    pub fn end(&self) -> Option<SessionEnd> {
        self.desk.lock().producer.as_ref().err().copied()
    }

    /// What it is like. It does not change.
    pub fn device_info(&self) -> DeviceInfo {
        self.device
    }

    /// Plays. Without a frame so far it starts with the first one.
    pub fn play(&self) -> Result<(), CallError> {
        self.answer(audio::Command::Play { player: self.id() }).map(drop)
    }

    /// Pauses.
    pub fn pause(&self) -> Result<(), CallError> {
        self.answer(audio::Command::Pause { player: self.id() }).map(drop)
    }

    /// Sets how loud it is, in thousandths: 0 is silent, 1000 as written, 2000 twice that; more is refused.
    pub fn set_volume(&self, permille: u16) -> Result<(), CallError> {
        self.answer(audio::Command::SetVolume { player: self.id(), volume_permille: permille }).map(drop)
    }

    /// How loud it is, in thousandths.
    pub fn volume(&self) -> Result<u16, CallError> {
        match self.answer(audio::Command::GetVolume { player: self.id() })? {
            Answer::Audio(audio::Answer::Volume { volume_permille }) => Ok(volume_permille),
            _ => Err(CallError::ConnectionLost),
        }
    }

    /// Frames that can be written now.
    pub fn available(&self) -> Result<u32, PushError> {
        let mut deck = self.desk.lock();
        let room_bytes = deck.producer()?.room_bytes().map_err(PushError::Corrupt)?;
        Ok(room_bytes / self.format.frame_bytes())
    }

    /// Frames that were written and not heard: those in the ring and those in the sink.
    pub fn delay(&self) -> Result<u64, CallError> {
        match self.answer(audio::Command::GetPlayed { player: self.id() })? {
            Answer::Audio(audio::Answer::Played { frames }) => Ok(self.desk.lock().written.saturating_sub(frames)),
            _ => Err(CallError::ConnectionLost),
        }
    }

    /// Writes whole frames, as many as there is room for; gives how many were taken, in frames. It does not wait.
    pub fn write(&mut self, frames: &[u8]) -> Result<u32, PushError> {
        let frame_bytes = self.whole_frames(frames)?;
        let mut deck = self.desk.lock();
        let room = deck.producer()?.room_bytes().map_err(PushError::Corrupt)? / frame_bytes;
        // What does not fit 32 bits is more than there is room for.
        let taken = u32::try_from(frames.len()).unwrap_or(u32::MAX).div_euclid(frame_bytes).min(room);
        let Some(bytes) = frames.get(..taken as usize * frame_bytes as usize).filter(|bytes| !bytes.is_empty()) else {
            return Ok(0);
        };
        let pushed = deck.push(&Record::frame(bytes))?;
        deck.written = deck.written.saturating_add(taken.into());
        drop(deck);
        self.wake(pushed)?;
        Ok(taken)
    }

    /// Writes all of these whole frames; waits up to `timeout` while there is no room. Where that is over, some may have
    /// been taken.
    pub fn write_all(&mut self, mut frames: &[u8], timeout: Duration) -> Result<(), PushError> {
        let (deadline, frame_bytes) = (Deadline::after(timeout), self.whole_frames(frames)?);
        while !frames.is_empty() {
            let taken = self.write(frames)?;
            if taken == 0 {
                self.wait_for_room(frame_bytes, deadline)?;
            }
            frames = frames.get(taken as usize * frame_bytes as usize..).unwrap_or_default();
        }
        Ok(())
    }

    /// Says that no more frames come: what was written is played, then the player is at the end of its stream. Waits up to
    /// `timeout` while the ring is full.
    pub fn end_of_stream(&mut self, timeout: Duration) -> Result<(), PushError> {
        let deadline = Deadline::after(timeout);
        loop {
            let pushed = self.desk.lock().push(&Record::end_of_stream());
            match pushed {
                Ok(pushed) => return self.wake(pushed),
                Err(PushError::Full) => self.wait_for_room(1, deadline)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Destroys it and waits until the session server has said so. One that has ended already is destroyed.
    pub fn destroy(self) -> Result<(), CallError> {
        if self.link.close_desk(&self.desk, SessionEnd::Destroyed) {
            self.answer(audio::Command::Destroy { player: self.id() })?;
        }
        Ok(())
    }

    fn whole_frames(&self, frames: &[u8]) -> Result<u32, PushError> {
        let frame_bytes = self.format.frame_bytes();
        let is_whole = frames.len().is_multiple_of(frame_bytes as usize);
        is_whole.then_some(frame_bytes).ok_or(PushError::NotWholeFrames { bytes: frames.len(), frame_bytes })
    }

    fn wake(&self, pushed: Pushed) -> Result<(), PushError> {
        match pushed {
            Pushed::Awake => Ok(()),
            Pushed::Asleep => self.data.ring().map_err(PushError::Bell),
        }
    }

    /// Waits until there may be room, the player has ended, or the deadline has come.
    fn wait_for_room(&self, bytes: u32, deadline: Deadline) -> Result<(), PushError> {
        if !self.desk.lock().producer()?.prepare_to_wait(bytes).map_err(PushError::Corrupt)? {
            return Ok(());
        }
        let left = deadline.left().ok_or(PushError::Full)?;
        wait_for_either(&self.space, &self.desk.changed, left).map_err(PushError::Bell)?;
        // Forgotten before the ring is looked at again: what changes after that rings again.
        self.space.clear().and_then(|()| self.desk.changed.clear()).map_err(PushError::Bell)
    }

    fn answer(&self, command: audio::Command) -> Result<Answer, CallError> {
        match self.link.call_on(Some(self.desk.connection), Ask::Command(Command::Audio(command)))? {
            Reply::Answer(answer) => Ok(answer),
            // The I/O thread gives every answer its own kind of reply.
            _ => Err(CallError::ConnectionLost),
        }
    }
}

impl Drop for AudioPlayer {
    fn drop(&mut self) {
        if self.link.close_desk(&self.desk, SessionEnd::Destroyed) {
            let destroy = audio::Command::Destroy { player: self.id() };
            self.link.tell(self.desk.connection, Command::Audio(destroy));
        }
    }
}

/// What a player's owner and the I/O thread share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) player: PlayerId,
    /// The connection that it was made on.
    pub(super) connection: u32,
    deck: Mutex<Deck>,
    changed: EventFd,
}

#[derive(Debug)]
struct Deck {
    state: PlayerState,
    producer: Result<RingProducer, SessionEnd>,
    /// Frames that were put into the ring.
    written: u64,
}

impl Deck {
    fn producer(&mut self) -> Result<&mut RingProducer, PushError> {
        self.producer.as_mut().map_err(|why| PushError::Ended(*why))
    }

    fn push(&mut self, record: &Record<'_>) -> Result<Pushed, PushError> {
        self.producer()?.push(record).map_err(|error| match error {
            RingPushError::Full => PushError::Full,
            RingPushError::TooLarge { bytes, max } => PushError::TooLarge { bytes, max },
            RingPushError::Corrupt(error) => PushError::Corrupt(error),
        })
    }
}

impl Desk {
    pub(super) fn new(
        player: PlayerId,
        connection: u32,
        producer: Producer<OwnRegion, PeerRegion>,
    ) -> Result<Self, LinuxError> {
        let deck = Deck { state: PlayerState::Idle, producer: Ok(producer), written: 0 };
        Ok(Self { player, connection, deck: Mutex::new(deck), changed: EventFd::new()? })
    }

    pub(super) fn hear(&self, event: &audio::Event) {
        match *event {
            audio::Event::State { state, .. } => self.lock().state = state,
            audio::Event::Failed { .. } => self.lock().state = PlayerState::Failed,
            // It is shut, which says why.
            _ => {}
        }
    }

    /// The player has ended. The mapping goes with the producer; frames that are being written are written first.
    pub(super) fn shut(&self, why: SessionEnd) {
        let mut deck = self.lock();
        if deck.producer.is_ok() {
            deck.producer = Err(why);
        }
        drop(deck);
        // This bell is ours alone, so its count is never at its end.
        let _ = self.changed.ring();
    }

    fn lock(&self) -> MutexGuard<'_, Deck> {
        self.deck.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
