//! What the suites need to know of a platform beyond its traits.

use std::fmt::Debug;

use greenroom_core::hal::{Child, Error, ErrorKind, Listen, Listener, Ready, Socket, Spawn, Watch};

/// What a child that was started does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Ends with this status.
    Exit(u8),
    /// Says `up` on its link, and ends with status 5 when the link ends.
    UntilLinkEnds,
    /// The same, but TERM does nothing to it.
    IgnoreTerminate,
    /// There is no such program.
    Missing,
    /// The file is no program.
    NotExecutable,
}

/// A platform, with what a test needs to play the other side.
pub trait Platform {
    /// A descriptor.
    type Descriptor;
    /// A connection.
    type Socket: Socket<Descriptor = Self::Descriptor, Error: Debug> + Debug;
    /// Where connections come in.
    type Listener: Listener<Socket = Self::Socket, Error: Debug> + Debug;
    /// What makes them.
    type Files: Listen<Listener = Self::Listener, Descriptor = Self::Descriptor, Error: Debug>;
    /// A child.
    type Child: Child<Error: Debug> + Debug;
    /// What starts it.
    type Spawner: Spawn<Child = Self::Child, Socket = Self::Socket, Error: Debug>;
    /// What watches all of them.
    type Events: Watch<Self::Socket, Error: Debug> + Watch<Self::Listener> + Watch<Self::Child>;
    /// Can tell whether the object of a descriptor is open anywhere.
    type Witness;

    /// A connection.
    fn pair(&mut self) -> (Self::Socket, Self::Socket);
    /// A descriptor of something new.
    fn descriptor(&mut self) -> (Self::Descriptor, Self::Witness);
    /// Whether a descriptor of it is open.
    fn is_open(&mut self, witness: &Self::Witness) -> bool;
    /// Whether the last descriptor of it is closed, or will be at once.
    fn is_closed(&mut self, witness: &Self::Witness) -> bool;
    /// Sends what a peer that keeps no rules might.
    fn send_anything(&mut self, socket: &mut Self::Socket, message: &[u8], descriptors: &[&Self::Descriptor]);

    /// A loop that watches nothing.
    fn events(&mut self) -> Self::Events;
    /// What is ready now.
    fn ready_now(&mut self, events: &mut Self::Events) -> Vec<Ready>;
    /// What is ready, once something is. Fails the test when that takes too long.
    fn ready(&mut self, events: &mut Self::Events) -> Vec<Ready>;

    /// Makes listening sockets.
    fn files(&mut self) -> Self::Files;
    /// A directory in which they can be made.
    fn directory(&mut self) -> String;
    /// Connects to one as [`Platform::own_process_id`].
    fn connect(&mut self, path: &str) -> Result<Self::Socket, ErrorKind>;
    /// The process that [`Platform::connect`] connects as.
    fn own_process_id(&mut self) -> u32;
    /// Makes a file that is no socket.
    fn write_file(&mut self, path: &str);
    /// Removes any file.
    fn remove_file(&mut self, path: &str);
    /// The mode of a file, if it is there.
    fn mode(&mut self, path: &str) -> Option<u16>;

    /// Starts children that do this from now on.
    fn spawner(&mut self, script: Script) -> Self::Spawner;
}

/// The kind of a failure.
pub fn kind<T: Debug, E: Error>(result: Result<T, E>) -> ErrorKind {
    result.expect_err("this must fail").kind()
}
