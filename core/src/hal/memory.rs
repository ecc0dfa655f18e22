//! Memory that is shared with clients, and the bells that go with it.

use super::ErrorType;

/// Memory that another process shares and may change at any moment, to read.
///
/// Offsets and lengths outside the region are [`OutOfRegion`]; nothing else can fail.
pub trait Region {
    /// Bytes of the region.
    fn bytes(&self) -> u32;
    /// Reads the control word at this byte, which is a multiple of 4, with acquire order.
    fn load(&self, offset: u32) -> Result<u32, OutOfRegion>;
    /// Copies bytes out. A peer may write them meanwhile: the copy is all that may be looked at.
    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion>;
    /// Nothing before it moves behind it, nothing behind it before it.
    fn fence(&self);
}

/// Memory that another process shares and may read at any moment, to write.
pub trait RegionMut: Region {
    /// Writes the control word at this byte, which is a multiple of 4, with release order.
    fn store(&self, offset: u32, word: u32) -> Result<(), OutOfRegion>;
    /// Copies bytes in.
    fn write(&self, offset: u32, from: &[u8]) -> Result<(), OutOfRegion>;
}

/// An offset or a length that lies outside a region, or a control word that is not aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutOfRegion;

/// Rings and hears a bell across processes. An eventfd on Linux.
pub trait Doorbell: ErrorType {
    /// Wakes the other side.
    fn ring(&self) -> Result<(), Self::Error>;
    /// Forgets the rings so far.
    fn clear(&self) -> Result<(), Self::Error>;
}

/// Makes shared memory and the bells that go with it.
pub trait SharedMemory: ErrorType {
    /// A descriptor that is owned.
    type Descriptor;
    /// A region that this process reads and the peer writes.
    type PeerRegion: Region;
    /// A region that this process writes and the peer can only read.
    type OwnRegion: RegionMut;
    /// A bell.
    type Doorbell: Doorbell;

    /// Makes one slot's two regions: the client's, which we only read, and ours, which the client can only read.
    /// Their sizes are sealed. Gives, for each, our mapping and the descriptor that the client gets.
    #[allow(clippy::type_complexity, reason = "two pairs are what they are")]
    fn create(
        &mut self,
        client_bytes: u32,
        server_bytes: u32,
    ) -> Result<((Self::PeerRegion, Self::Descriptor), (Self::OwnRegion, Self::Descriptor)), Self::Error>;

    /// Makes a bell: our end, and the descriptor that the client gets.
    fn doorbell(&mut self) -> Result<(Self::Doorbell, Self::Descriptor), Self::Error>;

    /// A second descriptor of the same region, to be sent while we keep the first.
    fn duplicate(&mut self, region: &Self::Descriptor) -> Result<Self::Descriptor, Self::Error>;

    /// Takes memory for these bytes of a region now, so that want of it is an error here and not of who writes first.
    fn populate(&mut self, region: &Self::Descriptor, offset: u32, bytes: u32) -> Result<(), Self::Error>;

    /// Gives the memory of the first `bytes` of the client's region back, also from under its own mapping.
    fn give_back(&mut self, region: &Self::Descriptor, bytes: u32);
}
