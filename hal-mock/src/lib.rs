//! The simulated world: what the platform does, without a platform.
//!
//! Everything lives in one thread and in memory. Nothing happens by itself: time moves when it is told to, a child
//! ends when it is told to, and what is random comes from the [`World`]'s seed, so that a run can be repeated.
//!
//! | module | what is in it |
//! |---|---|
//! | [`world`] | clock, chance, files, faults; children that were started |
//! | [`event_loop`] | what is ready |
//! | [`socket`] | connections with bounded queues |
//! | [`listener`] | sockets by name |
//! | [`stream`] | connections that carry bytes |
//! | [`network`] | devices with addresses, and who listens at them |
//! | [`cable`] | what becomes of their connections |
//! | [`discovery`] | who announces what |
//! | [`acquaintances`] | which devices are known |
//! | [`process`] | children, seen from their parent and from inside |
//! | [`authority`] | who may drive what |
//! | [`decoder`] | decoders that do what a test says |
//! | [`keys`] | key systems that do what a test says |
//! | [`descriptor`] | what travels with messages |
//! | [`meddling`] | what can go wrong with messages on their way |
//! | [`memory`] | shared memory |
//! | [`bell`] | bells |
//! | [`party`] | who takes part, and who sees what they say |
//! | [`home`], [`presentation_home`] | where the drivers that ship live in it |
//! | [`receivers`] | processes that show pages |
//! | [`lender`] | memory that is lent |
//! | [`sim`] | a whole box in virtual time, with its faults and its checkers |
//! | [`hostile`] | memory whose owner changes it between any two reads |
//! | [`error`] | failures of a kind that a test chose |
//! | [`replay`] | runs that were recorded, once more |
//! | [`diagram`] | who said what to whom, drawn |
//! | [`sequence`] | the diagram of a run, out of what its machines were told and did |
//! | [`fuzzing`] | what must hold for any bytes, and the seeds to start from |
//!
//! A test stands on the other side of what it tests. Here a driver would hold `spawner`, `events` and what comes out of
//! them, and the test plays the session server that was started:
//!
//! ```
//! use greenroom_core::hal::{Child, ExitStatus, Interest, Signal, Socket, Spawn, Token, Watch};
//! use greenroom_core::message::AppId;
//! use greenroom_hal_mock::{EventLoop, Spawner, World};
//!
//! let world = World::new(1);
//! let mut events = EventLoop::new(&world);
//! let mut spawner = Spawner::new(&world);
//!
//! // The driver starts a session server and watches both ends of it.
//! let (mut child, link) = spawner.spawn().unwrap();
//! let (exit, news) = (Token { kind: 0, index: 0, generation: 1 }, Token { kind: 1, index: 0, generation: 1 });
//! events.watch(&child, exit, Interest::Read).unwrap();
//! events.watch(&link, news, Interest::Read).unwrap();
//!
//! // The test is that server: it says something, and does not end when it is asked to.
//! let mut process = world.next_started().unwrap();
//! process.ignore_terminate();
//! process.link().send(b"up", &[]).unwrap();
//! assert_eq!(events.ready()[0].token, news);
//! child.signal(Signal::Terminate).unwrap();
//! assert_eq!(child.try_wait().unwrap(), None);
//!
//! // Nobody ignores this, and what it held is closed.
//! child.signal(Signal::Kill).unwrap();
//! assert_eq!(child.try_wait().unwrap(), Some(ExitStatus::Killed(9)));
//! assert_eq!(events.ready().len(), 2);
//! ```
//!
//! To make a connection block, shrink the queue of the end that receives: [`SeqPacket::set_capacity`]. To make a call
//! fail: [`World::fail_next`]. To let time pass: [`World::advance`].

#![forbid(unsafe_code)]

pub mod acquaintances;
pub mod authority;
pub mod bell;
pub mod cable;
pub mod decoder;
pub mod descriptor;
pub mod diagram;
pub mod discovery;
pub mod error;
pub mod event_loop;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod home;
pub mod hostile;
pub mod keys;
pub mod lender;
pub mod listener;
pub mod meddling;
pub mod memory;
pub mod network;
pub mod party;
pub mod presentation_home;
pub mod process;
pub mod receivers;
pub mod replay;
pub mod sequence;
#[cfg(feature = "sim")]
pub mod sim;
pub mod socket;
pub mod stream;
pub mod world;

pub use acquaintances::Acquaintances;
pub use authority::Grants;
pub use bell::Bell;
pub use cable::Cable;
pub use decoder::{DueText, MockDecoder};
pub use descriptor::Descriptor;
pub use diagram::Diagram;
pub use discovery::MockDiscovery;
pub use error::{Call, SimulatedError};
pub use event_loop::EventLoop;
pub use home::{CONTROL, ManagerHome, ServerHome};
pub use hostile::HostileRegion;
pub use keys::MockKeys;
pub use lender::{Lender, Lent};
pub use listener::{ListeningSocket, SocketFiles};
pub use meddling::Meddling;
pub use memory::Memory;
pub use network::{Host, HostListener};
pub use party::Party;
pub use presentation_home::PresentationHome;
pub use process::{ChildProcess, Process, Spawner};
pub use receivers::{Launched, MockReceivers};
pub use sequence::Sequence;
pub use socket::SeqPacket;
pub use stream::MockStream;
pub use world::World;
