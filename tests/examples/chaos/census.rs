//! Who is there and what everybody holds, seen from outside in `/proc`; and what of it must not be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenroom_tests::observe::TRACE;

/// How the kernel cuts the names of the programs.
const SESSION_NAME: &str = "greenroom-sessi";

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    /// What the kernel calls it: at most 15 bytes.
    pub(crate) name: String,
    /// R, S, D, T, Z, ...
    pub(crate) state: char,
    /// Resident memory, in bytes.
    pub(crate) resident_bytes: u64,
    /// Open descriptors.
    pub(crate) descriptors: usize,
    /// Of them, Greenroom's shared memory.
    pub(crate) memfds: usize,
    /// Greenroom's shared memory that it has mapped.
    pub(crate) mappings: usize,
    /// The paths at which it listens.
    pub(crate) listens_at: BTreeSet<PathBuf>,
}

impl Process {
    /// Ended, and not reaped.
    pub(crate) fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }

    /// Stopped by a signal.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }

    /// Whether it is a session server, dead or alive.
    pub(crate) fn is_session_server(&self) -> bool {
        self.name.starts_with(SESSION_NAME)
    }

    /// Whether it is a live session server that waits for an app, or has no socket yet.
    pub(crate) fn is_spare(&self) -> bool {
        self.is_session_server() && !self.is_zombie() && self.listens_at.is_empty() && self.memfds == 0
    }
}

/// Everybody below one process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) processes: Vec<Process>,
}

impl Census {
    /// Looks at everybody below this process, in this `/proc`. Whoever ends meanwhile may be left out.
    pub(crate) fn take(proc: &Path, root: u32) -> Self {
        let listeners = listeners(proc);
        let numbers =
            fs::read_dir(proc).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let parents: BTreeMap<u32, u32> = numbers.filter_map(|id| Some((id, stat(proc, id)?.1))).collect();
        let below = parents.keys().copied().filter(|id| is_below(&parents, *id, root));
        Self { processes: below.filter_map(|id| look_at(proc, id, &listeners)).collect() }
    }

    /// This process, if it is there.
    pub(crate) fn process(&self, id: u32) -> Option<&Process> {
        self.processes.iter().find(|process| process.id == id)
    }

    /// The session servers that this process started and that live.
    pub(crate) fn servers_of(&self, manager: u32) -> impl Iterator<Item = &Process> {
        self.processes
            .iter()
            .filter(move |process| process.parent == manager && process.is_session_server() && !process.is_zombie())
    }

    /// Paths at which more than one live session server of this manager listens.
    pub(crate) fn double_owners(&self, manager: u32) -> BTreeMap<PathBuf, BTreeSet<u32>> {
        let mut owners: BTreeMap<PathBuf, BTreeSet<u32>> = BTreeMap::new();
        for server in self.servers_of(manager) {
            for path in &server.listens_at {
                owners.entry(path.clone()).or_default().insert(server.id);
            }
        }
        owners.retain(|_, owners| owners.len() > 1);
        owners
    }

    /// The live session servers of this manager that hold shared memory: those that are Active.
    pub(crate) fn on_stage(&self, manager: u32) -> BTreeSet<u32> {
        self.servers_of(manager).filter(|server| server.mappings > 0).map(|server| server.id).collect()
    }
}

fn is_below(parents: &BTreeMap<u32, u32>, id: u32, root: u32) -> bool {
    let mut at = id;
    while let Some(parent) = parents.get(&at) {
        if *parent == root {
            return true;
        }
        at = *parent;
    }
    false
}

/// Name, parent and state.
fn stat(proc: &Path, id: u32) -> Option<(String, u32, char)> {
    let stat = fs::read_to_string(proc.join(id.to_string()).join("stat")).ok()?;
    let (before, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((before.split_once('(')?.1.to_owned(), fields.next()?.parse().ok()?, state))
}

fn look_at(proc: &Path, id: u32, listeners: &BTreeMap<u64, PathBuf>) -> Option<Process> {
    let (name, parent, state) = stat(proc, id)?;
    let own = proc.join(id.to_string());
    let links: Vec<String> = fs::read_dir(own.join("fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        // The manager keeps as many as apps have crashed.
        .filter(|link| !link.starts_with(TRACE))
        .collect();
    Some(Process {
        id,
        parent,
        name,
        state,
        resident_bytes: resident_bytes(&own),
        descriptors: links.len(),
        memfds: links.iter().filter(|link| link.starts_with("/memfd:greenroom")).count(),
        mappings: mappings(&own),
        listens_at: links.iter().filter_map(|link| listeners.get(&inode(link)?).cloned()).collect(),
    })
}

fn resident_bytes(own: &Path) -> u64 {
    let status = fs::read_to_string(own.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn mappings(own: &Path) -> usize {
    let maps = fs::read_to_string(own.join("maps")).unwrap_or_default();
    maps.lines().filter(|line| line.contains("/memfd:greenroom") && !line.contains(TRACE)).count()
}

fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Every listening socket with a name, by its number. The flag is the kernel's `__SO_ACCEPTCON`.
fn listeners(proc: &Path) -> BTreeMap<u64, PathBuf> {
    const LISTENS: &str = "00010000";
    let table = fs::read_to_string(proc.join("net/unix")).unwrap_or_default();
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, LISTENS, _, _, inode, path] = fields[..] else { return None };
        Some((inode.parse().ok()?, PathBuf::from(path)))
    };
    table.lines().filter_map(of_line).collect()
}

/// What may be for a moment only: since when it is, and whether that is too long.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    since: BTreeMap<u32, (Instant, bool)>,
}

impl Lingering {
    /// Those of `present` that have been so for longer than `bound`, each told once.
    pub(crate) fn overdue(&mut self, present: &BTreeSet<u32>, now: Instant, bound: Duration) -> Vec<u32> {
        self.since.retain(|id, _| present.contains(id));
        let mut overdue = Vec::new();
        for id in present {
            let (since, told) = self.since.entry(*id).or_insert((now, false));
            if !*told && now.saturating_duration_since(*since) > bound {
                *told = true;
                overdue.push(*id);
            }
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn server(id: u32, parent: u32, path: &str, mappings: usize) -> Process {
        let listens_at = BTreeSet::from([PathBuf::from(path)]);
        Process { id, parent, name: SESSION_NAME.into(), state: 'S', mappings, listens_at, ..Process::default() }
    }

    #[test]
    fn two_servers_of_one_app_are_found() {
        let mut census = Census { processes: vec![server(2, 1, "/a", 0), server(3, 1, "/b", 0)] };
        assert!(census.double_owners(1).is_empty());
        census.processes.push(server(4, 1, "/a", 0));
        let doubles = census.double_owners(1);
        assert_eq!(doubles.into_iter().collect::<Vec<_>>(), [(PathBuf::from("/a"), BTreeSet::from([2, 4]))]);
    }

    #[test]
    fn a_dead_one_or_another_managers_is_no_double() {
        let mut dead = server(2, 1, "/a", 0);
        dead.state = 'Z';
        let census = Census { processes: vec![dead, server(3, 1, "/a", 0), server(4, 9, "/a", 0)] };
        assert!(census.double_owners(1).is_empty());
    }

    #[test]
    fn those_that_hold_memory_are_on_stage() {
        let census = Census { processes: vec![server(2, 1, "/a", 4), server(3, 1, "/b", 0), server(4, 9, "/c", 4)] };
        assert_eq!(census.on_stage(1), BTreeSet::from([2]));
    }

    #[test]
    fn what_lingers_is_told_once_when_its_time_is_over() {
        let (mut lingering, start, bound) = (Lingering::default(), Instant::now(), Duration::from_secs(2));
        let at = |seconds| start + Duration::from_secs(seconds);
        let present = BTreeSet::from([7]);
        assert!(lingering.overdue(&present, at(0), bound).is_empty());
        assert!(lingering.overdue(&present, at(2), bound).is_empty());
        assert_eq!(lingering.overdue(&present, at(3), bound), [7]);
        assert!(lingering.overdue(&present, at(4), bound).is_empty());
        assert!(lingering.overdue(&BTreeSet::new(), at(5), bound).is_empty());
        assert!(lingering.overdue(&present, at(6), bound).is_empty(), "it is another one");
    }

    #[test]
    fn a_process_is_read_from_proc_with_all_that_it_holds() {
        let proc = tempfile::tempdir().unwrap();
        let own = proc.path().join("42");
        fs::create_dir_all(own.join("fd")).unwrap();
        fs::create_dir_all(proc.path().join("net")).unwrap();
        fs::write(own.join("stat"), "42 (greenroom-sessi) T 7 0 0").unwrap();
        fs::write(own.join("status"), "Name:\tx\nVmRSS:\t    1024 kB\n").unwrap();
        fs::write(own.join("maps"), "7f0-7f1 rw-s 0 00:01 5 /memfd:greenroom-client (deleted)\n").unwrap();
        std::os::unix::fs::symlink("/memfd:greenroom-client (deleted)", own.join("fd/3")).unwrap();
        std::os::unix::fs::symlink("socket:[99]", own.join("fd/4")).unwrap();
        let unix = "Num RefCount Protocol Flags Type St Inode Path\n0: 2 0 00010000 5 01 99 /run/a.sock\n";
        fs::write(proc.path().join("net/unix"), unix).unwrap();
        let census = Census::take(proc.path(), 7);
        let listens_at = BTreeSet::from([PathBuf::from("/run/a.sock")]);
        let expected = Process { resident_bytes: 1 << 20, descriptors: 2, memfds: 1, ..server(42, 7, "", 1) };
        assert_eq!(census.processes, [Process { state: 'T', listens_at, ..expected }]);
        assert!(Census::take(proc.path(), 8).processes.is_empty());
    }

    #[test]
    fn a_planted_zombie_is_found() {
        let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
        let own = std::process::id();
        let found = greenroom_tests::deadline::until("it has ended", || {
            let census = Census::take(Path::new("/proc"), own);
            census.process(child.id()).filter(|process| process.is_zombie()).cloned()
        });
        assert_eq!(found.parent, own);
        child.wait().unwrap();
        assert_eq!(Census::take(Path::new("/proc"), own).process(child.id()), None);
    }
}
