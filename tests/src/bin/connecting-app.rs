//! Connects to an app's socket as an app does, says what came of it, and stays until its standard input ends.

use std::io::Read;
use std::process::ExitCode;

use greenroom_hal_linux::client::Client;

fn main() -> ExitCode {
    let Some(socket) = std::env::args_os().nth(1) else {
        eprintln!("usage: connecting-app SOCKET");
        return ExitCode::from(2);
    };
    match Client::connect(socket) {
        Ok(_client) => {
            println!("connected");
            // Whatever comes, and the end, let it go.
            let _ = std::io::stdin().read(&mut [0]);
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
