//! The apps: found by handle, by name and by socket without a walk through all of them.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::AppHandle;
use super::app::App;
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

/// Which places may hold a text: as many chains as there are places, so that a chain is short.
#[derive(Debug, Serialize, Deserialize)]
struct Index<const N: usize> {
    /// The first place of each chain.
    heads: Vec<u16, N>,
    /// The place that follows each place in its chain.
    nexts: Vec<u16, N>,
}

/// No place. A table has fewer places than this.
const NONE: u16 = u16::MAX;

impl<const N: usize> Index<N> {
    fn new() -> Self {
        let mut index = Self { heads: Vec::new(), nexts: Vec::new() };
        // The capacity is the length.
        let _ = index.heads.resize(N, NONE);
        let _ = index.nexts.resize(N, NONE);
        index
    }

    /// The places of the chain in which this text would be. It ends, because no chain is longer than the table.
    fn places(&self, text: &str) -> impl Iterator<Item = u16> {
        let first = self.heads.get(chain_of::<N>(text)).copied().filter(|&place| place != NONE);
        let next = |place: &u16| self.nexts.get(usize::from(*place)).copied().filter(|&place| place != NONE);
        core::iter::successors(first, next).take(N)
    }

    fn insert(&mut self, text: &str, place: u16) {
        let Some(head) = self.heads.get_mut(chain_of::<N>(text)) else { return };
        if let Some(next) = self.nexts.get_mut(usize::from(place)) {
            *next = core::mem::replace(head, place);
        }
    }

    fn remove(&mut self, text: &str, place: u16) {
        let before = self.places(text).take_while(|&other| other != place).last();
        let after = self.nexts.get(usize::from(place)).copied().unwrap_or(NONE);
        let link = match before {
            Some(before) => self.nexts.get_mut(usize::from(before)),
            None => self.heads.get_mut(chain_of::<N>(text)),
        };
        if let Some(link) = link.filter(|link| **link == place) {
            *link = after;
        }
    }
}

/// FNV-1a: the names are the platform's own, so nobody is out for long chains.
fn chain_of<const N: usize>(text: &str) -> usize {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash as usize).checked_rem(N).unwrap_or(0)
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
