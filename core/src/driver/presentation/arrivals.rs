//! Devices that connect, until it is known who they are.

use core::net::{IpAddr, Ipv6Addr};

use super::{Given, KIND_ARRIVAL, PresentationDriver, PresentationHost, StreamOf};
use crate::fmt::{Said, info, warning};
use crate::hal::{ByteStream, Interest, Ready, StreamListener, Token, Watch};
use crate::limits::{ARRIVALS_MAX, CHANNEL_OPEN_TIMEOUT, CHANNELS_PER_ADDRESS_MAX, MESSAGES_PER_TURN_MAX};
use crate::presentation::service::{Input, Origin};
use crate::table::{Handle, Table};
use crate::time::Instant;

/// A connection whose TLS is not done.
pub(super) struct Arrival<S> {
    stream: S,
    deadline: Instant,
}

/// All of them.
pub(super) type Arrivals<S> = Table<Arrival<S>, ARRIVALS_MAX>;

fn token<S>(handle: Handle<Arrival<S>>) -> Token {
    Token { kind: KIND_ARRIVAL, index: handle.index(), generation: handle.generation() }
}

/// As [`Origin`] has it.
fn mapped(address: IpAddr) -> [u8; 16] {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    Ipv6Addr::octets(&address)
}

impl<H: PresentationHost> PresentationDriver<H> {
    pub(super) fn accept_devices(&mut self, host: &mut H, now: Instant) {
        for _ in 0..MESSAGES_PER_TURN_MAX {
            if self.arrivals.in_use() == self.arrivals.capacity() {
                return;
            }
            match self.listener.accept() {
                Ok(Some(stream)) => self.take_arrival(host, now, stream),
                Ok(None) => return,
                Err(error) => {
                    warning!("a device was not accepted, trying again soon: {}", Said(&error));
                    return self.pause_accepting(now);
                }
            }
        }
    }

    fn take_arrival(&mut self, host: &mut H, now: Instant, stream: StreamOf<H>) {
        let address = stream.peer_address().ip();
        if self.connections_from(address) >= CHANNELS_PER_ADDRESS_MAX {
            return warning!("{} has too many connections; another one is closed", Said(&address));
        }
        let wanted = stream.interest(Interest::Read);
        let Ok(handle) = self.arrivals.insert(Arrival { stream, deadline: now.after(CHANNEL_OPEN_TIMEOUT) }) else {
            return;
        };
        let Some(arrival) = self.arrivals.get(handle) else { return };
        if host.platform().events.watch(&arrival.stream, token(handle), wanted).is_err() {
            self.arrivals.remove(handle);
            return;
        }
        self.advance_arrival(host, now, handle);
    }

    fn connections_from(&self, address: IpAddr) -> usize {
        let arriving = self.arrivals.iter().filter(|(_, it)| it.stream.peer_address().ip() == address).count();
        arriving.saturating_add(self.channels.accepted_from(address))
    }

    pub(super) fn arrival_ready(&mut self, host: &mut H, now: Instant, ready: Ready) {
        self.advance_arrival(host, now, Handle::from_parts(ready.token.index, ready.token.generation));
    }

    fn advance_arrival(&mut self, host: &mut H, now: Instant, handle: Handle<Arrival<StreamOf<H>>>) {
        let Some(arrival) = self.arrivals.get_mut(handle) else { return };
        match arrival.stream.advance() {
            Ok(true) => self.admit_device(host, now, handle),
            Ok(false) => {
                let wanted = arrival.stream.interest(Interest::Read);
                if host.platform().events.rewatch(&arrival.stream, token(handle), wanted).is_err() {
                    self.send_away(host, handle);
                }
            }
            Err(error) => {
                info!("a device was not let in: {}", Said(&error));
                self.send_away(host, handle);
            }
        }
    }

    fn send_away(&mut self, host: &mut H, handle: Handle<Arrival<StreamOf<H>>>) {
        if let Some(arrival) = self.arrivals.remove(handle) {
            host.platform().events.unwatch(&arrival.stream);
        }
    }

    /// Whom the machine does not admit is sent away.
    fn admit_device(&mut self, host: &mut H, now: Instant, handle: Handle<Arrival<StreamOf<H>>>) {
        let Some(Arrival { stream, .. }) = self.arrivals.remove(handle) else { return };
        let certificate = stream.peer_fingerprint().map(|fingerprint| fingerprint.0);
        let origin = Origin { address: mapped(stream.peer_address().ip()), certificate };
        self.arrived = Some(stream);
        let taken = self.take_with(host, now, Input::Accepted { number: 0, origin }, Given::Nothing);
        if let Some(stream) = self.arrived.take() {
            warning!("a device is sent away: no channel is free ({})", taken.is_err());
            host.platform().events.unwatch(&stream);
        }
    }

    pub(super) fn lose_silent_arrivals(&mut self, host: &mut H, now: Instant) {
        for place in 0..self.arrivals.capacity() {
            let Some(handle) = self.arrivals.handle_at(place) else { continue };
            if self.arrivals.get(handle).is_some_and(|arrival| arrival.deadline <= now) {
                self.send_away(host, handle);
            }
        }
    }

    pub(super) fn next_arrival_deadline(&self) -> Option<Instant> {
        self.arrivals.iter().map(|(_, arrival)| arrival.deadline).min()
    }
}
