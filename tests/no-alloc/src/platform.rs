//! The smallest platform that has all that the core asks for. Nothing fails, nothing blocks, and the compiler cannot
//! know what it says, so that it has to keep every path.

use core::fmt;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use greenroom_core::hal::{
    Connect, Descriptors, Doorbell, Error, ErrorKind, ErrorType, Interest, OutOfRegion, Received, Region, RegionMut,
    Sent, Socket, Token, Watch,
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

/// The value, or a failure.
fn perhaps<T>(value: T) -> Result<T, Failure> {
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

/// Shared memory that is a static array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(pub(crate) &'static [AtomicU32]);

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
