//! Devices of one world find each other.

use std::net::{IpAddr, Ipv4Addr};

use greenroom_core::hal::{
    Addresses, Announcement, Discovery, DiscoveryEvent, Fingerprint, Interest, KnownDevices, Token, Watch,
};
use greenroom_hal_mock::{Acquaintances, EventLoop, MockDiscovery, World};

fn device(world: &World, id: &str) -> MockDiscovery {
    MockDiscovery::new(world, id, Addresses::from_iter([IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))]))
}

fn announcement(name: &str, port: u16) -> Announcement<'_> {
    Announcement { name, port, fingerprint: Some(Fingerprint([1; 32])), version: 1 }
}

fn news(device: &mut MockDiscovery) -> Vec<String> {
    std::iter::from_fn(|| device.next_event().unwrap())
        .map(|event| match event {
            DiscoveryEvent::Found(device) => format!("found {} at {}", device.name, device.addresses[0]),
            DiscoveryEvent::Changed(device) => format!("changed {} to {}", device.name, device.addresses[0]),
            DiscoveryEvent::Gone(id) => format!("gone {id}"),
            DiscoveryEvent::Renamed(name) => format!("renamed {name}"),
        })
        .collect()
}

/// PS-22
#[test]
fn devices_are_found_change_and_go_and_none_finds_itself() {
    let world = World::new(1);
    let (mut tv, mut phone, mut events) = (device(&world, "tv"), device(&world, "phone"), EventLoop::new(&world));
    let token = Token { kind: 0, index: 0, generation: 1 };
    tv.browse().unwrap();
    tv.announce(&announcement("TV", 1)).unwrap();
    phone.browse().unwrap();
    phone.browse().unwrap();
    events.watch(&phone, token, Interest::Read).unwrap();
    assert_eq!(events.ready()[0].token, token);
    let found = "found TV at 192.0.2.1:1";
    assert_eq!(news(&mut phone), [found, found], "once for each time that it looks");
    assert_eq!(events.ready(), []);
    tv.announce(&announcement("TV", 1)).unwrap();
    tv.announce(&announcement("TV", 2)).unwrap();
    assert_eq!(news(&mut phone), ["changed TV to 192.0.2.1:2"]);
    tv.withdraw().unwrap();
    tv.announce(&announcement("TV", 3)).unwrap();
    assert_eq!(news(&mut tv), [""; 0]);
    drop(tv);
    assert_eq!(news(&mut phone), ["gone tv", "found TV at 192.0.2.1:3", "gone tv"]);
    events.unwatch(&phone);
}

/// PS-22
///
/// Presentation defect 31
#[test]
fn of_two_devices_with_one_name_the_later_one_gets_a_number() {
    let world = World::new(1);
    let (mut one, mut other, mut phone) = (device(&world, "one"), device(&world, "other"), device(&world, "phone"));
    phone.browse().unwrap();
    one.announce(&announcement("TV", 1)).unwrap();
    other.announce(&announcement("TV", 2)).unwrap();
    assert_eq!((news(&mut one), news(&mut other)), (vec![], vec!["renamed TV (2)".to_owned()]));
    assert_eq!(news(&mut phone), ["found TV at 192.0.2.1:1", "found TV (2) at 192.0.2.1:2"]);
}

#[test]
fn a_device_is_known_until_it_is_forgotten() {
    let mut known = Acquaintances::new(&World::new(1));
    known.remember("tv", Fingerprint([1; 32])).unwrap();
    known.remember("tv", Fingerprint([2; 32])).unwrap();
    assert_eq!(known.fingerprint("tv"), Some(Fingerprint([2; 32])));
    known.forget("tv").unwrap();
    assert_eq!(known.fingerprint("tv"), None);
}
