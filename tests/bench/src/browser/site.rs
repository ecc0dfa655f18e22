//! The pages, and what two plain ones need of somebody else: word from one to the other, and a browser that is started.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{Path, State, WebSocketUpgrade};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use greenroom_tests::{chromium, site};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::Failure;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// With these a page's clock counts microseconds; without, tenths of milliseconds.
const ISOLATED: [(HeaderName, &str); 2] = [
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
];

/// What one page of a room is told. It waits for a page that is not there yet.
struct Mailbox(UnboundedSender<String>, Option<UnboundedReceiver<String>>);

/// Rooms of two pages each.
type Rooms = Arc<Mutex<BTreeMap<u32, [Mailbox; 2]>>>;

/// A browser that shows a plain page, as `greenroom-browser` starts one. Dropping it ends it.
struct Shown {
    browser: Child,
    _place: TempDir,
}

/// The site, and who is shown there.
pub(super) struct Site {
    port: u16,
    shown: Arc<Mutex<Vec<Shown>>>,
}

impl Site {
    pub(super) fn start() -> Self {
        let file = |kind, text: &'static str| get(move || async move { ([(CONTENT_TYPE, kind)], ISOLATED, text) });
        let shown: Arc<Mutex<Vec<Shown>>> = Arc::default();
        let rooms = Rooms::default();
        let keep = shown.clone();
        let show = move |host: axum::http::HeaderMap, Path(room): Path<u32>| async move {
            let host = host.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            match show(&format!("http://{host}/plain?room={room}&side=1")) {
                Ok(browser) => locked(&keep).push(browser),
                Err(_) => return StatusCode::INTERNAL_SERVER_ERROR,
            }
            StatusCode::NO_CONTENT
        };
        let routes = Router::new()
            .route("/signal/{room}/{side}", get(signal))
            .with_state(rooms)
            .route("/show/{room}", post(show))
            .route("/controller", file(HTML, include_str!("../../pages/controller.html")))
            .route("/receiver", file(HTML, include_str!("../../pages/receiver.html")))
            .route("/plain", file(HTML, include_str!("../../pages/plain.html")))
            .route("/measure.js", file(SCRIPT, include_str!("../../pages/measure.js")));
        Self { port: site::serve(routes), shown }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Ends the browsers that were started for plain pages.
    pub(super) fn clear(&self) {
        locked(&self.shown).clear();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By way of a page that leads there, from a profile of its own, with the same arguments.
fn show(url: &str) -> Result<Shown, Failure> {
    let place = tempfile::tempdir()?;
    let entrance = place.path().join("entrance.html");
    std::fs::write(
        &entrance,
        format!("<!doctype html><meta charset=utf-8><script>location.replace('{url}')</script>"),
    )?;
    let profile = place.path().join("profile").to_string_lossy().into_owned();
    let page = format!("file://{}", entrance.display());
    let words: Vec<String> = chromium::receiver_command(&[])
        .iter()
        .map(|word| word.replace("{page}", &page).replace("{profile}", &profile))
        .collect();
    let (program, arguments) = words.split_first().ok_or("there is a browser")?;
    let browser = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    Ok(Shown { browser, _place: place })
}

impl Drop for Shown {
    fn drop(&mut self) {
        // One that has ended by itself is waited for, too.
        let _ = kill_process(Pid::from_child(&self.browser), Signal::TERM);
        let _ = self.browser.wait();
    }
}

async fn signal(
    upgrade: WebSocketUpgrade,
    Path((room, side)): Path<(u32, usize)>,
    State(rooms): State<Rooms>,
) -> Response {
    upgrade.on_upgrade(move |socket| relay(socket, room, side, rooms))
}

/// Hands what the page says to the other one of its room, and the other way round.
async fn relay(mut socket: WebSocket, room: u32, side: usize, rooms: Rooms) {
    let Some((other, mut heard)) = take_place(&rooms, room, side) else { return };
    loop {
        tokio::select! {
            said = socket.recv() => match said {
                Some(Ok(Message::Text(text))) => if other.send(text.to_string()).is_err() { return },
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return,
            },
            Some(text) = heard.recv() => if socket.send(Message::from(text)).await.is_err() { return },
        }
    }
}

/// Where the other page hears, and what this one hears.
fn take_place(rooms: &Rooms, room: u32, side: usize) -> Option<(UnboundedSender<String>, UnboundedReceiver<String>)> {
    let mut rooms = locked(rooms);
    let mailboxes = rooms.entry(room).or_insert_with(|| {
        [(); 2].map(|()| {
            let (tell, hear) = unbounded_channel();
            Mailbox(tell, Some(hear))
        })
    });
    let other = mailboxes.get(1 - side.min(1))?.0.clone();
    Some((other, mailboxes.get_mut(side)?.1.take()?))
}
