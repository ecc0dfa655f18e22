//! One page: a WebSocket on one side, one client of the presentation service on the other.
//!
//! ```text
//!  connected --hello, within 30 s--> let in --ReceiverReady where it was launched--> served --either side goes--> over
//!      |                                        |                     |
//!      +------- late, garbage, stopped ---------+------ refused ------+--> told why, and closed
//! ```

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message as WebMessage, WebSocket};
use greenroom_core::message::presentation::{Answer, Command, Message, Payload, Refusal};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Bridge;
use super::codec::{self, Asked, Frame, Order};
use super::gate::{self, Role, Shown};
use super::service::{ServiceClient, ServiceError, message};

/// Who connects says who it is within this.
const HELLO_TIMEOUT: Duration = Duration::from_secs(30);
/// A browser takes what it is sent within this.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// A browser answers each of these, so that one that is switched off is noticed.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A browser that says nothing for so long has gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Requests of a page that are not answered yet.
const PENDING_MAX: usize = 64;

/// Bytes of the reason in a closing frame.
const CLOSE_BYTES_MAX: usize = 123;

/// What a closing WebSocket says.
mod close_code {
    pub(super) const POLICY: u16 = 1008;
    pub(super) const TRY_AGAIN: u16 = 1013;
    pub(super) const INVALID: u16 = 1007;
}

/// Where a page comes from, as its browser says.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// The name under which it has found us.
    pub(super) host: String,
    /// Its origin.
    pub(super) origin: String,
}

/// Why a page is left.
#[derive(Debug, thiserror::Error)]
enum Left {
    /// It has closed, or its browser has gone.
    #[error("it has gone")]
    Gone,
    /// It said something that it may not, or nothing.
    #[error("{1}")]
    Thrown(u16, String),
    /// The service has gone, or has sent it away.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

fn thrown<T>(code: u16, why: impl Into<String>) -> Result<T, Left> {
    Err(Left::Thrown(code, why.into()))
}

/// Serves a page until it goes. Until it is let in it has a place among strangers only.
pub(super) async fn serve(mut socket: WebSocket, from: Visitor, bridge: &Bridge, stranger: OwnedSemaphorePermit) {
    let left = match meet(&mut socket, &from, bridge).await {
        Ok(mut page) => {
            drop(stranger);
            page.run(&mut socket).await
        }
        Err(left) => left,
    };
    tracing::info!("a page of {} has left: {left}", from.origin);
    let frame = match left {
        Left::Gone => return,
        Left::Thrown(code, why) => CloseFrame { code, reason: short(&why).into() },
        Left::Service(error) => CloseFrame { code: close_code::TRY_AGAIN, reason: short(&error.to_string()).into() },
    };
    // Who closes before the other side has would reset the connection, and with it the reason.
    let closing = async {
        socket.send(WebMessage::Close(Some(frame))).await?;
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<(), axum::Error>(())
    };
    // Who does not hear it sees that the connection ends.
    let _ = timeout(SEND_TIMEOUT, closing).await;
}

/// As much as a closing frame holds.
fn short(why: &str) -> &str {
    why.get(..why.floor_char_boundary(CLOSE_BYTES_MAX)).unwrap_or(why)
}

/// A page that is let in.
async fn meet(socket: &mut WebSocket, from: &Visitor, bridge: &Bridge) -> Result<Page, Left> {
    let first = timeout(HELLO_TIMEOUT, socket.recv()).await;
    let Ok(first) = first else { return thrown(close_code::POLICY, "it did not say who it is") };
    let Some(Ok(WebMessage::Text(text))) = first else { return Err(Left::Gone) };
    let Ok(Asked { id, order: Order::Hello { token, launch } }) = serde_json::from_str(&text) else {
        return thrown(close_code::INVALID, "the first message is no hello");
    };
    let shown = Shown { host: &from.host, origin: &from.origin, token: &token, is_launched: launch.is_some() };
    let role = bridge.gate.role(&shown).or_else(|stopped| thrown(close_code::POLICY, stopped.to_string()))?;
    let Ok(place) = bridge.places.clone().try_acquire_owned() else {
        return thrown(close_code::TRY_AGAIN, "too many pages are connected");
    };
    let service = ServiceClient::connect(&bridge.presentation)?;
    let mut page = Page {
        origin: from.origin.clone(),
        role,
        service,
        establish_timeout: bridge.establish_timeout,
        pending: HashMap::new(),
        board: bridge.board.clone(),
        is_watching: false,
        _place: place,
    };
    page.pending.insert(1, Pending::Welcome { id, is_over: role != Role::Receiver });
    if let Some(launch) = launch {
        page.claim(id, &launch)?;
    }
    tracing::info!("a page of {} is let in as {role:?}", from.origin);
    Ok(page)
}

/// A request of the page that the service has not answered.
#[derive(Debug)]
enum Pending {
    /// The service's greeting, which answers the page's unless something follows.
    Welcome { id: u32, is_over: bool },
    /// The launch token was shown.
    Claim { id: u32 },
    /// What the service says is the answer.
    Plain { id: u32 },
    /// One of a list.
    Listed { id: u32, found: Vec<Value> },
}

struct Page {
    origin: String,
    role: Role,
    service: ServiceClient,
    /// The service gives up a connection after this.
    establish_timeout: Duration,
    /// By the number that the service's answer will have.
    pending: HashMap<u32, Pending>,
    board: super::board::Reader,
    is_watching: bool,
    _place: OwnedSemaphorePermit,
}

impl Page {
    /// PS-12: the service knows whether the token is one.
    fn claim(&mut self, id: u32, launch: &str) -> Result<(), Left> {
        let Some(token) = gate::launch_token(launch) else {
            return thrown(close_code::POLICY, gate::Stopped::NotLaunched.to_string());
        };
        let sequence = self.service.ask(Command::ReceiverReady { token })?;
        self.pending.insert(sequence, Pending::Claim { id });
        Ok(())
    }

    async fn run(&mut self, socket: &mut WebSocket) -> Left {
        let mut heard = Instant::now();
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let reads = !self.service.is_busy() && self.pending.len() < PENDING_MAX;
            let done = tokio::select! {
                frame = socket.recv(), if reads => {
                    heard = Instant::now();
                    self.asked(frame, socket).await
                }
                said = self.service.next() => self.said(said, socket).await,
                status = self.board.changed(), if self.is_watching => tell(socket, Frame::Text(status)).await,
                _ = pings.tick() => {
                    if reads && heard.elapsed() > SILENCE_MAX { Err(Left::Gone) } else { ping(socket).await }
                }
            };
            if let Err(left) = done {
                return left;
            }
        }
    }

    async fn asked(
        &mut self,
        frame: Option<Result<WebMessage, axum::Error>>,
        socket: &mut WebSocket,
    ) -> Result<(), Left> {
        match frame {
            Some(Ok(WebMessage::Text(text))) => {
                let Ok(asked) = serde_json::from_str::<Asked>(&text) else {
                    return thrown(close_code::INVALID, "that is no request");
                };
                self.take(asked, socket).await
            }
            Some(Ok(WebMessage::Binary(bytes))) => self.forward(&bytes),
            Some(Ok(WebMessage::Ping(_) | WebMessage::Pong(_))) => Ok(()),
            Some(Ok(WebMessage::Close(_)) | Err(_)) | None => Err(Left::Gone),
        }
    }

    /// Nobody waits for an answer to it.
    fn forward(&mut self, frame: &Bytes) -> Result<(), Left> {
        let Some((connection, bytes)) = codec::split_binary(frame) else {
            return thrown(close_code::INVALID, "that is no message");
        };
        self.service.ask(Command::Send { connection, payload: Payload::Binary(bytes) })?;
        Ok(())
    }

    async fn take(&mut self, asked: Asked, socket: &mut WebSocket) -> Result<(), Left> {
        let Asked { id, order } = asked;
        let is_persons = order.is_for_persons() && self.role != Role::Person;
        if is_persons || (order.is_controlling() && self.role == Role::Receiver) {
            return tell(socket, codec::refused(id, Refusal::Denied)).await;
        }
        let Some(command) = order.command(&self.origin) else {
            return self.answer_itself(id, &order, socket).await;
        };
        let sequence = self.service.ask(command)?;
        let pending = match order {
            Order::Devices | Order::Presentations => Pending::Listed { id, found: Vec::new() },
            _ => Pending::Plain { id },
        };
        self.pending.insert(sequence, pending);
        Ok(())
    }

    async fn answer_itself(&mut self, id: u32, order: &Order, socket: &mut WebSocket) -> Result<(), Left> {
        if *order != Order::WatchBox {
            return thrown(close_code::INVALID, "it has said hello already");
        }
        if !std::mem::replace(&mut self.is_watching, true) {
            self.board.begin();
        }
        tell(socket, codec::done(id, &json!({}))).await
    }

    async fn said(&mut self, said: Result<Vec<u8>, ServiceError>, socket: &mut WebSocket) -> Result<(), Left> {
        let bytes = said?;
        let frame = match message(&bytes)? {
            Message::Event(event) => codec::event(&event),
            Message::Reply { sequence, result } => self.replied(sequence, result)?,
        };
        match frame {
            Some(frame) => tell(socket, frame).await,
            None => Ok(()),
        }
    }

    fn replied(&mut self, sequence: u32, result: Result<Answer<'_>, Refusal>) -> Result<Option<Frame>, Left> {
        // Messages of bytes have no answer.
        let Some(pending) = self.pending.remove(&sequence) else { return Ok(None) };
        match (pending, result) {
            (Pending::Welcome { id, is_over: true }, Ok(_)) => {
                let role = if self.role == Role::Person { "person" } else { "page" };
                Ok(Some(codec::done(id, &self.welcome(json!({ "role": role })))))
            }
            (Pending::Welcome { is_over: false, .. }, Ok(_)) => Ok(None),
            (Pending::Claim { id }, Ok(Answer::Receiver { presentation_id, url })) => {
                self.launched(id, presentation_id, url).map(Some)
            }
            (Pending::Claim { .. } | Pending::Welcome { .. }, _) => {
                thrown(close_code::POLICY, gate::Stopped::NotLaunched.to_string())
            }
            (Pending::Plain { id } | Pending::Listed { id, .. }, Err(refusal)) => Ok(Some(codec::refused(id, refusal))),
            (Pending::Plain { id }, Ok(answer)) => Ok(Some(codec::done(id, &plain(&answer)))),
            (Pending::Listed { id, found }, Ok(answer)) => self.listed(id, found, &answer),
        }
    }

    /// A page that was led elsewhere is not what was asked for.
    fn launched(&self, id: u32, presentation: &str, url: &str) -> Result<Frame, Left> {
        if gate::origin_of(url).as_deref() != Some(self.origin.to_ascii_lowercase().as_str()) {
            return thrown(close_code::POLICY, gate::Stopped::NotLaunched.to_string());
        }
        let role = json!({ "role": "receiver", "presentation": presentation, "url": url });
        Ok(codec::done(id, &self.welcome(role)))
    }

    /// What every page is told, beside who it is.
    fn welcome(&self, mut role: Value) -> Value {
        role["establishTimeout"] = json!(self.establish_timeout.as_millis());
        role
    }

    fn listed(&mut self, id: u32, mut found: Vec<Value>, answer: &Answer<'_>) -> Result<Option<Frame>, Left> {
        let (value, command) = match answer {
            Answer::Device(Some(status)) => (codec::device(status), Command::ListDevices { from: status.next }),
            Answer::Listed(Some(status)) => (codec::listed(status), Command::List { from: status.next }),
            Answer::Device(None) => return Ok(Some(codec::done(id, &json!({ "devices": found })))),
            _ => return Ok(Some(codec::done(id, &json!({ "presentations": found })))),
        };
        found.push(value);
        let sequence = self.service.ask(command)?;
        self.pending.insert(sequence, Pending::Listed { id, found });
        Ok(None)
    }
}

fn plain(answer: &Answer<'_>) -> Value {
    match answer {
        Answer::Connection { connection, presentation_id, url } => json!({
            "connection": codec::connection_name(*connection), "presentation": presentation_id, "url": url,
        }),
        Answer::Availability { available } => json!({ "available": available }),
        _ => json!({}),
    }
}

async fn tell(socket: &mut WebSocket, frame: Frame) -> Result<(), Left> {
    let message = match frame {
        Frame::Text(text) => WebMessage::Text(text.into()),
        Frame::Binary(bytes) => WebMessage::Binary(bytes.into()),
    };
    send(socket, message).await
}

async fn ping(socket: &mut WebSocket) -> Result<(), Left> {
    send(socket, WebMessage::Ping(Bytes::new())).await
}

async fn send(socket: &mut WebSocket, message: WebMessage) -> Result<(), Left> {
    match timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Left::Gone),
        Err(_) => thrown(close_code::POLICY, "it does not read what it is sent"),
    }
}
