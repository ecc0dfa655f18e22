//! One box on the network: the presentation service that ships, and its process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use greenroom_core::driver::{Machine, PresentationDriver};
use greenroom_core::hal::{Addresses, Announcement, Discovery, Fingerprint, Protection};
use greenroom_core::time::Instant;

use crate::party::Party;
use crate::presentation_home::PresentationHome;
use crate::world::World;

/// Where devices connect.
pub(super) const CONTROL_PORT: u16 = 4000;

/// One box.
pub(super) struct Station {
    world: World,
    pub(super) number: u16,
    pub(super) name: String,
    pub(super) address: IpAddr,
    pub(super) protection: Protection,
    pub(super) home: PresentationHome,
    driver: Option<Box<PresentationDriver<PresentationHome>>>,
    /// Its process does not run until then.
    pub(super) stalled_until: Instant,
    due: Option<Instant>,
    /// What is watched and lent when nothing happens.
    idle: (usize, usize),
    moves: u8,
    pub(super) restarts: u32,
}

const fn address_of(number: u16, moves: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1 + number as u8 + 10 * moves))
}

impl Station {
    pub(super) fn new(world: &World, number: u16, protection: Protection) -> Self {
        let (name, address) = (format!("box{number}"), address_of(number, 0));
        let fingerprint = Fingerprint([1 + number as u8; 32]);
        let mut station = Self {
            world: world.clone(),
            number,
            home: PresentationHome::new(world, &name, &[address], fingerprint),
            name,
            address,
            protection,
            driver: None,
            stalled_until: world.now(),
            due: None,
            idle: (0, 0),
            moves: 0,
            restarts: 0,
        };
        station.start();
        station
    }

    pub(super) const fn party(&self) -> Party {
        Party::Presentation(self.number)
    }

    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        (self.protection == Protection::Encrypted).then_some(Fingerprint([1 + self.number as u8; 32]))
    }

    /// Where its control channels come in.
    pub(super) const fn control(&self) -> SocketAddr {
        SocketAddr::new(self.address, CONTROL_PORT)
    }

    fn start(&mut self) {
        self.world.act_as(self.party());
        let Ok(driver) = self.home.start(CONTROL_PORT, self.protection) else {
            unreachable!("nothing fails before anything has begun");
        };
        self.idle = (self.home.platform.events.watched(), self.home.memory.out());
        self.due = driver.next_deadline();
        self.driver = Some(Box::new(driver));
    }

    /// Its process is killed, and another one starts: it knows the devices that it knew, and nothing else.
    pub(super) fn restart(&mut self) {
        self.world.forgive();
        self.world.act_as(self.party());
        self.driver = None;
        let known = self.home.platform.known.clone();
        let fingerprint = Fingerprint([1 + self.number as u8; 32]);
        self.home = PresentationHome::new(&self.world, &self.name, &[self.address], fingerprint);
        self.home.platform.known = known;
        self.restarts += 1;
        self.start();
    }

    /// It is on another network address from now on, and says so.
    pub(super) fn move_on(&mut self) {
        self.world.act_as(self.party());
        self.moves = (self.moves + 1) % 20;
        self.address = address_of(self.number, self.moves);
        self.home.platform.network.move_to(&[self.address]);
        self.home.platform.discovery.move_to(Addresses::from_iter([self.address]));
        self.announce();
    }

    pub(super) fn announce(&mut self) {
        let (name, port, version) = (self.name.as_str(), CONTROL_PORT, 1);
        let announcement = Announcement { name, port, fingerprint: self.fingerprint(), version };
        let _ = self.home.platform.discovery.announce(&announcement);
    }

    pub(super) fn withdraw(&mut self) {
        let _ = self.home.platform.discovery.withdraw();
    }

    pub(super) fn driver(&self) -> &PresentationDriver<PresentationHome> {
        match &self.driver {
            Some(driver) => driver,
            None => unreachable!("it is there but while it is restarted"),
        }
    }

    pub(super) fn is_runnable(&self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        self.stalled_until <= now && (is_due || self.home.platform.events.has_ready())
    }

    /// What keeps it awake, in words.
    pub(super) fn awake_for(&mut self) -> String {
        format!("it is due at {:?}, and ready is {:?}", self.due, self.home.platform.events.ready())
    }

    pub(super) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        if self.stalled_until > now { Some(self.stalled_until) } else { self.due }
    }

    pub(super) fn stall(&mut self, duration: Duration) {
        self.stalled_until = self.stalled_until.max(self.world.now().after(duration));
    }

    pub(super) fn turn(&mut self, now: Instant) {
        self.world.act_as(self.party());
        let ready = self.home.platform.events.ready();
        if let Some(driver) = &mut self.driver {
            driver.turn(&mut self.home, now, &ready);
            self.due = driver.next_deadline();
        }
    }

    /// Whether there is a place for one more presentation, as either side.
    pub(super) fn has_room(&self) -> bool {
        use greenroom_core::limits::{CONNECTIONS_MAX, PRESENTATIONS_MAX};
        let (_, connections, presentations) = self.driver().machine().in_use();
        usize::from(connections) < CONNECTIONS_MAX && usize::from(presentations) < PRESENTATIONS_MAX
    }

    /// PS-35: what is left where nothing may be. Clients that are connected are watched.
    pub(super) fn left(&self, clients: usize) -> Option<String> {
        let (in_use, deadline) = (self.driver().machine().in_use(), self.driver().machine().next_deadline());
        let (watched, lent) = (self.home.platform.events.watched(), self.home.memory.out());
        let is_clean = in_use == (0, 0, 0) && deadline.is_none();
        let is_clean = is_clean && (watched, lent) == (self.idle.0 + clients, self.idle.1);
        (!is_clean).then(|| {
            format!(
                "{} has {in_use:?} channels, connections and presentations, a deadline {deadline:?}, {watched} watched \
                 instead of {}, {lent} pieces of memory instead of {}",
                self.name,
                self.idle.0 + clients,
                self.idle.1
            )
        })
    }
}
