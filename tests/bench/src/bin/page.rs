//! The smallest page: one that a presentation service has launched says that it is there; one that nobody has launched
//! says so over its link. Both then wait for their end.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use greenroom_core::hal::{Descriptors, Received, Socket};
use greenroom_core::message::presentation::{Command, LaunchToken};
use greenroom_hal_linux::presentation::{PresenterClient, PresenterError, inherited_token};
use greenroom_hal_linux::process::LINK_DESCRIPTOR;
use greenroom_hal_linux::socket::SeqPacket;
use rustix::event::{PollFd, PollFlags, poll};

/// How long one wait lasts.
const WAIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let done = match inherited_token() {
        Some(token) => show(token),
        None => stand_in(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("page: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(token: LaunchToken) -> Result<(), Box<dyn Error>> {
    let service = PathBuf::from(std::env::var_os("GREENROOM_PRESENTATION").ok_or("there is no service")?);
    let mut service = PresenterClient::connect(&service)?;
    service.request(Command::ReceiverReady { token })?;
    loop {
        match service.next_event(Instant::now() + WAIT) {
            Ok(_) => {}
            Err(PresenterError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn stand_in() -> Result<(), Box<dyn Error>> {
    let mut link = SeqPacket::from_inherited(LINK_DESCRIPTOR)?;
    link.send(&[1], &[])?;
    loop {
        poll(&mut [PollFd::new(&link, PollFlags::IN)], None)?;
        if link.receive(&mut [0; 8], &mut Descriptors::new())? == Received::Closed {
            return Ok(());
        }
    }
}
