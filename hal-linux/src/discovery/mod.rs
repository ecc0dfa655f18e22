//! mDNS: this device is announced, and others are found.
//!
//! | record | content |
//! |---|---|
//! | service | `_presentation-ctrl._tcp.local.` |
//! | instance | the device's name for people; it is also its identifier, since the network keeps it unique |
//! | TXT `version` | the version of the control protocol |
//! | TXT `certFingerprint` | the certificate's SHA-256, where the device encrypts |
//!
//! The protocol runs in a thread of `mdns-sd`; threads of ours wait for what it finds and ring the bell that the event loop
//! watches. What has changed is the difference between what is there and what was told, so that no flood of news needs room.

mod record;
mod sight;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use greenroom_core::hal::{Announcement, Discovery, DiscoveryEvent, ErrorKind, ErrorType};
use mdns_sd::{DaemonEvent, IfKind, RRType, Receiver, ServiceDaemon, ServiceEvent};

use crate::error::LinuxError;
use record::SERVICE;
use sight::Sight;

pub use sight::DEVICES_SEEN_MAX;

/// How long a goodbye may take, which is sent at once: a network that is stuck does not keep this device from ending.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(500);
/// How often it is looked whether this device has got or lost an address, in seconds. A phone that changes its network is
/// a device on the new one within this and a second.
const ADDRESS_INTERVAL_SECONDS: u32 = 2;

/// Bytes of `presentation-ctrl`: two more than the name of a service should have.
const SERVICE_NAME_BYTES: u8 = 17;

/// Announces this device by mDNS and finds others.
pub struct Mdns {
    daemon: ServiceDaemon,
    host: String,
    sight: Arc<Sight>,
    /// The name under which it was announced, with the service.
    announced: Option<String>,
    threads: Vec<JoinHandle<()>>,
    browses: bool,
}

/// On which interfaces mDNS is spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Interfaces {
    /// On all that there are, and that come later.
    #[default]
    All,
    /// On these only, by name.
    Named(Vec<String>),
}

impl fmt::Debug for Mdns {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Mdns").field("host", &self.host).field("announced", &self.announced).finish_non_exhaustive()
    }
}

fn failure(step: &'static str, cause: &mdns_sd::Error) -> LinuxError {
    let kind = match cause {
        mdns_sd::Error::Again => ErrorKind::Exhausted,
        _ => ErrorKind::Other,
    };
    LinuxError::other(step, kind, cause)
}

impl Mdns {
    /// Speaks mDNS for the host of this name, such as `greenroom-3f9a`: no other device of the network may have it. It is a
    /// name of our own, so that another mDNS responder of the same box is in nobody's way.
    pub fn new(host: &str, interfaces: &Interfaces) -> Result<Self, LinuxError> {
        const STEP: &str = "start mDNS";
        let because = |cause| failure(STEP, &cause);
        let daemon = ServiceDaemon::new().map_err(because)?;
        daemon.set_service_name_len_max(SERVICE_NAME_BYTES).map_err(because)?;
        daemon.set_ip_check_interval(ADDRESS_INTERVAL_SECONDS).map_err(because)?;
        if let Interfaces::Named(names) = interfaces {
            daemon.disable_interface(IfKind::All).map_err(because)?;
            let named: Vec<IfKind> = names.iter().cloned().map(IfKind::Name).collect();
            daemon.enable_interface(named).map_err(because)?;
        }
        let sight = Arc::new(Sight::new()?);
        let news = daemon.monitor().map_err(because)?;
        let seen = Arc::clone(&sight);
        let monitor = thread_named("mdns-monitor", move || watch_daemon(&news, &seen))?;
        let host = format!("{host}.local.");
        Ok(Self { daemon, host, sight, announced: None, threads: vec![monitor], browses: false })
    }

    fn say_goodbye(&mut self) -> Result<(), LinuxError> {
        let Some(name) = self.announced.take() else { return Ok(()) };
        // It is known by the name that it was announced under at first, whatever it was changed to.
        let said = self.daemon.unregister(&name).map_err(|cause| failure("say goodbye by mDNS", &cause))?;
        if said.recv_timeout(GOODBYE_TIMEOUT).is_err() {
            tracing::warn!("the goodbye by mDNS took too long; other devices notice within two minutes");
        }
        Ok(())
    }
}

fn thread_named(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LinuxError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|cause| LinuxError::other("start a thread", ErrorKind::Exhausted, cause).about(name))
}

/// Until the daemon ends.
fn watch_daemon(news: &Receiver<DaemonEvent>, sight: &Sight) {
    while let Ok(event) = news.recv() {
        match event {
            // An instance's name is that of its SRV record; the host's own name is nobody's business.
            DaemonEvent::NameChange(change) if change.rr_type == RRType::SRV => sight.rename(&change.new_name),
            DaemonEvent::Error(error) => tracing::warn!("mDNS: {error}"),
            _ => {}
        }
    }
}

fn watch_services(news: &Receiver<ServiceEvent>, sight: &Sight) {
    while let Ok(event) = news.recv() {
        match event {
            ServiceEvent::ServiceResolved(service) => sight.see(&service),
            ServiceEvent::ServiceRemoved(_, name) => sight.lose(&name),
            _ => {}
        }
    }
}

impl ErrorType for Mdns {
    type Error = LinuxError;
}

impl Discovery for Mdns {
    fn announce(&mut self, announcement: &Announcement<'_>) -> Result<(), LinuxError> {
        const STEP: &str = "announce this device by mDNS";
        let service = record::service(announcement, &self.host).map_err(|cause| failure(STEP, &cause))?;
        let name = service.get_fullname().to_owned();
        if self.announced.as_deref().is_some_and(|announced| announced != name) {
            self.say_goodbye()?;
        }
        self.sight.call_own(&name);
        self.daemon.register(service).map_err(|cause| failure(STEP, &cause))?;
        self.announced = Some(name);
        Ok(())
    }

    fn withdraw(&mut self) -> Result<(), LinuxError> {
        self.say_goodbye()
    }

    fn browse(&mut self) -> Result<(), LinuxError> {
        if self.browses {
            self.sight.tell_again();
            return Ok(());
        }
        let news = self.daemon.browse(SERVICE).map_err(|cause| failure("look for devices by mDNS", &cause))?;
        let sight = Arc::clone(&self.sight);
        self.threads.push(thread_named("mdns-browse", move || watch_services(&news, &sight))?);
        self.browses = true;
        Ok(())
    }

    fn next_event(&mut self) -> Result<Option<DiscoveryEvent>, LinuxError> {
        self.sight.next_event()
    }
}

impl AsFd for Mdns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sight.as_fd()
    }
}

impl Drop for Mdns {
    /// Its threads end with the daemon. Where that does not answer, they are left to it.
    fn drop(&mut self) {
        if let Err(error) = self.say_goodbye() {
            tracing::warn!("{error}");
        }
        let has_ended = self.daemon.shutdown().is_ok_and(|ended| ended.recv_timeout(GOODBYE_TIMEOUT).is_ok());
        if has_ended {
            for thread in self.threads.drain(..) {
                // One that has panicked has said so.
                let _ = thread.join();
            }
        }
    }
}
