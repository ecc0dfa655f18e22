//! Tables that are filled, and one more.

use std::time::Duration;

use greenroom_core::limits::{APPS_MAX, CLIENTS_MAX, CONTROLLERS_MAX, SESSIONS_MAX};
use greenroom_core::message::control::Command;
use greenroom_core::message::{TargetState, audio, keys, playback};

use super::{CROWD_CONTROLLER, FIRST_GUEST, Later, Weather, app_number};
use crate::party::Party;
use crate::sim::fault::Fault;
use crate::sim::guest::Guest;
use crate::sim::tv_box::TvBox;

impl Weather {
    /// A table gets one more than it has places for.
    pub(super) fn fill(&mut self, tv: &mut TvBox, fault: Fault) -> Option<Party> {
        let leaves_at = tv.now().after(Duration::from_secs(5));
        match fault {
            Fault::AppsFull => {
                if !tv.controllers.get(CROWD_CONTROLLER)?.is_connected() {
                    return None;
                }
                for number in 0..APPS_MAX + 2 {
                    let app = format!("crowd{number}");
                    tv.ask_as(
                        CROWD_CONTROLLER,
                        Command::Initiate { app: &app, state: TargetState::Inactive, socket: "" },
                    );
                }
                self.later(tv, 500, 3000, Later::EndCrowd(0));
                Some(Party::Manager)
            }
            Fault::ControllersFull => {
                let before = self.guests.len();
                for _ in 0..CONTROLLERS_MAX + 2 {
                    let Some(mut guest) = self.guest(tv, true, leaves_at) else { continue };
                    guest.greet();
                    self.guests.push(guest);
                }
                let others = tv.controllers.iter().filter(|controller| controller.is_connected()).count();
                (self.guests.len() - before + others > CONTROLLERS_MAX).then_some(Party::Manager)
            }
            Fault::ClientsFull => {
                let viewer = self.viewer(tv, |viewer| viewer.client.is_connected())?;
                let app = app_number(tv.viewers[viewer].client.party)?;
                let before = self.guests.len();
                for _ in 0..CLIENTS_MAX + 2 {
                    self.last_guest = self.last_guest.wrapping_add(1).max(FIRST_GUEST);
                    let Some(mut guest) = Guest::at_app(&tv.world, app, self.last_guest, leaves_at) else { continue };
                    guest.greet();
                    guest.grab();
                    self.guests.push(guest);
                }
                (self.guests.len() > before + CLIENTS_MAX).then_some(Party::Nobody)
            }
            _ => {
                let place = self.viewer(tv, |viewer| viewer.client.is_running())?;
                let party = tv.viewers[place].client.party;
                let format = audio::PcmFormat { rate_hz: 48_000, channels: 2, sample: audio::SampleFormat::S16Le };
                tv.world.act_as(party);
                for _ in 0..=SESSIONS_MAX {
                    let viewer = &mut tv.viewers[place];
                    viewer.extra(playback::Command::CreateSession);
                    viewer.extra(playback::Command::Audio(audio::Command::Create { format }));
                    viewer.extra(playback::Command::Keys(keys::Command::Create { key_system: "test" }));
                }
                tv.world.act_as(Party::Nobody);
                self.later(tv, 2000, 10_000, Later::Leave(place));
                Some(party)
            }
        }
    }
}
