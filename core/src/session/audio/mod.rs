//! Web audio: the players of a session server, and what clients ask of them.
//!
//! To the platform a player is a decoder like that of a playback session, and its memory a slot; both are numbered from
//! [`FIRST_PLAYER`] on. It needs no decoder of the box, so it counts against the app's web audio players alone (SM-33).

mod player;

use serde::{Deserialize, Serialize};

pub use player::Player;

use super::calls::{Outcome, Taken, VOLUME_PERMILLE_MAX, refused};
use super::phase::Phase;
use super::playback::{Farewell, Late, Want};
use super::server::Server;
use super::{Action, ClientId, NotTaken, Response};
use crate::hal::{DecoderCommand, DecoderEvent, ErrorKind};
use crate::limits::{SESSIONS_MAX, WEB_AUDIO_PLAYERS_MAX};
use crate::message::audio::{Command, Event, PcmFormat, PlayerId};
use crate::message::playback::{Refusal, TableName};
use crate::resources::{Ledger, Shortage};
use crate::table::{Handle, Table};
use crate::time::Instant;

/// Decoders and slots with this number and higher ones are those of web audio players.
pub const FIRST_PLAYER: u16 = SESSIONS_MAX as u16;

/// The players of a session server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Players {
    /// How many the app may have, and how many of them are taken.
    pub(super) shares: Ledger,
    table: Table<Player, WEB_AUDIO_PLAYERS_MAX>,
}

fn player_id(handle: Handle<Player>) -> PlayerId {
    PlayerId { index: handle.index(), generation: handle.generation() }
}

fn handle_of(player: PlayerId) -> Handle<Player> {
    Handle::from_parts(player.index, player.generation)
}

impl Players {
    pub(super) const fn new() -> Self {
        Self { shares: Ledger::new(0), table: Table::new() }
    }

    /// How many there are, those that are being closed included.
    pub(super) const fn in_use(&self) -> u16 {
        self.table.in_use()
    }

    pub(super) fn ask_for_beats(&mut self) {
        self.table.iter_mut().for_each(|(_, player)| player.ask_for_a_beat());
    }

    pub(super) fn owe_a_beat(&self) -> bool {
        self.table.iter().any(|(_, player)| player.beat.is_owed())
    }

    pub(super) fn has_any_of(&self, owner: ClientId) -> bool {
        self.table.iter().any(|(_, player)| player.owner == owner)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = ClientId> {
        self.table.iter().map(|(_, player)| player.owner)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.table.iter().filter_map(|(_, player)| player.deadline()).min()
    }

    pub(super) fn next_for_decoders(&mut self) -> Option<Action> {
        self.table.iter_mut().find_map(|(handle, player)| {
            let session = FIRST_PLAYER.saturating_add(handle.index());
            player.poll_decoder().map(|want| match want {
                Want::Open => Action::Open { session },
                Want::Close => Action::Close { session },
                // A slot has the number of its player's decoder; a byte holds all, as SLOTS_FIT says.
                Want::Give { token, order } => Action::Command { session, slot: session as u8, token, order },
            })
        })
    }

    pub(super) fn next_event(&mut self, owner: ClientId) -> Option<Event> {
        let mut own = self.table.iter_mut().filter(|(_, player)| player.owner == owner);
        own.find_map(|(handle, player)| player.poll_event(player_id(handle)))
    }

    /// The form of the frames that the decoder with this number takes, if it is a player's.
    fn format(&self, session: u16) -> Option<PcmFormat> {
        let handle = self.table.handle_at(session.checked_sub(FIRST_PLAYER)?)?;
        self.table.get(handle).map(|player| player.format)
    }
}

const _SLOTS_FIT: () = assert!(SESSIONS_MAX + WEB_AUDIO_PLAYERS_MAX <= u8::MAX as usize, "a byte numbers all slots");

impl Server {
    /// The form of the frames of the web audio player whose decoder has this number.
    pub fn player_format(&self, session: u16) -> Option<PcmFormat> {
        self.audio.format(session)
    }

    /// Web audio players that it has, those that are being closed included.
    pub fn players(&self) -> u16 {
        self.audio.in_use()
    }

    pub(super) fn call_audio(&mut self, now: Instant, id: ClientId, sequence: u32, command: Command) -> Outcome {
        match command {
            Command::Create { format } => self.create_player(id, sequence, format),
            Command::Destroy { player }
            | Command::Play { player }
            | Command::Pause { player }
            | Command::SetVolume { player, .. }
            | Command::GetVolume { player }
            | Command::GetPlayed { player } => self.call_player(now, id, sequence, player, command),
        }
    }

    /// SM-32, SM-33
    fn create_player(&mut self, id: ClientId, sequence: u32, format: PcmFormat) -> Outcome {
        if self.phase != Phase::Active {
            return refused(Refusal::NotActive);
        }
        if !format.is_supported() {
            return refused(Refusal::UnsupportedFormat);
        }
        let share = match self.audio.shares.reserve(planted!("limit_per_client", self.audio.has_any_of(id).into(), 1)) {
            Ok(share) => share,
            Err(shortage) => return refused(no_share(shortage)),
        };
        match self.audio.table.insert(Player::new(id, format, share, sequence)) {
            Ok(_) => Ok(Taken::Pending),
            // The configuration was checked: there are no more shares than places.
            Err(full) => {
                self.audio.shares.release(full.0.share);
                refused(no_share(Shortage { wanted: 1, free: 0, total: self.audio.shares.total() }))
            }
        }
    }

    /// A call about a player, which must be one of this connection.
    fn call_player(
        &mut self,
        now: Instant,
        id: ClientId,
        sequence: u32,
        player: PlayerId,
        command: Command,
    ) -> Outcome {
        let own = self.audio.table.get_mut(handle_of(player)).filter(|own| own.owner == id && !own.is_closing());
        let Some(own) = own else { return refused(Refusal::UnknownPlayer) };
        let order = match command {
            Command::Play { .. } => DecoderCommand::Play,
            Command::Pause { .. } => DecoderCommand::Pause,
            Command::SetVolume { volume_permille, .. } if volume_permille > VOLUME_PERMILLE_MAX => {
                return refused(Refusal::OutOfRange);
            }
            Command::SetVolume { volume_permille, .. } => DecoderCommand::SetVolume { permille: volume_permille },
            Command::GetVolume { .. } => {
                return Ok(Taken::Answered(Response::Volume { volume_permille: own.volume_permille }));
            }
            Command::GetPlayed { .. } => {
                let session = FIRST_PLAYER.saturating_add(player.index);
                return Ok(Taken::Answered(Response::Played { session }));
            }
            Command::Destroy { .. } => {
                self.close_player(now, handle_of(player), Farewell { sequence: Some(sequence), unasked: false });
                return Ok(Taken::Pending);
            }
            Command::Create { .. } => return refused(Refusal::Malformed),
        };
        if own.is_busy() {
            return Err(NotTaken::Later);
        }
        match own.order(now, sequence, order) {
            Ok(()) => Ok(Taken::Pending),
            Err(refusal) => refused(refusal),
        }
    }

    /// Starts the end of every player that `must_end` says so of, by its owner.
    pub(super) fn close_players(&mut self, now: Instant, unasked: bool, must_end: impl Fn(ClientId) -> bool) {
        for index in 0..self.audio.table.capacity() {
            let Some(handle) = self.audio.table.handle_at(index) else { continue };
            if self.audio.table.get(handle).is_some_and(|player| must_end(player.owner)) {
                self.close_player(now, handle, Farewell { sequence: None, unasked });
            }
        }
    }

    fn close_player(&mut self, now: Instant, handle: Handle<Player>, farewell: Farewell) {
        let late = self.audio.table.get_mut(handle).and_then(|player| player.close(now, farewell));
        self.answer_player_owner(handle, late);
    }

    fn answer_player_owner(&mut self, handle: Handle<Player>, late: Option<Late>) {
        let Some((sequence, response)) = late else { return };
        let Some(owner) = self.audio.table.get(handle).map(|player| player.owner) else { return };
        if let Some(client) = self.clients.get_mut(owner) {
            client.answer(sequence, response);
        }
    }

    /// Everything of a player is free: says so to who waits for it.
    fn remove_player(&mut self, now: Instant, handle: Handle<Player>) {
        let Some(Player { owner, share, farewell, .. }) = self.audio.table.remove(handle) else { return };
        if !planted!("player_place_lost") {
            self.audio.shares.release(share);
        }
        if let Some(client) = self.clients.get_mut(owner) {
            if let Some(sequence) = farewell.sequence {
                client.answer(sequence, Response::Done);
            }
            if farewell.unasked {
                client.player_ended(player_id(handle));
            }
        }
        self.settle(now);
    }

    pub(super) fn on_player_opened(&mut self, now: Instant, place: u16, result: Result<(), ErrorKind>) {
        let Some(handle) = self.audio.table.handle_at(place) else { return self.count_stale() };
        let late = self.audio.table.get_mut(handle).and_then(|player| player.opened(now, result.is_ok()));
        self.answer_player_owner(handle, late);
        if result.is_err() {
            self.remove_player(now, handle);
        }
    }

    pub(super) fn on_player_decoder(&mut self, now: Instant, place: u16, event: DecoderEvent) {
        let Some(handle) = self.audio.table.handle_at(place) else { return self.count_stale() };
        let Some(player) = self.audio.table.get_mut(handle) else { return self.count_stale() };
        let heard = match event {
            DecoderEvent::Completed { token, result, .. } if player.beat.take(token, result) => Ok(None),
            DecoderEvent::Completed { token, result, .. } => player.completed(now, player_id(handle), (token, result)),
            DecoderEvent::Failed { error, .. } => Ok(player.fail(now, error)),
            DecoderEvent::State { state, .. } => player.decoder_state(state).then_some(None).ok_or(()),
            // Of sound that is played as it comes there is nothing else to tell.
            DecoderEvent::FirstFrame { .. }
            | DecoderEvent::Position { .. }
            | DecoderEvent::Underflow { .. }
            | DecoderEvent::QualityOfService { .. }
            | DecoderEvent::PictureSize { .. }
            | DecoderEvent::Text { .. } => Ok(None),
            DecoderEvent::Closed { .. } if player.is_closing() => return self.remove_player(now, handle),
            DecoderEvent::Closed { .. } => Err(()),
        };
        match heard {
            Ok(late) => self.answer_player_owner(handle, late),
            Err(()) => self.count_stale(),
        }
    }

    /// Time has passed; whether a decoder has not let go in time.
    pub(super) fn tick_players(&mut self, now: Instant) -> bool {
        let mut is_stuck = false;
        for index in 0..self.audio.table.capacity() {
            let Some(handle) = self.audio.table.handle_at(index) else { continue };
            let Some(player) = self.audio.table.get_mut(handle) else { continue };
            let late = player.tick(now);
            is_stuck |= player.is_stuck(now);
            self.answer_player_owner(handle, late);
        }
        is_stuck
    }
}

fn no_share(shortage: Shortage) -> Refusal {
    let (capacity, free) = (u16::from(shortage.total), u16::from(shortage.free));
    Refusal::Full { table: TableName::WebAudioPlayers, capacity, in_use: capacity.saturating_sub(free) }
}
