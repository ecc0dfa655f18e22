//! The three machines: any input, any state.

use core::hint::black_box;

use greenroom_core::client::Client;
use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::driver::Machine;
use greenroom_core::manager::{AppHandle, Manager, Settings};
use greenroom_core::session::Server;
use greenroom_core::time::Instant;
use serde::{Deserialize, Serialize};

pub(crate) fn exercise(now: Instant, bytes: &'static [u8], buffer: &mut [u8]) {
    let mut manager = Manager::<4>::new(black_box(Settings::default()));
    drive(&mut manager, now, bytes, buffer);
    look_at(&manager);
    let mut server = Server::new();
    drive(&mut server, now, bytes, buffer);
    black_box((server.place(), server.app_state(), server.sessions(), server.stale()));
    drive(&mut Client::new(), now, bytes, buffer);
}

/// A machine is handed an input, drained, saved and restored.
fn drive<M>(machine: &mut M, now: Instant, bytes: &'static [u8], buffer: &mut [u8])
where
    M: Machine + Serialize + Deserialize<'static>,
    M::Input<'static>: Deserialize<'static>,
{
    let Ok(input) = decode(bytes) else { return };
    let _ = black_box(machine.handle(now, input));
    while let Some(action) = machine.poll_action() {
        black_box(action);
    }
    black_box(machine.next_deadline());
    let _ = black_box(encode(machine, buffer));
    if let Ok(restored) = decode(bytes) {
        *machine = restored;
    }
}

fn look_at(manager: &Manager<4>) {
    let app = black_box(AppHandle::from_parts(0, 1));
    black_box((
        manager.app_id(app),
        manager.status(black_box(Instant::from_millis(7)), app),
        manager.configuration(app),
    ));
    black_box((manager.apps().count(), manager.box_status()));
}
