//! One playback session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use greenroom_core::client::NotTaken;
use greenroom_core::message::playback::{
    Answer, Command, PlaybackState, RingPlace, SessionId, SourceDescription, SourceId, Statistics, Window,
};
use greenroom_core::ring::Producer;

use super::error::{CallError, SessionEnd};
use super::link::{Ask, Link, Memory, Reply};
use super::source::{Gate, Source, nanoseconds};
use crate::memory::EventFd;

/// A playback session: sources, a clock, one decoder for each source. Dropping it destroys it.
///
/// Every call is answered within [`greenroom_core::limits::CALL_TIMEOUT`], or fails.
#[derive(Debug)]
pub struct Session {
    link: Arc<Link>,
    stage: Arc<Stage>,
}

impl Session {
    pub(super) fn new(link: Arc<Link>, stage: Arc<Stage>) -> Self {
        Self { link, stage }
    }

    /// Its number, as it stands in events.
    pub fn id(&self) -> SessionId {
        self.stage.session
    }

    /// What it does, as the session server said last.
    pub fn state(&self) -> PlaybackState {
        self.stage.lock().state
    }

    /// Why it has ended, if it has.
    pub fn end(&self) -> Option<SessionEnd> {
        self.stage.lock().end
    }

    /// Prepares to play; `live` media has no end and no seeking.
    pub fn load(&self, live: bool) -> Result<(), CallError> {
        self.ask(Command::Load { session: self.id(), live })
    }

    /// Adds a stream. Every source is attached before [`Self::all_sources_attached`].
    pub fn attach_source(&self, description: SourceDescription<'_>) -> Result<Source, CallError> {
        let _turn = self.stage.take_turn();
        match self.link.call_on(self.connection(), Ask::attach(self.id(), description))? {
            Reply::Source { source, ring, data, space } => self.open_source(source, &ring, data, space),
            _ => Err(CallError::ConnectionLost),
        }
    }

    /// Says that no more sources will come; the pipeline is built.
    pub fn all_sources_attached(&self) -> Result<(), CallError> {
        self.ask(Command::AllSourcesAttached { session: self.id() })
    }

    /// Plays.
    pub fn play(&self) -> Result<(), CallError> {
        self.ask(Command::Play { session: self.id() })
    }

    /// Pauses.
    pub fn pause(&self) -> Result<(), CallError> {
        self.ask(Command::Pause { session: self.id() })
    }

    /// Stops and drops all sources, which take no more frames; the session can be loaded again.
    pub fn stop(&self) -> Result<(), CallError> {
        let _turn = self.stage.take_turn();
        let result = self.ask(Command::Stop { session: self.id() });
        if may_be_done(&result) {
            self.stage.shut_sources(SessionEnd::Stopped);
            self.stage.lock().levels.rate_permille = Levels::default().rate_permille;
        }
        result
    }

    /// Goes to another position. What was pushed before it is dropped, in every source; see [`Source`].
    pub fn set_position(&self, position: Duration) -> Result<(), CallError> {
        let position_ns = nanoseconds(position);
        self.flushing(None, |session, epoch| Command::SetPosition { session, position_ns, epoch })
    }

    /// Drops what one source has sent so far; with `reset_time` its running time starts at 0 again.
    pub fn flush(&self, source: SourceId, reset_time: bool) -> Result<(), CallError> {
        self.flushing(Some(source), |session, epoch| Command::Flush { session, source, reset_time, epoch })
    }

    /// Takes a source away, which takes no more frames; the others play on. Once all are attached, one must stay.
    pub fn remove_source(&self, source: SourceId) -> Result<(), CallError> {
        let _turn = self.stage.take_turn();
        let result = self.ask(Command::RemoveSource { session: self.id(), source });
        if may_be_done(&result) {
            self.stage.shut_source(source);
        }
        result
    }

    /// Plays faster or slower, in thousandths: 1000 is as recorded, [`RATE_PERMILLE`] what there is. It is kept over seeks
    /// and ends with [`Self::stop`]. Live media has its own pace.
    ///
    /// [`RATE_PERMILLE`]: greenroom_core::message::playback::RATE_PERMILLE
    pub fn set_playback_rate(&self, permille: u16) -> Result<(), CallError> {
        self.ask(Command::SetPlaybackRate { session: self.id(), rate_permille: permille })?;
        self.stage.lock().levels.rate_permille = permille;
        Ok(())
    }

    /// The rate that was set last, in thousandths.
    pub fn playback_rate(&self) -> u16 {
        self.stage.lock().levels.rate_permille
    }

    /// Shows the pictures in this part of the screen, at once or as soon as there are some.
    pub fn set_video_window(&self, window: Window) -> Result<(), CallError> {
        self.ask(Command::SetVideoWindow { session: self.id(), window })
    }

    /// Sets how loud it is, in thousandths: 0 is silent, 1000 as recorded, 2000 twice that; more is refused.
    pub fn set_volume(&self, permille: u16) -> Result<(), CallError> {
        self.ask(Command::SetVolume { session: self.id(), volume_permille: permille })?;
        self.stage.lock().levels.volume_permille = permille;
        Ok(())
    }

    /// How loud it was set last, in thousandths.
    pub fn volume(&self) -> u16 {
        self.stage.lock().levels.volume_permille
    }

    /// Silences it, or lets it be heard.
    pub fn set_mute(&self, muted: bool) -> Result<(), CallError> {
        self.ask(Command::SetMute { session: self.id(), muted })?;
        self.stage.lock().levels.is_muted = muted;
        Ok(())
    }

    /// Whether it was silenced.
    pub fn is_muted(&self) -> bool {
        self.stage.lock().levels.is_muted
    }

    /// Silences one source, or lets it be heard; of a text source, its texts are not told. It ends with [`Self::stop`].
    pub fn set_source_mute(&self, source: SourceId, muted: bool) -> Result<(), CallError> {
        self.ask(Command::SetSourceMute { session: self.id(), source, muted })
    }

    /// Where playback is, from the start of the media.
    pub fn position(&self) -> Result<Duration, CallError> {
        match self.answer(Command::GetPosition { session: self.id() })? {
            Answer::Position { position_ns } => Ok(Duration::from_nanos(position_ns)),
            _ => Err(CallError::ConnectionLost),
        }
    }

    /// How long the media is, where it is known.
    pub fn duration(&self) -> Result<Option<Duration>, CallError> {
        match self.answer(Command::GetDuration { session: self.id() })? {
            Answer::Duration { duration_ns } => Ok(duration_ns.map(Duration::from_nanos)),
            _ => Err(CallError::ConnectionLost),
        }
    }

    /// Tells how long the media is, where the app knows it from its container.
    pub fn set_duration(&self, duration: Duration) -> Result<(), CallError> {
        self.ask(Command::SetDuration { session: self.id(), duration_ns: nanoseconds(duration) })
    }

    /// What a source has done so far.
    pub fn statistics(&self, source: SourceId) -> Result<Statistics, CallError> {
        match self.answer(Command::GetStatistics { session: self.id(), source })? {
            Answer::Statistics(statistics) => Ok(statistics),
            _ => Err(CallError::ConnectionLost),
        }
    }

    /// Destroys it and waits until the session server has said so. One that has ended already is destroyed.
    pub fn destroy(self) -> Result<(), CallError> {
        if self.link.close_stage(&self.stage, SessionEnd::Destroyed) {
            self.ask(Command::DestroySession { session: self.id() })?;
        }
        Ok(())
    }

    /// What is said of this session means nothing on a later connection, where another may have its number.
    pub(super) fn connection(&self) -> Option<u32> {
        Some(self.stage.connection)
    }

    fn ask(&self, command: Command<'static>) -> Result<(), CallError> {
        self.answer(command).map(|_| ())
    }

    fn answer(&self, command: Command<'static>) -> Result<Answer, CallError> {
        match self.link.call_on(self.connection(), Ask::Command(command))? {
            Reply::Answer(answer) => Ok(answer),
            // The I/O thread gives every answer its own kind of reply.
            Reply::Session(_) | Reply::Player(_) | Reply::KeySession(_) | Reply::Source { .. } => {
                Err(CallError::ConnectionLost)
            }
        }
    }

    fn open_source(
        &self,
        source: SourceId,
        ring: &RingPlace,
        data: EventFd,
        space: EventFd,
    ) -> Result<Source, CallError> {
        // Without memory the session has ended meanwhile; `admit` would say the same.
        let memory = self.stage.lock().memory.clone().ok_or(CallError::NotTaken(NotTaken::SessionEnded))?;
        let producer = Producer::new(memory.own, memory.peer, ring).map_err(CallError::Ring)?;
        let gate = Arc::new(Gate::new(producer).map_err(CallError::Memory)?);
        self.stage.admit(source, &gate);
        Ok(Source::new(source, gate, data, space))
    }

    /// One flush at a time: the gates are held while the session server is asked, and let go into the epoch that holds.
    fn flushing(
        &self,
        source: Option<SourceId>,
        command: impl FnOnce(SessionId, u32) -> Command<'static>,
    ) -> Result<(), CallError> {
        let _turn = self.stage.take_turn();
        let (epoch, gates) = self.stage.next_epoch(source);
        gates.iter().for_each(|gate| gate.hold());
        let result = self.ask(command(self.id(), epoch));
        gates.iter().for_each(|gate| gate.let_go(may_be_done(&result).then_some(epoch)));
        result
    }
}

/// Whether the session server has done it, or may have.
fn may_be_done(result: &Result<(), CallError>) -> bool {
    matches!(result, Ok(()) | Err(CallError::TimedOut))
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.link.close_stage(&self.stage, SessionEnd::Destroyed) {
            self.link.tell(self.stage.connection, Command::DestroySession { session: self.id() });
        }
    }
}

/// What a session's owner, its pushing threads and the I/O thread share.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) session: SessionId,
    /// The connection that it is of.
    pub(super) connection: u32,
    cast: Mutex<Cast>,
    /// Held over a call that changes which sources there are, or their epoch, and its answer: for at most the time of
    /// one call. So a source that is being attached knows the epoch of the seek behind it.
    turn: Mutex<()>,
}

/// What was set, for who asks. Everything is heard by the session server alone.
#[derive(Clone, Copy, Debug)]
struct Levels {
    volume_permille: u16,
    is_muted: bool,
    rate_permille: u16,
}

impl Default for Levels {
    fn default() -> Self {
        Self { volume_permille: 1000, is_muted: false, rate_permille: 1000 }
    }
}

#[derive(Debug)]
struct Cast {
    state: PlaybackState,
    end: Option<SessionEnd>,
    epoch: u32,
    levels: Levels,
    /// The slot that it plays from, until it has ended.
    memory: Option<Memory>,
    gates: Vec<(SourceId, Arc<Gate>)>,
}

impl Stage {
    pub(super) fn new(session: SessionId, connection: u32, memory: Memory) -> Self {
        let cast = Cast {
            state: PlaybackState::Idle,
            end: None,
            epoch: 0,
            levels: Levels::default(),
            memory: Some(memory),
            gates: Vec::new(),
        };
        Self { session, connection, cast: Mutex::new(cast), turn: Mutex::new(()) }
    }

    pub(super) fn set_state(&self, state: PlaybackState) {
        self.lock().state = state;
    }

    /// Ends the session and its sources.
    pub(super) fn shut(&self, why: SessionEnd) {
        let mut cast = self.lock();
        cast.end.get_or_insert(why);
        cast.memory = None;
        drop(cast);
        self.shut_sources(why);
    }

    /// Ends the sources that there are.
    fn shut_sources(&self, why: SessionEnd) {
        let gates = std::mem::take(&mut self.lock().gates);
        gates.iter().for_each(|(_, gate)| gate.shut(why));
    }

    fn shut_source(&self, source: SourceId) {
        let mut cast = self.lock();
        let place = cast.gates.iter().position(|(id, _)| *id == source);
        let gate = place.map(|place| cast.gates.swap_remove(place).1);
        drop(cast);
        gate.iter().for_each(|gate| gate.shut(SessionEnd::Removed));
    }

    fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A source that comes after the end is shut at once.
    fn admit(&self, source: SourceId, gate: &Arc<Gate>) {
        let mut cast = self.lock();
        match cast.end {
            Some(why) => gate.shut(why),
            None => cast.gates.push((source, Arc::clone(gate))),
        }
    }

    fn next_epoch(&self, source: Option<SourceId>) -> (u32, Vec<Arc<Gate>>) {
        let mut cast = self.lock();
        cast.epoch = cast.epoch.wrapping_add(1);
        let flushed = cast.gates.iter().filter(|(id, _)| source.is_none_or(|source| source == *id));
        (cast.epoch, flushed.map(|(_, gate)| Arc::clone(gate)).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Cast> {
        self.cast.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
