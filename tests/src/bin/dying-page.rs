//! A page that kills its own process when it is so far with its data channel, as a crash would: `dying-page PHASE` as the
//! receiver that was launched, `dying-page PHASE URL DEVICE` as a page that starts a presentation, whose name it writes.
//!
//! | phase | when it dies |
//! |---|---|
//! | `asked` | it has been asked to build, and has said nothing |
//! | `described` | its own description is said |
//! | `opening` | both descriptions are known, and the other page is looked for |
//! | `open` | the channel is open |
//! | `talking` | it has said something and was answered, so that the other page is connected, too |

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenroom_core::message::presentation::{
    Answer, Command, ConnectionId, ConnectionState, Event, Payload, TransportKind,
};
use greenroom_hal_linux::content::{ContentClient, Phase};
use greenroom_hal_linux::presenter::{PresenterClient, PresenterError, inherited_token};
use rustix::process::{Signal, getpid, kill_process};

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Looked at so often.
const INTERVAL: Duration = Duration::from_millis(1);

fn main() -> Result<(), PresenterError> {
    let socket =
        std::env::var_os("GREENROOM_PRESENTATION").map(PathBuf::from).expect("it is told where the service is");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [phase, target @ ..] = arguments.as_slice() else { panic!("it is told when to die") };
    if phase == "asked" { die_when_asked(&socket, target) } else { die_in(phase, &socket, target) }
}

/// Kills itself; what there is of the process the kernel takes away.
fn die() -> ! {
    kill_process(getpid(), Signal::KILL).expect("it may");
    unreachable!("nobody outlives it")
}

/// What a page says first.
fn introduction(target: &[String]) -> Vec<Command<'_>> {
    if let [url, device] = target {
        let (urls, transport) = ([url.as_str()].into_iter().collect(), TransportKind::DataChannel);
        return vec![Command::Start { presentation_id: "", urls, origin: "a test", device: Some(device), transport }];
    }
    let token = inherited_token().expect("it has inherited a token");
    vec![Command::RegisterBuilder, Command::ReceiverReady { token }, Command::ListenForConnections]
}

/// The connection that was started, if one was.
fn note(answer: &Answer<'_>) -> Option<ConnectionId> {
    let Answer::Connection { connection, presentation_id, .. } = answer else { return None };
    println!("{presentation_id}");
    Some(*connection)
}

/// Nothing is built: the request to build is where it ends.
fn die_when_asked(socket: &Path, target: &[String]) -> Result<(), PresenterError> {
    let mut service = PresenterClient::connect(socket)?;
    for command in introduction(target) {
        note(&service.request(command)?);
    }
    let end = Instant::now() + PATIENCE;
    while let Some(event) = service.next_event(end)? {
        if matches!(event, Event::Build { .. }) {
            die();
        }
    }
    Ok(())
}

fn die_in(wanted: &str, socket: &Path, target: &[String]) -> Result<(), PresenterError> {
    let mut service = ContentClient::connect(socket)?;
    let mut own = None;
    for command in introduction(target) {
        own = note(&service.request(command)?);
    }
    let end = Instant::now() + PATIENCE;
    let mut is_answered = false;
    while Instant::now() < end {
        let connected = match service.next_event(Instant::now() + INTERVAL)? {
            Some(Event::State { connection, state: ConnectionState::Connected, .. }) => Some(connection),
            Some(Event::Available { connection, .. }) => {
                own = Some(connection);
                None
            }
            Some(Event::Message { .. }) => {
                is_answered = true;
                None
            }
            Some(_) | None => None,
        };
        if let Some(connection) = connected {
            service.request(Command::Send { connection, payload: Payload::Text("hello") })?;
        }
        if own.is_some_and(|own| is_so_far(&service, own, wanted, is_answered)) {
            die();
        }
    }
    Ok(())
}

/// A phase that was over between two looks counts, too.
fn is_so_far(service: &ContentClient, own: ConnectionId, wanted: &str, is_answered: bool) -> bool {
    let phase = service.phase(own);
    let is_open = matches!(phase, Some(Phase::Open { .. }));
    let is_opening = is_open || matches!(phase, Some(Phase::Opening));
    match wanted {
        "described" => is_opening || matches!(phase, Some(Phase::Offering)),
        "opening" => is_opening,
        "open" => is_open,
        "talking" => is_answered,
        _ => panic!("{wanted} is no phase"),
    }
}
