//! The page of a presentation, for tests: what it is told it says back, and it does what it is asked for.
//!
//! | text | what it does |
//! |---|---|
//! | `leave` | closes the connection |
//! | `end` | ends the presentation |
//! | anything else | answers it with `heard: ` before it |

use std::path::PathBuf;
use std::time::{Duration, Instant};

use greenroom_core::message::presentation::{Command, ConnectionId, Event, Payload};
use greenroom_hal_linux::presentation::{PresenterClient, PresenterError, inherited_token};

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> Result<(), PresenterError> {
    let socket =
        std::env::var_os("GREENROOM_PRESENTATION").map(PathBuf::from).expect("it is told where the service is");
    let token = inherited_token().expect("it has inherited a token");
    let mut service = PresenterClient::connect(&socket)?;
    service.request(Command::ReceiverReady { token })?;
    service.request(Command::ListenForConnections)?;
    let end = Instant::now() + PATIENCE;
    while let Some((connection, text)) = next_text(&mut service, end)? {
        answer(&mut service, connection, &text)?;
    }
    Ok(())
}

fn next_text(service: &mut PresenterClient, end: Instant) -> Result<Option<(ConnectionId, String)>, PresenterError> {
    loop {
        match service.next_event(end)? {
            Some(Event::Message { connection, payload: Payload::Text(text) }) => {
                return Ok(Some((connection, text.to_owned())));
            }
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// What cannot be done is for the other side to find out.
fn answer(service: &mut PresenterClient, connection: ConnectionId, text: &str) -> Result<(), PresenterError> {
    let heard = format!("heard: {text}");
    let command = match text {
        "leave" => Command::Close { connection, went_away: false },
        "end" => Command::Terminate { connection },
        _ => Command::Send { connection, payload: Payload::Text(&heard) },
    };
    match service.request(command) {
        Ok(_) | Err(PresenterError::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
