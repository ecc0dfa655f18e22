//! The networks that the suites about streams and discovery run on: loopback, and the simulated one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use greenroom_core::hal::{Addresses, Fingerprint, Protection, Ready};
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::network::{Identity, LinuxListener, LinuxNetwork, LinuxStream};
use greenroom_hal_mock::{Host, HostListener, MockStream, World};

use super::linux::Linux;
use super::platform::Platform;
use super::streams::StreamPlatform;

/// Linux's loopback.
#[derive(Debug)]
pub struct Loopback {
    linux: Linux,
    network: LinuxNetwork,
    protection: Protection,
}

impl Loopback {
    /// With a certificate of its own, which it uses or not.
    pub fn new(protection: Protection) -> Self {
        let mut linux = Linux::new();
        let identity = Identity::load_or_make((linux.directory() + "/identity.pem").as_ref()).unwrap();
        Self { linux, network: LinuxNetwork::new(&identity).unwrap(), protection }
    }
}

impl StreamPlatform for Loopback {
    type Stream = LinuxStream;
    type Listener = LinuxListener;
    type Network = LinuxNetwork;
    type Events = EventLoop;

    fn network(&mut self) -> LinuxNetwork {
        self.network.clone()
    }

    fn protection(&self) -> Protection {
        self.protection
    }

    /// A machine without IPv6 has one family only.
    fn own_addresses(&mut self) -> Vec<IpAddr> {
        let has_ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        if !has_ipv6 {
            eprintln!("SKIPPED: there is no IPv6 on this machine's loopback");
        }
        let ipv6 = has_ipv6.then_some(IpAddr::V6(Ipv6Addr::LOCALHOST));
        [IpAddr::V4(Ipv4Addr::LOCALHOST)].into_iter().chain(ipv6).collect()
    }

    fn events(&mut self) -> EventLoop {
        self.linux.events()
    }

    fn ready_now(&mut self, events: &mut EventLoop) -> Vec<Ready> {
        self.linux.ready_now(events)
    }

    fn ready(&mut self, events: &mut EventLoop) -> Vec<Ready> {
        self.linux.ready(events)
    }
}

/// The simulated network.
#[derive(Debug)]
pub struct MockNetwork {
    world: World,
    protection: Protection,
}

impl MockNetwork {
    /// In a world of its own; an unkind one lets little through at once.
    pub fn new(protection: Protection, is_unkind: bool) -> Self {
        let world = World::new(7);
        if is_unkind {
            world.be_unkind();
        }
        Self { world, protection }
    }

    /// Its world.
    pub fn world(&self) -> &World {
        &self.world
    }
}

impl StreamPlatform for MockNetwork {
    type Stream = MockStream;
    type Listener = HostListener;
    type Network = Host;
    type Events = greenroom_hal_mock::EventLoop;

    fn network(&mut self) -> Host {
        let addresses: Addresses = self.own_addresses().into_iter().collect();
        Host::new(&self.world, &addresses, Fingerprint([7; 32]))
    }

    fn protection(&self) -> Protection {
        self.protection
    }

    fn own_addresses(&mut self) -> Vec<IpAddr> {
        vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))]
    }

    fn events(&mut self) -> greenroom_hal_mock::EventLoop {
        greenroom_hal_mock::EventLoop::new(&self.world)
    }

    fn ready_now(&mut self, events: &mut greenroom_hal_mock::EventLoop) -> Vec<Ready> {
        events.ready()
    }

    fn ready(&mut self, events: &mut greenroom_hal_mock::EventLoop) -> Vec<Ready> {
        let ready = events.ready();
        assert!(!ready.is_empty(), "nothing became ready");
        ready
    }
}
