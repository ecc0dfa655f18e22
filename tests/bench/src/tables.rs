//! What the core takes of memory: all of it, for nothing in it grows.

use greenroom_core::client::Client;
use greenroom_core::manager::{App, Manager};
use greenroom_core::ring::{Consumer, Producer, SlotLayout};
use greenroom_core::session::Server;
use greenroom_hal_linux::memory::{OwnRegion, PeerRegion};

use crate::figure::{Figure, Target};
use crate::report::Report;
use crate::rounds::Spread;

/// What a microcontroller with room for a network stack has for everything.
const RAM_BYTES: usize = 256 * 1024;

const MANY: usize = 512;
const FEW: usize = 8;

pub(crate) fn measure(report: &mut Report) {
    let beside_ram = [
        ("bytes_manager", size_of::<Manager>()),
        ("bytes_session_server", size_of::<Server>()),
        ("bytes_client", size_of::<Client>()),
        ("bytes_ring_producer", size_of::<Producer<OwnRegion, PeerRegion>>()),
        ("bytes_ring_consumer", size_of::<Consumer<PeerRegion, OwnRegion>>()),
    ];
    for (name, bytes) in beside_ram {
        let figure = Figure::new(name, "bytes", exactly(bytes), "256 KiB of RAM", exactly(RAM_BYTES));
        report.add(figure.target(Target::RatioMax(1.0)));
    }
    let one_more = (size_of::<Manager<MANY>>() - size_of::<Manager<FEW>>()) / (MANY - FEW);
    report.add(Figure::new(
        "bytes_manager_per_app",
        "bytes",
        exactly(one_more),
        "the app alone",
        exactly(size_of::<App>()),
    ));
    let slot = SlotLayout::STANDARD;
    let shared = (slot.client_bytes() + slot.server_bytes()) as usize;
    let payload = greenroom_core::limits::VIDEO_RING_BYTES
        + greenroom_core::limits::AUDIO_RING_BYTES
        + greenroom_core::limits::TEXT_RING_BYTES;
    report.add(Figure::new("bytes_slot", "bytes", exactly(shared), "its payload", exactly(payload as usize)));
}

#[allow(clippy::cast_precision_loss, reason = "no size here comes near 2^52")]
fn exactly(bytes: usize) -> Spread {
    Spread::exactly(bytes as f64)
}
