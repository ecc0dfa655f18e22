//! How the box is, for those who watch: the manager is asked while somebody does, and one answer serves all of them.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use greenroom_core::message::control::{AppStatus, BoxStatus};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::control::{ControlClient, ControlError};
use crate::names;

/// How old what is shown may be.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What a page has of it.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    latest: watch::Receiver<Arc<str>>,
    all: Weak<()>,
    /// It is asked for.
    hold: Option<Arc<()>>,
}

impl Reader {
    /// Wants to know from now on, what is known already first.
    pub(super) fn begin(&mut self) {
        self.hold = self.all.upgrade();
        self.latest.mark_changed();
    }

    /// Waits for the next change; gives an event for the page.
    pub(super) async fn changed(&mut self) -> String {
        while self.latest.changed().await.is_ok() {
            let latest = self.latest.borrow_and_update();
            if !latest.is_empty() {
                return latest.to_string();
            }
        }
        // Nobody looks any more: the program ends.
        std::future::pending().await
    }
}

/// Starts to look whenever somebody watches. `control` is the manager's socket.
pub(super) fn start(control: PathBuf) -> Reader {
    let (sender, latest) = watch::channel(Arc::from(""));
    let all = Arc::new(());
    let reader = Reader { latest, all: Arc::downgrade(&all), hold: None };
    tokio::spawn(async move {
        let mut client = None;
        loop {
            if Arc::strong_count(&all) > 1 {
                let path = control.clone();
                let looked = spawn_blocking(move || look(client, &path)).await;
                let Ok((kept, status)) = looked else { return };
                client = kept;
                sender.send_if_modified(|shown| {
                    let is_new = **shown != *status;
                    *shown = Arc::from(status);
                    is_new
                });
            } else {
                client = None;
            }
            sleep(LOOK_INTERVAL).await;
        }
    });
    reader
}

fn look(client: Option<ControlClient>, path: &std::path::Path) -> (Option<ControlClient>, String) {
    let looked = client.map_or_else(|| ControlClient::connect(path), Ok).and_then(|mut client| {
        let listed = client.list()?;
        Ok((client, listed))
    });
    match looked {
        Ok((client, (apps, status))) => (Some(client), whole(&apps, &status).to_string()),
        Err(error) => (None, failed(&error).to_string()),
    }
}

fn failed(error: &ControlError) -> Value {
    json!({ "event": "box", "error": error.to_string() })
}

fn whole(apps: &[AppStatus], status: &BoxStatus) -> Value {
    json!({
        "event": "box",
        "decoders": status.decoders,
        "decodersFree": status.decoders_free,
        "spares": status.spares,
        "refusals": status.refusals,
        "apps": apps.iter().map(app).collect::<Vec<_>>(),
    })
}

fn app(status: &AppStatus) -> Value {
    json!({
        "app": status.app.as_str(),
        "state": status.state.map(names::state),
        "decoders": status.decoders,
        "sessionsMax": status.resources.max_playback_sessions,
        "clients": status.clients,
        "restarts": status.restarts,
        "refusals": status.refusals,
        "uptime": status.uptime_s,
        "restarting": status.is_restarting,
        "process": status.process_id,
    })
}
