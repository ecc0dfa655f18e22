//! The page of a presentation, for tests: what it is told it says back, and it does what it is asked for. With
//! `--data-channel` it builds data channels.
//!
//! | message | what it does |
//! |---|---|
//! | `leave` | closes the connection |
//! | `end` | ends the presentation |
//! | any other text | answers it with `heard: ` before it |
//! | bytes | answers with the same bytes |
//!
//! What becomes of its connections it writes to the standard error.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use greenroom_core::message::presentation::{Command, ConnectionId, ConnectionState, Event, Payload, Refusal};
use greenroom_hal_linux::content::ContentClient;
use greenroom_hal_linux::presenter::{PresenterError, inherited_token};

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(5);

/// A message, as it is answered.
enum Heard {
    Text(String),
    Bytes(Vec<u8>),
}

fn main() -> Result<(), PresenterError> {
    let socket =
        std::env::var_os("GREENROOM_PRESENTATION").map(PathBuf::from).expect("it is told where the service is");
    let token = inherited_token().expect("it has inherited a token");
    let mut service = ContentClient::connect(&socket)?;
    if std::env::args().any(|argument| argument == "--data-channel") {
        service.request(Command::RegisterBuilder)?;
    }
    service.request(Command::ReceiverReady { token })?;
    service.request(Command::ListenForConnections)?;
    let end = Instant::now() + PATIENCE;
    while let Some((connection, heard)) = next_message(&mut service, end)? {
        answer(&mut service, connection, &heard)?;
    }
    Ok(())
}

fn next_message(service: &mut ContentClient, end: Instant) -> Result<Option<(ConnectionId, Heard)>, PresenterError> {
    loop {
        match service.next_event(end)? {
            Some(Event::Message { connection, payload: Payload::Text(text) }) => {
                return Ok(Some((connection, Heard::Text(text.to_owned()))));
            }
            Some(Event::Message { connection, payload: Payload::Binary(bytes) }) => {
                return Ok(Some((connection, Heard::Bytes(bytes.to_vec()))));
            }
            Some(Event::State { state, reason, .. }) if state != ConnectionState::Connecting => {
                eprintln!("the page's connection is {state}: {reason:?}");
            }
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// What cannot be done is for the other side to find out.
fn answer(service: &mut ContentClient, connection: ConnectionId, heard: &Heard) -> Result<(), PresenterError> {
    let text;
    let command = match heard {
        Heard::Text(heard) if heard == "leave" => Command::Close { connection, went_away: false },
        Heard::Text(heard) if heard == "end" => Command::Terminate { connection },
        Heard::Text(heard) => {
            text = format!("heard: {heard}");
            Command::Send { connection, payload: Payload::Text(&text) }
        }
        Heard::Bytes(bytes) => Command::Send { connection, payload: Payload::Binary(bytes) },
    };
    loop {
        match service.request(command.clone()) {
            // The other side does not read now.
            Err(PresenterError::Refused(Refusal::Congested)) => {}
            Ok(_) | Err(PresenterError::Refused(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        service.flush(connection, Instant::now() + PAUSE)?;
    }
}
