//! What is there: processes, sockets, shared memory, descriptors.

use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_tests::observe;
use greenroom_tests::tv_box::TvBox;
use rustix::process::WaitOptions;

use crate::Failure;

/// What a process leaves to the kernel is gone within this.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of each there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    /// That this one has started, and those that they have started.
    pub(crate) processes: usize,
    /// Files in the box's directory.
    pub(crate) sockets: usize,
    /// Descriptors and mappings of shared memory in all those processes.
    pub(crate) memfds: usize,
    /// Open descriptors of the manager; 0 when it has ended.
    pub(crate) manager_descriptors: usize,
}

impl Census {
    /// Nothing at all.
    pub(crate) const NOTHING: Self = Self { processes: 0, sockets: 0, memfds: 0, manager_descriptors: 0 };

    /// Counts what a box has.
    pub(crate) fn take(tv_box: &TvBox) -> Self {
        let manager_descriptors = observe::descriptors(tv_box.process_id()).len();
        Self { manager_descriptors, ..Self::of(&[tv_box.place()]) }
    }

    /// Counts processes, whoever started them, and sockets in these directories.
    pub(crate) fn of(places: &[&Path]) -> Self {
        let processes = descendants(std::process::id());
        let memory = |process: &u32| observe::memfds(*process) + observe::memfd_mappings(*process);
        Self {
            memfds: processes.iter().map(memory).sum(),
            processes: processes.len(),
            sockets: places.iter().map(|place| observe::socket_files(place).len()).sum(),
            manager_descriptors: 0,
        }
    }

    /// Counts, until it is as it should be or it is clear that it will not be.
    pub(crate) fn settled(take: impl Fn() -> Self, expected: Self) -> Self {
        let end = Instant::now() + PATIENCE;
        loop {
            let census = take();
            if census == expected || Instant::now() > end {
                return census;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// From now on whoever loses its parent is a child of this process, so that none is overlooked.
pub(crate) fn adopt_orphans() -> Result<(), Failure> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Forgets orphans that have ended. Nobody may wait for a child of its own any more.
pub(crate) fn bury_orphans() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

fn descendants(process: u32) -> Vec<u32> {
    let children = observe::children(process);
    children.iter().flat_map(|child| std::iter::once(*child).chain(descendants(*child))).collect()
}
