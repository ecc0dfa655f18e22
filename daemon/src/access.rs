//! Who may drive which app and who may connect to it: the names of the configuration as numbers.

use std::collections::BTreeMap;

use greenroom_core::hal::{Authority, Peer, Right};
use greenroom_core::limits::IDS_MAX;
use greenroom_core::message::{Allowed, AppId, Ids};
use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::owner;

use crate::config::{Config, Principal};

/// Why nobody can be told apart by this configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Caller: a configured user or group does not exist.
    #[error("{key} names {name}, who does not exist here; correct it: {cause}")]
    Nobody {
        /// The key of the configuration.
        key: String,
        /// The name.
        name: String,
        /// What the platform said.
        cause: LinuxError,
    },
    /// Caller: a list is too long.
    #[error("{key} names more than {max} users or groups; put the users into one group and name that")]
    TooMany {
        /// The key of the configuration.
        key: String,
        /// How many there may be of each.
        max: usize,
    },
}

/// Who may drive one app, and who may connect to it.
#[derive(Clone, Copy, Debug, Default)]
struct AppAccess {
    controllers: Allowed,
    clients: Allowed,
}

/// Who may what.
#[derive(Clone, Debug)]
pub struct Access {
    everything: Allowed,
    apps: BTreeMap<String, AppAccess>,
}

impl Access {
    /// Finds the users and groups that the configuration names. Root and the user of this process may everything.
    pub fn resolve(config: &Config) -> Result<Self, AccessError> {
        let own = Principal::User(rustix::process::geteuid().as_raw().to_string());
        let always = [Principal::User("0".to_owned()), own];
        let everything =
            allowed("[control] allow_users or allow_groups", always.iter().chain(&config.full_controllers()))?;
        let mut apps = BTreeMap::new();
        for (app, controllers, clients) in config.access() {
            let key = |list: &str| format!("[app.\"{app}\"] {list}");
            let controllers = allowed(&key("controllers"), controllers)?;
            // Who is named by nobody is let in by the socket's mode alone.
            let also = if clients.is_empty() { &[][..] } else { &always };
            let clients = allowed(&key("clients"), clients.iter().chain(also))?;
            apps.insert(app.to_owned(), AppAccess { controllers, clients });
        }
        Ok(Self { everything, apps })
    }

    /// Who may connect to an app's socket.
    pub fn clients(&self, app: &AppId) -> Allowed {
        self.apps.get(app.as_str()).map_or_else(Allowed::default, |access| access.clients)
    }

    fn may_drive(&self, peer: &Peer, app: &AppId) -> bool {
        self.apps.get(app.as_str()).is_some_and(|access| access.controllers.names(peer))
    }
}

impl Authority for Access {
    fn may(&self, peer: &Peer, right: Right<'_>) -> bool {
        self.everything.names(peer)
            || match right {
                Right::Any => self.apps.values().any(|access| access.controllers.names(peer)),
                Right::App(app) => self.may_drive(peer, app),
                Right::Box => false,
            }
    }
}

fn allowed<'p>(key: &str, principals: impl IntoIterator<Item = &'p Principal>) -> Result<Allowed, AccessError> {
    let (mut users, mut groups) = (Vec::new(), Vec::new());
    for principal in principals {
        let nobody = |cause| AccessError::Nobody { key: key.to_owned(), name: principal.to_string(), cause };
        match principal {
            Principal::User(name) => users.extend(owner::user(name).map_err(nobody)?.map(|user| user.as_raw())),
            Principal::Group(name) => groups.extend(owner::group(name).map_err(nobody)?.map(|group| group.as_raw())),
        }
    }
    let ids = |mut list: Vec<u32>| {
        list.sort_unstable();
        list.dedup();
        Ids::new(&list).ok_or_else(|| AccessError::TooMany { key: key.to_owned(), max: IDS_MAX })
    };
    Ok(Allowed { users: ids(users)?, groups: ids(groups)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Peer = Peer::new(1, 0, 0);
    const PLAYER: Peer = Peer::new(2, 4_001, 4_001);
    const STRANGER: Peer = Peer::new(3, 4_009, 4_009);

    fn access(text: &str) -> Result<Access, AccessError> {
        Access::resolve(&text.parse().unwrap())
    }

    fn app(name: &str) -> AppId {
        AppId::new(name).unwrap()
    }

    fn member(group: u32) -> Peer {
        Peer { groups: Ids::first_of(&[7, group]), ..STRANGER }
    }

    #[test]
    fn root_may_everything_and_a_user_that_nobody_names_nothing() {
        let access = access("").unwrap();
        for right in [Right::Any, Right::App(&app("tv")), Right::Box] {
            assert!(access.may(&ROOT, right));
            assert!(!access.may(&STRANGER, right));
        }
    }

    #[test]
    fn a_controller_of_an_app_may_drive_that_app_and_no_other() {
        let access = access("[app.tv]\ncontrollers = ['4001', '@4002']").unwrap();
        for peer in [PLAYER, member(4_002), Peer::new(9, 4_009, 4_002)] {
            assert!(access.may(&peer, Right::Any) && access.may(&peer, Right::App(&app("tv"))));
            assert!(!access.may(&peer, Right::App(&app("radio"))) && !access.may(&peer, Right::Box));
        }
        assert!(!access.may(&Peer::new(9, 4_002, 4_009), Right::Any), "a user's number is no group's");
    }

    #[test]
    fn users_and_groups_of_the_control_section_may_everything() {
        let access = access("[control]\nallow_users = ['4001']\nallow_groups = ['4002']").unwrap();
        assert!(access.may(&PLAYER, Right::Box) && access.may(&member(4_002), Right::App(&app("any"))));
        assert!(!access.may(&STRANGER, Right::Any));
    }

    #[test]
    fn clients_that_are_named_are_joined_by_root_and_the_servers_own_user() {
        let access = access("[app.tv]\nclients = ['4001', '@4002']").unwrap();
        let clients = access.clients(&app("tv"));
        assert!(clients.names(&PLAYER) && clients.names(&member(4_002)) && clients.names(&ROOT));
        assert!(clients.users.contains(rustix::process::geteuid().as_raw()) && !clients.names(&STRANGER));
        assert!(access.clients(&app("radio")).is_empty());
        assert!(!access.may(&PLAYER, Right::Any), "a client of an app is no controller");
    }

    #[test]
    fn a_name_that_nobody_has_is_told_with_its_key() {
        for (text, key) in [
            ("[control]\nallow_users = ['no-such-user']", "[control] allow_users"),
            ("[app.\"a.b\"]\ncontrollers = ['@no-such-group']", "[app.\"a.b\"] controllers names @no-such-group"),
            ("[app.tv]\nclients = ['no-such-user']", "[app.\"tv\"] clients names no-such-user"),
        ] {
            let error = access(text).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("correct it"), "{error}");
        }
    }

    #[test]
    fn a_list_that_is_too_long_is_refused_with_what_to_do() {
        let many: Vec<String> = (0..=IDS_MAX).map(|user| format!("'{}'", 5_000 + user)).collect();
        let error = access(&format!("[app.tv]\nclients = [{}]", many.join(","))).unwrap_err().to_string();
        assert!(error.contains("[app.\"tv\"] clients") && error.contains("one group"), "{error}");
    }
}
