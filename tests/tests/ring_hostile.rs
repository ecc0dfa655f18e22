//! The ring against a peer that changes everything it can between any two reads.

use greenroom_core::hal::{Region, RegionMut, SharedMemory};
use greenroom_core::message::playback::RingPlace;
use greenroom_core::ring::{
    Consumer, FrameHeader, LINE_BYTES, Producer, PushError, Record, RingError, SERVER_BLOCK_BYTES, client_block_bytes,
};
use greenroom_hal_mock::memory::OwnRegion;
use greenroom_hal_mock::{HostileRegion, Memory, World};

const SLOTS: usize = 4;
const PAYLOAD_BYTES: u32 = 100;
const REGION_BYTES: u32 = 4096;
const CONTROL_END: u32 = PLACE.client_offset + client_block_bytes(SLOTS);
const PAYLOAD_END: u32 = PLACE.payload_offset + PAYLOAD_BYTES;
const SERVER_END: u32 = PLACE.server_offset + SERVER_BLOCK_BYTES;
const SEEDS: u64 = 5_000;
/// What stands where nobody has any business.
const CANARY: u8 = 0xEE;

/// A ring in the middle of both regions, so that a step beside it is seen.
const PLACE: RingPlace =
    RingPlace { client_offset: 512, server_offset: 512, payload_offset: 2048, payload_bytes: PAYLOAD_BYTES };

/// Both regions, as the one who writes each has them.
fn regions(world: &World) -> (OwnRegion, OwnRegion) {
    let mut memory = Memory::new(world);
    let ((_, client), (server, _)) = memory.create(REGION_BYTES, REGION_BYTES).expect("no fault was asked for");
    let client = OwnRegion::attach(&client, REGION_BYTES).expect("the client's");
    (client, server)
}

fn bytes_of(region: &impl Region) -> Vec<u8> {
    let mut bytes = vec![0; region.bytes() as usize];
    region.read(0, &mut bytes).expect("inside");
    bytes
}

/// Whether nothing was written but where the writer may write.
fn canaries_live(region: &impl Region, is_own: impl Fn(u32) -> bool) -> bool {
    (0..).zip(bytes_of(region)).all(|(at, byte)| byte == CANARY || is_own(at))
}

#[derive(Default)]
struct Seen {
    frames: u32,
    again: u32,
    slept: u32,
    stale: u32,
    errors: Vec<RingError>,
}

impl Seen {
    fn error(&mut self, error: RingError) {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

type HostileConsumer = Consumer<HostileRegion, OwnRegion, SLOTS>;

/// One record, if the peer's doings look like one.
fn take(consumer: &mut HostileConsumer, world: &World, seen: &mut Seen) -> Result<(), RingError> {
    let Some(header) = consumer.next_record()? else { return Ok(()) };
    assert!(header.bytes <= PAYLOAD_BYTES, "{header:?}");
    let mut payload = vec![0; header.bytes as usize];
    consumer.copy_payload(&mut payload).expect("a header that was given lies in the ring");
    seen.frames += 1;
    if world.random(2) == 0 {
        seen.again += 1;
        assert_unchanged(consumer, header)?;
    }
    consumer.release();
    Ok(())
}

/// The peer has changed the descriptor meanwhile; what was checked is what is used.
fn assert_unchanged(consumer: &mut HostileConsumer, header: FrameHeader) -> Result<(), RingError> {
    let again = consumer.next_record()?;
    assert_eq!(again, Some(header));
    Ok(())
}

/// Moves a cursor as an honest peer might, so that not everything ends at the first look at it.
fn move_cursor(region: &OwnRegion, offset: u32, world: &World) {
    let cursor = region.load(offset).expect("inside");
    region.store(offset, cursor.wrapping_add(world.random(3) as u32)).expect("inside");
}

/// Descriptors that an honest client could have written, in every place.
fn fill_honestly(client: &OwnRegion, server: &OwnRegion) {
    drop(Consumer::<_, _, SLOTS>::new(client.clone(), server.clone(), &PLACE).expect("a good place"));
    let mut producer = Producer::<_, _, SLOTS>::new(client.clone(), server.clone(), &PLACE).expect("a good place");
    for epoch in 0..SLOTS as u32 {
        producer.set_epoch(epoch / 2);
        assert!(producer.push(&Record::frame(&[1; 25])).is_ok());
    }
}

/// One thing that a decoder may do.
fn step(consumer: &mut HostileConsumer, world: &World, seen: &mut Seen) -> Result<(), RingError> {
    match world.random(8) {
        0 => consumer.set_epoch(world.random(8) as u32),
        1 => seen.slept += u32::from(consumer.prepare_to_sleep()?),
        2 => consumer.release(),
        _ => take(consumer, world, seen)?,
    }
    Ok(())
}

/// SM-35
///
/// Field failures D, M
#[test]
fn a_hostile_client_gets_frames_within_the_ring_or_an_error_and_nothing_else_happens() {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        let world = World::new(seed);
        let (client, server) = regions(&world);
        server.write(0, &[CANARY; REGION_BYTES as usize]).expect("inside");
        let control = PLACE.client_offset..CONTROL_END;
        fill_honestly(&client, &server);
        let hostile = HostileRegion::new(&world, client.clone(), control, PLACE.payload_offset..PAYLOAD_END);
        let mut consumer = HostileConsumer::new(hostile.clone(), server.clone(), &PLACE).expect("a good place");
        let ended = (0..64).find_map(|_| {
            move_cursor(&client, PLACE.client_offset, &world);
            step(&mut consumer, &world, &mut seen).err()
        });
        if let Some(error) = ended {
            seen.error(error);
            assert_eq!(consumer.next_record(), Err(error), "a broken ring stays broken");
        }
        seen.stale += consumer.stale_records();
        assert_eq!(hostile.reads_outside(), 0, "seed {seed}");
        assert!(canaries_live(&server, |at| (PLACE.server_offset..SERVER_END).contains(&at)), "seed {seed}");
    }
    assert_was_worth_it(&seen);
}

/// Without this a change that makes every ring fail at once would look like a success.
fn assert_was_worth_it(seen: &Seen) {
    let counts = [seen.frames, seen.again, seen.slept, seen.stale];
    assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
    for error in
        [RingError::CursorBeyondCapacity, RingError::CursorWentBack, RingError::PayloadOutside, RingError::UnknownKind]
    {
        assert!(seen.errors.contains(&error), "{error:?} was never seen: {:?}", seen.errors);
    }
}

/// SM-36
///
/// Field failure Q
#[test]
fn a_hostile_server_cannot_make_the_client_write_or_read_beside_its_ring() {
    let (mut pushed, mut full, mut corrupt) = (0, 0, 0);
    for seed in 0..SEEDS {
        let world = World::new(seed);
        let (client, server) = regions(&world);
        client.write(0, &[CANARY; REGION_BYTES as usize]).expect("inside");
        drop(Consumer::<_, _, SLOTS>::new(client.clone(), server.clone(), &PLACE).expect("a good place"));
        let hostile = HostileRegion::new(&world, server.clone(), PLACE.server_offset..SERVER_END, 0..1);
        let Ok(mut producer) = Producer::<_, _, SLOTS>::new(client.clone(), hostile.clone(), &PLACE) else { continue };
        for _ in 0..64 {
            move_cursor(&server, PLACE.server_offset, &world);
            let payload = vec![0; world.random(u64::from(PAYLOAD_BYTES) + 1) as usize];
            match producer.push(&Record::frame(&payload)) {
                Ok(_) => pushed += 1,
                Err(PushError::Full) => full += u32::from(producer.prepare_to_wait(payload.len() as u32).is_ok()),
                Err(PushError::Corrupt(_)) => corrupt += 1,
                Err(error @ PushError::TooLarge { .. }) => panic!("{error}"),
            }
        }
        let (control, payload) = (PLACE.client_offset..CONTROL_END, PLACE.payload_offset..PAYLOAD_END);
        assert!(canaries_live(&client, |at| control.contains(&at) || payload.contains(&at)), "seed {seed}");
        assert_eq!(hostile.reads_outside(), 0, "seed {seed}");
    }
    assert!(pushed > 100 && full > 100 && corrupt > 100, "{pushed} {full} {corrupt}");
}

/// SM-36. A place is as hostile as the one that sends it: whatever it says, a ring lies inside or is refused.
#[test]
fn a_place_made_up_by_chance_is_refused_or_lies_within_both_regions() {
    let world = World::new(7);
    let (client, server) = regions(&world);
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..100_000 {
        let place = made_up_place(&world);
        match Consumer::<_, _, SLOTS>::new(client.clone(), server.clone(), &place) {
            Ok(_) => {
                opened += 1;
                assert!(u64::from(place.payload_offset) + u64::from(place.payload_bytes) <= u64::from(REGION_BYTES));
                assert!(place.client_offset <= REGION_BYTES - client_block_bytes(SLOTS));
                assert!(place.server_offset <= REGION_BYTES - SERVER_BLOCK_BYTES);
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error, RingError::Outside);
            }
        }
    }
    assert!(opened > 100 && refused > 100, "{opened} {refused}");
}

fn made_up_place(world: &World) -> RingPlace {
    let number = || match world.random(8) {
        0 => world.random(1 << 32) as u32,
        1 => u32::MAX - world.random(5) as u32,
        2 => REGION_BYTES.wrapping_add(world.random(5) as u32).wrapping_sub(2),
        3 => world.random(u64::from(REGION_BYTES)) as u32,
        _ => world.random(u64::from(REGION_BYTES / LINE_BYTES)) as u32 * LINE_BYTES,
    };
    RingPlace { client_offset: number(), server_offset: number(), payload_offset: number(), payload_bytes: number() }
}
