//! What is ready.

use std::fmt;
use std::rc::{Rc, Weak};

use greenroom_core::hal::{ErrorKind, ErrorType, Interest, Ready, Token, Watch};

use crate::error::{Call, SimulatedError};
use crate::world::World;

/// Something that can become ready.
pub trait Readiness {
    /// Something can be read, or its end can be seen.
    fn is_readable(&self) -> bool;
    /// Something can be written.
    fn is_writable(&self) -> bool {
        false
    }
    /// It has ended: reported whatever it is watched for.
    fn has_ended(&self) -> bool;
    /// Whether there is anything to report to who watches for this.
    fn is_ready(&self, reads: bool, writes: bool) -> bool {
        self.has_ended() || (reads && self.is_readable()) || (writes && self.is_writable())
    }
}

/// Something that an [`EventLoop`] can watch.
pub trait Source {
    /// What decides about its readiness; always the same one. It goes when the source is dropped.
    fn readiness(&self) -> Rc<dyn Readiness>;
}

struct Watched {
    token: Token,
    interest: Interest,
    source: Weak<dyn Readiness>,
}

impl Watched {
    fn source(&self) -> Rc<dyn Readiness> {
        let Some(source) = self.source.upgrade() else {
            panic!("{:?} was dropped while it was watched", self.token);
        };
        source
    }

    fn interests(&self) -> (bool, bool) {
        let reads = matches!(self.interest, Interest::Read | Interest::ReadWrite);
        (reads, matches!(self.interest, Interest::Write | Interest::ReadWrite))
    }

    fn is_ready(&self) -> bool {
        let (reads, writes) = self.interests();
        self.source().is_ready(reads, writes)
    }

    fn ready(&self) -> Option<Ready> {
        let source = self.source();
        let (reads, writes) = self.interests();
        let readable = source.has_ended() || (reads && source.is_readable());
        let writable = writes && source.is_writable();
        (readable || writable).then_some(Ready { token: self.token, readable, writable })
    }
}

/// Watches sources. It never waits: between two looks at [`EventLoop::ready`] the test makes things happen.
pub struct EventLoop {
    world: World,
    watched: Vec<Watched>,
}

impl EventLoop {
    /// A loop that watches nothing yet.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), watched: Vec::new() }
    }

    /// What is ready now, lowest token first. An unkind world withholds some of it, but never all.
    ///
    /// # Panics
    ///
    /// When a source was dropped without [`Watch::unwatch`]: a driver must not do that.
    pub fn ready(&mut self) -> Vec<Ready> {
        let mut ready: Vec<Ready> = self.watched.iter().filter_map(Watched::ready).collect();
        ready.sort_unstable_by_key(|ready| ready.token);
        if self.world.is_unkind() {
            self.withhold_some(&mut ready);
        }
        ready
    }

    /// Whether anything is ready.
    pub fn has_ready(&self) -> bool {
        self.watched.iter().any(Watched::is_ready)
    }

    fn withhold_some(&self, ready: &mut Vec<Ready>) {
        let kept = self.world.random(ready.len().max(1) as u64) as usize;
        let mut index = 0;
        ready.retain(|_| {
            index += 1;
            index == kept + 1 || self.world.random(4) > 0
        });
    }

    /// How many sources are watched.
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    fn position(&self, source: &Rc<dyn Readiness>) -> Option<usize> {
        self.watched.iter().position(|watched| is_same(&watched.source, source))
    }
}

fn is_same(watched: &Weak<dyn Readiness>, source: &Rc<dyn Readiness>) -> bool {
    std::ptr::addr_eq(watched.as_ptr(), Rc::as_ptr(source))
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.watched.iter().map(|watched| (watched.token, watched.interest))).finish()
    }
}

impl ErrorType for EventLoop {
    type Error = SimulatedError;
}

impl<S: Source + ?Sized> Watch<S> for EventLoop {
    fn watch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), SimulatedError> {
        self.world.fault(Call::Watch)?;
        let source = source.readiness();
        if self.position(&source).is_some() {
            return Err(SimulatedError::new(Call::Watch, ErrorKind::Busy));
        }
        self.watched.push(Watched { token, interest, source: Rc::downgrade(&source) });
        Ok(())
    }

    fn rewatch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), SimulatedError> {
        let source = source.readiness();
        let position = self.position(&source).ok_or(SimulatedError::new(Call::Watch, ErrorKind::NotFound))?;
        self.watched[position] = Watched { token, interest, source: Rc::downgrade(&source) };
        Ok(())
    }

    fn unwatch(&mut self, source: &S) {
        if let Some(position) = self.position(&source.readiness()) {
            self.watched.remove(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use greenroom_core::hal::Socket;

    use super::*;
    use crate::socket::SeqPacket;

    fn token(index: u16) -> Token {
        Token { kind: 0, index, generation: 1 }
    }

    #[test]
    #[should_panic(expected = "was dropped while it was watched")]
    fn a_source_that_is_dropped_while_it_is_watched_is_a_bug_of_the_driver() {
        let world = World::new(1);
        let mut events = EventLoop::new(&world);
        let (one, _other) = SeqPacket::pair(&world);
        events.watch(&one, token(0), Interest::Read).unwrap();
        drop(one);
        events.ready();
    }

    #[test]
    fn an_unkind_world_withholds_some_of_what_is_ready_but_never_all() {
        let world = World::new(7);
        world.be_unkind();
        let mut events = EventLoop::new(&world);
        let pairs: Vec<_> = (0..6).map(|_| SeqPacket::pair(&world)).collect();
        for (index, (one, _)) in pairs.iter().enumerate() {
            events.watch(one, token(index as u16), Interest::Write).unwrap();
        }
        let counts: Vec<usize> = (0..50).map(|_| events.ready().len()).collect();
        assert!(counts.iter().all(|&count| count > 0));
        assert!(counts.iter().any(|&count| count < pairs.len()));
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let run = |seed| {
            let world = World::new(seed);
            (0..20).map(|_| world.random(1000)).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn a_chosen_fault_happens_once() {
        let world = World::new(1);
        let (mut one, _other) = SeqPacket::pair(&world);
        world.fail_next(Call::Send, ErrorKind::Exhausted);
        assert_eq!(one.send(b"a", &[]), Err(SimulatedError::new(Call::Send, ErrorKind::Exhausted)));
        assert!(one.send(b"a", &[]).is_ok());
    }
}
