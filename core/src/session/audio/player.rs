//! One web audio player: a decoder with one stream of PCM.

use core::mem;

use serde::{Deserialize, Serialize};

use crate::hal::DecoderCommand;
use crate::limits::DECODER_TIMEOUT;
use crate::message::audio::{Event, PcmFormat, PlayerId, PlayerState};
use crate::message::playback::{MediaKind, PlaybackError, PlaybackState, Refusal, SourceId};
use crate::resources::Reservation;
use crate::session::beat::Beat;
use crate::session::playback::{Farewell, Late, Order, Want};
use crate::session::{ClientId, Response};
use crate::time::Instant;

/// Its one stream.
const STREAM: SourceId = SourceId(0);

/// Where a player is.
///
/// ```text
/// Opening --opened--> Building --loaded, attached, built--> Idle
///                                                            | the decoder says:
///                                                            v
///                                            Paused <----> Playing ----> EndOfStream
///
/// (any) --the decoder failed or does not answer--> Failed
/// (any) --destroyed, client gone, memory given back, app Inactive--> Closing --closed--> (removed)
/// ```
/// One that cannot be opened is removed, one that cannot be built is closed: nobody has heard of it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Opening,
    Building,
    Idle,
    Playing,
    Paused,
    EndOfStream,
    Failed,
    Closing,
}

impl From<State> for PlayerState {
    fn from(state: State) -> Self {
        match state {
            State::Opening | State::Building | State::Idle | State::Closing => Self::Idle,
            State::Playing => Self::Playing,
            State::Paused => Self::Paused,
            State::EndOfStream => Self::EndOfStream,
            State::Failed => Self::Failed,
        }
    }
}

/// What can lead from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The decoder is there.
    Opened,
    /// Its pipeline is there.
    Built,
    /// Its pipeline cannot be made.
    NotBuilt,
    /// The client asks to play or to pause.
    Asked,
    /// The client asks for a volume.
    Turned,
    /// The decoder says what it does.
    Said(PlaybackState),
    /// The decoder failed or does not answer.
    Failed,
    /// It is to end.
    Closed,
}

/// The order under way, and the call that is answered when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    sequence: u32,
    token: u32,
    order: Order,
    given: bool,
    deadline: Instant,
}

/// One web audio player.
#[derive(Debug, Serialize, Deserialize)]
pub struct Player {
    pub(super) owner: ClientId,
    pub(super) format: PcmFormat,
    /// Its share of the app's players; it goes back when the player is removed.
    pub(super) share: Reservation,
    state: State,
    pub(super) volume_permille: u16,
    pending: Option<Pending>,
    pub(super) beat: Beat,
    last_token: u32,
    state_untold: bool,
    failure_untold: Option<PlaybackError>,
    open_due: bool,
    opening: Option<u32>,
    close_due: bool,
    close_deadline: Option<Instant>,
    pub(super) farewell: Farewell,
}

impl Player {
    /// A player that waits for its decoder; `sequence` is the call that asked for it.
    pub(super) fn new(owner: ClientId, format: PcmFormat, share: Reservation, sequence: u32) -> Self {
        Self {
            owner,
            format,
            share,
            state: State::Opening,
            volume_permille: 1000,
            pending: None,
            beat: Beat::NONE,
            last_token: 0,
            state_untold: false,
            failure_untold: None,
            open_due: true,
            opening: Some(sequence),
            close_due: false,
            close_deadline: None,
            farewell: Farewell { sequence: None, unasked: false },
        }
    }

    pub(super) fn state(&self) -> PlayerState {
        self.state.into()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    /// Whether an order is under way, so that the next one must wait.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.is_some() || self.opening.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        crate::time::earliest(self.pending.map(|pending| pending.deadline), self.close_deadline)
    }

    /// Goes where the cause leads; false: it cannot be now.
    fn go(&mut self, cause: Cause) -> bool {
        let Some(state) = next(self.state, cause) else { return false };
        self.state_untold |= PlayerState::from(self.state) != state.into();
        self.state = state;
        true
    }

    /// Takes an order of the client, to be given to the decoder.
    pub(super) fn order(&mut self, now: Instant, sequence: u32, order: Order) -> Result<(), Refusal> {
        let is_volume = matches!(order, DecoderCommand::SetVolume { .. });
        if !self.go(if is_volume { Cause::Turned } else { Cause::Asked }) {
            return Err(Refusal::WrongPlayerState { state: self.state() });
        }
        self.give(now, sequence, order);
        Ok(())
    }

    fn give(&mut self, now: Instant, sequence: u32, order: Order) {
        let (token, deadline) = (self.next_token(), now.after(DECODER_TIMEOUT));
        self.pending = Some(Pending { sequence, token, order, given: false, deadline });
    }

    const fn next_token(&mut self) -> u32 {
        self.last_token = self.last_token.wrapping_add(1);
        self.last_token
    }

    /// Has the worker prove that it gets on; see [`Playback`](crate::session::Playback).
    pub(super) fn ask_for_a_beat(&mut self) {
        if !self.is_busy() && !self.is_closing() && !self.beat.is_owed() {
            let token = self.next_token();
            self.beat.ask(token);
        }
    }

    /// The decoder is there, or could not be had; only the latter answers the call that made the player.
    pub(super) fn opened(&mut self, now: Instant, is_open: bool) -> Option<Late> {
        let sequence = self.opening.take()?;
        if !is_open {
            return Some((sequence, Response::Refused(Refusal::Failed(PlaybackError::Decoder))));
        }
        if self.go(Cause::Opened) {
            self.give(now, sequence, DecoderCommand::Load { live: false });
        }
        None
    }

    /// An order ended; answers its call, unless another order follows for it. `Err`: it was given up before.
    pub(super) fn completed(
        &mut self,
        now: Instant,
        player: PlayerId,
        (token, result): (u32, Result<(), PlaybackError>),
    ) -> Result<Option<Late>, ()> {
        let Pending { sequence, order, .. } = self.pending.take_if(|pending| pending.token == token).ok_or(())?;
        Ok(match result {
            Ok(()) => self.carried_out(now, player, (sequence, order)),
            Err(error) => Some((sequence, self.not_carried_out(now, order, error))),
        })
    }

    fn carried_out(&mut self, now: Instant, player: PlayerId, (sequence, order): (u32, Order)) -> Option<Late> {
        match order {
            DecoderCommand::Load { .. } => {
                self.give(now, sequence, DecoderCommand::Attach { source: STREAM, stream: MediaKind::Audio });
                return None;
            }
            DecoderCommand::Attach { .. } => {
                self.give(now, sequence, DecoderCommand::AllAttached);
                return None;
            }
            DecoderCommand::AllAttached => {
                self.go(Cause::Built);
                return Some((sequence, Response::Player { player, format: self.format }));
            }
            DecoderCommand::SetVolume { permille } => self.volume_permille = permille,
            DecoderCommand::Play
            | DecoderCommand::Pause
            | DecoderCommand::Stop
            | DecoderCommand::SetPosition { .. }
            | DecoderCommand::Flush { .. }
            | DecoderCommand::SetMute { .. }
            | DecoderCommand::RemoveSource { .. }
            | DecoderCommand::SetPlaybackRate { .. }
            | DecoderCommand::SetVideoWindow { .. }
            | DecoderCommand::SetSourceMute { .. }
            | DecoderCommand::Beat => {}
        }
        Some((sequence, Response::Done))
    }

    fn not_carried_out(&mut self, now: Instant, order: Order, error: PlaybackError) -> Response {
        if self.state == State::Building {
            self.give_up(now);
        } else if !matches!(order, DecoderCommand::SetVolume { .. }) {
            let _ = self.fail(now, error);
        }
        Response::Refused(Refusal::Failed(error))
    }

    /// Nobody has heard of it, so nobody hears of its end.
    fn give_up(&mut self, now: Instant) {
        self.go(Cause::NotBuilt);
        self.start_closing(now, Farewell { sequence: None, unasked: false });
    }

    /// The decoder says what it does now. False: that cannot be.
    pub(super) fn decoder_state(&mut self, said: PlaybackState) -> bool {
        self.go(Cause::Said(said))
    }

    /// The player cannot go on; answers the call that was under way.
    pub(super) fn fail(&mut self, now: Instant, error: PlaybackError) -> Option<Late> {
        if self.state == State::Building {
            self.give_up(now);
        } else if self.go(Cause::Failed) {
            (self.state_untold, self.failure_untold) = (false, Some(error));
        }
        self.pending.take().map(|pending| (pending.sequence, Response::Refused(Refusal::Failed(error))))
    }

    /// Starts the player's end; answers the call that was under way.
    pub(super) fn close(&mut self, now: Instant, farewell: Farewell) -> Option<Late> {
        if !self.go(Cause::Closed) {
            self.farewell.unasked |= farewell.unasked && self.farewell.sequence.is_none();
            return None;
        }
        let is_known = self.opening.is_none() && self.pending.is_none_or(|pending| is_askable(pending.order));
        let interrupted = self.pending.take().map(|pending| pending.sequence).or(self.opening.take());
        self.start_closing(now, Farewell { unasked: farewell.unasked && is_known, ..farewell });
        interrupted.map(|sequence| (sequence, Response::Refused(Refusal::Interrupted)))
    }

    fn start_closing(&mut self, now: Instant, farewell: Farewell) {
        (self.state_untold, self.failure_untold) = (false, None);
        self.farewell = farewell;
        self.beat = Beat::NONE;
        self.close_due = true;
        self.close_deadline = Some(now.after(DECODER_TIMEOUT));
    }

    /// Time has passed: an order that is not done by now has failed; answers its call.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Late> {
        self.pending.filter(|pending| pending.deadline <= now)?;
        self.fail(now, PlaybackError::DecoderStuck)
    }

    /// Whether the decoder should have let go by now.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.close_deadline.is_some_and(|deadline| deadline <= now)
    }

    /// What the decoder is to be told next.
    pub(super) fn poll_decoder(&mut self) -> Option<Want> {
        if mem::take(&mut self.open_due) {
            return Some(Want::Open);
        }
        if mem::take(&mut self.close_due) {
            return Some(Want::Close);
        }
        if self.beat.is_owed() {
            return self.beat.poll();
        }
        let pending = self.pending.as_mut().filter(|pending| !pending.given)?;
        pending.given = true;
        Some(Want::Give { token: pending.token, order: pending.order })
    }

    /// What the client is to be told next.
    pub(super) fn poll_event(&mut self, player: PlayerId) -> Option<Event> {
        if let Some(error) = self.failure_untold.take() {
            return Some(Event::Failed { player, error });
        }
        mem::take(&mut self.state_untold).then_some(Event::State { player, state: self.state() })
    }
}

/// Whether a client gives this order; the others make the player, whom it does not know before.
const fn is_askable(order: Order) -> bool {
    !matches!(order, DecoderCommand::Load { .. } | DecoderCommand::Attach { .. } | DecoderCommand::AllAttached)
}

/// What comes next; `None` where that cannot be.
fn next(state: State, cause: Cause) -> Option<State> {
    use {Cause as C, PlaybackState as D, State as S};
    match (state, cause) {
        (S::Opening, C::Opened) => Some(S::Building),
        (S::Building, C::Built) => Some(S::Idle),
        (S::Building, C::NotBuilt) => Some(S::Closing),
        (S::Idle | S::Playing | S::Paused, C::Asked) => Some(state),
        (S::Idle | S::Playing | S::Paused | S::EndOfStream, C::Turned) => Some(state),
        // There was no frame yet, or it has run dry: it goes on by itself.
        (S::Idle | S::Playing | S::Paused, C::Said(D::Buffering)) => Some(state),
        (S::Idle | S::Playing | S::Paused, C::Said(D::Playing)) => Some(S::Playing),
        (S::Idle | S::Playing | S::Paused, C::Said(D::Paused)) => Some(S::Paused),
        (S::Idle | S::Playing | S::Paused, C::Said(D::EndOfStream)) => Some(S::EndOfStream),
        (S::Idle | S::Playing | S::Paused | S::EndOfStream, C::Failed) => Some(S::Failed),
        (S::Opening | S::Building | S::Idle | S::Playing | S::Paused | S::EndOfStream | S::Failed, C::Closed) => {
            Some(S::Closing)
        }

        // Who has ended does not go back.
        (S::EndOfStream, C::Asked | C::Said(D::Buffering | D::Paused | D::Playing | D::EndOfStream))
        // A decoder says neither this way.
        | (S::Idle | S::Playing | S::Paused | S::EndOfStream, C::Said(D::Idle | D::Failed))
        // Too late, or too early.
        | (S::Idle | S::Playing | S::Paused | S::EndOfStream, C::Opened | C::Built | C::NotBuilt)
        | (S::Opening, C::Built | C::NotBuilt | C::Asked | C::Turned | C::Said(_) | C::Failed)
        | (S::Building, C::Opened | C::Asked | C::Turned | C::Said(_) | C::Failed)
        | (S::Failed, C::Opened | C::Built | C::NotBuilt | C::Asked | C::Turned | C::Said(_) | C::Failed)
        | (
            S::Closing,
            C::Opened | C::Built | C::NotBuilt | C::Asked | C::Turned | C::Said(_) | C::Failed | C::Closed,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::audio::SampleFormat;
    use crate::resources::Ledger;
    use std::string::String;

    const STATES: [State; 8] = [
        State::Opening,
        State::Building,
        State::Idle,
        State::Playing,
        State::Paused,
        State::EndOfStream,
        State::Failed,
        State::Closing,
    ];
    const CAUSES: [Cause; 13] = [
        Cause::Opened,
        Cause::Built,
        Cause::NotBuilt,
        Cause::Asked,
        Cause::Turned,
        Cause::Said(PlaybackState::Idle),
        Cause::Said(PlaybackState::Buffering),
        Cause::Said(PlaybackState::Paused),
        Cause::Said(PlaybackState::Playing),
        Cause::Said(PlaybackState::EndOfStream),
        Cause::Said(PlaybackState::Failed),
        Cause::Failed,
        Cause::Closed,
    ];
    const NOW: Instant = Instant::from_millis(1000);
    const ID: PlayerId = PlayerId { index: 0, generation: 1 };
    const FORMAT: PcmFormat = PcmFormat { rate_hz: 48_000, channels: 2, sample: SampleFormat::S16Le };

    fn opening() -> Player {
        let share = Ledger::new(1).reserve(1).unwrap();
        Player::new(ClientId::from_parts(0, 1), FORMAT, share, 1)
    }

    /// Ends the order that was given last.
    fn end(player: &mut Player, result: Result<(), PlaybackError>) -> Option<Late> {
        let Some(Want::Give { token, .. }) = player.poll_decoder() else { panic!("nothing was given") };
        player.completed(NOW, ID, (token, result)).unwrap()
    }

    fn idle() -> Player {
        let mut player = opening();
        assert!(matches!(player.poll_decoder(), Some(Want::Open)));
        assert_eq!(player.opened(NOW, true), None);
        assert_eq!((end(&mut player, Ok(())), end(&mut player, Ok(()))), (None, None));
        assert_eq!(end(&mut player, Ok(())), Some((1, Response::Player { player: ID, format: FORMAT })));
        player
    }

    /// What every cause does in every state.
    #[test]
    fn every_cause_leads_somewhere_in_its_states_only() {
        // opened, built, not built, asked, turned,
        // said: idle, buffering, paused, playing, end of stream, failed; failed, closed
        let table = [
            "b-----------c", // Opening
            "-ic---------c", // Building
            "---ii-ipPE-fc", // Idle
            "---PP-PpPE-fc", // Playing
            "---pp-ppPE-fc", // Paused
            "----E------fc", // EndOfStream
            "------------c", // Failed
            "-------------", // Closing
        ];
        let letter = |state| match state {
            None => '-',
            Some(State::Opening) => 'o',
            Some(State::Building) => 'b',
            Some(State::Idle) => 'i',
            Some(State::Playing) => 'P',
            Some(State::Paused) => 'p',
            Some(State::EndOfStream) => 'E',
            Some(State::Failed) => 'f',
            Some(State::Closing) => 'c',
        };
        for (state, row) in STATES.into_iter().zip(table) {
            assert_eq!(String::from_iter(CAUSES.map(|cause| letter(next(state, cause)))), row, "{state:?}");
        }
    }

    #[test]
    fn a_player_is_known_when_its_pipeline_is_there() {
        let mut player = idle();
        assert_eq!((player.state(), player.is_busy()), (PlayerState::Idle, false));
        assert_eq!(player.poll_event(ID), None);
    }

    #[test]
    fn a_player_that_cannot_be_built_is_refused_closed_and_never_told_of() {
        for steps in 0..3 {
            let mut player = opening();
            player.poll_decoder();
            player.opened(NOW, true);
            (0..steps).for_each(|_| assert_eq!(end(&mut player, Ok(())), None));
            let error = PlaybackError::Sink;
            assert_eq!(end(&mut player, Err(error)), Some((1, Response::Refused(Refusal::Failed(error)))));
            assert!(player.is_closing() && matches!(player.poll_decoder(), Some(Want::Close)));
            assert_eq!(player.poll_event(ID), None);
        }
    }

    #[test]
    fn a_player_whose_making_is_interrupted_answers_its_call_and_is_never_told_of() {
        let mut player = opening();
        player.poll_decoder();
        player.opened(NOW, true);
        let unasked = Farewell { sequence: None, unasked: true };
        assert_eq!(player.close(NOW, unasked), Some((1, Response::Refused(Refusal::Interrupted))));
        assert!(!player.farewell.unasked);
        let mut known = idle();
        assert_eq!(known.close(NOW, unasked), None);
        assert!(known.farewell.unasked);
    }

    /// Field failure 37: the end is what the decoder says it is, when the sink has played the last frame.
    #[test]
    fn what_it_does_is_told_once_and_the_latest_wins() {
        let mut player = idle();
        player.decoder_state(PlaybackState::Paused);
        player.decoder_state(PlaybackState::Playing);
        let state = |state| Some(Event::State { player: ID, state });
        assert_eq!(player.poll_event(ID), state(PlayerState::Playing));
        assert_eq!(player.poll_event(ID), None);
        player.decoder_state(PlaybackState::EndOfStream);
        assert_eq!(player.poll_event(ID), state(PlayerState::EndOfStream));
        let refusal = Refusal::WrongPlayerState { state: PlayerState::EndOfStream };
        assert_eq!(player.order(NOW, 9, DecoderCommand::Play), Err(refusal));
        assert_eq!(player.order(NOW, 9, DecoderCommand::SetVolume { permille: 0 }), Ok(()));
    }

    #[test]
    fn a_volume_holds_when_the_decoder_has_taken_it() {
        let mut player = idle();
        player.order(NOW, 9, DecoderCommand::SetVolume { permille: 250 }).unwrap();
        assert_eq!(player.volume_permille, 1000);
        assert_eq!(end(&mut player, Ok(())), Some((9, Response::Done)));
        assert_eq!(player.volume_permille, 250);
        player.order(NOW, 9, DecoderCommand::SetVolume { permille: 7 }).unwrap();
        end(&mut player, Err(PlaybackError::Decoder));
        assert_eq!((player.volume_permille, player.state()), (250, PlayerState::Idle));
    }

    #[test]
    fn a_decoder_that_does_not_answer_fails_the_player() {
        let mut player = idle();
        player.order(NOW, 9, DecoderCommand::Play).unwrap();
        let stuck = PlaybackError::DecoderStuck;
        let late = player.tick(NOW.after(DECODER_TIMEOUT));
        assert_eq!(late, Some((9, Response::Refused(Refusal::Failed(stuck)))));
        assert_eq!(player.completed(NOW, ID, (4, Ok(()))), Err(()));
        assert_eq!(player.poll_event(ID), Some(Event::Failed { player: ID, error: stuck }));
        assert_eq!(player.poll_event(ID), None);
    }
}
