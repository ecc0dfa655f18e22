//! From the request for a page until it is connected: two services, TLS on the control channel and on the transport, and
//! a page that is there at once.
//!
//! Beside it the same page is started by a bare device, which a visitor has reached with one TLS connection and one
//! message; it answers when the page has said over its link that it is there.

use std::time::Instant;

use greenroom_hal_linux::network::LinuxNetwork;
use greenroom_tests::programs;

use super::bare_device::{BareDevice, Part};
use super::device::{Controller, Device};
use super::far::network;
use super::visitor::visit;
use crate::Failure;
use crate::figure::Figure;
use crate::pinning::Pinning;
use crate::programs::milliseconds_since;
use crate::report::{Report, progress};
use crate::rounds::interleave;

pub(super) const PROGRAM: &str = "greenroom-presentation";

pub(super) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let program = programs::find(PROGRAM)?;
    let asks = Device::start(&program, "asks", pinning.app, pinning.app)?;
    let shows = Device::start(&program, "shows", pinning.greenroom, pinning.app)?;
    let mut controller = Controller::of(&asks)?;
    controller.await_sight_of(&shows)?;
    let directory = tempfile::tempdir()?;
    let bare = BareDevice::start(Part::Launch, directory.path(), pinning)?;
    let mut visitor = network(&directory.path().join("visitor.pem"))?;
    let bar = progress("pages start", 2 * rounds);
    let spreads =
        interleave([&mut || controller.start_on(&shows), &mut || start_bare(&mut visitor, &bare)], rounds, || {
            bar.inc(1)
        })?;
    bar.finish_and_clear();
    let [start, bare] = spreads;
    report.add(Figure::new("start_to_connected", "ms", start, "TLS, a message, the same page", bare));
    Ok(())
}

fn start_bare(visitor: &mut LinuxNetwork, bare: &BareDevice) -> Result<f64, Failure> {
    let start = Instant::now();
    let _page = visit(visitor, bare.address, bare.trust)?;
    Ok(milliseconds_since(start))
}
