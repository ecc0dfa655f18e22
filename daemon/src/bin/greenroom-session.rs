//! The session server of one app: its socket, its shared memory, its decoders.
//!
//! The manager starts it with its end of a private socket pair. It takes nothing from its arguments but the number of
//! that descriptor: everything else comes over the link.

use std::os::fd::{OwnedFd, RawFd};
use std::process::ExitCode;

use clap::Parser;
use greenroom_core::driver::{Connection, FIRST_FREE_KIND, Frames, Platform, SessionDriver, SessionHost};
use greenroom_core::hal::{Descriptors, Interest, Token, Watch};
use greenroom_core::message::link::{Configuration, Message};
use greenroom_core::message::{LogLevels, Reason, ServerState};
use greenroom_core::trace::TraceBuffer;
use greenroom_daemon::command_line::session::Arguments;
use greenroom_daemon::keys::Provider;
use greenroom_daemon::log::{Format, Logging};
use greenroom_hal_linux::clock::Clock;
use greenroom_hal_linux::decoder::{GstDecoder, SinkConfig};
use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::harden::{Hardening, Step, harden};
use greenroom_hal_linux::heap;
use greenroom_hal_linux::keys::KeySystems;
use greenroom_hal_linux::listener::{ListeningSocket, SocketFiles};
use greenroom_hal_linux::memory::LinuxMemory;
use greenroom_hal_linux::memory::trace::TraceMemory;
use greenroom_hal_linux::signals::{Asked, Signals};
use greenroom_hal_linux::socket::SeqPacket;
use tracing::span::EnteredSpan;

/// Exit status when it was started by hand, or wrongly.
const USAGE: u8 = 2;
const SIGNALS: Token = Token { kind: FIRST_FREE_KIND, index: 0, generation: 0 };

type Decoder = GstDecoder<Frames<LinuxMemory>>;
type Trace = TraceBuffer<TraceMemory>;
type Driver = SessionDriver<Host, Option<Trace>>;

/// What the driver finds on Linux.
struct Host {
    platform: Platform<SocketFiles, LinuxMemory, Decoder, EventLoop>,
    keys: KeySystems,
    logging: Logging,
    /// Puts the app's name on every line: the servers of all apps log to one place.
    name: Option<EnteredSpan>,
}

impl SessionHost for Host {
    type Descriptor = OwnedFd;
    type Socket = SeqPacket;
    type Listener = ListeningSocket;
    type Files = SocketFiles;
    type Memory = LinuxMemory;
    type Decoder = Decoder;
    type Keys = KeySystems;
    type Events = EventLoop;

    fn platform(&mut self) -> &mut Platform<SocketFiles, LinuxMemory, Decoder, EventLoop> {
        &mut self.platform
    }

    fn keys(&mut self) -> &mut KeySystems {
        &mut self.keys
    }

    fn configured(&mut self, configuration: &Configuration<'_>) {
        self.name = Some(tracing::error_span!("server", app = configuration.app).entered());
        tracing::info!(
            sessions = configuration.resources.max_playback_sessions,
            video_sink = configuration.video_sink,
            audio_sink = configuration.audio_sink,
            "configured"
        );
        let (video, audio) = (configuration.video_sink.into(), configuration.audio_sink.into());
        self.platform.decoder.configure(SinkConfig { video, audio });
    }

    fn set_log_levels(&mut self, levels: &LogLevels) {
        if let Err(error) = self.logging.apply(levels) {
            tracing::error!(%error, "the log levels stay as they are");
        }
    }
}

/// Numbers of the descriptors that it was started with: of the link, and of the memory of its trace.
type Given = (RawFd, Option<RawFd>);

/// What the manager gives. For this the parser, which is as large as the rest of this program, need not be touched.
fn given() -> Option<Given> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--link-fd", link] => Some((link.parse().ok()?, None)),
        ["--link-fd", link, "--trace-fd", trace] => Some((link.parse().ok()?, Some(trace.parse().ok()?))),
        _ => None,
    }
}

fn parsed() -> Option<Given> {
    let Arguments { link_fd, trace_fd } = Arguments::parse();
    Some((link_fd?, trace_fd))
}

fn main() -> ExitCode {
    let Some((link, trace)) = given().or_else(parsed) else {
        eprintln!("greenroom-session: no --link-fd: greenroomd starts this program; see 'greenroomctl --help'");
        return USAGE.into();
    };
    let keep: Vec<RawFd> = [Some(link), trace].into_iter().flatten().collect();
    let hardening = harden(&keep);
    heap::share_arenas();
    let link = match SeqPacket::from_inherited(link) {
        Ok(link) => link,
        Err(error) => {
            eprintln!("greenroom-session: {error}; greenroomd starts this program with its link to it");
            return USAGE.into();
        }
    };
    match serve(link, trace, hardening) {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("greenroom-session: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(link: SeqPacket, trace: Option<RawFd>, hardening: Hardening) -> Result<u8, Box<dyn std::error::Error>> {
    let logging = Logging::start(&LogLevels::default(), Format::from_environment())?;
    report(hardening);
    // Before any thread is started: each must block the signals.
    let (mut host, mut signals) = match prepare(logging) {
        Ok(prepared) => prepared,
        Err(error) => {
            say_failed(link);
            return Err(error.into());
        }
    };
    let mut driver = Driver::new(link, trace.and_then(recorder));
    driver.start(&mut host, Clock.now(), Ok(()));
    let status = run(&mut driver, &mut host, &mut signals)?;
    tracing::info!(status, "ends");
    Ok(status)
}

/// Without memory for its trace a session server serves all the same.
fn recorder(trace: RawFd) -> Option<Trace> {
    match TraceMemory::from_inherited(trace) {
        Ok(memory) => Some(Trace::new(memory)),
        Err(error) => {
            tracing::warn!(%error, "nothing is recorded");
            None
        }
    }
}

fn prepare(logging: Logging) -> Result<(Host, Signals), LinuxError> {
    let signals = Signals::new()?;
    let decoder = Decoder::new()?;
    let mut events = EventLoop::new()?;
    events.watch(&signals, SIGNALS, Interest::Read)?;
    events.watch(&decoder, Driver::DECODER, Interest::Read)?;
    let mut keys = KeySystems::none()?;
    if Provider::from_environment() == Provider::Test {
        keys.add_test();
    }
    events.watch(&keys, Driver::KEYS, Interest::Read)?;
    let platform = Platform { files: SocketFiles::new(), memory: LinuxMemory, decoder, events };
    Ok((Host { platform, keys, logging, name: None }, signals))
}

/// SM-11: the one thing that can be done without a platform. If it cannot, the manager sees the end of the link.
fn say_failed(link: SeqPacket) {
    let failed = Message::StateChanged { state: ServerState::Error, reason: Some(Reason::Initialization) };
    let _ = Connection::asking(link).send(&failed, Descriptors::new());
}

fn run(driver: &mut Driver, host: &mut Host, signals: &mut Signals) -> Result<u8, LinuxError> {
    loop {
        if let Some(status) = driver.exit_status() {
            return Ok(status);
        }
        let ready = host.platform.events.wait(driver.next_deadline())?;
        while let Some(asked) = signals.receive()? {
            match asked {
                Asked::End => driver.terminate(host, Clock.now()),
                // Its configuration comes from the manager, which reads it again itself.
                Asked::Reload => {}
            }
        }
        driver.turn(host, Clock.now(), &ready);
    }
}

fn report(hardening: Hardening) {
    let Hardening { no_new_privileges, descriptors_closed, no_core_files } = hardening;
    for (step, name) in [
        (no_new_privileges, "no new privileges"),
        (descriptors_closed, "inherited descriptors closed"),
        (no_core_files, "no core files"),
    ] {
        if step == Step::Absent {
            tracing::warn!("this kernel does not offer: {name}");
        }
    }
}
