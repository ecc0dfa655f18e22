//! The smallest platform that has all that the core asks for. Nothing fails, nothing blocks, and the compiler cannot
//! know what it says, so that it has to keep every path.

use core::fmt;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use greenroom_core::hal::{
    Child, Connect, Descriptors, Doorbell, Error, ErrorKind, ErrorType, ExitStatus, Interest, Listen, Listener,
    OutOfRegion, Peer, Received, Region, RegionMut, Sent, SharedMemory, Signal, Socket, SocketPlace, Spawn, Token,
    Watch,
};

/// A failure of a kind that nobody can know.
#[derive(Debug)]
pub(crate) struct Failure;

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("it failed")
    }
}

impl Error for Failure {
    fn kind(&self) -> ErrorKind {
        black_box(ErrorKind::Other)
    }
}

impl core::error::Error for Failure {}

impl embedded_io::Error for Failure {
    fn kind(&self) -> embedded_io::ErrorKind {
        black_box(embedded_io::ErrorKind::Other)
    }
}

/// The value, or a failure.
pub(crate) fn perhaps<T>(value: T) -> Result<T, Failure> {
    if black_box(true) { Ok(value) } else { Err(Failure) }
}

/// A socket at which any bytes may arrive.
#[derive(Debug)]
pub(crate) struct AnySocket;

impl ErrorType for AnySocket {
    type Error = Failure;
}

impl Socket for AnySocket {
    type Descriptor = u8;

    fn send(&mut self, message: &[u8], descriptors: &[&u8]) -> Result<Sent, Failure> {
        black_box((message, descriptors));
        perhaps(black_box(Sent::Whole))
    }

    fn receive(&mut self, buffer: &mut [u8], descriptors: &mut Descriptors<u8>) -> Result<Received, Failure> {
        descriptors.clear();
        let _ = black_box(descriptors).push(0);
        perhaps(black_box(Received::Message { bytes: black_box(buffer).len() }))
    }
}

/// The platform itself.
#[derive(Debug)]
pub(crate) struct Platform;

impl ErrorType for Platform {
    type Error = Failure;
}

impl Connect for Platform {
    type Socket = AnySocket;

    fn connect(&mut self, path: &str) -> Result<AnySocket, Failure> {
        black_box(path);
        perhaps(AnySocket)
    }
}

impl Listener for Platform {
    type Socket = AnySocket;

    fn accept(&mut self) -> Result<Option<(AnySocket, Peer)>, Failure> {
        let peer = Peer::new(1, 0, 0);
        perhaps(black_box(true).then_some((AnySocket, black_box(peer))))
    }
}

impl Listen for Platform {
    type Listener = Self;
    type Descriptor = u8;

    fn listen(&mut self, place: &SocketPlace<'_>) -> Result<Self, Failure> {
        black_box(place);
        perhaps(Self)
    }

    fn adopt(&mut self, descriptor: u8) -> Result<Self, Failure> {
        black_box(descriptor);
        perhaps(Self)
    }

    fn duplicate(&mut self, _: &Self) -> Result<u8, Failure> {
        perhaps(0)
    }

    fn has_file(&self, path: &str) -> bool {
        black_box(path.len() > 1)
    }

    fn remove(&mut self, path: &str) {
        black_box(path);
    }

    fn remove_dead(&mut self, path: &str) {
        black_box(path);
    }
}

impl Child for Platform {
    fn process_id(&self) -> u32 {
        black_box(1)
    }

    fn signal(&mut self, signal: Signal) -> Result<(), Failure> {
        black_box(signal);
        perhaps(())
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>, Failure> {
        perhaps(black_box(true).then_some(black_box(ExitStatus::Exited(0))))
    }
}

impl Spawn for Platform {
    type Child = Self;
    type Socket = AnySocket;

    fn spawn(&mut self) -> Result<(Self, AnySocket), Failure> {
        perhaps((Self, AnySocket))
    }
}

impl SharedMemory for Platform {
    type Descriptor = u8;
    type PeerRegion = Words;
    type OwnRegion = Words;
    type Doorbell = Bell;

    fn create(&mut self, client_bytes: u32, server_bytes: u32) -> Result<((Words, u8), (Words, u8)), Failure> {
        black_box((client_bytes, server_bytes));
        perhaps(((CLIENT, 0), (SERVER, 1)))
    }

    fn doorbell(&mut self) -> Result<(Bell, u8), Failure> {
        perhaps((Bell, 0))
    }

    fn duplicate(&mut self, region: &u8) -> Result<u8, Failure> {
        perhaps(*region)
    }

    fn populate(&mut self, region: &u8, offset: u32, bytes: u32) -> Result<(), Failure> {
        black_box((region, offset, bytes));
        perhaps(())
    }

    fn give_back(&mut self, region: &u8, bytes: u32) {
        black_box((region, bytes));
    }
}

impl<S> Watch<S> for Platform {
    fn watch(&mut self, _: &S, token: Token, interest: Interest) -> Result<(), Failure> {
        black_box((token, interest));
        perhaps(())
    }

    fn rewatch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), Failure> {
        self.watch(source, token, interest)
    }

    fn unwatch(&mut self, _: &S) {}
}

static CLIENT_WORDS: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];
static SERVER_WORDS: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];
/// What the client writes.
pub(crate) const CLIENT: Words = Words(&CLIENT_WORDS);
/// What the server writes.
pub(crate) const SERVER: Words = Words(&SERVER_WORDS);

/// Shared memory that is a static array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(&'static [AtomicU32]);

impl Words {
    fn word(&self, offset: u32) -> Result<&AtomicU32, OutOfRegion> {
        self.0.get(offset as usize / 4).ok_or(OutOfRegion)
    }
}

impl Region for Words {
    fn bytes(&self) -> u32 {
        self.0.len() as u32 * 4
    }

    fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
        Ok(self.word(offset)?.load(Ordering::Acquire))
    }

    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
        for (place, byte) in (offset..).zip(into) {
            *byte = self.word(place)?.load(Ordering::Relaxed) as u8;
        }
        Ok(())
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl RegionMut for Words {
    fn store(&self, offset: u32, word: u32) -> Result<(), OutOfRegion> {
        self.word(offset)?.store(word, Ordering::Release);
        Ok(())
    }

    fn write(&self, offset: u32, from: &[u8]) -> Result<(), OutOfRegion> {
        for (place, byte) in (offset..).zip(from) {
            self.word(place)?.store(u32::from(*byte), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A bell that nobody hears.
#[derive(Debug)]
pub(crate) struct Bell;

impl ErrorType for Bell {
    type Error = Failure;
}

impl Doorbell for Bell {
    fn ring(&self) -> Result<(), Failure> {
        perhaps(())
    }

    fn clear(&self) -> Result<(), Failure> {
        perhaps(())
    }
}
