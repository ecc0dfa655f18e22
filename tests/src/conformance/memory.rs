//! Shared memory and bells.

use std::fmt::Debug;

use greenroom_core::hal::{Doorbell, ErrorKind, OutOfRegion, Region, RegionMut, SharedMemory};
use greenroom_core::message::playback::{MediaKind, RingPlace};
use greenroom_core::ring::{Consumer, FrameSource, Producer, PushError, Pushed, Record, RingSource, SlotLayout};

/// A platform with shared memory, and what a test needs to play the client.
pub trait MemoryPlatform {
    /// A descriptor of a region or a bell.
    type Descriptor;
    /// A region to read.
    type PeerRegion: Region + Clone + Debug;
    /// A region to write.
    type OwnRegion: RegionMut + Clone + Debug;
    /// A bell.
    type Bell: Doorbell<Error: Debug>;
    /// What makes them.
    type Memory: SharedMemory<
            Descriptor = Self::Descriptor,
            PeerRegion = Self::PeerRegion,
            OwnRegion = Self::OwnRegion,
            Doorbell = Self::Bell,
            Error: Debug,
        >;

    /// Makes regions and bells.
    fn memory(&mut self) -> Self::Memory;
    /// Maps, as the client, a region to write.
    fn attach_own(&mut self, descriptor: &Self::Descriptor, bytes: u32) -> Result<Self::OwnRegion, ErrorKind>;
    /// Maps, as the client, a region to read.
    fn attach_peer(&mut self, descriptor: &Self::Descriptor, bytes: u32) -> Result<Self::PeerRegion, ErrorKind>;
    /// Takes a bell as the client.
    fn attach_bell(&mut self, descriptor: Self::Descriptor) -> Self::Bell;
    /// Whether who sleeps on the bell wakes.
    fn is_rung(&mut self, bell: &Self::Bell) -> bool;
}

/// Not a multiple of a page, so that the end of a region is seen to be where it was asked for.
const BYTES: u32 = 10_004;

/// Both regions as both sides have them.
struct Regions<P: MemoryPlatform + ?Sized> {
    client_written: P::OwnRegion,
    client_seen: P::PeerRegion,
    server_written: P::OwnRegion,
    server_seen: P::PeerRegion,
}

fn regions<P: MemoryPlatform>(platform: &mut P, client_bytes: u32, server_bytes: u32) -> Regions<P> {
    let (client, server) = platform.memory().create(client_bytes, server_bytes).unwrap();
    Regions {
        client_written: platform.attach_own(&client.1, client_bytes).unwrap(),
        client_seen: client.0,
        server_written: server.0,
        server_seen: platform.attach_peer(&server.1, server_bytes).unwrap(),
    }
}

/// Both directions, each as who writes and who reads.
fn directions<P: MemoryPlatform>(platform: &mut P) -> [(P::OwnRegion, P::PeerRegion); 2] {
    let regions = regions(platform, BYTES, BYTES);
    [(regions.client_written, regions.client_seen), (regions.server_written, regions.server_seen)]
}

/// SM-15
pub fn new_memory_is_empty_and_of_the_size_that_was_asked_for(platform: &mut impl MemoryPlatform) {
    for (own, peer) in directions(platform) {
        assert_eq!((own.bytes(), peer.bytes()), (BYTES, BYTES));
        let mut all = vec![1; BYTES as usize];
        peer.read(0, &mut all).unwrap();
        assert!(all.iter().all(|&byte| byte == 0));
    }
}

/// SM-23
pub fn what_one_side_writes_the_other_reads(platform: &mut impl MemoryPlatform) {
    for (own, peer) in directions(platform) {
        own.write(3, b"frame").unwrap();
        own.store(64, 0x0102_0304).unwrap();
        own.fence();
        let (mut bytes, mut word) = ([0; 5], [0; 4]);
        peer.read(3, &mut bytes).unwrap();
        peer.read(64, &mut word).unwrap();
        assert_eq!((&bytes, peer.load(64)), (b"frame", Ok(0x0102_0304)));
        assert_eq!(u32::from_ne_bytes(word), 0x0102_0304);
    }
}

/// SM-15
pub fn the_two_regions_are_not_the_same_memory(platform: &mut impl MemoryPlatform) {
    let [(client, _), (_, server)] = directions(platform);
    client.store(0, 1).unwrap();
    assert_eq!(server.load(0), Ok(0));
}

/// SM-35
pub fn nothing_beside_a_region_is_read_or_written(platform: &mut impl MemoryPlatform) {
    for (own, peer) in directions(platform) {
        for offset in [BYTES - 3, BYTES, BYTES + 1, u32::MAX - 3, u32::MAX] {
            assert_eq!(own.store(offset & !3, 1), if offset < BYTES { Ok(()) } else { Err(OutOfRegion) }, "{offset}");
            assert_eq!(own.write(offset, &[1; 4]), Err(OutOfRegion), "{offset}");
            assert_eq!(peer.read(offset, &mut [0; 4]), Err(OutOfRegion), "{offset}");
        }
        assert_eq!(peer.load(BYTES), Err(OutOfRegion));
        assert_eq!(own.write(BYTES - 4, b"last"), Ok(()));
        assert_eq!((own.write(BYTES, b""), peer.read(BYTES, &mut [])), (Ok(()), Ok(())));
    }
}

/// SM-35
pub fn a_control_word_lies_on_a_multiple_of_four(platform: &mut impl MemoryPlatform) {
    for (own, peer) in directions(platform) {
        for offset in [1, 2, 3, 5] {
            assert_eq!((own.store(offset, 1), peer.load(offset)), (Err(OutOfRegion), Err(OutOfRegion)), "{offset}");
        }
        assert_eq!((own.store(4, 1), peer.load(4)), (Ok(()), Ok(1)));
    }
}

/// SM-35
pub fn a_client_cannot_write_the_servers_region(platform: &mut impl MemoryPlatform) {
    let (_, (_ours, server)) = platform.memory().create(BYTES, BYTES).unwrap();
    assert_eq!(platform.attach_own(&server, BYTES).err(), Some(ErrorKind::Denied));
    assert!(platform.attach_peer(&server, BYTES).is_ok());
}

/// SM-35
pub fn memory_of_another_size_than_was_said_is_refused(platform: &mut impl MemoryPlatform) {
    let ((_seen, client), _) = platform.memory().create(BYTES, BYTES).unwrap();
    for bytes in [0, BYTES - 1, BYTES + 1, u32::MAX] {
        assert_eq!(platform.attach_own(&client, bytes).err(), Some(ErrorKind::Denied), "{bytes}");
        assert_eq!(platform.attach_peer(&client, bytes).err(), Some(ErrorKind::Denied), "{bytes}");
    }
}

/// SM-25
pub fn memory_lives_until_its_last_user_is_gone(platform: &mut impl MemoryPlatform) {
    let regions = regions(platform, BYTES, BYTES);
    let clone = regions.server_seen.clone();
    regions.server_written.store(0, 7).unwrap();
    drop(regions);
    assert_eq!(clone.load(0), Ok(7));
}

/// SM-23
pub fn a_bell_stays_rung_until_it_is_cleared(platform: &mut impl MemoryPlatform) {
    let (ours, theirs) = platform.memory().doorbell().unwrap();
    let theirs = platform.attach_bell(theirs);
    assert!(!platform.is_rung(&ours));
    theirs.ring().unwrap();
    theirs.ring().unwrap();
    assert!(platform.is_rung(&ours) && platform.is_rung(&ours));
    ours.clear().unwrap();
    assert!(!platform.is_rung(&ours));
    ours.clear().unwrap();
    ours.ring().unwrap();
    assert!(platform.is_rung(&theirs));
}

/// A bell: the server's end and the client's.
fn bell<P: MemoryPlatform>(platform: &mut P) -> (P::Bell, P::Bell) {
    let (ours, theirs) = platform.memory().doorbell().unwrap();
    (ours, platform.attach_bell(theirs))
}

/// The next frame's payload.
fn take<F: FrameSource>(source: &mut F) -> Option<Vec<u8>> {
    let header = source.next().unwrap()?;
    let mut payload = vec![0; header.bytes as usize];
    source.copy_payload(&mut payload).unwrap();
    source.release();
    Some(payload)
}

/// SM-23
pub fn frames_pass_through_a_ring_and_its_bells_wake_who_waits<P: MemoryPlatform>(platform: &mut P) {
    let layout = SlotLayout::new(1, 1, 1).unwrap();
    let place = RingPlace { payload_bytes: 100, ..layout.ring(MediaKind::Text) };
    let regions = regions(platform, layout.client_bytes(), layout.server_bytes());
    let ((data, client_data), (space, client_space)) = (bell(platform), bell(platform));
    let consumer = Consumer::new(regions.client_seen, regions.server_written, &place).unwrap();
    let mut source: RingSource<_, _, _> = RingSource::new(consumer, data, space);
    let mut producer: Producer<_, _> = Producer::new(regions.client_written, regions.server_seen, &place).unwrap();

    assert_eq!(source.prepare_to_sleep(), Ok(true));
    assert_eq!(producer.push(&Record::frame(&[1; 60])), Ok(Pushed::Asleep));
    client_data.ring().unwrap();
    assert!(platform.is_rung(source.bell()));
    source.bell().clear().unwrap();

    assert_eq!(producer.push(&Record::frame(&[2; 60])), Err(PushError::Full));
    assert_eq!(producer.prepare_to_wait(60), Ok(true));
    assert_eq!(take(&mut source), Some(vec![1; 60]));
    assert!(platform.is_rung(&client_space));
    client_space.clear().unwrap();

    for number in 2..200 {
        assert_eq!(producer.push(&Record::frame(&[number; 60])), Ok(Pushed::Awake));
        assert_eq!(take(&mut source), Some(vec![number; 60]));
    }
    assert!(!platform.is_rung(source.bell()) && !platform.is_rung(&client_space), "nobody waited");
}

/// Makes a test of each claim about shared memory.
#[macro_export]
macro_rules! memory_conformance {
    ($platform:expr) => {
        $crate::claims! { memory, $platform;
            new_memory_is_empty_and_of_the_size_that_was_asked_for
            what_one_side_writes_the_other_reads
            the_two_regions_are_not_the_same_memory
            nothing_beside_a_region_is_read_or_written
            a_control_word_lies_on_a_multiple_of_four
            a_client_cannot_write_the_servers_region
            memory_of_another_size_than_was_said_is_refused
            memory_lives_until_its_last_user_is_gone
            a_bell_stays_rung_until_it_is_cleared
            frames_pass_through_a_ring_and_its_bells_wake_who_waits
        }
    };
}
