//! The session servers' processes, links and sockets.

use heapless::{Deque, Vec};

use super::{LinkDescriptor, ManagerHost, kind};
use crate::driver::{Connection, ConnectionError, Incoming};
use crate::fmt::warning;
use crate::hal::{Child, Descriptors, Error, ErrorKind, ExitStatus, Interest, Listen, Signal, Spawn, Token, Watch};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::manager::AppHandle;
use crate::message::{SocketPath, link};

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

struct Server<H: ManagerHost> {
    app: AppHandle,
    child: Option<ChildOf<H>>,
    link: Option<Connection<LinkOf<H>>>,
    interest: Interest,
    /// Kept for the next server of the app (SM-36), and so that the file can be removed when a server could not do it
    /// itself (SM-34).
    listener: Option<(ListenerOf<H>, SocketPath)>,
}

/// What belongs to each app, at the place that the machine's table gave it.
pub(super) struct Servers<H: ManagerHost, const APPS: usize> {
    servers: [Option<Server<H>>; APPS],
    /// Apps on whose link a message could not be sent; each is in it once.
    broken: Deque<AppHandle, APPS>,
    unwatched: Vec<ChildOf<H>, UNWATCHED_MAX>,
}

impl<H: ManagerHost, const APPS: usize> Servers<H, APPS> {
    pub(super) const fn new() -> Self {
        Self { servers: [const { None }; APPS], broken: Deque::new(), unwatched: Vec::new() }
    }

    fn get(&mut self, app: AppHandle) -> Option<&mut Server<H>> {
        let place = self.servers.get_mut(usize::from(app.index()))?;
        place.as_mut().filter(|server| server.app == app)
    }

    /// Takes a process and its link in, and watches both; gives the process's number. The socket of an earlier process of
    /// the app stays.
    pub(super) fn insert(
        &mut self,
        host: &mut H,
        app: AppHandle,
        child: ChildOf<H>,
        socket: LinkOf<H>,
    ) -> Result<u32, ErrorKind> {
        let watched = watch_both::<H>(host, app, &child, &socket);
        let Some(place) = self.servers.get_mut(usize::from(app.index())).filter(|_| watched.is_ok()) else {
            self.abandon(child);
            return Err(watched.err().unwrap_or(ErrorKind::Exhausted));
        };
        let process_id = child.process_id();
        let link = Some(Connection::answering(socket));
        let listener = place.take().filter(|earlier| earlier.app == app).and_then(|earlier| earlier.listener);
        *place = Some(Server { app, child: Some(child), link, interest: Interest::Read, listener });
        Ok(process_id)
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

    /// Reaps a process that has ended, and watches it no more.
    pub(super) fn try_wait(&mut self, host: &mut H, app: AppHandle) -> Option<ExitStatus> {
        let server = self.get(app)?;
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
        Some(status)
    }

    pub(super) fn signal(&mut self, app: AppHandle, signal: Signal) {
        let Some(child) = self.get(app).and_then(|server| server.child.as_mut()) else { return };
        if let Err(error) = child.signal(signal) {
            warning!("process {} cannot be sent {:?}: {:?}", child.process_id(), signal, error.kind());
        }
    }

    pub(super) fn send(
        &mut self,
        app: AppHandle,
        request: &link::Request<'_>,
        descriptors: Descriptors<LinkDescriptor<H>>,
    ) {
        let Some(link) = self.get(app).and_then(|server| server.link.as_mut()) else { return };
        if let Err(error) = link.send(request, descriptors) {
            self.note_unsent(app, error);
        }
    }

    pub(super) fn flush(&mut self, app: AppHandle) {
        let Some(link) = self.get(app).and_then(|server| server.link.as_mut()) else { return };
        if let Err(error) = link.flush() {
            self.note_unsent(app, error);
        }
    }

    /// A server that has closed is not broken: its last words and its end are still to be read.
    fn note_unsent(&mut self, app: AppHandle, error: ConnectionError) {
        if error != ConnectionError::Socket(ErrorKind::Gone) {
            warning!("a session server's link is broken: {:?}", error);
            self.note_broken(app);
        }
    }

    fn note_broken(&mut self, app: AppHandle) {
        if !self.broken.iter().any(|noted| *noted == app) {
            // As many places as there are apps.
            let _ = self.broken.push_back(app);
        }
    }

    pub(super) fn take_broken(&mut self) -> Option<AppHandle> {
        self.broken.pop_front()
    }

    /// The link is read also while a message waits: otherwise the two sides could wait for each other.
    pub(super) fn rewatch(&mut self, host: &mut H, app: AppHandle) {
        let Some(server) = self.get(app) else { return };
        let Some(link) = &server.link else { return };
        let wanted = if link.is_blocked() { Interest::ReadWrite } else { Interest::Read };
        if wanted == server.interest {
            return;
        }
        match host.watch().rewatch(link.socket(), token(kind::LINK, app), wanted) {
            Ok(()) => server.interest = wanted,
            Err(_) => self.note_broken(app),
        }
    }

    pub(super) fn receive(&mut self, app: AppHandle) -> Heard<LinkDescriptor<H>> {
        let Some(link) = self.get(app).and_then(|server| server.link.as_mut()) else { return Heard::Nothing };
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

    pub(super) fn keep_listener(&mut self, app: AppHandle, listener: ListenerOf<H>, path: SocketPath) {
        if let Some(server) = self.get(app) {
            server.listener = Some((listener, path));
        }
    }

    pub(super) fn close_link(&mut self, host: &mut H, app: AppHandle) {
        if let Some(link) = self.get(app).and_then(|server| server.link.take()) {
            host.watch().unwatch(link.socket());
        }
    }

    /// The socket that an earlier server of the app made, for the next one. When that server has removed its file, nobody
    /// could connect to it: then the next one makes another.
    pub(super) fn socket_to_inherit(&mut self, host: &mut H, app: AppHandle) -> Descriptors<LinkDescriptor<H>> {
        let mut descriptors = Descriptors::new();
        let Some(server) = self.get(app) else { return descriptors };
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
    pub(super) fn bury(&mut self, host: &mut H, app: AppHandle) {
        self.close_link(host, app);
        for _ in 0..self.broken.len() {
            if let Some(noted) = self.broken.pop_front().filter(|noted| *noted != app) {
                // It has just left its place.
                let _ = self.broken.push_back(noted);
            }
        }
    }

    /// Frees the place of an app whose last server was reaped, and removes what it left (SM-34).
    pub(super) fn forget(&mut self, host: &mut H, app: AppHandle) {
        self.close_link(host, app);
        let Some(place) = self.servers.get_mut(usize::from(app.index())) else { return };
        if let Some(server) = place.take_if(|server| server.app == app)
            && let Some((_, path)) = server.listener
        {
            host.listen().remove(&path);
        }
    }
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
            Heard::Broken
        }
    }
}

const fn token(kind: u8, app: AppHandle) -> Token {
    Token { kind, index: app.index(), generation: app.generation() }
}

fn watch_both<H: ManagerHost>(
    host: &mut H,
    app: AppHandle,
    child: &ChildOf<H>,
    socket: &LinkOf<H>,
) -> Result<(), ErrorKind> {
    host.watch().watch(child, token(kind::CHILD, app), Interest::Read).map_err(|error| error.kind())?;
    host.watch().watch(socket, token(kind::LINK, app), Interest::Read).map_err(|error| {
        host.watch().unwatch(child);
        error.kind()
    })
}
