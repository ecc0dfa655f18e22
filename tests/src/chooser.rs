//! Somebody who chooses a device whenever a page asks for one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use greenroom_core::message::presentation::{Command, Event};
use greenroom_hal_linux::presentation::PresenterClient;

/// Chooses the same one for everybody. Dropping it ends that.
pub struct Chooser {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Chooser {
    /// For who asks the service at this socket.
    ///
    /// # Panics
    /// When the service does not let it choose.
    pub fn start(socket: &Path, device: &str) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (told, device) = (ends.clone(), device.to_owned());
        let mut client = PresenterClient::connect(socket).expect("the service takes a connection");
        client.request(Command::WatchSelections).expect("it may choose");
        let choose = move || {
            while !told.load(Ordering::Relaxed) {
                let selection = match client.next_event(Instant::now() + Duration::from_millis(20)) {
                    Ok(Some(Event::SelectionAsked { selection, .. })) => selection,
                    Ok(_) => continue,
                    Err(_) => return,
                };
                // One that was withdrawn needs no device.
                let _ = client.request(Command::Select { selection, device: &device });
            }
        };
        Self { ends, thread: Some(std::thread::spawn(choose)) }
    }
}

impl Drop for Chooser {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
