//! Children: started with `posix_spawn`, addressed by a pidfd.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use greenroom_core::hal::{Child, ErrorKind, ErrorType, ExitStatus, Signal, Spawn};
use greenroom_core::planted;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigHandler, SigSet, Signal as NixSignal};
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::{Errno, FdFlags};
use rustix::process::{
    Pid, PidfdFlags, Signal as SignalNumber, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};

use crate::error::{self, LinuxError};
use crate::harden;
use crate::memory::trace;
use crate::socket::SeqPacket;

/// The descriptor at which a child finds its end of the link.
pub const LINK_DESCRIPTOR: i32 = 3;
/// The descriptor at which a child finds the memory of its trace, if it is recorded.
pub const TRACE_DESCRIPTOR: i32 = 4;

/// What is run, and with what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The full path of its file; `$PATH` is not searched. It may be a link.
    pub path: PathBuf,
    /// Its arguments, without its own name. `--link-fd 3` is added, and `--trace-fd 4` where it is recorded.
    pub arguments: Vec<String>,
    /// All of its environment: nothing of ours is inherited.
    pub environment: Vec<(String, String)>,
}

/// Starts one program, again and again: the same for every app, which it learns from the link.
///
/// A child gets standard input, output and error, its end of the link, the memory of its trace, and no other descriptor; no
/// signal is blocked or ignored in it. Where this process may have been started with `SIGCHLD` ignored, [`keep_ended_children`] comes first.
#[derive(Debug)]
pub struct Spawner {
    program: Program,
    trace_bytes: u32,
}

impl Spawner {
    /// Will start this program.
    pub fn new(program: Program) -> Self {
        Self { program, trace_bytes: 0 }
    }

    /// Gives each child so much memory for its trace; 0 is none.
    pub fn with_trace(self, trace_bytes: u32) -> Self {
        Self { trace_bytes, ..self }
    }

    /// Above the numbers at which a child finds what it gets, so that nothing is overwritten on the way there.
    fn trace(&self) -> Result<OwnedFd, LinuxError> {
        let memory = trace::create(self.trace_bytes)?;
        rustix::io::fcntl_dupfd_cloexec(&memory, TRACE_DESCRIPTOR + 1)
            .map_err(|errno| LinuxError::new("make the memory of a trace", errno))
    }
}

impl ErrorType for Spawner {
    type Error = LinuxError;
}

impl Spawn for Spawner {
    type Child = PidChild;
    type Socket = SeqPacket;

    fn spawn(&mut self) -> Result<(PidChild, SeqPacket), LinuxError> {
        let (ours, theirs) = SeqPacket::pair()?;
        // What is inherited is expected to block, until its new owner says otherwise.
        rustix::io::ioctl_fionbio(&theirs, false)
            .map_err(|errno| LinuxError::new("make the link of a child", errno))?;
        // A child without a trace is better than none.
        let trace = (self.trace_bytes > 0)
            .then(|| self.trace())
            .and_then(|made| made.inspect_err(|error| tracing::warn!(%error, "a session server is not recorded")).ok());
        let child = start(&self.program, Some(theirs.as_fd()), trace)?;
        Ok((child, ours))
    }
}

/// Starts a program that gets standard input, output and error, its arguments as they are, and no other descriptor; no
/// signal is blocked or ignored in it.
///
/// It leads a process group of its own: a signal goes to all of that, and who is left of it when it ends is killed.
pub fn run(program: &Program) -> Result<PidChild, LinuxError> {
    start(program, None, None)
}

/// Has children that end wait to be asked how, whatever this process has inherited: those of a process that ignores
/// `SIGCHLD` are gone at once.
pub fn keep_ended_children() -> Result<(), LinuxError> {
    // SAFETY: the default is no handler, so nothing runs that could disturb anything.
    unsafe { nix::sys::signal::signal(NixSignal::SIGCHLD, SigHandler::SigDfl) }
        .map(drop)
        .map_err(|errno| LinuxError::new("keep ended children", error::from_nix(errno)))
}

fn start(program: &Program, link: Option<BorrowedFd<'_>>, trace: Option<OwnedFd>) -> Result<PidChild, LinuxError> {
    let because = |errno| LinuxError::new("start", errno).about(program.path.display());
    check_executable(&program.path).map_err(because)?;
    // Ours are made so; this is for what was inherited, or made by a library.
    if !planted!("descriptors_inherited") {
        close_on_exec_from(LINK_DESCRIPTOR).map_err(because)?;
    }
    let id = posix_spawn_with(program, link, trace.as_ref()).map_err(|errno| because(error::from_nix(errno)))?;
    // A child is there until it is waited for, which only its PidChild does.
    let id = Pid::from_raw(id.as_raw()).ok_or_else(|| because(Errno::SRCH))?;
    let descriptor = pidfd_open(id, PidfdFlags::empty()).map_err(|errno| {
        abandon(id);
        because(errno)
    })?;
    Ok(PidChild { id, descriptor, status: None, trace, leads_group: link.is_none() })
}

/// No descriptor from this number on is inherited by a child.
fn close_on_exec_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: nothing is closed.
    match unsafe { harden::close_range(first.unsigned_abs(), u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } {
        Ok(()) => Ok(()),
        // Linux before 5.11.
        Err(_) => close_each_on_exec_from(first),
    }
}

fn close_each_on_exec_from(first: RawFd) -> Result<(), Errno> {
    let or_io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    for entry in std::fs::read_dir("/proc/self/fd").map_err(or_io)? {
        let name = entry.map_err(or_io)?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()).filter(|number| *number >= first) else {
            continue;
        };
        // SAFETY: it is only given a flag, which is an error if it has been closed since.
        let seen = unsafe { BorrowedFd::borrow_raw(number) };
        match rustix::io::fcntl_setfd(seen, FdFlags::CLOEXEC) {
            Ok(()) | Err(Errno::BADF) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn posix_spawn_with(
    program: &Program,
    link: Option<BorrowedFd<'_>>,
    trace: Option<&OwnedFd>,
) -> nix::Result<nix::unistd::Pid> {
    let mut descriptors = PosixSpawnFileActions::init()?;
    // Also where both numbers are the same this takes close-on-exec away.
    if let Some(link) = link {
        descriptors.add_dup2(link.as_raw_fd(), LINK_DESCRIPTOR)?;
    }
    if let Some(trace) = trace {
        descriptors.add_dup2(trace.as_raw_fd(), TRACE_DESCRIPTOR)?;
    }
    let mut attributes = PosixSpawnAttr::init()?;
    let mut flags = PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK;
    if link.is_none() {
        flags |= PosixSpawnFlags::POSIX_SPAWN_SETPGROUP;
        attributes.set_pgroup(nix::unistd::Pid::from_raw(0))?;
    }
    attributes.set_flags(flags)?;
    attributes.set_sigdefault(&all_signals())?;
    attributes.set_sigmask(&SigSet::empty())?;
    posix_spawn(
        &program.path,
        &descriptors,
        &attributes,
        &arguments(program, link.is_some(), trace.is_some())?,
        &environment(program)?,
    )
}

/// All whose disposition can be set.
fn all_signals() -> SigSet {
    let mut signals = SigSet::all();
    signals.remove(NixSignal::SIGKILL);
    signals.remove(NixSignal::SIGSTOP);
    signals
}

fn arguments(program: &Program, is_linked: bool, is_traced: bool) -> nix::Result<Vec<CString>> {
    let name = program.path.as_os_str().as_bytes();
    let given = program.arguments.iter().map(String::as_bytes);
    let (link, trace) = (LINK_DESCRIPTOR.to_string(), TRACE_DESCRIPTOR.to_string());
    let added = [b"--link-fd".as_slice(), link.as_bytes()].into_iter().filter(|_| is_linked);
    let traced = [b"--trace-fd".as_slice(), trace.as_bytes()].into_iter().filter(|_| is_traced);
    [name].into_iter().chain(given).chain(added).chain(traced).map(text).collect()
}

fn environment(program: &Program) -> nix::Result<Vec<CString>> {
    program.environment.iter().map(|(name, value)| text(format!("{name}={value}").as_bytes())).collect()
}

fn text(bytes: &[u8]) -> nix::Result<CString> {
    CString::new(bytes).map_err(|_| nix::Error::EINVAL)
}

/// Says more than `posix_spawn`, which a directory, for one, gets past until it is executed.
fn check_executable(path: &Path) -> Result<(), Errno> {
    if rustix::fs::stat(path)?.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno::ACCESS);
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

/// Ends a child that cannot be addressed.
fn abandon(id: Pid) {
    let _ = rustix::process::kill_process(id, SignalNumber::KILL);
    let _ = rustix::process::waitpid(Some(id), rustix::process::WaitOptions::empty());
}

/// A child, addressed by its pidfd, so that a signal never reaches another process. Readable when it has ended.
///
/// Dropping it neither ends the child nor reaps it.
#[derive(Debug)]
pub struct PidChild {
    id: Pid,
    descriptor: OwnedFd,
    status: Option<ExitStatus>,
    trace: Option<OwnedFd>,
    leads_group: bool,
}

impl PidChild {
    /// The memory of its trace, if it was given one. It stays when the child has ended.
    pub fn trace(&self) -> Option<BorrowedFd<'_>> {
        self.trace.as_ref().map(AsFd::as_fd)
    }

    /// The group keeps its number until its leader was waited for, so that this reaches nobody else.
    fn signal_group(&self, number: SignalNumber) -> Result<(), Errno> {
        if self.status.is_some() { Ok(()) } else { kill_process_group(self.id, number) }
    }

    fn kill_rest_of_group(&self) -> Result<(), Errno> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if waitid(WaitId::PidFd(self.descriptor.as_fd()), options)?.is_none() {
            return Ok(());
        }
        match self.signal_group(SignalNumber::KILL) {
            // Nobody is left of it, or nobody whom this process may signal.
            Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl ErrorType for PidChild {
    type Error = LinuxError;
}

impl Child for PidChild {
    fn process_id(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    fn signal(&mut self, signal: Signal) -> Result<(), LinuxError> {
        let number = match signal {
            Signal::Terminate => SignalNumber::TERM,
            Signal::Kill => SignalNumber::KILL,
        };
        let sent = match self.leads_group {
            true => self.signal_group(number),
            false => pidfd_send_signal(&self.descriptor, number),
        };
        match sent {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(LinuxError::new("send a signal to process", errno).about(self.process_id())),
        }
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>, LinuxError> {
        if self.leads_group && self.status.is_none() {
            self.kill_rest_of_group()
                .map_err(|errno| LinuxError::new("end the group of process", errno).about(self.process_id()))?;
        }
        if self.status.is_none() {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let found = waitid(WaitId::PidFd(self.descriptor.as_fd()), options)
                .map_err(|errno| LinuxError::new("wait for process", errno).about(self.process_id()))?;
            self.status = found.as_ref().map(exit_status).transpose()?;
        }
        Ok(self.status)
    }
}

fn exit_status(found: &WaitIdStatus) -> Result<ExitStatus, LinuxError> {
    let number = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match (found.exit_status(), found.terminating_signal()) {
        (Some(status), _) => Ok(ExitStatus::Exited(number(status))),
        (None, Some(signal)) => Ok(ExitStatus::Killed(number(signal))),
        (None, None) => Err(LinuxError::other("wait for a process", ErrorKind::Other, "it has not ended")),
    }
}

impl AsFd for PidChild {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, Instant};

    use super::*;

    /// Polls until there is something, for a minute at most.
    fn wait_for<T>(mut poll: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = poll() {
                return found;
            }
            assert!(Instant::now() < deadline, "it has not come");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// PS-35: a script that has started something else leaves none of it behind.
    #[test]
    fn who_is_left_of_a_group_ends_with_its_leader() {
        let directory = tempfile::tempdir().unwrap();
        let number = directory.path().join("number");
        let script = format!("sleep 1000 & echo $! > '{}'; exit 7", number.display());
        let program = Program {
            path: "/bin/sh".into(),
            arguments: vec!["-c".into(), script],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        };
        let mut child = run(&program).unwrap();
        assert_eq!(wait_for(|| child.try_wait().unwrap()), ExitStatus::Exited(7));
        let left: i32 = std::fs::read_to_string(&number).unwrap().trim().parse().unwrap();
        // One that has ended has no command line any more, whether somebody has waited for it or not.
        let command = format!("/proc/{left}/cmdline");
        wait_for(|| std::fs::read(&command).unwrap_or_default().is_empty().then_some(()));
    }

    /// SM-03
    #[test]
    fn an_old_kernel_is_told_of_each_descriptor() {
        let forgotten = File::open("/dev/null").unwrap();
        rustix::io::fcntl_setfd(&forgotten, FdFlags::empty()).unwrap();
        close_each_on_exec_from(forgotten.as_raw_fd()).unwrap();
        assert_eq!(rustix::io::fcntl_getfd(&forgotten), Ok(FdFlags::CLOEXEC));
    }
}
