//! What clients ask.

use super::client::Waiting;
use super::phase::Phase;
use super::playback::{Farewell, Order, Playback, SlotOf};
use super::server::{Server, Slot};
use super::{ClientId, NotTaken, Response};
use crate::limits::CODEC_DATA_BYTES_MAX;
use crate::message::playback::{Command, RATE_PERMILLE, Refusal, SessionId, TableName, Window};
use crate::table::Handle;
use crate::time::Instant;

/// The loudest that a session can be set to, in thousandths.
pub(super) const VOLUME_PERMILLE_MAX: u16 = 2000;

/// What became of a call that was taken.
pub(super) enum Taken {
    /// Its answer is here.
    Answered(Response),
    /// Its answer comes when something else has ended.
    Pending,
}

pub(super) type Outcome = Result<Taken, NotTaken>;

pub(super) fn refused(refusal: Refusal) -> Outcome {
    Ok(Taken::Answered(Response::Refused(refusal)))
}

impl Server {
    /// One call of a client. [`NotTaken::Later`] while another one of it must end first.
    pub(super) fn call(
        &mut self,
        now: Instant,
        id: ClientId,
        sequence: u32,
        command: Command<'_>,
    ) -> Result<(), NotTaken> {
        let client = self.clients.get_mut(id).ok_or(NotTaken::Stale)?;
        client.heard(now, self.health_check);
        if !client.can_call() {
            return Err(NotTaken::Later);
        }
        let taken = match command {
            Command::Hello => self.hello(id),
            _ if !self.clients.get(id).is_some_and(|client| client.is_greeted) => refused(Refusal::Malformed),
            Command::Pong => Ok(Taken::Answered(Response::Done)),
            Command::GetSharedMemory => self.get_shared_memory(id, sequence),
            Command::ReleaseSharedMemory => self.release_shared_memory(now, id, sequence),
            Command::CreateSession => self.create_session(id, sequence),
            Command::DestroySession { session }
            | Command::Load { session, .. }
            | Command::AttachSource { session, .. }
            | Command::AllSourcesAttached { session }
            | Command::Play { session }
            | Command::Pause { session }
            | Command::Stop { session }
            | Command::SetPosition { session, .. }
            | Command::Flush { session, .. }
            | Command::SetVolume { session, .. }
            | Command::SetMute { session, .. }
            | Command::GetPosition { session }
            | Command::SetDuration { session, .. }
            | Command::GetDuration { session }
            | Command::GetStatistics { session, .. }
            | Command::RemoveSource { session, .. }
            | Command::SetPlaybackRate { session, .. }
            | Command::SetVideoWindow { session, .. }
            | Command::SetSourceMute { session, .. } => self.call_session(now, id, sequence, session, command),
            Command::Audio(command) => self.call_audio(now, id, sequence, command),
            Command::Keys(command) => self.call_keys(now, id, sequence, command),
        };
        if let (Taken::Answered(response), Some(client)) = (taken?, self.clients.get_mut(id)) {
            client.answer(sequence, response);
        }
        Ok(())
    }

    fn hello(&mut self, id: ClientId) -> Outcome {
        let state = self.app_state();
        let client = self.clients.get_mut(id).ok_or(NotTaken::Stale)?;
        if let Some(refusal) = client.turned_away {
            client.is_leaving = true;
            return refused(refusal);
        }
        client.greet();
        Ok(Taken::Answered(Response::Welcome { state }))
    }

    /// SM-23, SM-24, SM-33
    fn get_shared_memory(&mut self, id: ClientId, sequence: u32) -> Outcome {
        if planted!("memory_outside_active", false, self.phase != Phase::Active) {
            return refused(Refusal::NotActive);
        }
        if let Some(slot) = self.clients.get(id).and_then(|client| client.slot) {
            return Ok(Taken::Answered(Response::SharedMemory { slot }));
        }
        let Some(slot) = self.free_slot() else { return refused(self.no_slot()) };
        if !self.lease(id, slot, Waiting::Lease { sequence })? {
            return Ok(Taken::Pending);
        }
        self.clients.get_mut(id).ok_or(NotTaken::Stale)?.slot = Some(slot);
        Ok(Taken::Answered(Response::SharedMemory { slot }))
    }

    /// Leases a free slot. False: it is renewed first, and what `waiting` says goes on then.
    fn lease(&mut self, id: ClientId, slot: u8, waiting: Waiting) -> Result<bool, NotTaken> {
        let client = self.clients.get_mut(id).ok_or(NotTaken::Stale)?;
        let place = self.slots.get_mut(usize::from(slot)).ok_or(NotTaken::Unexpected)?;
        let is_fresh = *place != Slot::Used;
        if is_fresh {
            *place = Slot::Leased;
        } else {
            *place = Slot::Renewing { client: id, asked: false };
            client.waiting = Some(waiting);
        }
        Ok(is_fresh)
    }

    /// A slot that nobody has, rather one that nobody has seen.
    fn free_slot(&self) -> Option<u8> {
        let of = |wanted: Slot| {
            let mut slots = self.slots.iter().zip(0_u8..);
            slots.find(|&(place, slot)| *place == wanted && !self.is_playing_from(slot)).map(|(_, slot)| slot)
        };
        of(Slot::Fresh).or_else(|| of(Slot::Used))
    }

    fn is_playing_from(&self, slot: u8) -> bool {
        self.sessions.iter().any(|(_, session)| session.slot() == slot)
    }

    fn no_slot(&self) -> Refusal {
        let capacity = self.resources.max_playback_sessions.into();
        Refusal::Full { table: TableName::PlaybackSessions, capacity, in_use: capacity }
    }

    /// SM-25: key sessions end with it, then sessions and players.
    fn release_shared_memory(&mut self, now: Instant, id: ClientId, sequence: u32) -> Outcome {
        planted!("release_closes_nothing" => return Ok(Taken::Answered(Response::Done)));
        let slot = self.clients.get_mut(id).ok_or(NotTaken::Stale)?.slot.take();
        self.end_lease(slot);
        self.clients.get_mut(id).ok_or(NotTaken::Stale)?.waiting = Some(Waiting::Release { sequence });
        self.close_keys(now, |owner| owner == id);
        self.settle(now);
        Ok(Taken::Pending)
    }

    /// In the slot that the connection has leased, or in a further one if that has a session.
    fn create_session(&mut self, id: ClientId, sequence: u32) -> Outcome {
        if self.phase != Phase::Active {
            return refused(Refusal::NotActive);
        }
        let Some(first) = self.clients.get(id).and_then(|client| client.slot) else {
            return refused(Refusal::NoMemory);
        };
        if !self.is_playing_from(first) {
            self.open_session(id, SlotOf::Connection(first), sequence);
            return Ok(Taken::Pending);
        }
        let Some(further) = self.free_slot() else {
            return if self.is_ending_session(id) { Err(NotTaken::Later) } else { refused(self.no_slot()) };
        };
        if self.lease(id, further, Waiting::Session { sequence })? {
            self.open_session(id, SlotOf::Session(further), sequence);
        }
        Ok(Taken::Pending)
    }

    fn is_ending_session(&self, id: ClientId) -> bool {
        self.sessions.iter().any(|(_, session)| session.owner == id && session.is_closing())
    }

    pub(super) fn open_session(&mut self, id: ClientId, slot: SlotOf, sequence: u32) {
        // There are no more slots than places for sessions, and each slot has one at most.
        let _ = self.sessions.insert(Playback::new(id, slot, sequence));
    }

    /// A call about a session, which must be one of this connection.
    fn call_session(
        &mut self,
        now: Instant,
        id: ClientId,
        sequence: u32,
        session: SessionId,
        command: Command<'_>,
    ) -> Outcome {
        let handle = Handle::from_parts(session.index, session.generation);
        let is_own = |session: &Playback| planted!("sessions_of_all", true, session.owner == id);
        let own = self.sessions.get_mut(handle).filter(|session| is_own(session) && !session.is_closing());
        let Some(playback) = own else { return refused(Refusal::UnknownSession) };
        if matches!(command, Command::DestroySession { .. }) {
            self.close_session(now, handle, Farewell { sequence: Some(sequence), unasked: false });
            return Ok(Taken::Pending);
        }
        if playback.is_failed() {
            return refused(Refusal::WrongState { state: playback.state() });
        }
        if let Some(answered) = ask(playback, session.index, command) {
            return Ok(Taken::Answered(answered.unwrap_or_else(Response::Refused)));
        }
        if playback.is_busy() {
            return park(playback, sequence, command);
        }
        match order_of(playback, command).and_then(|order| playback.order(now, sequence, order)) {
            Ok(()) => Ok(Taken::Pending),
            Err(refusal) => refused(refusal),
        }
    }
}

/// Keeps a call until its session's decoder has ended what it does, so that the connection's other sessions need not wait for
/// that. A stream's description would be too long to be kept for each session, and there is one place: then the connection
/// waits, for as long as a decoder may need at most.
fn park(playback: &mut Playback, sequence: u32, command: Command<'_>) -> Outcome {
    if matches!(command, Command::AttachSource { .. }) || playback.has_parked() {
        return Err(NotTaken::Later);
    }
    match order_of(playback, command) {
        Ok(order) => {
            playback.park(sequence, order);
            Ok(Taken::Pending)
        }
        Err(refusal) => refused(refusal),
    }
}

/// What can be answered at any moment, whatever the decoder is doing.
fn ask(playback: &mut Playback, session: u16, command: Command<'_>) -> Option<Result<Response, Refusal>> {
    let response = match command {
        Command::GetPosition { .. } => Response::Position { session, last_ns: playback.position_ns() },
        Command::GetDuration { .. } => Response::Duration { session, told_ns: playback.duration_ns },
        Command::SetDuration { duration_ns, .. } => {
            playback.duration_ns = Some(duration_ns);
            Response::Done
        }
        Command::GetStatistics { source, .. } if playback.has_source(source) => {
            Response::Statistics { session, source }
        }
        Command::GetStatistics { .. } => return Some(Err(Refusal::UnknownSource)),
        Command::Hello
        | Command::Pong
        | Command::GetSharedMemory
        | Command::ReleaseSharedMemory
        | Command::CreateSession
        | Command::DestroySession { .. }
        | Command::Load { .. }
        | Command::AttachSource { .. }
        | Command::AllSourcesAttached { .. }
        | Command::Play { .. }
        | Command::Pause { .. }
        | Command::Stop { .. }
        | Command::SetPosition { .. }
        | Command::Flush { .. }
        | Command::SetVolume { .. }
        | Command::SetMute { .. }
        | Command::RemoveSource { .. }
        | Command::SetPlaybackRate { .. }
        | Command::SetVideoWindow { .. }
        | Command::SetSourceMute { .. }
        | Command::Audio(_)
        | Command::Keys(_) => return None,
    };
    Some(Ok(response))
}

/// What a decoder is to do for a call.
fn order_of(playback: &Playback, command: Command<'_>) -> Result<Order, Refusal> {
    match command {
        Command::Load { live, .. } => Ok(Order::Load { live }),
        Command::AttachSource { source, .. } if source.codec_data.len() > CODEC_DATA_BYTES_MAX => {
            Err(Refusal::OutOfRange)
        }
        Command::AttachSource { source, .. } => playback.attach(source.codec.kind()),
        Command::AllSourcesAttached { .. } => Ok(Order::AllAttached),
        Command::Play { .. } => Ok(Order::Play),
        Command::Pause { .. } => Ok(Order::Pause),
        Command::Stop { .. } => Ok(Order::Stop),
        Command::SetPosition { position_ns, epoch, .. } => Ok(Order::SetPosition { position_ns, epoch }),
        Command::Flush { source, reset_time, epoch, .. } => Ok(Order::Flush { source, reset_time, epoch }),
        Command::SetVolume { volume_permille, .. } if volume_permille > VOLUME_PERMILLE_MAX => Err(Refusal::OutOfRange),
        Command::SetVolume { volume_permille, .. } => Ok(Order::SetVolume { permille: volume_permille }),
        Command::SetMute { muted, .. } => Ok(Order::SetMute { muted }),
        Command::RemoveSource { source, .. } => Ok(Order::RemoveSource { source }),
        Command::SetPlaybackRate { rate_permille, .. } if !RATE_PERMILLE.contains(&rate_permille) => {
            Err(Refusal::OutOfRange)
        }
        Command::SetPlaybackRate { rate_permille, .. } => Ok(Order::SetPlaybackRate { permille: rate_permille }),
        Command::SetVideoWindow { window: Window { width: 0, .. } | Window { height: 0, .. }, .. } => {
            Err(Refusal::OutOfRange)
        }
        Command::SetVideoWindow { window, .. } => Ok(Order::SetVideoWindow { window }),
        Command::SetSourceMute { source, muted, .. } => Ok(Order::SetSourceMute { source, muted }),
        // Answered before a decoder is asked.
        Command::Hello
        | Command::Pong
        | Command::GetSharedMemory
        | Command::ReleaseSharedMemory
        | Command::CreateSession
        | Command::DestroySession { .. }
        | Command::GetPosition { .. }
        | Command::SetDuration { .. }
        | Command::GetDuration { .. }
        | Command::GetStatistics { .. }
        | Command::Audio(_)
        | Command::Keys(_) => Err(Refusal::Malformed),
    }
}
