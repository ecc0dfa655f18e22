//! `greenroom-web`: the W3C's Presentation API for pages in browsers, over HTTP and WebSockets.
//!
//! It is a program of its own: it parses what strangers send, and nothing of the presentation service falls with it. Each page
//! is a client of the service by itself, and speaks for nobody else's connections (PS-36).
//!
//! | module | what is in it |
//! |---|---|
//! | `gate` | who is let in |
//! | `page` | one page, from its first word to its end |
//! | `codec` | what pages say and hear |
//! | `service` | a page's connection to the presentation service |
//! | `board` | how the box is, for the status page |
//! | `files` | the pages and the script that are served |
//! | `token` | the token that is kept |

mod board;
mod codec;
mod files;
mod gate;
mod page;
mod service;
mod token;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use greenroom_core::hal::{Error, ErrorKind, Socket};
use greenroom_core::limits::{COMPANION_PROGRESS_INTERVAL, CONTROL_LINE_BYTES_MAX, TRANSPORT_MESSAGE_BYTES_MAX};
use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::socket::SeqPacket;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::config::Config;
pub use files::PRESENTATION_SCRIPT;
use gate::Gate;
pub use token::TokenError;

/// Bytes of a frame: a message, with what surrounds it. Escapes may make a text longer in JSON than it is.
const FRAME_BYTES_MAX: usize = 2 * TRANSPORT_MESSAGE_BYTES_MAX;
const _: () = assert!(CONTROL_LINE_BYTES_MAX <= FRAME_BYTES_MAX, "a frame holds a description");
/// Connections that ask for files, and as many that do not say yet which page they are.
const CONNECTIONS_MAX: usize = 64;
/// A browser sends its request within this.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);
/// One connection asks for files as long as this.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// After an error of the listener.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why browsers are not served, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// Caller or platform: nobody can connect.
    #[error("cannot listen at {address}: {cause}; give another address in [presentation.web] listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the platform said.
        cause: std::io::Error,
    },
    /// Caller or platform: there is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Platform: something that every program needs cannot be had.
    #[error("cannot {step}: {cause}")]
    Platform {
        /// What was tried.
        step: &'static str,
        /// What the platform said.
        cause: std::io::Error,
    },
}

fn because(step: &'static str) -> impl FnOnce(std::io::Error) -> WebError {
    move |cause| WebError::Platform { step, cause }
}

/// What all pages share. It holds secrets, so nothing prints it.
struct Bridge {
    gate: Gate,
    presentation: PathBuf,
    /// The service gives up a connection that is not made within this; pages are told.
    establish_timeout: Duration,
    board: board::Reader,
    /// Of pages that are let in.
    places: Arc<Semaphore>,
    /// Of those that have not said yet who they are.
    strangers: Arc<Semaphore>,
}

/// The addresses to open, with the token: one of this box, and one for each name that is configured.
pub fn links(config: &Config) -> Result<Vec<String>, WebError> {
    let web = &config.presentation.web;
    let token = token::of(config)?;
    let own = match web.listen.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        ip if ip.is_ipv6() => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    let names = web.hosts.iter().map(|host| host.as_str().to_owned());
    let link = |host: String| format!("http://{host}:{}/#token={token}", web.listen.port());
    Ok(std::iter::once(own).chain(names).map(link).collect())
}

/// Serves until a signal says that it is to end, or the manager at the other end of `link` has gone; to the manager it says
/// that it makes progress.
pub fn run(config: &Config, link: Option<SeqPacket>) -> Result<(), WebError> {
    let web = &config.presentation.web;
    let gate = Gate {
        hosts: web.hosts.iter().map(|host| host.as_str().to_owned()).collect(),
        origins: web.origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
        token: token::of(config)?,
        page_token: web.page_token.as_str().to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(because("start the event loop"))?.block_on(async {
        let bridge = Bridge {
            gate,
            presentation: config.presentation_socket(),
            establish_timeout: config.presentation.establish_timeout(),
            board: board::start(config.control_socket()),
            places: Arc::new(Semaphore::new(usize::from(web.pages_max))),
            strangers: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        };
        let listener = TcpListener::bind(web.listen).await;
        let listener = listener.map_err(|cause| WebError::Listen { address: web.listen, cause })?;
        tracing::info!("browsers are served at http://{}", listener.local_addr().unwrap_or(web.listen));
        let routes = routes(Arc::new(bridge));
        tokio::select! {
            never = accept(listener, routes) => match never {},
            ended = told_to_end() => ended,
            () = parent_gone(link) => Ok(()),
        }
    })
}

async fn told_to_end() -> Result<(), WebError> {
    let on = |kind| signal(kind).map_err(because("receive signals"));
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let mut hangup = on(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => tracing::warn!("the configuration is read at the start only; restart this program"),
        }
    }
}

/// Says that the loop goes round, until nobody listens.
async fn parent_gone(link: Option<SeqPacket>) {
    let Some(mut link) = link else { return std::future::pending().await };
    let gone = |error: LinuxError| error.kind() == ErrorKind::Gone;
    while !link.send(&[1], &[]).is_err_and(gone) {
        sleep(COMPANION_PROGRESS_INTERVAL).await;
    }
    tracing::error!("the manager has gone, so nobody serves browsers any more");
}

/// Each connection has a place, so that a flood of them costs nobody else's pages anything.
async fn accept(listener: TcpListener, routes: Router) -> Infallible {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without a place it is closed at once.
                if let Ok(place) = places.clone().try_acquire_owned() {
                    tokio::spawn(serve_connection(stream, routes.clone(), place));
                }
            }
            Err(error) => {
                tracing::warn!("a browser was not let in, trying again soon: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The place is given back when the connection has become a page's, or ends.
async fn serve_connection(stream: TcpStream, routes: Router, place: OwnedSemaphorePermit) {
    // Candidates and states are short, and wanted at once.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .with_upgrades();
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!("a browser's connection has ended: {error}"),
    }
    drop(place);
}

fn routes(bridge: Arc<Bridge>) -> Router {
    files::routes()
        .route("/bridge", get(upgrade))
        .layer(middleware::from_fn_with_state(bridge.clone(), check_host))
        .with_state(bridge)
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// PS-36: before anything else is looked at.
async fn check_host(State(bridge): State<Arc<Bridge>>, request: Request, next: Next) -> Response {
    if !bridge.gate.knows_host(text_of(request.headers(), header::HOST)) {
        let why = "this is no name of this box; use its address, or name it in [presentation.web] hosts";
        return (StatusCode::MISDIRECTED_REQUEST, why).into_response();
    }
    next.run(request).await
}

/// Browsers always say where a page comes from; what says nothing is no page.
async fn upgrade(State(bridge): State<Arc<Bridge>>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let from = page::Visitor {
        host: text_of(&headers, header::HOST).to_owned(),
        origin: text_of(&headers, header::ORIGIN).to_owned(),
    };
    if from.origin.is_empty() {
        return (StatusCode::FORBIDDEN, "only pages may connect").into_response();
    }
    let Ok(stranger) = bridge.strangers.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages connect at a time").into_response();
    };
    let upgrade = upgrade.max_message_size(FRAME_BYTES_MAX).max_frame_size(FRAME_BYTES_MAX);
    upgrade.on_upgrade(move |socket| async move { page::serve(socket, from, &bridge, stranger).await })
}
