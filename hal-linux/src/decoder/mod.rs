//! Decoding with GStreamer.
//!
//! One pipeline and one worker a session. The control thread only puts commands into the worker's inbox and takes
//! events out of a store; whatever may block is called by the worker, and the frames come from the ring in the
//! streaming threads of the source elements.
//!
//! ```text
//! control thread   command, close ---> inbox ---> worker of the session ---> pipeline: set_state, flush, queries
//!                                        ^                                      |
//!                                        +---- bus (noted in any thread) <------+
//!                  next_event <------- events <--- worker, probes
//! ```

mod branch;
mod caps;
mod command;
mod counter;
mod elements;
mod events;
mod failure;
mod inbox;
mod overlay;
mod pcm;
mod pcm_times;
mod pipeline;
mod sinks;
mod source;
mod status;
mod tempo;
mod text;
mod time;
mod wake;
mod worker;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use greenroom_core::hal::{Decoder, DecoderCommand, DecoderEvent, Doorbell, ErrorKind, ErrorType, Stream};
use greenroom_core::limits::TEXT_BYTES_MAX;
use greenroom_core::message::playback::{SourceId, Statistics, Text};
use greenroom_core::ring::FrameSource;

pub use sinks::{Sink, SinkConfig};

use self::events::Events;
use self::inbox::Inbox;
use self::status::Status;
use self::text::Caption;
use self::worker::Link;
use crate::error::LinuxError;

/// The control thread's end of one session.
struct Session {
    inbox: Arc<Inbox>,
    status: Arc<Status>,
    worker: JoinHandle<()>,
    /// A command is with the worker, or its completion was not fetched yet.
    is_busy: bool,
    is_closing: bool,
}

/// The decoders of a session server (SM-18): GStreamer, fed by sources of type `F`.
///
/// Readable, as [`AsFd`], while [`Decoder::next_event`] has something to tell; to be asked until it has nothing.
/// Dropping it closes every session and waits for none.
pub struct GstDecoder<F> {
    sinks: SinkConfig,
    events: Arc<Events>,
    sessions: BTreeMap<u16, Session>,
    frames: PhantomData<fn(F)>,
}

impl<F> GstDecoder<F> {
    /// Makes the decoders. GStreamer is not touched before the first session is opened.
    ///
    /// # Errors
    /// Platform: no descriptor is left.
    pub fn new() -> Result<Self, LinuxError> {
        let events = Arc::new(Events::new()?);
        Ok(Self { sinks: SinkConfig::default(), events, sessions: BTreeMap::new(), frames: PhantomData })
    }

    /// Chooses the sinks of the sessions that are opened from now on.
    pub fn configure(&mut self, sinks: SinkConfig) {
        self.sinks = sinks;
    }

    fn session(&mut self, session: u16) -> Result<&mut Session, LinuxError> {
        let found = self.sessions.get_mut(&session).filter(|found| !found.is_closing);
        found.ok_or_else(|| LinuxError::other("reach decoder", ErrorKind::NotFound, "it is not open").about(session))
    }

    /// Notes what an event says about the control thread's own end.
    fn note(&mut self, event: &DecoderEvent) {
        match *event {
            DecoderEvent::Completed { session, .. } => {
                if let Some(found) = self.sessions.get_mut(&session) {
                    found.is_busy = false;
                }
            }
            DecoderEvent::Closed { session } => {
                // To tell the end was the last that its thread did: this waits for nothing but the thread's own end.
                if let Some(found) = self.sessions.remove(&session)
                    && found.worker.join().is_err()
                {
                    tracing::error!(session, "a decoder's worker panicked");
                }
            }
            DecoderEvent::State { .. }
            | DecoderEvent::FirstFrame { .. }
            | DecoderEvent::Position { .. }
            | DecoderEvent::Failed { .. }
            | DecoderEvent::Underflow { .. }
            | DecoderEvent::QualityOfService { .. }
            | DecoderEvent::PictureSize { .. }
            | DecoderEvent::Text { .. } => {}
        }
    }
}

impl<F> ErrorType for GstDecoder<F> {
    type Error = LinuxError;
}

impl<F> Decoder for GstDecoder<F>
where
    F: FrameSource<Bell: AsFd + Doorbell> + Send + 'static,
{
    type Frames = F;

    fn open(&mut self, session: u16) -> Result<(), LinuxError> {
        if self.sessions.contains_key(&session) || !self.events.open(session) {
            let error = LinuxError::other("open decoder", ErrorKind::Busy, "it is not closed yet");
            return Err(error.about(session));
        }
        let inbox = Arc::new(Inbox::default());
        let status = Arc::new(Status::default());
        let link =
            Link { session, inbox: Arc::clone(&inbox), status: Arc::clone(&status), events: Arc::clone(&self.events) };
        let sinks = self.sinks.clone();
        let thread = std::thread::Builder::new().name(format!("decoder-{session}"));
        let worker = thread.spawn(move || worker::run(link, sinks)).map_err(|error| {
            self.events.forget(session);
            LinuxError::other("start a decoder's worker", ErrorKind::Exhausted, error)
        })?;
        self.sessions.insert(session, Session { inbox, status, worker, is_busy: false, is_closing: false });
        Ok(())
    }

    fn command(&mut self, session: u16, token: u32, command: DecoderCommand<Stream<'_, F>>) -> Result<(), LinuxError> {
        let found = self.session(session)?;
        if found.is_busy {
            let error = LinuxError::other("command decoder", ErrorKind::Busy, "its last command has not ended yet");
            return Err(error.about(session));
        }
        found.is_busy = true;
        let Ok(command) = command.with_stream(|stream| Ok::<_, Infallible>(stream.into()));
        found.inbox.command(token, command);
        Ok(())
    }

    /// While it plays this is as old as the last [`DecoderEvent::Position`], a fifth of a second at most.
    fn position_ns(&mut self, session: u16) -> Option<u64> {
        self.session(session).ok()?.status.position_ns()
    }

    /// Never known: the app's container says it, not the frames.
    fn duration_ns(&mut self, _session: u16) -> Option<u64> {
        None
    }

    fn statistics(&mut self, session: u16, source: SourceId) -> Statistics {
        self.session(session).map(|found| found.status.statistics(source)).unwrap_or_default()
    }

    fn next_text<'b>(&mut self, session: u16, buffer: &'b mut [u8; TEXT_BYTES_MAX]) -> Option<Text<'b>> {
        let (Caption { source, start_ns, duration_ns, body }, missed) = self.events.next_text(session)?;
        let into = buffer.get_mut(..body.len())?;
        into.copy_from_slice(body.as_bytes());
        let body = std::str::from_utf8(into).ok()?;
        Some(Text { source, start_ns, duration_ns, missed, body })
    }

    fn frames_played(&mut self, session: u16) -> u64 {
        self.session(session).map(|found| found.status.frames_heard()).unwrap_or_default()
    }

    fn close(&mut self, session: u16) {
        if let Ok(found) = self.session(session) {
            found.is_closing = true;
            found.inbox.close();
            self.events.closing(session);
        }
    }

    fn next_event(&mut self) -> Option<DecoderEvent> {
        let event = self.events.next();
        event.iter().for_each(|event| self.note(event));
        event
    }
}

impl<F> AsFd for GstDecoder<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl<F> Drop for GstDecoder<F> {
    fn drop(&mut self) {
        self.sessions.values().for_each(|session| session.inbox.close());
    }
}
