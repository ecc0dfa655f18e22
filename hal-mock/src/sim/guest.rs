//! Connections that nobody plays: they connect, may say something, and go again.

use greenroom_core::codec::postcard::{encode, encode_first};
use greenroom_core::hal::{Peer, Socket};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::{control, playback};
use greenroom_core::time::Instant;
use serde::Serialize;

use super::manager::OPERATOR;
use super::referee::read;
use crate::descriptor::Descriptor;
use crate::home::CONTROL;
use crate::party::Party;
use crate::socket::SeqPacket;
use crate::world::World;

/// Who connects without being an app or a controller of the box.
const STRANGER: Peer = Peer::new(1, 1000, 1000);

/// One connection.
pub(super) struct Guest {
    world: World,
    party: Party,
    socket: SeqPacket,
    pub(super) leaves_at: Instant,
}

impl Guest {
    /// At the control socket.
    pub(super) fn at_manager(world: &World, number: u16, leaves_at: Instant) -> Option<Self> {
        Self::connect(world, Party::Controller(number), CONTROL, OPERATOR, leaves_at)
    }

    /// At the socket of an app.
    pub(super) fn at_app(world: &World, app: u16, number: u16, leaves_at: Instant) -> Option<Self> {
        let path = super::tv_box::socket_of(&format!("app{app}"));
        Self::connect(world, Party::Client { app, client: number }, &path, STRANGER, leaves_at)
    }

    fn connect(world: &World, party: Party, path: &str, peer: Peer, leaves_at: Instant) -> Option<Self> {
        world.act_as(party);
        let socket = world.connect(path, peer);
        world.act_as(Party::Nobody);
        Some(Self { world: world.clone(), party, socket: socket.ok()?, leaves_at })
    }

    pub(super) fn greet(&mut self) {
        match self.party {
            Party::Controller(_) => {
                self.say_first(&control::Request { sequence: 1, command: control::Command::Hello });
            }
            _ => self.say_first(&playback::Request { sequence: 1, command: playback::Command::Hello }),
        }
    }

    fn say_first(&mut self, message: &impl Serialize) {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        if let Ok(bytes) = encode_first(message, &mut buffer) {
            self.send(bytes);
        }
    }

    /// Asks for the memory and for a session, and never reads.
    pub(super) fn grab(&mut self) {
        for (sequence, command) in [(2, playback::Command::GetSharedMemory), (3, playback::Command::CreateSession)] {
            let mut buffer = [0; MESSAGE_BYTES_MAX];
            if let Ok(bytes) = encode(&playback::Request { sequence, command }, &mut buffer) {
                self.send(bytes);
            }
        }
    }

    /// What no peer says that keeps the rules.
    pub(super) fn rave(&mut self) {
        self.world.act_as(self.party);
        match self.world.random(4) {
            0 => self.socket.send_anything(&[], &[]),
            1 => self.socket.send_anything(&[0xff; MESSAGE_BYTES_MAX + 1], &[]),
            2 => {
                let descriptor = Descriptor::new(std::rc::Rc::new("of no known kind"));
                self.socket.send_anything(&[0x80; 9], &[&descriptor; 9]);
            }
            _ => {
                let mut bytes: Vec<u8> = (0..self.world.random(40)).map(|_| self.world.random(256) as u8).collect();
                // What can be read, as an order to stop everything for one, is obeyed.
                if read::<control::Request<'_>>(&bytes).is_some() || read::<playback::Request<'_>>(&bytes).is_some() {
                    bytes.clear();
                }
                self.socket.send_anything(&bytes, &[]);
            }
        }
        self.world.act_as(Party::Nobody);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.world.act_as(self.party);
        let _ = self.socket.send(bytes, &[]);
        self.world.act_as(Party::Nobody);
    }
}
