//! One playback session: what its decoder does, and what may be asked of it now.

use core::mem;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::{ClientId, Response};
use crate::hal::DecoderCommand;
use crate::limits::{DECODER_TIMEOUT, SOURCES_MAX};
use crate::message::playback::{
    Event, MediaKind, PlaybackError, PlaybackState, Refusal, SessionId, SourceId, TableName,
};
use crate::time::Instant;

/// What a decoder is ordered to do. Of a stream the machine says which ring of the slot it uses.
pub type Order = DecoderCommand<MediaKind>;

/// Where a playback session is.
///
/// ```text
/// Opening --opened--> Idle --Load--> Loaded --AllAttached--> SourcesAttached
///                      ^               |  (Attach: stays)          | the decoder says:
///                      |               |                           v
///                      +------Stop-----+---------------- Buffering <-> Paused <-> Playing
///                                      |                     ^                       |
///                                      |                     | SetPosition, Flush    v
///                                      +----Stop-------------+------------------ EndOfStream
///
/// (any) --the decoder failed or does not answer--> Failed
/// (any) --destroyed, client gone, memory given back, app Inactive--> Closing --closed--> (removed)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Opening,
    Idle,
    Loaded,
    SourcesAttached,
    Buffering,
    Paused,
    Playing,
    EndOfStream,
    Failed,
    Closing,
}

impl From<State> for PlaybackState {
    fn from(state: State) -> Self {
        match state {
            State::Opening | State::Idle | State::Loaded | State::SourcesAttached | State::Closing => Self::Idle,
            State::Buffering => Self::Buffering,
            State::Paused => Self::Paused,
            State::Playing => Self::Playing,
            State::EndOfStream => Self::EndOfStream,
            State::Failed => Self::Failed,
        }
    }
}

/// The one call of a session that has not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    sequence: u32,
    token: u32,
    order: Order,
    given: bool,
    deadline: Instant,
}

/// What the client has not been told. Bits and the latest value, so it cannot grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Untold {
    state: bool,
    first_frames: u32,
    position_ns: Option<u64>,
    failure: Option<PlaybackError>,
}

/// Who waits for the end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Farewell {
    /// The call that is answered when it has ended.
    pub(super) sequence: Option<u32>,
    /// Whether the client did not ask for this session's end, so that it must be told.
    pub(super) unasked: bool,
}

/// An answer for the client of a session: the number of the call, and what came of it.
pub(super) type Late = (u32, Response);

/// One playback session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Playback {
    pub(super) owner: ClientId,
    pub(super) slot: u8,
    state: State,
    live: bool,
    sources: Vec<MediaKind, SOURCES_MAX>,
    pending: Option<Pending>,
    last_token: u32,
    position_ns: u64,
    pub(super) duration_ns: Option<u64>,
    untold: Untold,
    open_due: bool,
    opening: Option<u32>,
    close_due: bool,
    close_deadline: Option<Instant>,
    farewell: Farewell,
}

/// What a session wants of its decoder.
pub(super) enum Want {
    Open,
    Close,
    Give { token: u32, order: Order },
}

impl Playback {
    /// A session that waits for its decoder; `sequence` is the call that asked for it.
    pub(super) fn new(owner: ClientId, slot: u8, sequence: u32) -> Self {
        Self {
            owner,
            slot,
            state: State::Opening,
            live: false,
            sources: Vec::new(),
            pending: None,
            last_token: 0,
            position_ns: 0,
            duration_ns: None,
            untold: Untold::default(),
            open_due: true,
            opening: Some(sequence),
            close_due: false,
            close_deadline: None,
            farewell: Farewell { sequence: None, unasked: false },
        }
    }

    pub(super) fn state(&self) -> PlaybackState {
        self.state.into()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    pub(super) fn is_failed(&self) -> bool {
        self.state == State::Failed
    }

    /// Whether what its decoder says matters to anybody.
    fn is_alive(&self) -> bool {
        !matches!(self.state, State::Failed | State::Closing)
    }

    /// Whether an order is under way, so that the next one must wait.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.is_some() || self.opening.is_some()
    }

    pub(super) fn has_source(&self, source: SourceId) -> bool {
        usize::from(source.0) < self.sources.len()
    }

    pub(super) fn position_ns(&self) -> u64 {
        self.position_ns
    }

    pub(super) fn farewell(&self) -> Farewell {
        self.farewell
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        crate::time::earliest(self.pending.map(|pending| pending.deadline), self.close_deadline)
    }

    /// The next source's order, if a stream of this kind can be taken in.
    pub(super) fn attach(&self, kind: MediaKind) -> Result<Order, Refusal> {
        if !is_lawful(self.state, Order::Attach { source: SourceId(0), stream: kind }) {
            return Err(Refusal::WrongState { state: self.state() });
        }
        if self.sources.contains(&kind) {
            return Err(Refusal::DuplicateSource);
        }
        let full = Refusal::Full {
            table: TableName::Sources,
            capacity: SOURCES_MAX as u16,
            in_use: self.sources.len() as u16,
        };
        let place = u8::try_from(self.sources.len()).map_err(|_| full)?;
        if self.sources.is_full() {
            return Err(full);
        }
        Ok(Order::Attach { source: SourceId(place), stream: kind })
    }

    /// Takes an order of the client, to be given to the decoder.
    pub(super) fn order(&mut self, now: Instant, sequence: u32, order: Order) -> Result<(), Refusal> {
        let wrong_state = Refusal::WrongState { state: self.state() };
        if !is_lawful(self.state, order) {
            return Err(wrong_state);
        }
        match order {
            Order::AllAttached if self.sources.is_empty() => return Err(wrong_state),
            Order::SetPosition { .. } if self.live => return Err(wrong_state),
            Order::Flush { source, .. } if !self.has_source(source) => return Err(Refusal::UnknownSource),
            _ => {}
        }
        self.last_token = self.last_token.wrapping_add(1);
        let deadline = now.after(DECODER_TIMEOUT);
        self.pending = Some(Pending { sequence, token: self.last_token, order, given: false, deadline });
        Ok(())
    }

    /// The decoder is there, or could not be had; answers the call that made the session.
    pub(super) fn opened(&mut self, id: SessionId, is_open: bool) -> Option<Late> {
        let sequence = self.opening.take()?;
        if !is_open {
            return Some((sequence, Response::Refused(Refusal::Failed(PlaybackError::Decoder))));
        }
        if self.state == State::Opening {
            self.state = State::Idle;
        }
        Some((sequence, Response::Session { session: id }))
    }

    /// An order ended; answers its call. `None`: it was given up before, this comes too late.
    pub(super) fn completed(&mut self, token: u32, result: Result<(), PlaybackError>) -> Option<Late> {
        let Pending { sequence, order, .. } = self.pending.take_if(|pending| pending.token == token)?;
        let response = match result {
            Ok(()) => self.carried_out(order),
            Err(error) => {
                if breaks_the_session(order) {
                    let _ = self.fail(error);
                }
                Response::Refused(Refusal::Failed(error))
            }
        };
        Some((sequence, response))
    }

    fn carried_out(&mut self, order: Order) -> Response {
        match (order, self.state) {
            (Order::Load { live }, _) => {
                self.live = live;
                self.state = State::Loaded;
            }
            (Order::Attach { source, stream: kind }, _) => {
                // `attach` has seen that there is a place.
                let _ = self.sources.push(kind);
                return Response::Source { slot: self.slot, source, kind };
            }
            // The decoder may have said more already.
            (Order::AllAttached, State::Loaded) => self.state = State::SourcesAttached,
            (Order::Stop, _) => {
                self.sources.clear();
                self.position_ns = 0;
                self.duration_ns = None;
                // Its sources' numbers go to others.
                (self.untold.first_frames, self.untold.position_ns) = (0, None);
                self.enter(State::Idle);
            }
            (Order::SetPosition { position_ns, .. }, state) => {
                self.position_ns = position_ns;
                self.leave_the_end(state);
            }
            (Order::Flush { .. }, state) => self.leave_the_end(state),
            (Order::AllAttached | Order::Play | Order::Pause | Order::SetVolume { .. } | Order::SetMute { .. }, _) => {}
        }
        Response::Done
    }

    fn leave_the_end(&mut self, state: State) {
        if state == State::EndOfStream {
            self.enter(State::Buffering);
        }
    }

    fn enter(&mut self, state: State) {
        self.untold.state |= self.state != state;
        self.state = state;
    }

    /// The decoder says what it does now. False: that cannot be any more, or not yet.
    pub(super) fn decoder_state(&mut self, said: PlaybackState) -> bool {
        let is_building = self.pending.is_some_and(|pending| pending.order == Order::AllAttached);
        let Some(state) = after_decoder_state(self.state, said, is_building) else { return false };
        self.enter(state);
        true
    }

    /// The first picture or sound of a source came out.
    pub(super) fn first_frame(&mut self, source: SourceId) -> bool {
        let is_known = self.has_source(source) && self.is_alive();
        if is_known {
            self.untold.first_frames |= 1_u32.checked_shl(source.0.into()).unwrap_or(0);
        }
        is_known
    }

    /// Where playback is.
    pub(super) fn decoder_position(&mut self, position_ns: u64) -> bool {
        if self.is_alive() {
            self.position_ns = position_ns;
            self.untold.position_ns = Some(position_ns);
        }
        self.is_alive()
    }

    /// The session cannot go on; answers the call that was under way.
    pub(super) fn fail(&mut self, error: PlaybackError) -> Option<Late> {
        if !self.is_alive() {
            return None;
        }
        self.state = State::Failed;
        self.untold = Untold { failure: Some(error), ..Untold::default() };
        let refused = Response::Refused(Refusal::Failed(error));
        self.pending.take().map(|pending| (pending.sequence, refused))
    }

    /// Starts the session's end; answers the call that was under way.
    pub(super) fn close(&mut self, now: Instant, farewell: Farewell) -> Option<Late> {
        if self.is_closing() {
            self.farewell.unasked |= farewell.unasked && self.farewell.sequence.is_none();
            return None;
        }
        let pending = self.pending.take().map(|pending| pending.sequence).or(self.opening.take());
        self.state = State::Closing;
        self.untold = Untold::default();
        self.farewell = farewell;
        self.close_due = true;
        self.close_deadline = Some(now.after(DECODER_TIMEOUT));
        pending.map(|sequence| (sequence, Response::Refused(Refusal::Interrupted)))
    }

    /// Time has passed: an order that is not done by now has failed; answers its call.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Late> {
        self.pending.filter(|pending| pending.deadline <= now)?;
        self.fail(PlaybackError::DecoderStuck)
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
        let pending = self.pending.as_mut().filter(|pending| !pending.given)?;
        pending.given = true;
        Some(Want::Give { token: pending.token, order: pending.order })
    }

    /// What the client is to be told next.
    pub(super) fn poll_event(&mut self, session: SessionId) -> Option<Event> {
        if let Some(error) = self.untold.failure.take() {
            return Some(Event::Failed { session, error });
        }
        if mem::take(&mut self.untold.state) {
            return Some(Event::PlaybackState { session, state: self.state() });
        }
        if self.untold.first_frames != 0 {
            let source = self.untold.first_frames.trailing_zeros();
            self.untold.first_frames &= self.untold.first_frames.wrapping_sub(1);
            // A word of 32 bits has no higher place.
            return Some(Event::FirstFrame { session, source: SourceId(source as u8) });
        }
        let position_ns = self.untold.position_ns.take()?;
        Some(Event::Position { session, position_ns })
    }
}

/// Whether an order may be given in a state.
fn is_lawful(state: State, order: Order) -> bool {
    use {Order as O, State as S};
    match (state, order) {
        (S::Idle, O::Load { .. })
        | (S::Loaded, O::Attach { .. } | O::AllAttached)
        | (
            S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream,
            O::Play | O::Pause | O::SetPosition { .. } | O::Flush { .. },
        )
        | (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, O::Stop)
        | (
            S::Idle | S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream,
            O::SetVolume { .. } | O::SetMute { .. },
        ) => true,

        (S::Idle | S::Loaded, O::Play | O::Pause | O::SetPosition { .. } | O::Flush { .. })
        | (S::Idle, O::Attach { .. } | O::AllAttached | O::Stop)
        | (S::Loaded, O::Load { .. })
        | (
            S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream,
            O::Load { .. } | O::Attach { .. } | O::AllAttached,
        )
        | (
            S::Opening | S::Failed | S::Closing,
            O::Load { .. }
            | O::Attach { .. }
            | O::AllAttached
            | O::Play
            | O::Pause
            | O::Stop
            | O::SetPosition { .. }
            | O::Flush { .. }
            | O::SetVolume { .. }
            | O::SetMute { .. },
        ) => false,
    }
}

/// The state after the decoder said what it does; `None` where that cannot be. `is_building`: the order to build the
/// pipeline is under way, so the decoder may be ahead of its completion.
fn after_decoder_state(state: State, said: PlaybackState, is_building: bool) -> Option<State> {
    use {PlaybackState as D, State as S};
    match (state, said) {
        (S::Loaded, D::Buffering | D::Paused | D::Playing | D::EndOfStream) if !is_building => None,
        (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, D::Buffering) => {
            Some(S::Buffering)
        }
        (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, D::Paused) => {
            Some(S::Paused)
        }
        (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, D::Playing) => {
            Some(S::Playing)
        }
        (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, D::EndOfStream) => {
            Some(S::EndOfStream)
        }
        // Idle comes with the completion of Stop, a failure with its reason; a decoder says neither this way.
        (
            S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream,
            D::Idle | D::Failed,
        )
        | (
            S::Opening | S::Idle | S::Failed | S::Closing,
            D::Idle | D::Buffering | D::Paused | D::Playing | D::EndOfStream | D::Failed,
        ) => None,
    }
}

/// Whether a session is of no more use when this order failed. The others leave it as it was.
const fn breaks_the_session(order: Order) -> bool {
    match order {
        Order::AllAttached
        | Order::Play
        | Order::Pause
        | Order::Stop
        | Order::SetPosition { .. }
        | Order::Flush { .. } => true,
        Order::Load { .. } | Order::Attach { .. } | Order::SetVolume { .. } | Order::SetMute { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    const STATES: [State; 10] = [
        State::Opening,
        State::Idle,
        State::Loaded,
        State::SourcesAttached,
        State::Buffering,
        State::Paused,
        State::Playing,
        State::EndOfStream,
        State::Failed,
        State::Closing,
    ];
    const ORDERS: [Order; 10] = [
        Order::Load { live: false },
        Order::Attach { source: SourceId(0), stream: MediaKind::Video },
        Order::AllAttached,
        Order::Play,
        Order::Pause,
        Order::Stop,
        Order::SetPosition { position_ns: 7, epoch: 1 },
        Order::Flush { source: SourceId(0), reset_time: true, epoch: 1 },
        Order::SetVolume { permille: 500 },
        Order::SetMute { muted: true },
    ];
    const SAID: [PlaybackState; 6] = [
        PlaybackState::Idle,
        PlaybackState::Buffering,
        PlaybackState::Paused,
        PlaybackState::Playing,
        PlaybackState::EndOfStream,
        PlaybackState::Failed,
    ];
    const NOW: Instant = Instant::from_millis(1000);
    const ID: SessionId = SessionId { index: 0, generation: 1 };

    fn session(state: State) -> Playback {
        let mut session = Playback::new(ClientId::from_parts(0, 1), 0, 1);
        session.open_due = false;
        session.opening = None;
        session.sources.push(MediaKind::Video).unwrap();
        session.state = state;
        session
    }

    fn run(session: &mut Playback, order: Order, result: Result<(), PlaybackError>) -> Late {
        session.order(NOW, 9, order).unwrap();
        let Some(Want::Give { token, .. }) = session.poll_decoder() else { panic!("nothing was given") };
        session.completed(token, result).unwrap()
    }

    #[test]
    fn every_order_is_lawful_in_its_states_only() {
        // load, attach, all attached, play, pause, stop, set position, flush, volume, mute
        let table = [
            "----------", // Opening
            "x-------xx", // Idle
            "-xx--x--xx", // Loaded
            "---xxxxxxx", // SourcesAttached
            "---xxxxxxx", // Buffering
            "---xxxxxxx", // Paused
            "---xxxxxxx", // Playing
            "---xxxxxxx", // EndOfStream
            "----------", // Failed
            "----------", // Closing
        ];
        for (state, row) in STATES.into_iter().zip(table) {
            let found = ORDERS.map(|order| if session(state).order(NOW, 9, order).is_ok() { 'x' } else { '-' });
            assert_eq!(String::from_iter(found), row, "{state:?}");
        }
    }

    #[test]
    fn what_a_decoder_says_counts_only_while_there_is_a_pipeline() {
        // idle, buffering, paused, playing, end of stream, failed
        let table = [
            "------", // Opening
            "------", // Idle
            "------", // Loaded
            "-BpPE-", // SourcesAttached
            "-BpPE-", // Buffering
            "-BpPE-", // Paused
            "-BpPE-", // Playing
            "-BpPE-", // EndOfStream
            "------", // Failed
            "------", // Closing
        ];
        let letter = |state| match state {
            Some(State::Buffering) => 'B',
            Some(State::Paused) => 'p',
            Some(State::Playing) => 'P',
            Some(State::EndOfStream) => 'E',
            Some(other) => panic!("a decoder cannot lead to {other:?}"),
            None => '-',
        };
        for (state, row) in STATES.into_iter().zip(table) {
            let found = SAID.map(|said| letter(after_decoder_state(state, said, false)));
            assert_eq!(String::from_iter(found), row, "{state:?}");
        }
        let building = SAID.map(|said| letter(after_decoder_state(State::Loaded, said, true)));
        assert_eq!(String::from_iter(building), "-BpPE-", "while the pipeline is built");
    }

    #[test]
    fn an_order_that_was_carried_out_leads_to_its_state() {
        let cases = [
            (State::Idle, Order::Load { live: false }, State::Loaded),
            (State::Loaded, Order::AllAttached, State::SourcesAttached),
            (State::Paused, Order::Play, State::Paused),
            (State::Playing, Order::Pause, State::Playing),
            (State::Playing, Order::Stop, State::Idle),
            (State::Playing, ORDERS[6], State::Playing),
            (State::EndOfStream, ORDERS[6], State::Buffering),
            (State::EndOfStream, ORDERS[7], State::Buffering),
            (State::EndOfStream, Order::Play, State::EndOfStream),
        ];
        for (before, order, after) in cases {
            let mut session = session(before);
            assert_eq!(run(&mut session, order, Ok(())), (9, Response::Done));
            assert_eq!(session.state, after, "{before:?} {order:?}");
        }
    }

    #[test]
    fn a_failed_order_breaks_the_session_unless_it_left_it_as_it_was() {
        for (state, order, breaks) in [
            (State::Idle, ORDERS[0], false),
            (State::Loaded, Order::AllAttached, true),
            (State::Paused, Order::Play, true),
            (State::Paused, ORDERS[8], false),
        ] {
            let mut session = session(state);
            let error = PlaybackError::Decoder;
            assert_eq!(run(&mut session, order, Err(error)), (9, Response::Refused(Refusal::Failed(error))));
            assert_eq!(session.is_failed(), breaks, "{order:?}");
            assert_eq!(session.poll_event(ID).is_some(), breaks);
        }
    }

    #[test]
    fn a_source_that_could_not_be_attached_leaves_its_place_free() {
        let mut session = session(State::Loaded);
        let attach = session.attach(MediaKind::Audio).unwrap();
        run(&mut session, attach, Err(PlaybackError::Memory));
        assert_eq!(session.attach(MediaKind::Audio), Ok(attach));
        let source = SourceId(1);
        let kind = MediaKind::Audio;
        assert_eq!(run(&mut session, attach, Ok(())).1, Response::Source { slot: 0, source, kind });
        assert_eq!(session.attach(MediaKind::Audio), Err(Refusal::DuplicateSource));
    }

    #[test]
    fn a_completion_of_an_order_that_was_given_up_is_nobodys() {
        let mut session = session(State::Paused);
        session.order(NOW, 9, Order::Play).unwrap();
        let stuck = Response::Refused(Refusal::Failed(PlaybackError::DecoderStuck));
        assert_eq!(session.tick(NOW.after(DECODER_TIMEOUT)), Some((9, stuck)));
        assert_eq!(session.completed(1, Ok(())), None);
        assert!(session.is_failed());
    }

    #[test]
    fn a_client_that_did_not_listen_hears_the_end_once_and_the_latest_position() {
        let mut session = session(State::Playing);
        session.decoder_position(1);
        session.decoder_position(2);
        session.first_frame(SourceId(0));
        session.decoder_state(PlaybackState::EndOfStream);
        let state = PlaybackState::EndOfStream;
        assert_eq!(session.poll_event(ID), Some(Event::PlaybackState { session: ID, state }));
        assert_eq!(session.poll_event(ID), Some(Event::FirstFrame { session: ID, source: SourceId(0) }));
        assert_eq!(session.poll_event(ID), Some(Event::Position { session: ID, position_ns: 2 }));
        assert_eq!(session.poll_event(ID), None);
    }

    #[test]
    fn after_its_failure_a_session_says_nothing_more() {
        let mut session = session(State::Playing);
        assert_eq!(session.fail(PlaybackError::Sink), None);
        assert!(!session.decoder_position(1) && !session.first_frame(SourceId(0)));
        assert!(!session.decoder_state(PlaybackState::EndOfStream));
        assert_eq!(session.fail(PlaybackError::Decode), None);
        assert_eq!(session.poll_event(ID), Some(Event::Failed { session: ID, error: PlaybackError::Sink }));
        assert_eq!(session.poll_event(ID), None);
    }

    #[test]
    fn a_session_that_was_stopped_tells_nothing_of_what_it_played() {
        let mut session = session(State::Playing);
        session.decoder_position(5);
        session.first_frame(SourceId(0));
        run(&mut session, Order::Stop, Ok(()));
        let idle = Event::PlaybackState { session: ID, state: PlaybackState::Idle };
        assert_eq!(session.poll_event(ID), Some(idle));
        assert_eq!(session.poll_event(ID), None);
    }

    #[test]
    fn a_live_session_cannot_be_sent_elsewhere() {
        let mut session = session(State::Idle);
        run(&mut session, Order::Load { live: true }, Ok(()));
        session.state = State::Playing;
        let refusal = Refusal::WrongState { state: PlaybackState::Playing };
        assert_eq!(session.order(NOW, 9, ORDERS[6]), Err(refusal));
    }
}
