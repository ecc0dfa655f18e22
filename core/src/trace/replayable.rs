//! What each machine leaves out of its inputs: what it hands on without a look at it.

use super::{MachineKind, Replayable};
use crate::client::{self, Client};
use crate::limits::{INIT_DATA_BYTES_MAX, LICENSE_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::manager::{self, Manager};
use crate::message::keys::{self, KeyStatuses, Notice};
use crate::message::playback::{Command, Message};
use crate::session::{self, Server};

impl<const APPS: usize> Replayable for Manager<APPS> {
    const KIND: MachineKind = MachineKind::Manager;

    fn strip_payload(_: &mut manager::Input<'_>) {}
}

impl Replayable for Server {
    const KIND: MachineKind = MachineKind::Session;

    fn strip_payload(input: &mut session::Input<'_>) {
        if let session::Input::Call { command, .. } = input {
            strip_command(command);
        }
    }
}

impl Replayable for Client {
    const KIND: MachineKind = MachineKind::Client;

    fn strip_payload(input: &mut client::Input<'_>) {
        match input {
            client::Input::Call(command) => strip_command(command),
            client::Input::Received { message: Message::Text { text, .. }, .. } => text.body = "",
            client::Input::Received { message: Message::Keys(Notice::License { message, .. }), .. } => {
                message.body = &[];
            }
            client::Input::Received { message: Message::Keys(Notice::KeyStatuses { statuses, .. }), .. } => {
                *statuses = KeyStatuses(&[]);
            }
            _ => {}
        }
    }
}

/// Stands for what is refused for its length: no licence is recorded because it is too long.
static REFUSED: [u8; MESSAGE_BYTES_MAX] = [0; MESSAGE_BYTES_MAX];

fn strip_command(command: &mut Command<'_>) {
    match command {
        Command::Keys(keys::Command::GenerateRequest { init_data, .. }) => strip(init_data, INIT_DATA_BYTES_MAX),
        Command::Keys(keys::Command::Update { response, .. }) => strip(response, LICENSE_BYTES_MAX),
        _ => {}
    }
}

/// What is longer than it may be is refused for that, and so it stays too long.
fn strip(bytes: &mut &[u8], bytes_max: usize) {
    let kept = if bytes.len() > bytes_max { bytes_max.saturating_add(1) } else { 0 };
    *bytes = REFUSED.get(..kept).unwrap_or(&REFUSED);
}
