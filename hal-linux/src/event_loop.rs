//! What is ready, in a fixed order.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use greenroom_core::hal::{ErrorType, Interest, Ready, Token, Watch};
use greenroom_core::time::Instant;
use heapless::Vec;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::clock::Clock;
use crate::error::LinuxError;

/// How many sources one [`EventLoop::wait`] reports. The kernel reports the others first the next time.
pub const READY_MAX: usize = 64;

/// Sources that are ready, lowest token first.
pub type ReadySources = Vec<Ready, READY_MAX>;

/// Level-triggered epoll. It watches anything that is a descriptor.
///
/// ```
/// use greenroom_core::hal::{Interest, Socket, Token, Watch};
/// use greenroom_hal_linux::event_loop::EventLoop;
/// use greenroom_hal_linux::socket::SeqPacket;
///
/// let mut events = EventLoop::new()?;
/// let (mut one, other) = SeqPacket::pair()?;
/// let token = Token { kind: 0, index: 0, generation: 1 };
/// events.watch(&other, token, Interest::Read)?;
/// one.send(b"hello", &[])?;
/// let ready = events.wait(None)?;
/// assert_eq!((ready[0].token, ready[0].readable), (token, true));
/// # Ok::<(), greenroom_hal_linux::error::LinuxError>(())
/// ```
#[derive(Debug)]
pub struct EventLoop {
    epoll: OwnedFd,
    clock: Clock,
}

impl EventLoop {
    /// A loop that watches nothing yet. Fails when the process has no descriptor left.
    pub fn new() -> Result<Self, LinuxError> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|errno| LinuxError::new("make an event loop", errno))?;
        Ok(Self { epoll, clock: Clock })
    }

    /// Waits until something is ready or `deadline` has come; without a deadline, until something is ready.
    ///
    /// What it gives is empty only when the deadline has come. It allocates nothing.
    pub fn wait(&mut self, deadline: Option<Instant>) -> Result<ReadySources, LinuxError> {
        let mut events = [const { MaybeUninit::uninit() }; READY_MAX];
        loop {
            let timeout = deadline.and_then(|deadline| self.time_until(deadline));
            match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
                Ok((ready, _)) => return Ok(in_order(ready)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(LinuxError::new("wait for events", errno)),
            }
        }
    }

    /// `now` is rounded down to a millisecond, so that this is never too short: a wait that ended early would spin.
    /// A deadline beyond what the kernel can count is none.
    fn time_until(&self, deadline: Instant) -> Option<Timespec> {
        Timespec::try_from(deadline.since(self.clock.now())).ok()
    }
}

fn in_order(events: &[epoll::Event]) -> ReadySources {
    let mut ready: ReadySources = events.iter().map(ready_source).collect();
    ready.sort_unstable_by_key(|ready| ready.token);
    ready
}

fn ready_source(event: &epoll::Event) -> Ready {
    use epoll::EventFlags as Flags;
    let (flags, data) = (event.flags, event.data);
    Ready {
        token: Token::from_bits(data.u64()),
        readable: flags.intersects(Flags::IN | Flags::RDHUP | Flags::HUP | Flags::ERR),
        writable: flags.contains(Flags::OUT),
    }
}

/// The kernel reports HUP and ERR unasked.
fn flags(interest: Interest) -> epoll::EventFlags {
    use epoll::EventFlags as Flags;
    Flags::RDHUP
        | match interest {
            Interest::Read => Flags::IN,
            Interest::Write => Flags::OUT,
            Interest::ReadWrite => Flags::IN | Flags::OUT,
            Interest::None => Flags::empty(),
        }
}

impl AsFd for EventLoop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl ErrorType for EventLoop {
    type Error = LinuxError;
}

impl<S: AsFd + ?Sized> Watch<S> for EventLoop {
    fn watch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), LinuxError> {
        epoll::add(&self.epoll, source.as_fd(), epoll::EventData::new_u64(token.to_bits()), flags(interest))
            .map_err(|errno| LinuxError::new("watch a descriptor", errno))
    }

    fn rewatch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), LinuxError> {
        epoll::modify(&self.epoll, source.as_fd(), epoll::EventData::new_u64(token.to_bits()), flags(interest))
            .map_err(|errno| LinuxError::new("watch a descriptor for something else", errno))
    }

    fn unwatch(&mut self, source: &S) {
        // It fails only for a source that is not watched, which is what is wanted.
        let _ = epoll::delete(&self.epoll, source.as_fd());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use greenroom_core::hal::Socket;

    use super::*;
    use crate::socket::SeqPacket;

    fn token(kind: u8, index: u16) -> Token {
        Token { kind, index, generation: 1 }
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_not_before() {
        let deadline = Clock.now().after(Duration::from_millis(20));
        assert!(EventLoop::new().unwrap().wait(Some(deadline)).unwrap().is_empty());
        assert!(Clock.now() >= deadline);
    }

    #[test]
    fn a_deadline_that_has_passed_does_not_block() {
        assert!(EventLoop::new().unwrap().wait(Some(Instant::default())).unwrap().is_empty());
    }

    #[test]
    fn the_end_of_time_is_no_deadline() {
        let mut events = EventLoop::new().unwrap();
        let (mut one, other) = SeqPacket::pair().unwrap();
        events.watch(&other, token(0, 0), Interest::Read).unwrap();
        one.send(b"hello", &[]).unwrap();
        assert_eq!(events.wait(Some(Instant::from_millis(u64::MAX))).unwrap().len(), 1);
    }

    #[test]
    fn more_ready_sources_than_one_wait_reports_all_get_their_turn() {
        let mut events = EventLoop::new().unwrap();
        let pairs: std::vec::Vec<_> = (0..READY_MAX + 8).map(|_| SeqPacket::pair().unwrap()).collect();
        for (index, (source, _peer)) in pairs.iter().enumerate() {
            events.watch(source, token(0, index as u16), Interest::Write).unwrap();
        }
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2 {
            seen.extend(events.wait(None).unwrap().iter().map(|ready| ready.token));
        }
        assert_eq!(seen.len(), pairs.len());
    }
}
