//! The apps: found by handle, by name and by socket without a walk through all of them.

use serde::{Deserialize, Serialize};

use super::AppHandle;
use super::app::App;
use crate::table::index::Index;
use crate::table::{Full, Table};

/// A table of apps with an index by name and one by socket. Both texts are unique.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Registry<const N: usize> {
    apps: Table<App, N>,
    by_name: Index<N>,
    by_socket: Index<N>,
}

impl<const N: usize> Registry<N> {
    pub(super) fn new() -> Self {
        Self { apps: Table::new(), by_name: Index::new(), by_socket: Index::new() }
    }

    pub(super) const fn table(&self) -> &Table<App, N> {
        &self.apps
    }

    pub(super) fn get(&self, app: AppHandle) -> Option<&App> {
        self.apps.get(app)
    }

    pub(super) fn get_mut(&mut self, app: AppHandle) -> Option<&mut App> {
        self.apps.get_mut(app)
    }

    pub(super) fn find(&self, name: &str) -> Option<AppHandle> {
        self.by_name.places(name).filter_map(|place| self.apps.handle_at(place)).find(|handle| {
            let app = self.apps.get(*handle);
            app.is_some_and(|app| app.id().as_str() == name)
        })
    }

    pub(super) fn owner_of(&self, socket: &str) -> Option<AppHandle> {
        self.by_socket.places(socket).filter_map(|place| self.apps.handle_at(place)).find(|handle| {
            let app = self.apps.get(*handle);
            app.is_some_and(|app| app.socket() == socket)
        })
    }

    pub(super) fn insert(&mut self, app: App) -> Result<AppHandle, Full<App>> {
        let handle = self.apps.insert(app)?;
        if let Some(app) = self.apps.get(handle) {
            self.by_name.insert(app.id().as_str(), handle.index());
            self.by_socket.insert(app.socket(), handle.index());
        }
        Ok(handle)
    }

    pub(super) fn remove(&mut self, handle: AppHandle) {
        if let Some(app) = self.apps.remove(handle) {
            self.by_name.remove(app.id().as_str(), handle.index());
            self.by_socket.remove(app.socket(), handle.index());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{AppId, Resources, SocketPath, TargetState};
    use std::format;

    fn app(number: usize) -> App {
        let (id, socket) = (format!("app{number}"), format!("/run/{number}"));
        let socket = SocketPath::try_from(socket.as_str()).unwrap();
        App::new(AppId::new(&id).unwrap(), socket, Resources::default(), TargetState::Inactive)
    }

    #[test]
    fn every_app_is_found_by_name_and_by_socket_until_it_is_removed() {
        let mut registry = Registry::<7>::new();
        let mut handles: std::vec::Vec<_> = (0..7).map(|number| registry.insert(app(number)).unwrap()).collect();
        assert!(registry.insert(app(9)).is_err());
        for round in 0..100 {
            let (gone, new) = (round * 5 % 7, 7 + round);
            let old = registry.get(handles[gone]).unwrap().id().clone();
            registry.remove(handles[gone]);
            assert_eq!(registry.find(old.as_str()), None);
            handles[gone] = registry.insert(app(new)).unwrap();
            for handle in &handles {
                let app = registry.get(*handle).unwrap();
                assert_eq!(registry.find(app.id().as_str()), Some(*handle));
                assert_eq!(registry.owner_of(app.socket()), Some(*handle));
            }
        }
    }
}
