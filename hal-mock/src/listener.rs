//! Sockets by name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::rc::{Rc, Weak};

use greenroom_core::hal::{ErrorKind, ErrorType, Listen, Listener, Peer, SocketPlace};
use greenroom_core::limits::SOCKET_PATH_BYTES_MAX;

use crate::descriptor::Descriptor;
use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::socket::SeqPacket;
use crate::world::World;

/// Connections that may wait to be accepted.
pub const BACKLOG: usize = 16;

/// What listens: shared by all descriptors of it, and alive as long as there is one.
pub(crate) struct Listening {
    path: String,
    waiting: RefCell<VecDeque<(SeqPacket, Peer)>>,
}

impl Listening {
    pub(crate) fn enqueue(&self, socket: SeqPacket, peer: Peer) -> Result<(), ErrorKind> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= BACKLOG {
            return Err(ErrorKind::Busy);
        }
        waiting.push_back((socket, peer));
        Ok(())
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Listening at {}", self.path)
    }
}

impl Readiness for Listening {
    fn is_readable(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    fn has_ended(&self) -> bool {
        false
    }
}

/// A socket that listens. Dropping it closes it and leaves its file.
#[derive(Debug)]
pub struct ListeningSocket {
    world: World,
    listening: Rc<Listening>,
}

impl ErrorType for ListeningSocket {
    type Error = SimulatedError;
}

impl Listener for ListeningSocket {
    type Socket = SeqPacket;

    fn accept(&mut self) -> Result<Option<(SeqPacket, Peer)>, SimulatedError> {
        self.world.fault(Call::Accept)?;
        let arrived = self.listening.waiting.borrow_mut().pop_front();
        if let Some((socket, _)) = &arrived {
            socket.belongs_to(self.world.acting());
        }
        Ok(arrived)
    }
}

impl Source for ListeningSocket {
    fn readiness(&self) -> Rc<dyn Readiness> {
        Rc::<Listening>::clone(&self.listening)
    }
}

#[derive(Debug)]
struct File {
    number: u64,
    /// `None` for a file that is no socket.
    socket: Option<Weak<Listening>>,
    mode: u16,
    owner: String,
    group: String,
}

/// The files of a world.
#[derive(Debug, Default)]
pub(crate) struct Files {
    directories: BTreeSet<String>,
    files: BTreeMap<String, File>,
    last_number: u64,
}

impl Files {
    pub(crate) fn make_directory(&mut self, path: &str) {
        self.directories.insert(path.to_owned());
    }

    pub(crate) fn write(&mut self, path: &str) {
        let place = SocketPlace { path, mode: 0o644, owner: "root", group: "root" };
        self.put(&place, None);
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.files.remove(path);
    }

    fn remove_dead(&mut self, path: &str) {
        let is_dead = |file: &File| file.socket.as_ref().is_some_and(|socket| socket.strong_count() == 0);
        if self.files.get(path).is_some_and(is_dead) {
            self.files.remove(path);
        }
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }

    pub(crate) fn permissions(&self, path: &str) -> Option<(u16, String, String)> {
        self.files.get(path).map(|file| (file.mode, file.owner.clone(), file.group.clone()))
    }

    /// Who listens there, or why nobody can be reached.
    pub(crate) fn listening(&self, path: &str) -> Result<Rc<Listening>, ErrorKind> {
        let file = self.files.get(path).ok_or(ErrorKind::NotFound)?;
        file.socket.as_ref().and_then(Weak::upgrade).ok_or(ErrorKind::Gone)
    }

    fn is_clear(&self, path: &str) -> Result<(), ErrorKind> {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        if !self.directories.contains(directory) {
            return Err(ErrorKind::NotFound);
        }
        match self.files.get(path) {
            Some(File { socket: None, .. }) => Err(ErrorKind::WrongKind),
            Some(File { socket: Some(listening), .. }) if listening.strong_count() > 0 => Err(ErrorKind::Busy),
            Some(_) | None => Ok(()),
        }
    }

    fn put(&mut self, place: &SocketPlace<'_>, socket: Option<Weak<Listening>>) -> u64 {
        self.last_number += 1;
        let or_root = |name: &str| if name.is_empty() { "root".to_owned() } else { name.to_owned() };
        let (owner, group) = (or_root(place.owner), or_root(place.group));
        let file = File { number: self.last_number, socket, mode: place.mode, owner, group };
        self.files.insert(place.path.to_owned(), file);
        self.last_number
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.files.get(path).map(|file| file.number)
    }
}

/// Makes listening sockets, as one process of the world, and remembers their files.
#[derive(Debug)]
pub struct SocketFiles {
    world: World,
    ours: BTreeMap<String, u64>,
}

impl SocketFiles {
    /// No files yet.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), ours: BTreeMap::new() }
    }

    fn check(&self, place: &SocketPlace<'_>) -> Result<(), ErrorKind> {
        if place.path.len() > SOCKET_PATH_BYTES_MAX || !place.path.starts_with('/') {
            return Err(ErrorKind::Unsupported);
        }
        if !self.world.knows_owner(place.owner) || !self.world.knows_owner(place.group) {
            return Err(ErrorKind::Owner);
        }
        self.world.files(|files| files.is_clear(place.path))
    }
}

impl ErrorType for SocketFiles {
    type Error = SimulatedError;
}

impl Listen for SocketFiles {
    type Listener = ListeningSocket;
    type Descriptor = Descriptor;

    fn listen(&mut self, place: &SocketPlace<'_>) -> Result<ListeningSocket, SimulatedError> {
        self.world.fault(Call::Listen)?;
        self.check(place).map_err(|kind| SimulatedError::new(Call::Listen, kind))?;
        let listening = Rc::new(Listening { path: place.path.to_owned(), waiting: RefCell::default() });
        let number = self.world.files(|files| files.put(place, Some(Rc::downgrade(&listening))));
        self.ours.insert(place.path.to_owned(), number);
        Ok(ListeningSocket { world: self.world.clone(), listening })
    }

    fn adopt(&mut self, descriptor: Descriptor) -> Result<ListeningSocket, SimulatedError> {
        self.world.fault(Call::Adopt)?;
        let listening =
            descriptor.object::<Listening>().ok_or(SimulatedError::new(Call::Adopt, ErrorKind::Unsupported))?;
        if let Some(number) = self.world.files(|files| files.number(&listening.path)) {
            self.ours.insert(listening.path.clone(), number);
        }
        Ok(ListeningSocket { world: self.world.clone(), listening })
    }

    fn duplicate(&mut self, listener: &ListeningSocket) -> Result<Descriptor, SimulatedError> {
        self.world.fault(Call::Duplicate)?;
        Ok(Descriptor::new(Rc::<Listening>::clone(&listener.listening)))
    }

    fn has_file(&self, path: &str) -> bool {
        let ours = self.ours.get(path).copied();
        ours.is_some() && self.world.files(|files| files.number(path)) == ours
    }

    fn remove(&mut self, path: &str) {
        let Some(number) = self.ours.remove(path) else { return };
        self.world.files(|files| {
            if files.number(path) == Some(number) {
                files.remove(path);
            }
        });
    }

    fn remove_dead(&mut self, path: &str) {
        self.world.files(|files| files.remove_dead(path));
    }
}
