//! The session servers' processes, links and sockets.

use heapless::{Deque, Vec};

use super::{LinkDescriptor, ManagerHost};
use crate::driver::{Connection, ConnectionError, Incoming};
use crate::fmt::warning;
use crate::hal::{
    Child, Descriptors, Error, ErrorKind, ExitStatus, Interest, Listen, Signal, Socket, Spawn, Token, Watch,
};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::{SocketPath, link};
use crate::table::Handle;

type ChildOf<H> = <<H as ManagerHost>::Spawn as Spawn>::Child;
type LinkOf<H> = <<H as ManagerHost>::Spawn as Spawn>::Socket;
type ListenerOf<H> = <<H as ManagerHost>::Listen as Listen>::Listener;

/// Children that could not be watched and wait to be reaped. It takes a platform without memory to have one.
const UNWATCHED_MAX: usize = 4;

/// What came from a session server.
pub(super) enum Heard<D> {
    Message { message: link::Message, listener: Option<D> },
    Nothing,
    Closed,
    Broken,
}

struct Server<H: ManagerHost, T> {
    owner: Handle<T>,
    child: Option<ChildOf<H>>,
    link: Option<Connection<LinkOf<H>>>,
    interest: Interest,
    /// Kept for the next server of the app (SM-36), and so that the file can be removed when a server could not do it
    /// itself (SM-34).
    listener: Option<(ListenerOf<H>, SocketPath)>,
}

/// Kinds of the tokens of processes and of their links.
#[derive(Clone, Copy)]
pub(super) struct Kinds {
    pub(super) child: u8,
    pub(super) link: u8,
}

/// A process and its link on their way from one owner to another.
pub(super) struct Moving<H: ManagerHost> {
    child: Option<ChildOf<H>>,
    link: Option<Connection<LinkOf<H>>>,
}

/// What belongs to each owner, an app or a spare, at the place that the machine's table gave it.
pub(super) struct Servers<H: ManagerHost, T, const N: usize> {
    kinds: Kinds,
    servers: [Option<Server<H, T>>; N],
    /// Owners on whose link a message could not be sent; each is in it once.
    broken: Deque<Handle<T>, N>,
    unwatched: Vec<ChildOf<H>, UNWATCHED_MAX>,
}

impl<H: ManagerHost, T, const N: usize> Servers<H, T, N> {
    pub(super) fn new(kinds: Kinds) -> Self {
        // One by one: a constant would be copied with all that is behind the `None`s.
        let servers = core::array::from_fn(|_| None);
        Self { kinds, servers, broken: Deque::new(), unwatched: Vec::new() }
    }

    fn get(&mut self, owner: Handle<T>) -> Option<&mut Server<H, T>> {
        let place = self.servers.get_mut(usize::from(owner.index()))?;
        place.as_mut().filter(|server| server.owner == owner)
    }

    /// Takes a process and its link in, and watches both; gives the process's number. The socket of an earlier process of
    /// the app stays.
    pub(super) fn insert(
        &mut self,
        host: &mut H,
        owner: Handle<T>,
        child: ChildOf<H>,
        socket: LinkOf<H>,
    ) -> Result<u32, ErrorKind> {
        let watched = watch_both::<H, T>(host, self.kinds, owner, &child, &socket);
        let Some(place) = self.servers.get_mut(usize::from(owner.index())).filter(|_| watched.is_ok()) else {
            self.abandon(child);
            return Err(watched.err().unwrap_or(ErrorKind::Exhausted));
        };
        let process_id = child.process_id();
        let link = Some(Connection::answering(socket));
        let listener = place.take().filter(|earlier| earlier.owner == owner).and_then(|earlier| earlier.listener);
        *place = Some(Server { owner, child: Some(child), link, interest: Interest::Read, listener });
        Ok(process_id)
    }

    /// Gives a process and its link away, still watched for this owner.
    pub(super) fn release(&mut self, owner: Handle<T>) -> Option<Moving<H>> {
        let place = self.servers.get_mut(usize::from(owner.index()))?;
        let Server { child, link, .. } = place.take_if(|server| server.owner == owner)?;
        Some(Moving { child, link })
    }

    /// Takes over a process and its link that are watched for another owner. The socket of an earlier process of this one
    /// stays.
    pub(super) fn take_over(&mut self, host: &mut H, owner: Handle<T>, moving: Moving<H>) {
        let Moving { child, link } = moving;
        let child_watched = child
            .as_ref()
            .map_or(Ok(()), |child| host.watch().rewatch(child, token(self.kinds.child, owner), Interest::Read));
        let interest = link.as_ref().map_or(Interest::Read, wanted_interest);
        let link_watched = link
            .as_ref()
            .map_or(Ok(()), |link| host.watch().rewatch(link.socket(), token(self.kinds.link, owner), interest));
        let Some(place) = self.servers.get_mut(usize::from(owner.index())) else { return };
        let listener = place.take().filter(|earlier| earlier.owner == owner).and_then(|earlier| earlier.listener);
        *place = Some(Server { owner, child, link, interest, listener });
        if child_watched.and(link_watched).is_err() {
            self.note_broken(owner);
        }
    }

    /// Ends a process that cannot be watched.
    fn abandon(&mut self, mut child: ChildOf<H>) {
        let _ = child.signal(Signal::Kill);
        if self.unwatched.push(child).is_err() {
            warning!("a process that could not be watched was killed, and is not reaped before the manager ends");
        }
    }

    pub(super) fn reap_unwatched(&mut self) {
        self.unwatched.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    pub(super) const fn capacity(&self) -> usize {
        N
    }

    /// The process at this place, and whose it is.
    pub(super) fn child_at(&self, place: usize) -> Option<(Handle<T>, &ChildOf<H>)> {
        let server = self.servers.get(place)?.as_ref()?;
        Some((server.owner, server.child.as_ref()?))
    }

    /// Reaps a process that has ended, and watches it no more.
    pub(super) fn try_wait(&mut self, host: &mut H, owner: Handle<T>) -> Option<(ExitStatus, ChildOf<H>)> {
        let server = self.get(owner)?;
        let child = server.child.as_mut()?;
        let status = match child.try_wait() {
            Ok(status) => status?,
            Err(error) => {
                // There is no such child any more, whoever reaped it.
                warning!("process {} cannot be waited for: {:?}", child.process_id(), error.kind());
                ExitStatus::Exited(u8::MAX)
            }
        };
        let child = server.child.take()?;
        host.watch().unwatch(&child);
        Some((status, child))
    }

    pub(super) fn signal(&mut self, owner: Handle<T>, signal: Signal) {
        let Some(child) = self.get(owner).and_then(|server| server.child.as_mut()) else { return };
        if let Err(error) = child.signal(signal) {
            warning!("process {} cannot be sent {:?}: {:?}", child.process_id(), signal, error.kind());
        }
    }

    /// Ends every process that is still there.
    pub(super) fn kill_all(&mut self) {
        for child in self.servers.iter_mut().flatten().filter_map(|server| server.child.as_mut()) {
            // One that cannot be told learns of its manager's end from its link.
            let _ = child.signal(Signal::Kill);
        }
    }

    pub(super) fn send(
        &mut self,
        owner: Handle<T>,
        request: &link::Request<'_>,
        descriptors: Descriptors<LinkDescriptor<H>>,
    ) {
        let Some(link) = self.get(owner).and_then(|server| server.link.as_mut()) else { return };
        if let Err(error) = link.send(request, descriptors) {
            self.note_unsent(owner, error);
        }
    }

    pub(super) fn flush(&mut self, owner: Handle<T>) {
        let Some(link) = self.get(owner).and_then(|server| server.link.as_mut()) else { return };
        if let Err(error) = link.flush() {
            self.note_unsent(owner, error);
        }
    }

    /// A server that has closed is not broken: its last words and its end are still to be read.
    fn note_unsent(&mut self, owner: Handle<T>, error: ConnectionError) {
        if error != ConnectionError::Socket(ErrorKind::Gone) {
            warning!("a session server's link is broken: {:?}", error);
            self.note_broken(owner);
        }
    }

    fn note_broken(&mut self, owner: Handle<T>) {
        if !self.broken.iter().any(|noted| *noted == owner) {
            // As many places as there are apps.
            let _ = self.broken.push_back(owner);
        }
    }

    pub(super) fn take_broken(&mut self) -> Option<Handle<T>> {
        self.broken.pop_front()
    }

    pub(super) fn rewatch(&mut self, host: &mut H, owner: Handle<T>) {
        let kinds = self.kinds;
        let Some(server) = self.get(owner) else { return };
        let Some(link) = &server.link else { return };
        let wanted = wanted_interest(link);
        if wanted == server.interest {
            return;
        }
        match host.watch().rewatch(link.socket(), token(kinds.link, owner), wanted) {
            Ok(()) => server.interest = wanted,
            Err(_) => self.note_broken(owner),
        }
    }

    pub(super) fn receive(&mut self, owner: Handle<T>) -> Heard<LinkDescriptor<H>> {
        let Some(link) = self.get(owner).and_then(|server| server.link.as_mut()) else { return Heard::Nothing };
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut descriptors = Descriptors::new();
        match link.receive(&mut buffer, &mut descriptors) {
            Ok(Incoming::Message { message, .. }) => heard(message, descriptors),
            Ok(Incoming::Nothing) => Heard::Nothing,
            Ok(Incoming::Closed) => Heard::Closed,
            Err(ConnectionError::Socket(ErrorKind::Gone)) => Heard::Closed,
            Err(error) => {
                warning!("a session server sent what is no message: {:?}", error);
                Heard::Broken
            }
        }
    }

    pub(super) fn keep_listener(&mut self, owner: Handle<T>, listener: ListenerOf<H>, path: SocketPath) {
        if let Some(server) = self.get(owner) {
            server.listener = Some((listener, path));
        }
    }

    pub(super) fn close_link(&mut self, host: &mut H, owner: Handle<T>) {
        if let Some(link) = self.get(owner).and_then(|server| server.link.take()) {
            host.watch().unwatch(link.socket());
        }
    }

    /// The socket that an earlier server of the app made, for the next one. When that server has removed its file, nobody
    /// could connect to it: then the next one makes another.
    pub(super) fn socket_to_inherit(&mut self, host: &mut H, owner: Handle<T>) -> Descriptors<LinkDescriptor<H>> {
        let mut descriptors = Descriptors::new();
        planted!("socket_not_handed_on" => return descriptors);
        let Some(server) = self.get(owner) else { return descriptors };
        let Some((listener, path)) = server.listener.take_if(|(_, path)| host.listen().has_file(path)) else {
            // One that is kept would make the path look taken.
            server.listener = None;
            return descriptors;
        };
        match host.listen().duplicate(&listener) {
            Ok(duplicate) => {
                // There is room for one.
                let _ = descriptors.push(duplicate);
                server.listener = Some((listener, path));
            }
            Err(error) => warning!("the socket {} cannot be handed on: {:?}", path.as_str(), error.kind()),
        }
        descriptors
    }

    /// Lets go of a server that was reaped, but for its socket.
    pub(super) fn bury(&mut self, host: &mut H, owner: Handle<T>) {
        self.close_link(host, owner);
        for _ in 0..self.broken.len() {
            if let Some(noted) = self.broken.pop_front().filter(|noted| *noted != owner) {
                // It has just left its place.
                let _ = self.broken.push_back(noted);
            }
        }
    }

    /// Frees the place of an owner whose last server was reaped, and removes what it left (SM-34).
    pub(super) fn forget(&mut self, host: &mut H, owner: Handle<T>) {
        self.close_link(host, owner);
        let Some(place) = self.servers.get_mut(usize::from(owner.index())) else { return };
        if let Some(server) = place.take_if(|server| server.owner == owner)
            && let Some((_, path)) = server.listener
        {
            host.listen().remove(&path);
        }
    }
}

/// The link is read also while a message waits: otherwise the two sides could wait for each other.
fn wanted_interest<S: Socket>(link: &Connection<S>) -> Interest {
    if link.is_blocked() { Interest::ReadWrite } else { Interest::Read }
}

/// Only a message that announces a listener may bring a descriptor, and only one.
fn heard<D>(message: link::Message, mut descriptors: Descriptors<D>) -> Heard<D> {
    match (message, descriptors.len()) {
        (link::Message::Listener, 1) => Heard::Message { message, listener: descriptors.pop() },
        (link::Message::Listener, _) => Heard::Broken,
        (link::Message::Reply { .. } | link::Message::StateChanged { .. } | link::Message::Clients { .. }, 0) => {
            Heard::Message { message, listener: None }
        }
        (link::Message::Reply { .. } | link::Message::StateChanged { .. } | link::Message::Clients { .. }, _) => {
            planted!("surplus_descriptor_taken", Heard::Message { message, listener: None }, Heard::Broken)
        }
    }
}

const fn token<T>(kind: u8, owner: Handle<T>) -> Token {
    Token { kind, index: owner.index(), generation: owner.generation() }
}

fn watch_both<H: ManagerHost, T>(
    host: &mut H,
    kinds: Kinds,
    owner: Handle<T>,
    child: &ChildOf<H>,
    socket: &LinkOf<H>,
) -> Result<(), ErrorKind> {
    host.watch().watch(child, token(kinds.child, owner), Interest::Read).map_err(|error| error.kind())?;
    let link = token(kinds.link, planted!("links_mixed_up", Handle::from_parts(0, owner.generation()), owner));
    host.watch().watch(socket, link, Interest::Read).map_err(|error| {
        host.watch().unwatch(child);
        error.kind()
    })
}
