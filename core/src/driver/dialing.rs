//! To reach a device that has several addresses.

use core::net::SocketAddr;

use crate::hal::{ByteStream, DeviceAddresses, Distrust, Error, ErrorKind, Interest, Network, Token, Trust, Watch};
use crate::limits::CONNECT_TIMEOUT;
use crate::time::Instant;

/// Why a device was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DialError {
    /// Caller: the device has no address.
    NoAddress,
    /// Peer: it did not answer in time at the last of its addresses.
    NoAnswer,
    /// Peer: somebody else answers. No further address is tried: who has taken one may have taken all.
    Untrusted(Option<Distrust>),
    /// Peer or platform: the last of its addresses failed in this way; [`ErrorKind::Gone`] when nobody listens there.
    Failed(ErrorKind),
}

impl core::fmt::Display for DialError {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoAddress => out.write_str("the device has no address"),
            Self::NoAnswer => out.write_str("the device does not answer; see whether it is on"),
            Self::Untrusted(Some(distrust)) => distrust.fmt(out),
            Self::Untrusted(None) => out.write_str("the device does not prove who it is"),
            Self::Failed(ErrorKind::Gone) => out.write_str("nobody listens at the device's addresses"),
            Self::Failed(kind) => write!(out, "no connection could be made ({kind:?})"),
        }
    }
}

impl core::error::Error for DialError {}

/// Tries the addresses of one device, one after the other, each for at most [`CONNECT_TIMEOUT`].
///
/// ```text
///          failed or no answer in time
///            ┌────────────────┐
///            v                │ next address
///  new ──> trying ────────────┘
///            │
///            ├── connected ──> Ok(Some(stream))
///            ├── no address left ──> Err(the last failure)
///            └── somebody else answers ──> Err(Untrusted)
/// ```
#[derive(Debug)]
pub struct Dialing<S> {
    addresses: DeviceAddresses,
    next: usize,
    trust: Trust,
    token: Token,
    attempt: Option<(S, Instant)>,
    failure: DialError,
}

impl<S: ByteStream> Dialing<S> {
    /// Will try these addresses; the attempts are watched as `token`.
    pub fn new(addresses: DeviceAddresses, trust: Trust, token: Token) -> Self {
        Self { addresses, next: 0, trust, token, attempt: None, failure: DialError::NoAddress }
    }

    /// Goes on: to be called at first, whenever `token` is ready, and at [`Dialing::next_deadline`].
    ///
    /// Gives the stream once it is connected; it is still watched as `token`. After that, and after a failure, this is
    /// over and nothing of it is watched.
    pub fn advance<N, W>(&mut self, now: Instant, network: &mut N, events: &mut W) -> Result<Option<S>, DialError>
    where
        N: Network<Stream = S>,
        W: Watch<S>,
    {
        loop {
            match self.attempt.take() {
                Some((stream, deadline)) => match self.go_on(now, stream, deadline, events)? {
                    Step::Connected(stream) => return Ok(Some(stream)),
                    Step::Waiting => return Ok(None),
                    Step::Next => {}
                },
                None => self.try_next(now, network, events)?,
            }
        }
    }

    /// When the attempt under way is given up.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.attempt.as_ref().map(|(_, deadline)| *deadline)
    }

    /// Gives up. Nothing of it is watched any more.
    pub fn cancel<W: Watch<S>>(mut self, events: &mut W) {
        if let Some((stream, _)) = self.attempt.take() {
            events.unwatch(&stream);
        }
    }

    fn go_on<W: Watch<S>>(
        &mut self,
        now: Instant,
        mut stream: S,
        deadline: Instant,
        events: &mut W,
    ) -> Result<Step<S>, DialError> {
        let failure = match stream.advance() {
            Ok(true) => return Ok(Step::Connected(stream)),
            Ok(false) if now < deadline => {
                match events.rewatch(&stream, self.token, stream.interest(Interest::Write)) {
                    Ok(()) => {
                        self.attempt = Some((stream, deadline));
                        return Ok(Step::Waiting);
                    }
                    Err(error) => DialError::Failed(error.kind()),
                }
            }
            Ok(false) => DialError::NoAnswer,
            Err(error) => failure(&error),
        };
        events.unwatch(&stream);
        self.failure = failure;
        if matches!(failure, DialError::Untrusted(_)) { Err(failure) } else { Ok(Step::Next) }
    }

    fn try_next<N, W>(&mut self, now: Instant, network: &mut N, events: &mut W) -> Result<(), DialError>
    where
        N: Network<Stream = S>,
        W: Watch<S>,
    {
        let address: SocketAddr = *self.addresses.get(self.next).ok_or(self.failure)?;
        self.next = self.next.saturating_add(1);
        match network.connect(address, self.trust) {
            Ok(stream) => match events.watch(&stream, self.token, stream.interest(Interest::Write)) {
                Ok(()) => self.attempt = Some((stream, now.after(CONNECT_TIMEOUT))),
                Err(error) => self.failure = DialError::Failed(error.kind()),
            },
            Err(error) => self.failure = failure(&error),
        }
        Ok(())
    }
}

enum Step<S> {
    Connected(S),
    Waiting,
    Next,
}

fn failure(error: &impl Error) -> DialError {
    match error.kind() {
        ErrorKind::Untrusted => DialError::Untrusted(error.distrust()),
        kind => DialError::Failed(kind),
    }
}
