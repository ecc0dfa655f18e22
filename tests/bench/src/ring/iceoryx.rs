//! iceoryx2: publish and subscribe, with one copy into the loaned sample and one out of it. A publisher that finds the
//! subscriber's buffer full retries until it has room, which is its own default and its own way to wait.
//!
//! All that it leaves in the file system carries the service's name and is removed.

use std::fs;
use std::path::PathBuf;

use iceoryx2::config::Config;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{
    Alignment, BackpressureStrategy, FileName, LogLevel, Node, NodeBuilder, Path, SemanticString, ServiceName, ipc,
    set_log_level,
};
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use zerocopy::IntoBytes;

use super::sender::{Kind, SenderProcess};
use super::{Lane, Load, PAGE_BYTES, Page, Receiver, Sender, Start};
use crate::Failure;
use crate::pinning::Pinning;

type Service = PortFactory<ipc::Service, [u8], ()>;

fn join(name: &str, load: Load) -> Result<(Node<ipc::Service>, Service), Failure> {
    set_log_level(LogLevel::Error);
    let mut config = Config::default();
    config.global.prefix = FileName::new(name.as_bytes())?;
    config.global.set_root_path(&Path::new(Leavings::directory(name).as_os_str().as_encoded_bytes())?);
    let node = NodeBuilder::new().config(&config).create::<ipc::Service>()?;
    let service = node
        .service_builder(&ServiceName::new(name)?)
        .publish_subscribe::<[u8]>()
        .payload_alignment(Alignment::new(PAGE_BYTES).ok_or("a page is no alignment")?)
        .enable_safe_overflow(false)
        .history_size(0)
        .subscriber_max_buffer_size(load.slots as usize)
        .subscriber_max_borrowed_samples(1)
        .max_publishers(1)
        .max_subscribers(1)
        .open_or_create()?;
    Ok((node, service))
}

pub(super) struct IceoryxSender {
    publisher: Publisher<ipc::Service, [u8], ()>,
    _service: Service,
    _node: Node<ipc::Service>,
}

impl IceoryxSender {
    pub(super) fn attach(name: &str, load: Load) -> Result<Self, Failure> {
        let (node, service) = join(name, load)?;
        let publisher = service
            .publisher_builder()
            .initial_max_slice_len(load.frame_bytes as usize)
            .max_loaned_samples(1)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        Ok(Self { publisher, _service: service, _node: node })
    }
}

impl Sender for IceoryxSender {
    fn try_send(&mut self, frame: &[Page]) -> Result<bool, Failure> {
        let bytes = frame.as_bytes();
        self.publisher.loan_slice_uninit(bytes.len())?.write_from_slice(bytes).send()?;
        Ok(true)
    }
}

/// What stays behind when the last node of a name has gone.
struct Leavings(String);

impl Leavings {
    fn directory(name: &str) -> PathBuf {
        std::env::temp_dir().join(name)
    }
}

impl Drop for Leavings {
    fn drop(&mut self) {
        // What is not there, or cannot be removed, is no reason to throw figures away.
        let _ = fs::remove_dir_all(Self::directory(&self.0));
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&self.0) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

struct IceoryxReceiver {
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    _service: Service,
    _node: Node<ipc::Service>,
}

/// The sender goes last, and what is left then goes with it.
struct IceoryxProcess {
    process: SenderProcess,
    _leavings: Leavings,
}

impl Start for IceoryxProcess {
    fn start(&mut self, frames: u32) -> Result<(), Failure> {
        self.process.start(frames)
    }
}

impl Receiver for IceoryxReceiver {
    // Its publisher waits in its own way; it was fastest with a subscriber that looks at each pause.
    const PAUSES: u32 = 1;

    fn try_receive(&mut self, into: &mut [Page]) -> Result<bool, Failure> {
        let Some(sample) = self.subscriber.receive()? else { return Ok(false) };
        into.as_mut_bytes().copy_from_slice(sample.payload());
        Ok(true)
    }
}

pub(super) fn lane(load: Load, pinning: Pinning) -> Result<Lane<impl Start, impl Receiver>, Failure> {
    let name = format!("greenroom-bench-{}-{}_", std::process::id(), load.frame_bytes);
    let leavings = Leavings(name.clone());
    let (node, service) = join(&name, load)?;
    let subscriber = service.subscriber_builder().buffer_size(load.slots as usize).create()?;
    let process = SenderProcess::start(Kind::Iceoryx2, load, pinning, &name, &[])?;
    // A subscriber connects when it looks; to one that has not, a publisher delivers nothing that its buffer does not hold.
    if subscriber.receive()?.is_some() {
        return Err("a frame that nobody sent".into());
    }
    let receiver = IceoryxReceiver { subscriber, _service: service, _node: node };
    let sender = IceoryxProcess { process, _leavings: leavings };
    Ok(Lane { name: "iceoryx2", sender, receiver, buffer: load.buffer() })
}
