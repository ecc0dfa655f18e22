//! Carries out what the session server wants done.

use super::port::Port;
use super::{Given, SessionDriver, SessionHost};
use crate::fmt::{Said, info, warning};
use crate::hal::{Decoder, Descriptors, Error, ErrorKind, Interest, KeyProvider, Listen, Stream, Watch};
use crate::limits::{LINK_TIMEOUT, TEXT_BYTES_MAX};
use crate::message::audio::{self, DeviceInfo, PcmFormat, PlayerId};
use crate::message::playback::{Answer, MediaKind, Message, PlaybackError, Refusal, SessionId};
use crate::message::{keys, link};
use crate::ring::SlotLayout;
use crate::session::{Action, ClientId, FIRST_PLAYER, Input, Order, Response};
use crate::time::Instant;
use crate::trace::Recorder;

// The manager must hear the answer of a session server whose decoder hangs, so it has to wait longer than that.
const _: () = assert!(crate::limits::DECODER_TIMEOUT.as_millis() < LINK_TIMEOUT.as_millis());

impl<H: SessionHost, R: Recorder> SessionDriver<H, R> {
    pub(super) fn drain(&mut self, host: &mut H, now: Instant, given: Given<'_>) {
        while let Some(action) = self.machine.poll_action() {
            self.carry_out(host, now, action, given);
        }
    }

    fn carry_out(&mut self, host: &mut H, now: Instant, action: Action, given: Given<'_>) {
        match action {
            Action::Link(message) => self.tell_manager(host, now, &message),
            Action::SetLogLevels(levels) => host.set_log_levels(&levels),
            Action::Bind => {
                if let Given::Configuration(configuration) = given {
                    host.configured(&configuration);
                }
                let result = self.bind(host);
                self.comes_to(Input::Bound(result));
            }
            Action::Unbind { leaves_file } => self.unbind(host, leaves_file),
            Action::Allocate { slots, players } => {
                let result = self.slots.allocate(&mut host.platform().memory, slots, players);
                info!("shared memory for {} session(s): {}", slots, if result.is_ok() { "made" } else { "not made" });
                self.comes_to(Input::Allocated(result));
            }
            Action::Renew { slot } => {
                let result = self.slots.make(&mut host.platform().memory, slot);
                self.comes_to(Input::Renewed { slot, result });
            }
            Action::Free => {
                self.slots.free(&mut host.platform().memory);
                info!("shared memory freed");
            }
            Action::Open { session } => {
                let result = host.platform().decoder.open(session).map_err(|error| {
                    warning!("session {}: {}", session, Said(&error));
                    error.kind()
                });
                self.comes_to(Input::Opened { session, result });
            }
            Action::Command { session, slot, token, order } => {
                self.command(host, (session, token), slot, order, given);
            }
            Action::Close { session } => {
                info!("session {}: closing", session);
                host.platform().decoder.close(session);
            }
            Action::OpenKeys { key_session } => self.open_keys(host, key_session, given),
            Action::CommandKeys { key_session, token, order } => {
                self.command_keys(host, (key_session, token), order, given);
            }
            Action::BindKeys { key_session, session } => host.keys().bind(key_session, session),
            Action::CloseKeys { key_session } => {
                info!("key session {}: closing", key_session);
                host.keys().close(key_session);
            }
            Action::LicenseMessage { client, key_session } => self.tell_license(host, now, client, key_session),
            Action::KeyStatuses { client, key_session } => self.tell_key_statuses(host, now, client, key_session),
            Action::Admit { client } => self.admit(host, client),
            Action::Reply { client, sequence, response } => self.reply(host, now, client, (sequence, response)),
            Action::Event { client, event } => {
                self.send_to_client(now, client, &Message::Event(event), Descriptors::new());
            }
            Action::Text { client, session } => self.tell_text(host, now, client, session),
            Action::CloseClient { client } => self.drop_port(host, client),
            Action::Exit { status } => self.exit_status = Some(status),
        }
    }

    pub(super) fn comes_to(&mut self, outcome: Input<'static>) {
        debug_assert!(self.outcome.is_none(), "no drain has two actions with an outcome");
        self.outcome = Some(outcome);
    }

    fn tell_manager(&mut self, host: &mut H, now: Instant, message: &link::Message) {
        let mut descriptors = Descriptors::new();
        match (message, &self.listener) {
            (link::Message::Listener, Some(listener)) => match host.platform().files.duplicate(listener) {
                Ok(duplicate) => {
                    // There is room for one.
                    let _ = descriptors.push(duplicate);
                    self.is_socket_shared = true;
                }
                Err(error) => return warning!("the manager does not get the socket to keep: {}", Said(&error)),
            },
            (link::Message::StateChanged { state, .. }, _) => info!("state {:?}", state),
            _ => {}
        }
        self.send_to_manager(now, message, descriptors);
    }

    fn bind(&mut self, host: &mut H) -> Result<(), ErrorKind> {
        let platform = host.platform();
        let place = self.machine.place();
        let made = match self.inherited.take() {
            Some(inherited) => platform.files.adopt(inherited),
            None => platform.files.listen(&place),
        };
        let listener = made.map_err(|error| {
            // It is tried again, and the manager is told if that was in vain.
            if error.kind() != ErrorKind::Busy {
                warning!("{}", Said(&error));
            }
            error.kind()
        })?;
        platform.events.watch(&listener, Self::LISTENER, Interest::Read).map_err(|error| error.kind())?;
        info!("listens at {}", place.path);
        self.listener = Some(listener);
        Ok(())
    }

    fn unbind(&mut self, host: &mut H, leaves_file: bool) {
        let platform = host.platform();
        // While somebody listens there nobody else takes the path: what is removed is surely our own.
        if !(leaves_file && self.is_socket_shared) {
            platform.files.remove(self.machine.place().path);
        }
        if let Some(listener) = self.listener.take() {
            platform.events.unwatch(&listener);
        }
        self.accept_again = None;
    }

    fn admit(&mut self, host: &mut H, client: ClientId) {
        let Some(socket) = self.arriving.take() else { return };
        let Some(place) = self.ports.get_mut(usize::from(client.index())) else { return };
        let port = place.insert(Port::new(client, socket));
        let watched = host.platform().events.watch(port.connection.socket(), port.token(), Interest::Read);
        port.is_broken = watched.is_err();
    }

    fn command(&mut self, host: &mut H, (session, token): (u16, u32), slot: u8, order: Order, given: Given<'_>) {
        let result = self.give(host, (session, token), slot, order, given);
        if let Err(error) = result {
            // There are as many places as decoders.
            let _ = self.refused.push((session, token, error));
        }
    }

    fn give(
        &mut self,
        host: &mut H,
        (session, token): (u16, u32),
        slot: u8,
        order: Order,
        given: Given<'_>,
    ) -> Result<(), PlaybackError> {
        let platform = host.platform();
        let command = order.with_stream(|kind| {
            if let Some(format) = self.machine.player_format(session) {
                let frames = self.slots.player_frames(&mut platform.memory, slot).map_err(|_| PlaybackError::Memory)?;
                return Ok(Stream { description: format.description(), frames });
            }
            let Given::Source(description) = given else { return Err(PlaybackError::Decoder) };
            let frames = self.slots.frames(&mut platform.memory, slot, kind).map_err(|_| PlaybackError::Memory)?;
            Ok(Stream { description, frames })
        })?;
        platform.decoder.command(session, token, command).map_err(|error| {
            warning!("session {}: {}", session, Said(&error));
            PlaybackError::Decoder
        })
    }

    fn reply(&mut self, host: &mut H, now: Instant, client: ClientId, (sequence, response): (u32, Response)) {
        let mut descriptors = Descriptors::new();
        let result = self.complete(host, client, response, &mut descriptors);
        self.send_to_client(now, client, &Message::Reply { sequence, result }, descriptors);
    }

    fn tell_text(&mut self, host: &mut H, now: Instant, client: ClientId, session: SessionId) {
        let mut buffer = [0; TEXT_BYTES_MAX];
        // One that was due may have been flushed since.
        if let Some(text) = host.platform().decoder.next_text(session.index, &mut buffer) {
            self.send_to_client(now, client, &Message::Text { session, text }, Descriptors::new());
        }
    }

    /// Adds to an answer what only the platform knows.
    fn complete(
        &mut self,
        host: &mut H,
        client: ClientId,
        response: Response,
        descriptors: &mut Descriptors<H::Descriptor>,
    ) -> Result<Answer, Refusal> {
        const LAYOUT: SlotLayout = SlotLayout::STANDARD;
        let platform = host.platform();
        match response {
            Response::Refused(refusal) => Err(refusal),
            Response::Done => Ok(Answer::Done),
            Response::Welcome { state } => {
                let version = self.port(client).and_then(|port| port.version).unwrap_or(crate::message::VERSIONS.1);
                Ok(Answer::Welcome { version, state })
            }
            Response::SharedMemory { slot } => {
                let both = self.slots.descriptors(&mut platform.memory, slot);
                *descriptors = both.map_err(|_| Refusal::Failed(PlaybackError::Memory))?;
                let (client_bytes, server_bytes) = (LAYOUT.client_bytes(), LAYOUT.server_bytes());
                Ok(Answer::SharedMemory { client_bytes, server_bytes })
            }
            Response::Session { session, slot: None } => Ok(Answer::Session { session }),
            Response::Session { session, slot: Some(slot) } => {
                let Ok(both) = self.slots.descriptors(&mut platform.memory, slot) else {
                    // A drain brings no more sessions than there are.
                    let _ = self.undelivered.push(session.index);
                    return Err(Refusal::Failed(PlaybackError::Memory));
                };
                *descriptors = both;
                let (client_bytes, server_bytes) = (LAYOUT.client_bytes(), LAYOUT.server_bytes());
                Ok(Answer::SessionWithMemory { session, client_bytes, server_bytes })
            }
            Response::Source { slot, source, kind } => {
                *descriptors = self.slots.take_bells(slot);
                Ok(Answer::Source { source, ring: LAYOUT.ring(kind) })
            }
            Response::Position { session, last_ns } => {
                let position_ns = platform.decoder.position_ns(session).unwrap_or(last_ns);
                Ok(Answer::Position { position_ns })
            }
            Response::Duration { session, told_ns } => {
                let duration_ns = told_ns.or_else(|| platform.decoder.duration_ns(session));
                Ok(Answer::Duration { duration_ns })
            }
            Response::Statistics { session, source } => {
                Ok(Answer::Statistics(platform.decoder.statistics(session, source)))
            }
            Response::Player { player, format } => {
                // A slot has the number of its player's decoder.
                let slot = FIRST_PLAYER.saturating_add(player.index) as u8;
                *descriptors = self.slots.take_bells(slot);
                Ok(Answer::Audio(new_player(player, format)))
            }
            Response::KeySession { key_session } => Ok(Answer::Keys(keys::Answer::KeySession { key_session })),
            Response::Volume { volume_permille } => Ok(Answer::Audio(audio::Answer::Volume { volume_permille })),
            Response::Played { session } => {
                Ok(Answer::Audio(audio::Answer::Played { frames: platform.decoder.frames_played(session) }))
            }
        }
    }
}

fn new_player(player: PlayerId, format: PcmFormat) -> audio::Answer {
    const LAYOUT: SlotLayout = SlotLayout::WEB_AUDIO;
    let ring = LAYOUT.ring(MediaKind::Audio);
    let (client_bytes, server_bytes) = (LAYOUT.client_bytes(), LAYOUT.server_bytes());
    let device = DeviceInfo::of(&format, ring.payload_bytes);
    audio::Answer::Player { player, client_bytes, server_bytes, ring, device, format }
}
