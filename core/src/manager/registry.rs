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
    /// Places in the order of their apps' names.
    by_name: Vec<u16, N>,
    /// Places in the order of their apps' sockets.
    by_socket: Vec<u16, N>,
}

type Key = fn(&App) -> &str;
const NAME: Key = |app| app.id().as_str();
const SOCKET: Key = |app| app.socket().as_str();

impl<const N: usize> Registry<N> {
    pub(super) const fn new() -> Self {
        Self { apps: Table::new(), by_name: Vec::new(), by_socket: Vec::new() }
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
        self.look_up(&self.by_name, NAME, name)
    }

    pub(super) fn owner_of(&self, socket: &str) -> Option<AppHandle> {
        self.look_up(&self.by_socket, SOCKET, socket)
    }

    pub(super) fn insert(&mut self, app: App) -> Result<AppHandle, Full<App>> {
        let handle = self.apps.insert(app)?;
        let Some(app) = self.apps.get(handle) else { return Ok(handle) };
        for (index, key) in [(&mut self.by_name, NAME), (&mut self.by_socket, SOCKET)] {
            let position = search(&self.apps, index, key, key(app)).unwrap_or_else(|position| position);
            // As many places as the table has.
            let _ = index.insert(position, handle.index());
        }
        Ok(handle)
    }

    pub(super) fn remove(&mut self, handle: AppHandle) -> Option<App> {
        let app = self.apps.get(handle)?;
        for (index, key) in [(&mut self.by_name, NAME), (&mut self.by_socket, SOCKET)] {
            if let Ok(position) = search(&self.apps, index, key, key(app)) {
                index.remove(position);
            }
        }
        self.apps.remove(handle)
    }

    fn look_up(&self, index: &[u16], key: Key, text: &str) -> Option<AppHandle> {
        let position = search(&self.apps, index, key, text).ok()?;
        self.apps.handle_at(*index.get(position)?)
    }
}

fn search<const N: usize>(apps: &Table<App, N>, index: &[u16], key: Key, text: &str) -> Result<usize, usize> {
    let key_of = |place| apps.handle_at(place).and_then(|handle| apps.get(handle)).map(key);
    index.binary_search_by(|&place| key_of(place).cmp(&Some(text)))
}
