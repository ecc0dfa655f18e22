//! A device: a real presentation service with a directory of its own, on the loopback interface alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use greenroom_core::message::presentation::{
    Answer, Command, ConnectionId, ConnectionState, DeviceStatus, Event, TransportKind,
};
use greenroom_hal_linux::presentation::PresenterClient;
use greenroom_tests::{observe, programs};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::PATIENCE;
use crate::Failure;
use crate::pinning::on;
use crate::programs::milliseconds_since;

const URL: &str = "https://tv.example/";
/// Between two looks, outside of what is measured.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A running service. Dropping it ends it, and what it has launched.
pub(super) struct Device {
    place: TempDir,
    pub(super) name: String,
    service: Child,
}

impl Device {
    /// Starts this program on this processor; gives back when it answers.
    pub(super) fn start(program: &Path, name: &str, processor: usize, back_to: usize) -> Result<Self, Failure> {
        let place = tempfile::tempdir()?;
        // No other device on this machine has it.
        let name = format!("{name} {}", std::process::id());
        let configuration = place.path().join("greenroom.toml");
        fs::write(&configuration, configured(place.path(), &name)?)?;
        let mut process = Process::new(program);
        process.arg("--config").arg(&configuration).stdin(Stdio::null());
        let service = on(processor, back_to, || process.spawn())??;
        let mut device = Self { place, name, service };
        let end = Instant::now() + PATIENCE;
        while let Err(error) = PresenterClient::connect(&device.socket()) {
            if device.service.try_wait()?.is_some() || Instant::now() > end {
                return Err(format!("{} does not serve: {error}", program.display()).into());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(device)
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("presentation.sock")
    }

    pub(super) fn process_id(&self) -> u32 {
        self.service.id()
    }

    /// Waits until nothing is left of what it has launched.
    fn await_no_page(&self) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        while !observe::children(self.process_id()).is_empty() {
            if Instant::now() > end {
                return Err("a page does not end".into());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }
}

fn configured(place: &Path, name: &str) -> Result<String, Failure> {
    let page = programs::find("page")?;
    Ok(format!(
        "[log]\ndefault = \"warning\"\n[control]\nsocket = \"{place}/control.sock\"\n\
         [presentation]\nenabled = true\nname = \"{name}\"\ninterfaces = [\"lo\"]\n\
         socket = \"{place}/presentation.sock\"\nstate_directory = \"{place}/state\"\n\
         [[presentation.page]]\nurls = [\"https://*\"]\ncommand = [{page:?}]\n",
        place = place.display(),
    ))
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.service), Signal::TERM);
        let end = Instant::now() + PATIENCE;
        while matches!(self.service.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(LOOK_INTERVAL);
        }
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

/// A program of a device that has pages shown on others.
pub(super) struct Controller(PresenterClient);

impl Controller {
    pub(super) fn of(device: &Device) -> Result<Self, Failure> {
        Ok(Self(PresenterClient::connect(&device.socket())?))
    }

    /// Waits until its device has found another one.
    pub(super) fn await_sight_of(&mut self, device: &Device) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        while !self.sees(&device.name)? {
            if Instant::now() > end {
                return Err(format!("{} is not found by mDNS on the loopback interface", device.name).into());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    fn sees(&mut self, name: &str) -> Result<bool, Failure> {
        let mut from = 0;
        loop {
            match self.0.request(Command::ListDevices { from })? {
                Answer::Device(Some(DeviceStatus { name: found, .. })) if found == name => return Ok(true),
                Answer::Device(Some(DeviceStatus { next, .. })) => from = next,
                _ => return Ok(false),
            }
        }
    }

    /// Has a page shown, and ended again; milliseconds until it was connected.
    pub(super) fn start_on(&mut self, device: &Device) -> Result<f64, Failure> {
        let start = Instant::now();
        let connection = self.ask_for_page(&device.name)?;
        self.await_connected(connection)?;
        let elapsed_ms = milliseconds_since(start);
        self.0.request(Command::Terminate { connection })?;
        device.await_no_page()?;
        Ok(elapsed_ms)
    }

    fn ask_for_page(&mut self, device: &str) -> Result<ConnectionId, Failure> {
        let (urls, transport) = ([URL].into_iter().collect(), TransportKind::Tcp);
        let device = Some(device);
        match self.0.request(Command::Start { presentation_id: "", urls, origin: "bench", device, transport })? {
            Answer::Connection { connection, .. } => Ok(connection),
            other => Err(format!("no connection: {other:?}").into()),
        }
    }

    fn await_connected(&mut self, wanted: ConnectionId) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.0.next_event(deadline)?.ok_or("a page is not connected in time")? {
                Event::State { connection, state, reason } if connection == wanted => match state {
                    ConnectionState::Connecting => {}
                    ConnectionState::Connected => return Ok(()),
                    _ => return Err(format!("a page was not connected: {reason:?}").into()),
                },
                _ => {}
            }
        }
    }
}
