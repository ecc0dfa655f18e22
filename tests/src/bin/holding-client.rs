//! An app that makes a session and holds it: `holding-client SOCKET`. It says `holds` when it has the session, and
//! `lost` when that was taken from it; it ends with its standard input.

use std::io::Read;
use std::time::Duration;

use greenroom_core::message::AppState;
use greenroom_hal_linux::client::Client;

const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let socket = std::env::args_os().nth(1).ok_or("holding-client: no socket")?;
    let client = Client::connect(socket)?;
    client.wait_for_application_state(AppState::Running, PATIENCE)?;
    client.set_application_state(AppState::Running)?;
    let session = client.create_session()?;
    println!("holds");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    while session.end().is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("lost");
    Ok(())
}
