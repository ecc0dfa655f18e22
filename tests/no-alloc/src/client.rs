//! The client machine under its driver.

use core::hint::black_box;
use core::mem::MaybeUninit;

use greenroom_core::client::{CallId, LostReason, Notification, Outcome};
use greenroom_core::driver::{AnswerDescriptors, ClientDriver, ClientHost};
use greenroom_core::hal::{Ready, Token};
use greenroom_core::limits::RECONNECT_TIMEOUT;
use greenroom_core::message::SocketPath;
use greenroom_core::message::keys::Notice;
use greenroom_core::message::playback::{Command, SessionId, Text};
use greenroom_core::time::Instant;
use greenroom_core::trace::NoRecorder;

use crate::platform::{AnySocket, Platform};

impl ClientHost for Platform {
    fn completed(&mut self, call: CallId, outcome: Outcome, descriptors: AnswerDescriptors<Self>) {
        black_box((call, outcome, descriptors));
    }

    fn notified(&mut self, notification: Notification) {
        black_box(notification);
    }

    fn keys(&mut self, notice: Notice<'_>) {
        black_box(notice);
    }

    fn text(&mut self, session: SessionId, text: Text<'_>) {
        black_box((session, text));
    }

    fn drop_memory(&mut self, reason: Option<LostReason>) {
        black_box(reason);
    }
}

/// Its size is what a client takes of static memory.
// SAFETY: no other symbol of the archive has this name.
#[unsafe(no_mangle)]
static GREENROOM_CLIENT: MaybeUninit<ClientDriver<AnySocket>> = MaybeUninit::uninit();

pub(crate) fn exercise(now: Instant, token: Token) {
    let mut driver = ClientDriver::new(SocketPath::new(), 1, NoRecorder);
    let _ = black_box(driver.connect(&mut Platform, now, black_box(RECONNECT_TIMEOUT)));
    driver.ready(&mut Platform, now, Ready { token, readable: true, writable: true });
    let _ = black_box(driver.call(&mut Platform, now, black_box(Command::GetSharedMemory)));
    let _ = black_box(driver.call_on(&mut Platform, now, 1, black_box(Command::GetSharedMemory)));
    driver.tick(&mut Platform, now);
    black_box((driver.next_deadline(), driver.machine().application()));
    driver.disconnect(&mut Platform, now);
}
