//! Crowds that fill tables, and go again.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use greenroom_core::hal::{Addresses, Announcement, Discovery, Fingerprint};
use greenroom_core::limits::{
    CHANNELS_MAX, CHANNELS_PER_ADDRESS_MAX, DEVICES_MAX, PRESENTATIONS_MAX, PRESENTERS_MAX, SELECTIONS_MAX,
};
use greenroom_core::message::presentation::TransportKind;

use super::any_station;
use crate::discovery::MockDiscovery;
use crate::sim::presentation::fault::Fault;
use crate::sim::presentation::lan::Lan;
use crate::sim::presentation::page::{Manner, Page};
use crate::sim::presentation::station::{CONTROL_PORT, Station};
use crate::sim::presentation::stranger::Stranger;

/// How long a crowd of devices stays.
const STAYS: Duration = Duration::from_secs(15);
/// The numbers of clients that belong to crowds are those from here on.
const FIRST_NUMBER: u16 = 30_000;

/// Who is there only to fill tables.
#[derive(Default)]
pub(super) struct Crowd {
    announced: Vec<MockDiscovery>,
    last_number: u16,
    last_address: u8,
}

impl Crowd {
    /// One more than there is room for.
    pub(super) fn gather(&mut self, lan: &mut Lan, fault: Fault) -> Option<String> {
        let station = any_station(lan, 0)?;
        match fault {
            Fault::PresentationsFull => return start_many(lan, PRESENTATIONS_MAX + 1),
            Fault::ClientsFull => (0..=PRESENTERS_MAX).for_each(|_| self.client(lan, station, true)),
            Fault::AddressFull => self.strangers(lan, station, 1, CHANNELS_PER_ADDRESS_MAX + 1),
            Fault::ChannelsFull => {
                let devices = CHANNELS_MAX.div_ceil(CHANNELS_PER_ADDRESS_MAX) + 1;
                self.strangers(lan, station, devices, CHANNELS_PER_ADDRESS_MAX);
            }
            Fault::DevicesFull => self.announce_many(lan),
            _ => (0..=SELECTIONS_MAX).for_each(|_| {
                self.client(lan, station, false);
                let Some(page) = lan.pages.last_mut() else { return };
                page.start(None, TransportKind::Tcp);
                lan.pages.iter_mut().for_each(|page| page.hesitates = true);
            }),
        }
        Some(lan.stations[station].name.clone())
    }

    /// Those who came go. What they have asked for ends.
    pub(super) fn disperse(&mut self, lan: &mut Lan) {
        self.announced.clear();
        lan.stations.iter_mut().for_each(Station::announce);
        lan.pages.retain(|page| page.manner != Manner::Obedient);
    }

    fn client(&mut self, lan: &mut Lan, station: usize, is_silent: bool) {
        self.last_number += 1;
        let place = &lan.stations[station];
        let (name, path, number) = (place.name.clone(), place.home.path(), place.number);
        let party = (number, FIRST_NUMBER + self.last_number);
        let mut page = Page::new(&lan.around, party, (&name, &path), Manner::Obedient);
        page.rest();
        if is_silent {
            page.presenter.connect();
        } else {
            page.connect();
        }
        lan.pages.push(page);
    }

    pub(super) fn silent_client(&mut self, lan: &mut Lan) -> Option<String> {
        let station = any_station(lan, 0)?;
        self.client(lan, station, true);
        Some(lan.stations[station].name.clone())
    }

    fn strangers(&mut self, lan: &mut Lan, station: usize, devices: usize, each: usize) {
        let to = (lan.stations[station].control(), lan.stations[station].fingerprint());
        for _ in 0..devices {
            self.last_address = self.last_address.wrapping_add(1);
            let from = IpAddr::V4(Ipv4Addr::new(203, 0, 113, self.last_address));
            for _ in 0..each {
                let stranger = Stranger::connect(&lan.world, &lan.book, from, to, STAYS);
                lan.strangers.extend(stranger.map(|it| it.greeting("crowd")));
            }
        }
    }

    fn announce(&mut self, lan: &Lan, id: &str, address: IpAddr, fingerprint: Option<Fingerprint>) {
        let mut discovery = MockDiscovery::new(&lan.world, id, Addresses::from_iter([address]));
        let announcement = Announcement { name: id, port: CONTROL_PORT, fingerprint, version: 1 };
        let _ = discovery.announce(&announcement);
        self.announced.push(discovery);
    }

    fn announce_many(&mut self, lan: &Lan) {
        for number in 0..=DEVICES_MAX as u8 {
            self.announce(lan, &format!("crowd{number}"), IpAddr::V4(Ipv4Addr::new(203, 0, 113, number)), None);
        }
    }

    /// A name that is known, with another certificate, at another address.
    pub(super) fn imposter(&mut self, lan: &mut Lan) -> Option<String> {
        let station = any_station(lan, 2)?;
        let name = lan.stations[station].name.clone();
        lan.stations[station].withdraw();
        let address = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 99));
        self.announce(lan, &name, address, Some(Fingerprint([202; 32])));
        Some(name)
    }
}

fn start_many(lan: &mut Lan, count: usize) -> Option<String> {
    let device = lan.stations.last()?.name.clone();
    let busy = |page: &&mut Page| page.manner == Manner::Busy && page.presenter.is_connected();
    let mut pages: Vec<&mut Page> = lan.pages.iter_mut().filter(busy).collect();
    let pages_count = pages.len().max(1);
    for number in 0..count {
        pages.get_mut(number % pages_count)?.start(Some(&device), TransportKind::Tcp);
    }
    Some(device)
}
