//! One stay on stage: a session, its sources, the threads that feed them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_core::message::AppState;
use greenroom_core::message::playback::{
    Event, MediaKind, PlaybackError, PlaybackState, RATE_PERMILLE, Refusal, SourceId,
};
use greenroom_hal_linux::client::{CallError, ClientEvent, DueText, PushError, Session, Source};

use super::player::{Player, Turn, is_off_stage};
use super::pusher::{Pusher, Turnstile};
use super::show::{Report, SourceSummary, Summary, milliseconds, state_name};
use super::terminal::Key;
use super::{Happening, PlayError};

/// How far the arrow keys jump.
const JUMP: Duration = Duration::from_secs(10);
/// How much louder or softer one key makes it, in thousandths; and the loudest there is.
const VOLUME_STEP_PERMILLE: u16 = 50;
const VOLUME_MAX_PERMILLE: u16 = 2_000;
/// How much faster or slower one key makes it, in thousandths.
const RATE_STEP_PERMILLE: u16 = 250;
/// A pushing thread looks up every 50 ms; one that has not in this time is stuck in the demuxer.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A session that plays.
pub(super) struct Performance {
    session: Session,
    turnstile: Arc<Turnstile>,
    pushers: Vec<Pusher>,
    started: Instant,
    first_frame: Option<Duration>,
}

impl Performance {
    /// Makes a session for the file, goes to the place where it is to go on, and starts to feed it.
    pub(super) fn begin(player: &mut Player) -> Result<Self, PlayError> {
        let session = player.client.create_session().map_err(failed("make a playback session"))?;
        let started = Instant::now();
        session.load(false).map_err(failed("load"))?;
        let sources = attach(player, &session)?;
        if let Some(duration) = player.media.duration {
            session.set_duration(duration).map_err(failed("set the duration"))?;
        }
        session.all_sources_attached().map_err(|error| broken(player, "build the pipeline", error))?;
        set_sound(player, &session)?;
        set_window(player, &session)?;
        if player.options.rate_permille != 1000 {
            set_rate(player, &session)?;
        }
        if !player.place.is_zero() {
            session.set_position(player.place).map_err(failed("go to the position"))?;
        }
        player.media.start_from(player.place)?;
        set_paused(&session, player.is_paused)?;
        let mut performance =
            Self { session, turnstile: Arc::default(), pushers: Vec::new(), started, first_frame: None };
        performance.start_pushers(player, sources)?;
        Ok(performance)
    }

    fn start_pushers(&mut self, player: &Player, sources: Vec<Source>) -> Result<(), PlayError> {
        for (stream, source) in player.media.streams.iter().zip(sources) {
            let pusher = Pusher::start(stream.clone(), source, &self.turnstile, &player.told);
            self.pushers.push(pusher.map_err(|error| PlayError::Platform(error.to_string()))?);
        }
        Ok(())
    }

    /// Plays until something ends it.
    pub(super) fn run(mut self, player: &mut Player) -> Result<Turn, PlayError> {
        let turn = loop {
            if let Some(failure) = player.media.failure() {
                break Err(failure.into());
            }
            let Some(happening) = player.next() else { continue };
            match self.take(player, happening) {
                Ok(None) => {}
                Ok(Some(turn)) => break Ok(turn),
                Err(PlayError::Call { error, .. }) if is_off_stage(&error) => break Ok(Turn::OffStage),
                Err(error) => break Err(error),
            }
        };
        self.finish(player, &turn);
        turn
    }

    /// Acts on what happened; `Some` when playing is over.
    fn take(&mut self, player: &mut Player, happening: Happening) -> Result<Option<Turn>, PlayError> {
        match happening {
            Happening::Client(ClientEvent::Server(event)) => self.take_event(player, event),
            Happening::Client(ClientEvent::Text { session, text }) if session == self.session.id() => {
                player.show.report(&text_report(text));
                Ok(None)
            }
            Happening::Client(ClientEvent::ConnectionLost(_) | ClientEvent::GivenUp(_)) => {
                player.check_connection().map(|()| Some(Turn::OffStage))
            }
            Happening::Client(_) => Ok(None),
            Happening::Key(key) => self.take_key(player, key),
            Happening::NewState(_) => Ok(if player.is_wanted_on_stage() { None } else { Some(Turn::OffStage) }),
            Happening::SetPaused(is_paused) => set_paused(&self.session, is_paused).map(|()| None),
            Happening::Quit => Ok(Some(Turn::Quit)),
            Happening::PushFailed(error) => Err(self.push_failed(player, error)),
        }
    }

    fn take_event(&mut self, player: &mut Player, event: Event) -> Result<Option<Turn>, PlayError> {
        let id = self.session.id();
        match event {
            Event::PlaybackState { session, state } if session == id => {
                player.show.report(&Report::State { state: state_name(state) });
                return Ok((state == PlaybackState::EndOfStream).then_some(Turn::End));
            }
            Event::FirstFrame { session, source } if session == id => self.first_frame_came(player, source),
            Event::Position { session, position_ns } if session == id => {
                player.place = Duration::from_nanos(position_ns);
                player.show.report(&position_report(player));
            }
            Event::Underflow { session, source } if session == id => {
                player.show.report(&Report::Underflow { source: source.0 });
            }
            Event::QualityOfService { session, source, frames_rendered, frames_dropped } if session == id => {
                player.show.report(&Report::Quality { source: source.0, frames_rendered, frames_dropped });
            }
            Event::PictureSize { session, source, width, height } if session == id => {
                player.show.report(&Report::PictureSize { source: source.0, width, height });
            }
            Event::Failed { session, error } if session == id => {
                return Err(PlayError::Playback { file: player.options.file.clone(), error });
            }
            Event::SessionEnded { session } if session == id => return Ok(Some(Turn::OffStage)),
            // What is told may be of before this performance; what counts is how it is now.
            Event::ApplicationState(_) if player.client.application_state() != AppState::Running => {
                return Ok(Some(Turn::OffStage));
            }
            _ => {}
        }
        Ok(None)
    }

    fn first_frame_came(&mut self, player: &Player, source: SourceId) {
        let after = self.started.elapsed();
        self.first_frame.get_or_insert(after);
        player.show.report(&Report::FirstFrame { source: source.0, after_ms: milliseconds(after) });
    }

    fn take_key(&mut self, player: &mut Player, key: Key) -> Result<Option<Turn>, PlayError> {
        match key {
            Key::Quit => return Ok(Some(Turn::Quit)),
            Key::PauseOrPlay => {
                player.is_paused = !player.is_paused;
                set_paused(&self.session, player.is_paused)?;
            }
            Key::Back => self.seek(player, player.place.saturating_sub(JUMP))?,
            Key::Forward => self.seek(player, player.place.saturating_add(JUMP))?,
            Key::Mute => {
                player.options.muted = !player.options.muted;
                set_sound(player, &self.session)?;
            }
            Key::Louder => self.change_volume(player, |volume| volume.saturating_add(VOLUME_STEP_PERMILLE))?,
            Key::Softer => self.change_volume(player, |volume| volume.saturating_sub(VOLUME_STEP_PERMILLE))?,
            Key::Faster => self.change_rate(player, |rate| rate.saturating_add(RATE_STEP_PERMILLE))?,
            Key::Slower => self.change_rate(player, |rate| rate.saturating_sub(RATE_STEP_PERMILLE))?,
            Key::Statistics => player.show.report(&Report::Statistics { sources: self.summaries(player) }),
        }
        Ok(None)
    }

    fn change_volume(&self, player: &mut Player, change: impl Fn(u16) -> u16) -> Result<(), PlayError> {
        player.options.volume_permille = change(player.options.volume_permille).min(VOLUME_MAX_PERMILLE);
        set_sound(player, &self.session)
    }

    fn change_rate(&self, player: &mut Player, change: impl Fn(u16) -> u16) -> Result<(), PlayError> {
        let rate = change(player.options.rate_permille);
        player.options.rate_permille = rate.clamp(*RATE_PERMILLE.start(), *RATE_PERMILLE.end());
        set_rate(player, &self.session)
    }

    fn summaries(&self, player: &Player) -> Vec<SourceSummary> {
        let played = self.pushers.iter().zip(&player.media.streams);
        played
            .map(|(pusher, stream)| {
                let statistics = self.session.statistics(pusher.source).unwrap_or_default();
                SourceSummary::new(pusher.source.0, stream.description.codec.kind(), pusher.sent.so_far(), statistics)
            })
            .collect()
    }

    /// The threads stop first, so that no frame from before the jump is taken for one from behind it.
    fn seek(&self, player: &mut Player, to: Duration) -> Result<(), PlayError> {
        let before = Instant::now();
        let to = player.media.duration.map_or(to, |duration| to.min(duration));
        if !self.turnstile.close(STOP_TIMEOUT) {
            self.turnstile.open(false);
            player.show.report(&Report::Note { text: "the file is read too slowly to jump now".into() });
            return Ok(());
        }
        let sought = self.session.set_position(to);
        let moved = sought.is_ok().then(|| player.media.seek(to));
        self.turnstile.open(moved.is_some());
        match (sought, moved) {
            (Err(CallError::Refused(Refusal::WrongState { .. })), _) => {
                player.show.report(&Report::Note { text: "this cannot be sought in now".into() });
            }
            (Err(error), _) => return Err(PlayError::Call { step: "go to the position", error }),
            (Ok(()), Some(Err(error))) => return Err(error.into()),
            (Ok(()), _) => {
                player.place = to;
                let (position_ms, took_ms) = (milliseconds(to), milliseconds(before.elapsed()));
                player.show.report(&Report::Sought { position_ms, took_ms });
            }
        }
        Ok(())
    }

    fn push_failed(&self, player: &Player, error: PushError) -> PlayError {
        let file = player.options.file.clone();
        match player.check_connection() {
            Err(lost) => lost,
            Ok(()) => PlayError::Push { file, error },
        }
    }

    /// Keeps the place, tells how it went, and lets everything go.
    fn finish(self, player: &mut Player, turn: &Result<Turn, PlayError>) {
        if let Ok(position) = self.session.position() {
            player.place = position;
        }
        let sources = self.summaries(player);
        let reason = match turn {
            Ok(Turn::End) => "end_of_stream",
            Ok(Turn::OffStage) => "inactive",
            Ok(Turn::Quit) => "quit",
            Err(_) => "error",
        };
        let first_frame_ms = self.first_frame.map(milliseconds);
        let position_ms = milliseconds(player.place);
        let summary = Summary { reason, position_ms, first_frame_ms, sources };
        player.show.report(&Report::End(summary));
        // A session that has ended meanwhile has let go already.
        let _ = self.session.destroy();
        self.turnstile.end();
        self.pushers.into_iter().for_each(Pusher::join);
    }
}

/// Attaches every stream. Texts are an extra: where they cannot be had, the rest is played.
fn attach(player: &mut Player, session: &Session) -> Result<Vec<Source>, PlayError> {
    let mut sources = Vec::new();
    while let Some(stream) = player.media.streams.get(sources.len()) {
        match session.attach_source(stream.description.as_source()) {
            Ok(source) => sources.push(source),
            Err(CallError::Refused(Refusal::Failed(_))) if stream.description.codec.kind() == MediaKind::Text => {
                player.media.leave_out(sources.len());
                player.show.report(&Report::Note { text: "the texts are left out: this box cannot tell them".into() });
            }
            Err(error) => return Err(broken(player, "attach a stream", error)),
        }
    }
    Ok(sources)
}

fn set_window(player: &Player, session: &Session) -> Result<(), PlayError> {
    let Some(window) = player.options.window else { return Ok(()) };
    let set = session.set_video_window(window);
    unless_unsupported(player, set, "show it in a window", "the pictures are shown where the sink shows them")
}

fn set_rate(player: &Player, session: &Session) -> Result<(), PlayError> {
    let set = session.set_playback_rate(player.options.rate_permille);
    if set.is_ok() {
        player.show.report(&Report::Rate { rate_permille: player.options.rate_permille });
    }
    unless_unsupported(player, set, "set the rate", "it plays as fast as before")
}

/// What a box cannot do is told, and playing goes on.
fn unless_unsupported(
    player: &Player,
    done: Result<(), CallError>,
    step: &'static str,
    instead: &'static str,
) -> Result<(), PlayError> {
    match done {
        Err(CallError::Refused(refusal @ Refusal::Failed(PlaybackError::Unsupported))) => {
            player.show.report(&Report::Note { text: format!("cannot {step}: {refusal}; {instead}") });
            Ok(())
        }
        done => done.map_err(failed(step)),
    }
}

fn set_sound(player: &Player, session: &Session) -> Result<(), PlayError> {
    session.set_volume(player.options.volume_permille).map_err(failed("set the volume"))?;
    session.set_mute(player.options.muted).map_err(failed("silence it"))
}

fn set_paused(session: &Session, is_paused: bool) -> Result<(), PlayError> {
    if is_paused { session.pause().map_err(failed("pause")) } else { session.play().map_err(failed("play")) }
}

fn failed(step: &'static str) -> impl FnOnce(CallError) -> PlayError {
    move |error| PlayError::Call { step, error }
}

/// Where the decoder is to blame, the file is named.
fn broken(player: &Player, step: &'static str, error: CallError) -> PlayError {
    let file = player.options.file.clone();
    match error {
        CallError::Refused(Refusal::Failed(error @ (PlaybackError::NoDecoder(_) | PlaybackError::Format))) => {
            PlayError::Playback { file, error }
        }
        error => PlayError::Call { step, error },
    }
}

fn position_report(player: &Player) -> Report {
    let duration_ms = player.media.duration.map(milliseconds);
    Report::Position { position_ms: milliseconds(player.place), duration_ms }
}

fn text_report(text: DueText) -> Report {
    Report::Text {
        source: text.source.0,
        start_ms: milliseconds(text.start),
        duration_ms: text.duration.map(milliseconds),
        missed: text.missed,
        body: text.body,
    }
}
