//! The manager's process: its host, and the loop.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;

use greenroom_core::driver::{FIRST_FREE_KIND, ManagerDriver, ManagerHost, Turn};
use greenroom_core::hal::{
    Authority, Error, ErrorKind, Interest, Launcher, Listen, Peer, Profile, Ready, Right, SocketPlace, Token, Watch,
};
use greenroom_core::limits::SOCKET_PATH_BYTES_MAX;
use greenroom_core::manager::Manager;
use greenroom_core::message::{AppId, LogLevels};
use greenroom_core::time::earliest;
use greenroom_core::trace::TraceBuffer;
use greenroom_hal_linux::clock::Clock;
use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::listener::{ListeningSocket, SocketFiles};
use greenroom_hal_linux::memory::trace::{self, TraceMemory};
use greenroom_hal_linux::owner;
use greenroom_hal_linux::process::{self, PidChild, Program, Spawner};
use greenroom_hal_linux::signals::{Asked, Signals};
use tracing::{error, info, warn};

use crate::access::{Access, AccessError};
use crate::companion::Companions;
use crate::config::Config;
use crate::log::Logging;
use crate::runtime;
use crate::service::{InUse, Service};

/// Leaves room for the shortest name of a socket.
const DIRECTORY_BYTES_MAX: usize = SOCKET_PATH_BYTES_MAX - "/a.sock".len();

/// How the names end that the manager chooses for the apps' sockets.
const OWN_SOCKETS: &str = ".sock";

const SIGNALS: Token = Token { kind: FIRST_FREE_KIND, index: 0, generation: 0 };
const KINDS_OF_COMPANIONS: [u8; 2] = [FIRST_FREE_KIND + 1, FIRST_FREE_KIND + 2];

/// Why the manager did not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// Caller: another manager is there.
    #[error("a manager listens at {0} already; stop it with 'greenroomctl stop', or give another --control")]
    Running(PathBuf),
    /// Caller: those who are to have access cannot be told.
    #[error("{0}")]
    Access(#[from] AccessError),
    /// Caller: the apps' sockets are to belong to somebody who does not exist.
    #[error("[socket] owner or group is nobody here; correct it: {0}")]
    NoOwner(LinuxError),
    /// Caller: no app's socket fits into the directory of sockets.
    #[error(
        "the directory of sockets {0} cannot be used: it starts with / and has at most {DIRECTORY_BYTES_MAX} bytes; \
         configure another one as [socket] directory"
    )]
    NoRoom(PathBuf),
    /// Caller or platform: a directory of sockets cannot be had.
    #[error("cannot make the directory {path}: {cause}; make it, or configure another one")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the platform said.
        cause: std::io::Error,
    },
    /// Caller: a path is no text.
    #[error("the path {0} is not UTF-8; choose another one")]
    NotText(PathBuf),
    /// Caller or platform: the control socket cannot be had.
    #[error("{0}; see [control] in the configuration, or give another --control")]
    Control(LinuxError),
    /// Platform: something that the manager needs cannot be had.
    #[error("{0}")]
    Platform(#[from] LinuxError),
    /// Platform: the manager's thread cannot be started.
    #[error("the manager's thread cannot be started: {0}; free memory, or build with a lower GREENROOM_APPS_MAX")]
    Thread(std::io::Error),
    /// Platform: the control socket cannot be watched.
    #[error("the control socket cannot be watched: {0:?}")]
    Watch(ErrorKind),
}

/// Linux, and the integrator's policy from the configuration.
struct Host {
    config: Config,
    directory: String,
    access: Access,
    logging: Logging,
    events: EventLoop,
    spawner: Spawner,
    files: SocketFiles,
    /// The memory of the manager's own trace.
    trace: Option<OwnedFd>,
}

impl Launcher for Host {
    fn profile(&self, app: &AppId) -> Profile<'_> {
        let socket = &self.config.socket;
        let (video_sink, audio_sink) = self.config.sinks(app.as_str());
        Profile {
            resources: self.config.resources(app.as_str()),
            socket_directory: &self.directory,
            socket_mode: socket.mode.0,
            socket_owner: socket.owner.as_str(),
            socket_group: socket.group.as_str(),
            video_sink,
            audio_sink,
            clients: self.access.clients(app),
        }
    }
}

impl Authority for Host {
    fn may(&self, peer: &Peer, right: Right<'_>) -> bool {
        self.access.may(peer, right)
    }
}

impl ManagerHost for Host {
    type Control = ListeningSocket;
    type Spawn = Spawner;
    type Listen = SocketFiles;
    type Watch = EventLoop;

    fn watch(&mut self) -> &mut EventLoop {
        &mut self.events
    }

    fn spawn(&mut self) -> &mut Spawner {
        &mut self.spawner
    }

    fn listen(&mut self) -> &mut SocketFiles {
        &mut self.files
    }

    fn apply_log_levels(&mut self, levels: &LogLevels) {
        if let Err(error) = self.logging.apply(levels) {
            error!("{error}");
        }
    }

    fn own_trace(&mut self) -> Option<(u32, OwnedFd)> {
        let descriptor = share(self.trace.as_ref()?.as_fd())?;
        Some((std::process::id(), descriptor))
    }

    fn trace_of(&mut self, child: &PidChild) -> Option<OwnedFd> {
        share(child.trace()?)
    }

    fn duplicate_trace(&mut self, trace: &OwnedFd) -> Option<OwnedFd> {
        share(trace.as_fd())
    }
}

fn share(memory: BorrowedFd<'_>) -> Option<OwnedFd> {
    trace::share(memory).inspect_err(|error| warn!("a trace is left out: {error}")).ok().flatten()
}

type Driver = ManagerDriver<Host, Option<TraceBuffer<TraceMemory>>>;

/// Everything has a fixed place in the driver, so it is as large as the capacities say. It is moved a few times until it
/// lies where it stays.
const STACK_BYTES: usize = 8 * size_of::<Driver>() + 2 * 1024 * 1024;

/// Runs the manager until it has ended. `file` is where the configuration was read from, if that is not where it always is.
pub fn run(config: Config, file: Option<PathBuf>, logging: Logging) -> Result<(), ManagerError> {
    process::keep_ended_children()?;
    // Before any other thread is there, or it would be ended by the signals.
    let signals = Signals::new()?;
    let manager = thread::Builder::new().name("manager".to_owned()).stack_size(STACK_BYTES);
    let running =
        manager.spawn(move || serve(config, file.as_deref(), logging, signals)).map_err(ManagerError::Thread)?;
    running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn serve(config: Config, file: Option<&Path>, logging: Logging, mut signals: Signals) -> Result<(), ManagerError> {
    let path = config.control_socket();
    let (mut host, control) = open(config, logging, &path)?;
    host.events.watch(&signals, SIGNALS, Interest::Read)?;
    let settings = host.config.settings();
    let mut companions = Companions::configured(&host.config, file, settings, KINDS_OF_COMPANIONS);
    let recorder = recorder(&mut host);
    let mut driver = Driver::new(Manager::new(settings), host, control, recorder);
    let mut service = Service::from_environment(Clock.now());
    driver.start().map_err(ManagerError::Watch)?;
    service.ready();
    info!("the manager listens at {}, {} decoder(s)", path.display(), settings.decoders);
    let ended = pump(&mut driver, &mut signals, &mut service, &mut companions);
    let ended = ended.and_then(|()| end(&mut driver, companions));
    service.stopping();
    driver.host().files.remove(text(&path)?);
    info!("the manager has ended");
    ended
}

/// Without memory for its trace a manager runs all the same.
fn recorder(host: &mut Host) -> Option<TraceBuffer<TraceMemory>> {
    let bytes = Some(host.config.trace.bytes).filter(|&bytes| bytes > 0)?;
    let memory = TraceMemory::new(bytes).inspect_err(|error| warn!("the manager is not recorded: {error}")).ok()?;
    host.trace = share(memory.as_fd());
    Some(TraceBuffer::new(memory))
}

fn pump(
    driver: &mut Driver,
    signals: &mut Signals,
    service: &mut Service,
    companions: &mut Companions,
) -> Result<(), ManagerError> {
    loop {
        let own = earliest(driver.next_deadline(), service.next_deadline());
        let deadline = earliest(own, companions.next_deadline());
        let ready = driver.host().events.wait(deadline)?;
        companions.turn(Clock.now(), &mut driver.host().events, &ready);
        if is_told_to_end(signals, &ready)? && driver.terminate(Clock.now()) == Turn::Exit {
            return Ok(());
        }
        if driver.turn(Clock.now(), &ready) == Turn::Exit {
            return Ok(());
        }
        if driver.machine().is_ending() {
            service.stopping();
            companions.stop(Clock.now(), &mut driver.host().events);
        }
        service.progressed(Clock.now(), in_use(driver.machine()));
    }
}

/// No app is left; waits for the companions.
fn end(driver: &mut Driver, mut companions: Companions) -> Result<(), ManagerError> {
    let events = &mut driver.host().events;
    companions.stop(Clock.now(), events);
    while !companions.are_over() {
        let ready = events.wait(companions.next_deadline())?;
        companions.turn(Clock.now(), events, &ready);
    }
    Ok(())
}

fn in_use(manager: &Manager) -> InUse {
    let status = manager.box_status();
    let decoders_held = status.decoders.saturating_sub(status.decoders_free);
    InUse { apps: manager.apps().count(), decoders_held, decoders: status.decoders }
}

fn is_told_to_end(signals: &mut Signals, ready: &[Ready]) -> Result<bool, LinuxError> {
    if !ready.iter().any(|ready| ready.token == SIGNALS) {
        return Ok(false);
    }
    let mut ends = false;
    while let Some(asked) = signals.receive()? {
        match asked {
            Asked::End => ends = true,
            Asked::Reload => warn!("the configuration is read at the start only; restart the manager"),
        }
    }
    if ends {
        info!("the manager was told to end: it ends every app in order");
    }
    Ok(ends)
}

fn open(config: Config, logging: Logging, path: &Path) -> Result<(Host, ListeningSocket), ManagerError> {
    let directory = config.socket_directory();
    if !directory.is_absolute() || directory.as_os_str().len() > DIRECTORY_BYTES_MAX {
        return Err(ManagerError::NoRoom(directory));
    }
    owner::user(config.socket.owner.as_str()).map_err(ManagerError::NoOwner)?;
    owner::group(config.socket.group.as_str()).map_err(ManagerError::NoOwner)?;
    for needed in [path.parent().unwrap_or(Path::new("/")), &directory] {
        // One that was configured is the integrator's choice; the default one may have been made by somebody else.
        if needed.is_dir() && needed != runtime::directory() {
            continue;
        }
        let made = runtime::make_directory(needed, directory_mode());
        made.map_err(|cause| ManagerError::Directory { path: needed.to_owned(), cause })?;
    }
    let access = Access::resolve(&config)?;
    let mut files = SocketFiles::new();
    let control = listen(&mut files, &config, path)?;
    // A second manager at the same place has been refused by now.
    SocketFiles::sweep(&directory, OWN_SOCKETS);
    let trace_bytes = config.trace.bytes;
    let spawner = Spawner::new(Program {
        path: config.session_program(),
        arguments: config.session.arguments.clone(),
        environment: config.session_environment(),
    });
    let spawner = spawner.with_trace(trace_bytes);
    let directory = text(&directory)?.to_owned();
    let host = Host { config, directory, access, logging, events: EventLoop::new()?, spawner, files, trace: None };
    Ok((host, control))
}

/// Other users may pass through the directory of a system's manager: the sockets in it have modes of their own.
fn directory_mode() -> u32 {
    if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 }
}

fn listen(files: &mut SocketFiles, config: &Config, path: &Path) -> Result<ListeningSocket, ManagerError> {
    let control = &config.control;
    let place = SocketPlace {
        path: text(path)?,
        mode: control.mode.0,
        owner: control.owner.as_str(),
        group: control.group.as_str(),
    };
    files.listen(&place).map_err(|error| match error.kind() {
        ErrorKind::Busy => ManagerError::Running(path.to_owned()),
        _ => ManagerError::Control(error),
    })
}

fn text(path: &Path) -> Result<&str, ManagerError> {
    path.to_str().ok_or_else(|| ManagerError::NotText(path.to_owned()))
}
