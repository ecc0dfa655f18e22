//! What a program gives up first, seen from inside such a program: this one, started again.

use std::env;
use std::fs;
use std::os::fd::{AsRawFd, RawFd};
use std::process::Command;

use greenroom_hal_linux::harden::{Step, harden};
use greenroom_hal_linux::socket::SeqPacket;
use rustix::io::{FdFlags, fcntl_setfd};

const KEEP: &str = "GREENROOM_TEST_KEEP";

fn open_descriptors() -> Vec<RawFd> {
    let mut open: Vec<RawFd> =
        (0..256).filter(|number| fs::exists(format!("/proc/self/fd/{number}")).unwrap()).collect();
    open.sort_unstable();
    open
}

fn inside(kept: RawFd) {
    let hardening = harden(&[kept]);
    assert_eq!(open_descriptors(), [0, 1, 2, kept]);
    assert_eq!(hardening.descriptors_closed, Step::Enforced);
    assert_eq!(hardening.no_new_privileges, Step::Enforced);
    assert!(rustix::thread::no_new_privs().unwrap());
    assert_eq!(hardening.no_core_files, Step::Enforced);
    assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).current, Some(0));

    let link = SeqPacket::from_inherited(kept).unwrap();
    assert!(SeqPacket::from_inherited(kept).is_err(), "it was taken twice");
    assert_eq!(harden(&[]).descriptors_closed, Step::Absent);
    drop(link);
    assert_eq!(open_descriptors(), [0, 1, 2]);
}

/// SM-03
#[test]
fn a_hardened_program_has_only_what_it_keeps_and_gains_nothing() {
    if let Some(kept) = env::var(KEEP).ok().and_then(|kept| kept.parse().ok()) {
        return inside(kept);
    }
    let (_ours, theirs) = SeqPacket::pair().unwrap();
    let leaked = fs::File::open("/dev/null").unwrap();
    let theirs = theirs.into_descriptor();
    fcntl_setfd(&theirs, FdFlags::empty()).unwrap();
    fcntl_setfd(&leaked, FdFlags::empty()).unwrap();
    let this = "a_hardened_program_has_only_what_it_keeps_and_gains_nothing";
    let again = Command::new(env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture"])
        .env(KEEP, theirs.as_raw_fd().to_string())
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}
