//! The session server's driver, with decoders that say anything.

use core::hint::black_box;
use core::mem::MaybeUninit;

use greenroom_core::driver::{Frames, Platform as Parts, SessionDriver, SessionHost};
use greenroom_core::hal::{
    Decoder, DecoderCommand, DecoderEvent, KEY_STATUSES_BYTES_MAX, KeyCommand, KeyEvent, KeyProvider, Ready, Stream,
    Token,
};
use greenroom_core::limits::{LICENSE_BYTES_MAX, TEXT_BYTES_MAX};
use greenroom_core::message::LogLevels;
use greenroom_core::message::keys::{KeyStatuses, LicenseMessage, LicenseMessageKind};
use greenroom_core::message::link::Configuration;
use greenroom_core::message::playback::{SourceId, Statistics, Text};
use greenroom_core::ring::FrameSource;
use greenroom_core::time::Instant;
use greenroom_core::trace::TraceBuffer;

use crate::platform::{AnySocket, Failure, Platform, perhaps};

impl Decoder for Platform {
    type Frames = Frames<Self>;

    fn open(&mut self, session: u16) -> Result<(), Failure> {
        black_box(session);
        perhaps(())
    }

    fn command(
        &mut self,
        session: u16,
        token: u32,
        command: DecoderCommand<Stream<'_, Self::Frames>>,
    ) -> Result<(), Failure> {
        if let DecoderCommand::Attach { mut stream, .. } = command {
            let _ = black_box(stream.frames.next());
        }
        black_box((session, token));
        perhaps(())
    }

    fn position_ns(&mut self, session: u16) -> Option<u64> {
        perhaps(black_box(session).into()).ok()
    }

    fn duration_ns(&mut self, session: u16) -> Option<u64> {
        self.position_ns(session)
    }

    fn statistics(&mut self, session: u16, source: SourceId) -> Statistics {
        black_box((session, source));
        Statistics::default()
    }

    fn next_text<'b>(&mut self, session: u16, buffer: &'b mut [u8; TEXT_BYTES_MAX]) -> Option<Text<'b>> {
        let body = core::str::from_utf8(black_box(buffer)).ok()?;
        black_box(session);
        Some(Text { source: SourceId(0), start_ns: 0, duration_ns: None, missed: 0, body })
    }

    fn frames_played(&mut self, session: u16) -> u64 {
        black_box(session.into())
    }

    fn close(&mut self, session: u16) {
        black_box(session);
    }

    fn next_event(&mut self) -> Option<DecoderEvent> {
        perhaps(black_box(DecoderEvent::Closed { session: 0 })).ok()
    }
}

impl KeyProvider for Platform {
    fn open(&mut self, key_session: u16, key_system: &str) -> Result<(), Failure> {
        black_box((key_session, key_system));
        perhaps(())
    }

    fn command(&mut self, key_session: u16, token: u32, command: KeyCommand<'_>) -> Result<(), Failure> {
        black_box((key_session, token, command));
        perhaps(())
    }

    fn bind(&mut self, key_session: u16, session: u16) {
        black_box((key_session, session));
    }

    fn message<'b>(&mut self, _: u16, buffer: &'b mut [u8; LICENSE_BYTES_MAX]) -> Option<LicenseMessage<'b>> {
        Some(LicenseMessage { kind: LicenseMessageKind::Request, body: black_box(buffer) })
    }

    fn key_statuses<'b>(&mut self, _: u16, buffer: &'b mut [u8; KEY_STATUSES_BYTES_MAX]) -> KeyStatuses<'b> {
        KeyStatuses(black_box(buffer))
    }

    fn close(&mut self, key_session: u16) {
        black_box(key_session);
    }

    fn next_event(&mut self) -> Option<KeyEvent> {
        perhaps(black_box(KeyEvent::Closed { key_session: 0 })).ok()
    }
}

struct Host(Parts<Platform, Platform, Platform, Platform>);

impl SessionHost for Host {
    type Descriptor = u8;
    type Socket = AnySocket;
    type Listener = Platform;
    type Files = Platform;
    type Memory = Platform;
    type Decoder = Platform;
    type Keys = Platform;
    type Events = Platform;

    fn platform(&mut self) -> &mut Parts<Platform, Platform, Platform, Platform> {
        &mut self.0
    }

    fn keys(&mut self) -> &mut Platform {
        &mut self.0.decoder
    }

    fn configured(&mut self, configuration: &Configuration<'_>) {
        black_box(configuration);
    }

    fn set_log_levels(&mut self, levels: &LogLevels) {
        black_box(levels);
    }
}

/// Its size is what a session server takes of static memory.
// SAFETY: no other symbol of the archive has this name.
#[unsafe(no_mangle)]
static GREENROOM_SESSION: MaybeUninit<SessionDriver<Host>> = MaybeUninit::uninit();

pub(crate) fn exercise(now: Instant, token: Token) {
    let mut host = Host(Parts { files: Platform, memory: Platform, decoder: Platform, events: Platform });
    let mut memory = [0; 4096];
    let mut driver = SessionDriver::new(AnySocket, TraceBuffer::new(black_box(&mut memory[..])));
    driver.start(&mut host, now, black_box(Ok(())));
    driver.turn(&mut host, now, &[Ready { token, readable: true, writable: true }]);
    driver.terminate(&mut host, now);
    black_box((driver.next_deadline(), driver.exit_status(), driver.machine().sessions()));
}
