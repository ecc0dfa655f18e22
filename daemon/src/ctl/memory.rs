//! How much memory a process takes, as `/proc` says to who may look.

use std::fs;
use std::path::Path;

/// Memory of a process, in KiB. What this user may not see is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// What is its own, and its share of what it has in common with others.
    pub(super) pss_kib: Option<u64>,
    /// All that is resident, what it has in common with others too.
    pub(super) rss_kib: Option<u64>,
}

impl Memory {
    /// Of the process with this number; 0 is none.
    pub(super) fn of(process_id: u32) -> Self {
        if process_id == 0 {
            return Self::default();
        }
        Self::read(Path::new(&format!("/proc/{process_id}")))
    }

    fn read(process: &Path) -> Self {
        let field = |file: &str, name: &str| kib(&fs::read_to_string(process.join(file)).ok()?, name);
        Self { pss_kib: field("smaps_rollup", "Pss:"), rss_kib: field("status", "VmRSS:") }
    }

    /// For people: the better number that there is.
    pub(super) fn text(self) -> String {
        self.pss_kib.or(self.rss_kib).map_or_else(|| "-".to_owned(), |kib| format!("{:.1} MiB", kib as f64 / 1024.0))
    }
}

/// The number of a line such as `Pss:  1234 kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_missing_one_has_not() {
        let own = Memory::of(std::process::id());
        assert!(own.pss_kib > Some(0) && own.rss_kib >= own.pss_kib, "{own:?}");
        assert_eq!(Memory::of(0), Memory::default());
        assert_eq!(Memory::of(u32::MAX).text(), "-");
    }

    #[test]
    fn who_may_not_see_the_share_sees_what_is_resident() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("status"), "Name:\tgreenroom-sessi\nVmRSS:\t   20480 kB\n").unwrap();
        let memory = Memory::read(place.path());
        assert_eq!((memory.pss_kib, memory.text()), (None, "20.0 MiB".to_owned()));
    }
}
