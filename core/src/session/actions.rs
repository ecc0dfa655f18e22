//! What is to be done, derived from the state.
//!
//! In this order: the manager's answer; the platform; on the way out the clients' last words and the socket; the
//! manager's notifications; the clients; and the end.

use core::mem;

use super::phase::{Cause, Phase, Verdict, next};
use super::playback::Want;
use super::server::{Server, Slot, session_id};
use super::{Action, ClientId};
use crate::message::link::{Message, Refusal};
use crate::message::playback::Event;
use crate::message::{Resources, ServerState};

impl Server {
    pub(super) fn next_action(&mut self) -> Option<Action> {
        if self.phase == Phase::Gone {
            return None;
        }
        self.next_link_reply()
            .or_else(|| self.next_for_platform())
            .or_else(|| self.next_on_the_way_out())
            .or_else(|| self.next_notification())
            .or_else(|| self.next_for_clients())
            .or_else(|| self.next_at_the_end())
    }

    fn next_link_reply(&mut self) -> Option<Action> {
        if self.link.is_blocked {
            return None;
        }
        let reply = self.link.reply.take().or_else(|| self.next_pong());
        reply.map(|(sequence, result)| Action::Link(Message::Reply { sequence, result }))
    }

    fn next_pong(&mut self) -> Option<(u32, Result<(), Refusal>)> {
        let owes_a_beat = self.sessions.iter().any(|(_, session)| session.beat.is_owed());
        let is_owed = planted!("pong_unproved", false, owes_a_beat || self.audio.owe_a_beat());
        let sequence = self.ping.take_if(|_| !is_owed)?;
        Some((sequence, Ok(())))
    }

    fn next_for_platform(&mut self) -> Option<Action> {
        if mem::take(&mut self.due.levels) {
            return Some(Action::SetLogLevels(self.levels));
        }
        if mem::take(&mut self.due.bind) {
            return Some(Action::Bind);
        }
        if !self.link.is_open && matches!(self.phase, Phase::Deactivating { .. }) && self.due.unbind {
            return self.next_unbinding();
        }
        if mem::take(&mut self.due.allocate) {
            return Some(self.allocation());
        }
        if let Some(client) = self.due.evicted.pop() {
            return Some(Action::CloseClient { client });
        }
        if let Some(client) = self.due.admit.take() {
            return Some(Action::Admit { client });
        }
        let keys = self.keys.next_for_provider();
        if keys.is_some() {
            return keys;
        }
        let decoder = self.next_for_decoders().or_else(|| self.audio.next_for_decoders());
        if decoder.is_some() {
            return decoder;
        }
        if mem::take(&mut self.due.free) {
            return Some(Action::Free);
        }
        self.next_renewal()
    }

    fn allocation(&self) -> Action {
        let Resources { max_playback_sessions, max_web_audio_players, .. } = self.resources;
        Action::Allocate { slots: max_playback_sessions, players: max_web_audio_players }
    }

    fn next_for_decoders(&mut self) -> Option<Action> {
        self.sessions.iter_mut().find_map(|(handle, session)| {
            let (slot, index) = (session.slot(), handle.index());
            session.poll_decoder().map(|want| match want {
                Want::Open => Action::Open { session: index },
                Want::Close => Action::Close { session: index },
                Want::Give { token, order } => Action::Command { session: index, slot, token, order },
            })
        })
    }

    fn next_renewal(&mut self) -> Option<Action> {
        // There are at most SESSIONS_MAX slots, and a configuration with more than a byte holds is refused.
        self.slots.iter_mut().zip(0_u8..).find_map(|(place, slot)| match place {
            Slot::Renewing { asked, .. } => (!mem::replace(asked, true)).then_some(Action::Renew { slot }),
            Slot::Fresh | Slot::Used | Slot::Leased => None,
        })
    }

    fn next_on_the_way_out(&mut self) -> Option<Action> {
        if !matches!(self.phase, Phase::Leaving(_)) {
            return None;
        }
        if let Some(last_word) = self.next_for_clients() {
            return Some(last_word);
        }
        let first = self.clients.iter().next().map(|(client, _)| client);
        if let Some(client) = first {
            return Some(self.close_client(client));
        }
        self.next_unbinding()
    }

    fn next_unbinding(&mut self) -> Option<Action> {
        if !mem::take(&mut self.due.unbind) {
            return None;
        }
        self.is_unbound = true;
        let has_manager_socket = !mem::take(&mut self.link.listener_untold);
        Some(Action::Unbind { leaves_file: self.link.is_open && has_manager_socket })
    }

    fn close_client(&mut self, client: ClientId) -> Action {
        self.clients.remove(client);
        self.link.clients_untold = self.link.is_open && !matches!(self.phase, Phase::Leaving(_));
        Action::CloseClient { client }
    }

    fn next_notification(&mut self) -> Option<Action> {
        if self.link.is_blocked || !self.link.is_open {
            return None;
        }
        if mem::take(&mut self.link.listener_untold) {
            return Some(Action::Link(Message::Listener));
        }
        if let Some((state, reason)) = self.link.notifications.pop_front() {
            return Some(Action::Link(Message::StateChanged { state, reason }));
        }
        if matches!(self.phase, Phase::Leaving(_)) || !mem::take(&mut self.link.clients_untold) {
            return None;
        }
        let served = self.clients.iter().filter(|(_, client)| client.turned_away.is_none());
        let connected = u8::try_from(served.count()).unwrap_or(u8::MAX);
        Some(Action::Link(Message::Clients { connected, state: self.app_state() }))
    }

    fn next_for_clients(&mut self) -> Option<Action> {
        let levels = self.levels;
        let mut leaving = None;
        for (client, entry) in self.clients.iter_mut().filter(|(_, entry)| !entry.is_blocked) {
            if let Some((sequence, response)) = entry.poll_reply() {
                return Some(Action::Reply { client, sequence, response });
            }
            if entry.is_leaving {
                leaving = Some(client);
                break;
            }
            let own = self.sessions.iter_mut().filter(|(_, session)| session.owner == client);
            for (handle, session) in own {
                if let Some(event) = session.poll_event(session_id(handle)) {
                    return Some(Action::Event { client, event });
                }
                if session.poll_text() {
                    return Some(Action::Text { client, session: session_id(handle) });
                }
            }
            if let Some(notice) = self.keys.next_notice(client) {
                return Some(notice);
            }
            if let Some(event) = self.audio.next_event(client) {
                return Some(Action::Event { client, event: Event::Audio(event) });
            }
            if let Some(event) = entry.poll_event(levels) {
                return Some(Action::Event { client, event });
            }
        }
        leaving.map(|client| self.close_client(client))
    }

    fn next_at_the_end(&mut self) -> Option<Action> {
        let Phase::Leaving(end) = self.phase else { return None };
        if self.link.is_open && self.link.is_blocked {
            return None;
        }
        let Verdict::Go(gone) = next(self.phase, Cause::Said, ServerState::NotRunning) else { return None };
        self.phase = gone;
        Some(Action::Exit { status: end.status() })
    }
}
