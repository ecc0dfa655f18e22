//! A thousand control channels to one service: what each holds while nothing happens, and how long a page takes to start
//! among them.
//!
//! A service as it is built by default has far fewer places, of which one address gets a quarter. So this wants one that
//! was built with more; where there is none, its figures are left out.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use greenroom_core::hal::{Discovery, DiscoveryEvent, Interest, Trust};
use greenroom_hal_linux::discovery::{Interfaces, Mdns};
use greenroom_hal_linux::network::LinuxStream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::bare_device::{BareDevice, Part};
use super::device::{Controller, Device};
use super::far::network;
use super::starting::PROGRAM;
use super::visitor::{is_there, visit};
use super::wait_for;
use crate::Failure;
use crate::figure::Figure;
use crate::pinning::Pinning;
use crate::programs::pss_kb;
use crate::report::{Report, progress};
use crate::rounds::{Spread, interleave};

/// How many there are.
const CROWD: u32 = 1_000;
/// Where `make bench` has a service with places for them built, beside the directory of this program.
const ROOMY: &str = "roomy/release";
/// Descriptors of a process beside one for each of the crowd, twice over: this one visits two devices.
const DESCRIPTORS: u64 = 2 * CROWD as u64 + 256;

pub(super) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let program = roomy()?;
    if let Err(missing) = allow_crowd(&program) {
        report.warn(format!("the figures of a crowd are left out: {missing}"));
        return Ok(());
    }
    let asks = Device::start(&program, "asks", pinning.app, pinning.app)?;
    let crowded = Device::start(&program, "crowded", pinning.greenroom, pinning.app)?;
    let alone = Device::start(&program, "alone", pinning.greenroom, pinning.app)?;
    let mut controller = Controller::of(&asks)?;
    for device in [&crowded, &alone] {
        controller.await_sight_of(device)?;
        // What is taken with the first page is no part of what a channel holds.
        controller.start_on(device)?;
    }
    let mut crowd = gather(report, &crowded, pinning)?;
    let controller = RefCell::new(controller);
    let bar = progress("pages start in a crowd", 2 * rounds);
    let spreads = interleave(
        [&mut || controller.borrow_mut().start_on(&crowded), &mut || controller.borrow_mut().start_on(&alone)],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let [among, alone] = spreads;
    report.add(Figure::new("start_among_1000", "ms", among, "start alone", alone));
    match crowd.iter_mut().map(is_there).filter(|is_there| !is_there).count() {
        0 => Ok(()),
        gone => Err(format!("{gone} of {CROWD} visitors were sent away meanwhile").into()),
    }
}

fn roomy() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let builds = own.ancestors().nth(2).ok_or("this program lies nowhere")?;
    Ok(builds.join(ROOMY).join(PROGRAM))
}

/// Whether there is what the crowd needs. What this process starts inherits its limit of descriptors.
fn allow_crowd(program: &Path) -> Result<(), Failure> {
    if !program.exists() {
        let program = program.display();
        return Err(format!("there is no {program}; 'make bench' builds it, with GREENROOM_CHANNELS_MAX=4096").into());
    }
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Some(few) = maximum.filter(|&maximum| maximum < DESCRIPTORS) {
        return Err(
            format!("a process may open {few} descriptors and needs {DESCRIPTORS}; 'ulimit -Hn' raises it").into()
        );
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Has the crowd come to a service, and then to a bare device; measures what either has taken for it.
fn gather(report: &mut Report, crowded: &Device, pinning: Pinning) -> Result<Vec<LinuxStream>, Failure> {
    let directory = tempfile::tempdir()?;
    let bare = BareDevice::start(Part::Hold, directory.path(), pinning)?;
    let (address, trust) = find(&crowded.name)?;
    let visitors = directory.path().join("visitor.pem");
    let gathered = |process_id, address, trust| {
        let mut network = network(&visitors)?;
        let before_kb = pss_kb(process_id)?;
        let bar = progress("a crowd gathers", CROWD);
        let crowd = (0..CROWD).map(|_| {
            bar.inc(1);
            visit(&mut network, address, trust)
        });
        let crowd = crowd.collect::<Result<Vec<_>, Failure>>()?;
        bar.finish_and_clear();
        Ok::<_, Failure>((crowd, (pss_kb(process_id)? - before_kb) / f64::from(CROWD)))
    };
    let (_held, bare_kb) = gathered(bare.process_id(), bare.address, bare.trust)?;
    let (crowd, channel_kb) = gathered(crowded.process_id(), address, trust)?;
    let (value, reference) = (Spread::exactly(channel_kb), Spread::exactly(bare_kb));
    report.add(Figure::new("idle_channel_pss", "kB", value, "a TLS stream that is kept", reference));
    Ok(crowd)
}

/// Where a device is, and what its certificate is.
fn find(name: &str) -> Result<(SocketAddr, Trust), Failure> {
    let mut mdns = Mdns::new("greenroom-bench", &Interfaces::Named(vec!["lo".into()]))?;
    mdns.browse()?;
    loop {
        while let Some(event) = mdns.next_event()? {
            if let DiscoveryEvent::Found(device) | DiscoveryEvent::Changed(device) = event
                && device.name == name
            {
                let address = device.addresses.first().ok_or("a device without an address")?;
                return Ok((*address, device.fingerprint.map_or(Trust::Plain, Trust::Pinned)));
            }
        }
        wait_for(&mdns.as_fd(), Interest::Read)?;
    }
}
