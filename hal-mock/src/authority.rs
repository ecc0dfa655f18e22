//! Who may drive what.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_core::hal::{Authority, Peer, Right};
use greenroom_core::message::AppId;

/// Users, and what they may drive. A user that is not in it may nothing.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    everything: BTreeSet<u32>,
    apps: BTreeMap<u32, BTreeSet<String>>,
}

impl Grants {
    /// Nobody may anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// This user may everything.
    #[must_use]
    pub fn everything(mut self, user_id: u32) -> Self {
        self.everything.insert(user_id);
        self
    }

    /// This user may drive this app.
    #[must_use]
    pub fn app(mut self, user_id: u32, app: &str) -> Self {
        self.apps.entry(user_id).or_default().insert(app.to_owned());
        self
    }

    fn may_drive(&self, user_id: u32, app: &AppId) -> bool {
        self.apps.get(&user_id).is_some_and(|apps| apps.contains(app.as_str()))
    }
}

impl Authority for Grants {
    fn may(&self, peer: &Peer, right: Right<'_>) -> bool {
        let user_id = peer.user_id;
        self.everything.contains(&user_id)
            || match right {
                Right::Any => self.apps.contains_key(&user_id),
                Right::App(app) => self.may_drive(user_id, app),
                Right::Box => false,
            }
    }
}
