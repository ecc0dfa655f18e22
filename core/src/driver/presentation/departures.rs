//! Connections that are closed, until what was sent on them has arrived.

use super::carrier::Carrier;
use super::{KIND_DEPARTURE, PresentationDriver, PresentationHost, StreamOf};
use crate::hal::{Arrived, ByteStream, Interest, Ready, Token, Watch};
use crate::limits::{DEPARTURE_TIMEOUT, DEPARTURES_MAX};
use crate::table::{Handle, Table};
use crate::time::Instant;
use crate::transport::buffer::Buffer;
use crate::transport::{Incoming, Transport};

/// Bytes that are dropped at once.
const CHUNK_BYTES: usize = 512;
/// Times that one departure is read before the next one has its turn.
const CHUNKS_PER_TURN_MAX: usize = 32;

/// What is being closed: it sends what it has, says that nothing more comes, and waits for the other side to do so.
enum Leaver<S, B> {
    Channel { stream: S, waiting: Option<Buffer<B>>, is_finished: bool },
    Transport(Carrier<S, B>),
}

/// One of them.
pub(super) struct Departure<S, B> {
    leaver: Leaver<S, B>,
    deadline: Instant,
}

/// All of them.
pub(super) type Departures<S, B> = Table<Departure<S, B>, DEPARTURES_MAX>;

impl<S: ByteStream, B: AsRef<[u8]> + AsMut<[u8]>> Leaver<S, B> {
    fn stream(&self) -> &S {
        match self {
            Self::Channel { stream, .. } => stream,
            Self::Transport(carrier) => carrier.stream(),
        }
    }

    fn interest(&self) -> Interest {
        match self {
            Self::Channel { stream, is_finished: true, .. } => stream.interest(Interest::Read),
            Self::Channel { stream, is_finished: false, .. } => stream.interest(Interest::ReadWrite),
            Self::Transport(carrier) => carrier.interest(true),
        }
    }

    /// Whether it is over.
    fn advance(&mut self) -> bool {
        match self {
            Self::Channel { stream, waiting, is_finished } => advance_channel(stream, waiting, is_finished),
            Self::Transport(carrier) => match carrier.advance() {
                Ok(_) => !matches!(carrier.receive(), Ok(Incoming::Nothing | Incoming::Message(_))),
                Err(_) => true,
            },
        }
    }
}

fn advance_channel<S: ByteStream, B: AsRef<[u8]> + AsMut<[u8]>>(
    stream: &mut S,
    waiting: &mut Option<Buffer<B>>,
    is_finished: &mut bool,
) -> bool {
    if !matches!(stream.advance(), Ok(true)) {
        return true;
    }
    match waiting.as_mut().map_or(Ok(true), |waiting| waiting.drain_to(stream)) {
        Ok(true) => *waiting = None,
        Ok(false) => {}
        Err(_) => return true,
    }
    if waiting.is_none() && !*is_finished {
        let Ok(finished) = stream.finish() else { return true };
        *is_finished = finished;
    }
    let mut chunk = [0; CHUNK_BYTES];
    for _ in 0..CHUNKS_PER_TURN_MAX {
        match stream.receive(&mut chunk) {
            Ok(Arrived::Bytes(_)) => {}
            Ok(Arrived::WouldBlock) => return false,
            // It has closed, too. One that has not taken everything by then is not waited for: its end would be reported
            // again and again.
            Ok(Arrived::End) | Err(_) => return true,
        }
    }
    false
}

impl<H: PresentationHost> PresentationDriver<H> {
    /// Closes a channel's stream in order.
    pub(super) fn depart_with(
        &mut self,
        host: &mut H,
        now: Instant,
        stream: StreamOf<H>,
        waiting: Option<Buffer<H::Buffer>>,
    ) {
        self.depart(host, now, Leaver::Channel { stream, waiting, is_finished: false });
    }

    /// Closes a transport in order, for this reason.
    pub(super) fn depart_for(
        &mut self,
        host: &mut H,
        now: Instant,
        mut carrier: Carrier<StreamOf<H>, H::Buffer>,
        reason: u32,
    ) {
        carrier.close(reason);
        self.depart(host, now, Leaver::Transport(carrier));
    }

    fn depart(&mut self, host: &mut H, now: Instant, mut leaver: Leaver<StreamOf<H>, H::Buffer>) {
        if leaver.advance() {
            return host.platform().events.unwatch(leaver.stream());
        }
        if self.departures.in_use() == self.departures.capacity() {
            self.cut_off_oldest(host);
        }
        let wanted = leaver.interest();
        let Ok(handle) = self.departures.insert(Departure { leaver, deadline: now.after(DEPARTURE_TIMEOUT) }) else {
            return;
        };
        self.watch_departure(host, handle, wanted);
    }

    fn cut_off_oldest(&mut self, host: &mut H) {
        let oldest = self.departures.iter().min_by_key(|(_, it)| it.deadline).map(|(handle, _)| handle);
        if let Some(oldest) = oldest {
            self.cut_off(host, oldest);
        }
    }

    fn cut_off(&mut self, host: &mut H, handle: Handle<Departure<StreamOf<H>, H::Buffer>>) {
        if let Some(departure) = self.departures.remove(handle) {
            host.platform().events.unwatch(departure.leaver.stream());
        }
    }

    fn watch_departure(&mut self, host: &mut H, handle: Handle<Departure<StreamOf<H>, H::Buffer>>, wanted: Interest) {
        let token = Token { kind: KIND_DEPARTURE, index: handle.index(), generation: handle.generation() };
        let Some(departure) = self.departures.get(handle) else { return };
        if host.platform().events.rewatch(departure.leaver.stream(), token, wanted).is_err() {
            self.cut_off(host, handle);
        }
    }

    pub(super) fn departure_ready(&mut self, host: &mut H, ready: Ready) {
        let handle = Handle::from_parts(ready.token.index, ready.token.generation);
        let Some(departure) = self.departures.get_mut(handle) else { return };
        if departure.leaver.advance() {
            return self.cut_off(host, handle);
        }
        let wanted = departure.leaver.interest();
        self.watch_departure(host, handle, wanted);
    }

    pub(super) fn cut_off_late(&mut self, host: &mut H, now: Instant) {
        for place in 0..self.departures.capacity() {
            let Some(handle) = self.departures.handle_at(place) else { continue };
            if self.departures.get(handle).is_some_and(|departure| departure.deadline <= now) {
                self.cut_off(host, handle);
            }
        }
    }

    pub(super) fn next_departure_deadline(&self) -> Option<Instant> {
        self.departures.iter().map(|(_, departure)| departure.deadline).min()
    }
}
