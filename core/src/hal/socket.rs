//! Connections that carry messages, and how they begin.

use heapless::Vec;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::ErrorKind;
use super::ErrorType;
use crate::limits::DESCRIPTORS_MAX;
use crate::message::Ids;

/// What a [`Socket::send`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Sent {
    /// The whole message is on its way.
    Whole,
    /// Nothing was sent: wait until the socket is writable.
    WouldBlock,
}

/// What a [`Socket::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Received {
    /// A whole message of so many bytes.
    Message {
        /// Bytes of the buffer that it fills.
        bytes: usize,
    },
    /// A message that is not to be used: longer than the buffer, or with more descriptors than the protocol knows. Its descriptors are closed.
    Unusable,
    /// Nothing is there now.
    WouldBlock,
    /// The peer has closed.
    Closed,
}

/// Descriptors that came with a message, in their order.
pub type Descriptors<D> = Vec<D, DESCRIPTORS_MAX>;

/// One connection that carries whole messages, with descriptors. `SOCK_SEQPACKET` on Linux.
pub trait Socket: ErrorType {
    /// A descriptor that is owned: dropping it closes it.
    type Descriptor;

    /// Sends one message and copies of the descriptors with it.
    ///
    /// Fails with [`ErrorKind::Gone`] when the peer has closed, and with [`ErrorKind::Unsupported`] for an empty message or
    /// more than [`DESCRIPTORS_MAX`] descriptors.
    fn send(&mut self, message: &[u8], descriptors: &[&Self::Descriptor]) -> Result<Sent, Self::Error>;

    /// Receives one message into `buffer`. `descriptors` is cleared first. At most [`DESCRIPTORS_MAX`] are taken.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        descriptors: &mut Descriptors<Self::Descriptor>,
    ) -> Result<Received, Self::Error>;
}

/// Who is at the other end of a connection, as the platform vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Peer {
    /// Its process.
    pub process_id: u32,
    /// Its user.
    pub user_id: u32,
    /// Its group.
    pub group_id: u32,
    /// Its other groups, as many as are looked at.
    pub groups: Ids,
}

impl Peer {
    /// A peer without further groups.
    pub const fn new(process_id: u32, user_id: u32, group_id: u32) -> Self {
        Self { process_id, user_id, group_id, groups: Ids::NONE }
    }
}

/// Where connections come in.
pub trait Listener: ErrorType {
    /// What a connection becomes.
    type Socket: Socket;

    /// Takes one connection, if one waits.
    fn accept(&mut self) -> Result<Option<(Self::Socket, Peer)>, Self::Error>;
}

/// Opens connections to sockets with a name.
pub trait Connect: ErrorType {
    /// What a connection becomes.
    type Socket: Socket;

    /// Connects to the socket at `path`, at once or not at all. A listener whose queue is full is
    /// [`ErrorKind::Busy`], no socket [`ErrorKind::NotFound`], nobody who listens [`ErrorKind::Gone`].
    fn connect(&mut self, path: &str) -> Result<Self::Socket, Self::Error>;
}

/// Where a socket is made, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SocketPlace<'a> {
    /// The full path.
    pub path: &'a str,
    /// The mode of its file, e.g. `0o660`.
    pub mode: u16,
    /// The user that owns it; empty for our own.
    pub owner: &'a str,
    /// The group that owns it; empty for our own.
    pub group: &'a str,
}

/// Makes listening sockets with a name.
pub trait Listen: ErrorType {
    /// What it makes. Dropping it closes it and leaves its file.
    type Listener: Listener;
    /// A descriptor that is owned.
    type Descriptor;

    /// Makes the socket, gives it its owner and mode and listens. What fails leaves nothing behind. A file that nobody
    /// listens on any more is replaced; a live one is [`ErrorKind::Busy`], what is no socket [`ErrorKind::WrongKind`].
    fn listen(&mut self, place: &SocketPlace<'_>) -> Result<Self::Listener, Self::Error>;

    /// Takes over a listening socket that another process made and handed to this one. Its file is then this process's
    /// to [`remove`](Listen::remove). What is no listening socket is [`ErrorKind::Unsupported`], and closed.
    fn adopt(&mut self, descriptor: Self::Descriptor) -> Result<Self::Listener, Self::Error>;

    /// A second descriptor of the same socket, to be kept by another process.
    fn duplicate(&mut self, listener: &Self::Listener) -> Result<Self::Descriptor, Self::Error>;

    /// Whether the file of a socket that this process made or adopted is still there, and the same file.
    fn has_file(&self, path: &str) -> bool;

    /// Removes the file of a socket that this process made or adopted, if it is still the same file.
    fn remove(&mut self, path: &str);

    /// Removes the file of a socket, whoever made it, that nobody listens on. What is something else stays.
    fn remove_dead(&mut self, path: &str);
}
