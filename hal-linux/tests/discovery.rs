//! Devices that find each other by mDNS, in a network that each test makes for itself.
//!
//! A test runs itself once more in a network namespace of its own, so that nothing of it reaches the machine's network and
//! nothing of the network reaches it. Where a namespace cannot be made it says loudly that it was skipped.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use greenroom_core::hal::{Announcement, Device, Discovery, DiscoveryEvent, Fingerprint};
use greenroom_hal_linux::discovery::{Interfaces, Mdns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Says to a test that it runs in its namespace.
const INSIDE: &str = "GREENROOM_TEST_NETWORK";
/// Far longer than anything takes on a loaded machine: only a hang gets here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `body` in a network of its own, with one interface of this address.
fn in_own_network(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        ip("link add net0 type veth peer name net1");
        ip("link set net1 up");
        ip("link set net0 up");
        ip("addr add 10.77.0.1/24 dev net0");
        return body();
    }
    let unshare = |arguments: &[&str]| {
        Command::new("unshare").args(["--user", "--map-root-user", "--net"]).args(arguments).env(INSIDE, "1").output()
    };
    let probe = unshare(&["ip", "link", "add", "net0", "type", "veth"]);
    if !probe.as_ref().is_ok_and(|probe| probe.status.success()) {
        eprintln!("SKIPPED: {test}: no network namespace can be made here: {probe:?}");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let output = unshare(&[own.to_str().unwrap(), "--exact", test, "--nocapture"]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// One device's mDNS on the only network there is.
fn device(host: &str) -> Mdns {
    Mdns::new(host, &Interfaces::Named(vec!["net0".into()])).unwrap()
}

fn announcement(name: &str, port: u16) -> Announcement<'_> {
    Announcement { name, port, fingerprint: Some(Fingerprint([port as u8; 32])), version: 1 }
}

/// Waits, as an event loop does, for the first event of which `wanted` makes something; others are passed over. Gives
/// none when nothing came in time.
fn within<T>(patience: Duration, mdns: &mut Mdns, mut wanted: impl FnMut(DiscoveryEvent) -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        while let Some(event) = mdns.next_event().unwrap() {
            if let Some(found) = wanted(event) {
                return Some(found);
            }
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let bell = mdns.as_fd();
        poll(&mut [PollFd::new(&bell, PollFlags::IN)], Some(&Timespec::try_from(left).unwrap())).unwrap();
    }
}

fn until<T>(mdns: &mut Mdns, what: &str, wanted: impl FnMut(DiscoveryEvent) -> Option<T>) -> T {
    within(PATIENCE, mdns, wanted).unwrap_or_else(|| panic!("after {PATIENCE:?} still not: {what}"))
}

fn found(mdns: &mut Mdns, name: &str) -> Device {
    until(mdns, &format!("{name} is found"), |event| match event {
        DiscoveryEvent::Found(device) if device.name == name => Some(device),
        _ => None,
    })
}

/// A device's addresses may become known one after the other.
fn found_at(mdns: &mut Mdns, name: &str, address: &str) -> Device {
    until(mdns, &format!("{name} is found at {address}"), |event| match event {
        DiscoveryEvent::Found(device) | DiscoveryEvent::Changed(device) if device.name == name => {
            has(&device, address).then_some(device)
        }
        _ => None,
    })
}

/// Announces a name that is taken until that is noticed: who holds it objects within three quarters of a second, or, on a
/// machine that is loaded, the next time.
fn renamed(mdns: &mut Mdns, announcement: &Announcement<'_>) -> String {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        mdns.announce(announcement).unwrap();
        let name = within(Duration::from_secs(5), mdns, |event| match event {
            DiscoveryEvent::Renamed(name) => Some(name),
            _ => None,
        });
        if let Some(name) = name {
            return name.as_str().to_owned();
        }
        mdns.withdraw().unwrap();
    }
    panic!("after {PATIENCE:?} still not: it is renamed");
}

fn has(device: &Device, address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    device.addresses.iter().any(|found| found.ip() == address)
}

/// PS-22
#[test]
fn a_device_is_found_with_all_that_it_says_and_gone_when_it_says_goodbye() {
    in_own_network("a_device_is_found_with_all_that_it_says_and_gone_when_it_says_goodbye", || {
        let (mut tv, mut phone) = (device("tv"), device("phone"));
        phone.browse().unwrap();
        phone.browse().unwrap();
        tv.announce(&announcement("Living. room", 4711)).unwrap();
        let seen = found_at(&mut phone, "Living. room", "10.77.0.1");
        assert!(seen.addresses.iter().all(|address| address.port() == 4711));
        assert_eq!((seen.fingerprint, seen.version), (Some(Fingerprint([4711_u16 as u8; 32])), 1));
        drop(tv);
        until(&mut phone, "it is gone", |event| (event == DiscoveryEvent::Gone(seen.id.clone())).then_some(()));
    });
}

/// PS-22
#[test]
fn a_device_that_says_something_else_has_changed() {
    in_own_network("a_device_that_says_something_else_has_changed", || {
        let (mut tv, mut phone) = (device("tv"), device("phone"));
        phone.browse().unwrap();
        tv.announce(&announcement("TV", 1)).unwrap();
        found(&mut phone, "TV");
        tv.announce(&announcement("TV", 2)).unwrap();
        until(&mut phone, "its port has changed", |event| match event {
            DiscoveryEvent::Changed(device) => (device.addresses[0].port() == 2).then_some(()),
            _ => None,
        });
        tv.withdraw().unwrap();
        until(&mut phone, "it is gone", |event| matches!(event, DiscoveryEvent::Gone(_)).then_some(()));
        tv.announce(&announcement("Kitchen", 3)).unwrap();
        found(&mut phone, "Kitchen");
    });
}

/// PS-22
///
/// Presentation defect 31
#[test]
fn of_two_devices_with_one_name_one_gets_a_number_and_says_so() {
    in_own_network("of_two_devices_with_one_name_one_gets_a_number_and_says_so", || {
        let (mut one, mut other, mut phone) = (device("one"), device("other"), device("phone"));
        phone.browse().unwrap();
        one.browse().unwrap();
        one.announce(&announcement("TV", 1)).unwrap();
        found(&mut phone, "TV");
        let name = renamed(&mut other, &announcement("TV", 2));
        assert_eq!(name, "TV (2)");
        for watcher in [&mut phone, &mut one] {
            assert_eq!(found(watcher, "TV (2)").addresses[0].port(), 2);
        }
    });
}

/// Presentation defect 7
///
/// PS-22
#[test]
fn a_device_whose_network_changes_is_found_there_with_its_port_and_its_certificate() {
    in_own_network("a_device_whose_network_changes_is_found_there_with_its_port_and_its_certificate", || {
        let (mut tv, mut phone) = (device("tv"), device("phone"));
        phone.browse().unwrap();
        tv.announce(&announcement("TV", 7)).unwrap();
        let before = found_at(&mut phone, "TV", "10.77.0.1");
        ip("addr add 10.88.0.1/24 dev net0");
        ip("addr del 10.77.0.1/24 dev net0");
        let after = found_at(&mut phone, "TV", "10.88.0.1");
        assert!(after.addresses.iter().all(|address| address.port() == 7));
        assert_eq!((after.id, after.fingerprint), (before.id, before.fingerprint));
    });
}
