//! What the app's threads and the I/O thread share.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use greenroom_core::client::{LostReason, Notification};
use greenroom_core::hal::Doorbell;
use greenroom_core::limits::CALL_TIMEOUT;
use greenroom_core::message::AppState;
use greenroom_core::message::audio::{self, PlayerId};
use greenroom_core::message::playback::{
    Answer, Codec, Command, Event, RingPlace, SessionId, Shape, SourceDescription, SourceId,
};

use super::audio::{AudioPlayer, Desk};
use super::error::{CallError, SessionEnd};
use super::event::Receivers;
use super::keys::{AskKeys, KeySession};
use super::session::{Session, Stage};
use crate::error::LinuxError;
use crate::memory::{EventFd, OwnRegion, PeerRegion};

/// The machine ends every call by itself; this is for an I/O thread that gets no processor.
const PATIENCE: Duration = CALL_TIMEOUT.saturating_mul(2);

/// A call on its way to the I/O thread, which may outlive what the caller borrowed.
#[derive(Debug)]
pub(super) enum Ask {
    Command(Command<'static>),
    Keys(AskKeys),
    Attach { session: SessionId, codec: Codec, shape: Shape, codec_data: Box<[u8]> },
}

impl Ask {
    pub(super) fn attach(session: SessionId, description: SourceDescription<'_>) -> Self {
        let SourceDescription { codec, shape, codec_data } = description;
        Self::Attach { session, codec, shape, codec_data: codec_data.into() }
    }

    pub(super) fn command(&self) -> Command<'_> {
        match self {
            Self::Command(command) => *command,
            Self::Keys(ask) => ask.command(),
            Self::Attach { session, codec, shape, codec_data } => {
                let source = SourceDescription { codec: *codec, shape: *shape, codec_data };
                Command::AttachSource { session: *session, source }
            }
        }
    }
}

/// A call that went well.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer),
    Session(Session),
    Player(Box<AudioPlayer>),
    KeySession(KeySession),
    Source { source: SourceId, ring: RingPlace, data: EventFd, space: EventFd },
}

/// Where the outcome of a call goes.
pub(super) type Waiter = SyncSender<Result<Reply, CallError>>;

/// What the I/O thread is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    /// What is about something of a connection is done on that connection only.
    Call {
        ask: Ask,
        connection: Option<u32>,
        waiter: Waiter,
    },
    /// A call on this connection whose outcome nobody waits for.
    Tell {
        command: Command<'static>,
        connection: u32,
    },
    Disconnect,
}

#[derive(Debug, Default)]
struct Orders {
    queue: VecDeque<Order>,
    /// The I/O thread has ended: nobody would take an order.
    is_closed: bool,
}

/// The leased memory, mapped. Clones share the mappings.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) own: OwnRegion,
    pub(super) peer: PeerRegion,
}

/// How things stand, as far as the I/O thread knows.
#[derive(Debug, Default)]
struct Board {
    application: AppState,
    is_welcome: bool,
    /// Why there is no connection now.
    lost: Option<LostReason>,
    /// Why there will be none.
    given_up: Option<LostReason>,
    memory: Option<Memory>,
    stages: HashMap<SessionId, Arc<Stage>>,
    desks: HashMap<PlayerId, Arc<Desk>>,
}

/// What the app's threads and the I/O thread share. No lock is held while a call waits for its answer.
#[derive(Debug)]
pub(super) struct Link {
    orders: Mutex<Orders>,
    /// Rung for the I/O thread when there are orders.
    pub(super) wake: EventFd,
    board: Mutex<Board>,
    board_changed: Condvar,
    pub(super) receivers: Receivers,
}

/// For the app's threads.
impl Link {
    pub(super) fn new() -> Result<Self, LinuxError> {
        Ok(Self {
            orders: Mutex::default(),
            wake: EventFd::new()?,
            board: Mutex::default(),
            board_changed: Condvar::new(),
            receivers: Receivers::default(),
        })
    }

    /// Makes a call and waits for its outcome.
    pub(super) fn call(&self, ask: Ask) -> Result<Reply, CallError> {
        self.call_on(None, ask)
    }

    /// Makes a call about something of a connection and waits for its outcome.
    pub(super) fn call_on(&self, connection: Option<u32>, ask: Ask) -> Result<Reply, CallError> {
        let (waiter, outcome): (_, Receiver<_>) = sync_channel(1);
        self.order(Order::Call { ask, connection, waiter });
        outcome.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Timeout => CallError::TimedOut,
                RecvTimeoutError::Disconnected => CallError::ConnectionLost,
            })
        })
    }

    /// Makes a call whose outcome does not matter.
    pub(super) fn tell(&self, connection: u32, command: Command<'static>) {
        self.order(Order::Tell { command, connection });
    }

    /// Ends a session and its sources; false when it has ended before, although another may have its number now.
    pub(super) fn close_stage(&self, stage: &Arc<Stage>, why: SessionEnd) -> bool {
        let mut board = self.board();
        let is_open = board.stages.get(&stage.session).is_some_and(|open| Arc::ptr_eq(open, stage));
        if is_open {
            board.stages.remove(&stage.session);
        }
        drop(board);
        stage.shut(why);
        is_open
    }

    /// Ends a web audio player; false when it has ended before.
    pub(super) fn close_desk(&self, desk: &Arc<Desk>, why: SessionEnd) -> bool {
        let mut board = self.board();
        let is_there = board.desks.get(&desk.player).is_some_and(|known| Arc::ptr_eq(known, desk));
        if is_there {
            board.desks.remove(&desk.player);
        }
        drop(board);
        desk.shut(why);
        is_there
    }

    /// Whether there is a web audio player.
    pub(super) fn has_desks(&self) -> bool {
        !self.board().desks.is_empty()
    }

    /// An order that nobody can take any more is dropped, and with it its waiter.
    pub(super) fn order(&self, order: Order) {
        let mut orders = self.orders();
        if !orders.is_closed {
            orders.queue.push_back(order);
            drop(orders);
            // This bell is ours alone, so its count is never at its end.
            let _ = self.wake.ring();
        }
    }

    pub(super) fn memory(&self) -> Option<Memory> {
        self.board().memory.clone()
    }

    pub(super) fn application(&self) -> AppState {
        self.board().application
    }

    pub(super) fn lost(&self) -> Option<LostReason> {
        self.board().lost
    }

    pub(super) fn given_up(&self) -> Option<LostReason> {
        self.board().given_up
    }

    /// Waits until the app was welcomed, or the reason why it is not.
    pub(super) fn wait_for_welcome(&self) -> Result<(), LostReason> {
        let board = self.wait_until(PATIENCE, |board| board.is_welcome || board.given_up.is_some());
        match board.given_up {
            Some(reason) => Err(reason),
            None if board.is_welcome => Ok(()),
            None => Err(LostReason::Silent),
        }
    }

    /// Waits until the app is in this state, also over the loss of the connection; whether it is.
    pub(super) fn wait_for_application(&self, state: AppState, timeout: Duration) -> bool {
        self.wait_until(timeout, |board| board.application == state || board.given_up.is_some()).application == state
    }

    /// Waits until the board is so, or the time is over.
    fn wait_until(&self, timeout: Duration, is_so: impl Fn(&Board) -> bool) -> MutexGuard<'_, Board> {
        let waited = self.board_changed.wait_timeout_while(self.board(), timeout, |board| !is_so(board));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// For the I/O thread.
impl Link {
    pub(super) fn next_order(&self) -> Option<Order> {
        self.orders().queue.pop_front()
    }

    /// The I/O thread ends: what was ordered and not done never will be.
    pub(super) fn close(&self) {
        let mut orders = self.orders();
        orders.is_closed = true;
        orders.queue.clear();
    }

    /// Writes the news on the board and tells all receivers: who sees the one has the other.
    pub(super) fn announce(&self, news: Notification) {
        self.change(|board| {
            match news {
                Notification::Event(Event::ApplicationState(state)) => {
                    board.application = state;
                    board.is_welcome = true;
                }
                Notification::ConnectionLost(reason) => {
                    board.application = AppState::Unknown;
                    board.lost = Some(reason);
                }
                Notification::Reconnected { .. } => board.lost = None,
                Notification::GivenUp(reason) => {
                    board.lost.get_or_insert(reason);
                    board.given_up = Some(reason);
                }
                _ => {}
            }
            self.receivers.tell(&news.into());
        });
    }

    pub(super) fn set_memory(&self, memory: Memory) {
        self.change(|board| board.memory = Some(memory));
    }

    /// The mapping ends here, unless a frame is being written: then behind that frame.
    pub(super) fn drop_memory(&self, lost: Option<LostReason>) {
        self.change(|board| board.memory = None);
        self.shut_all(if lost.is_some() { SessionEnd::ConnectionLost } else { SessionEnd::Inactive });
    }

    pub(super) fn open_stage(&self, session: SessionId, connection: u32, memory: Memory) -> Arc<Stage> {
        let stage = Arc::new(Stage::new(session, connection, memory));
        self.change(|board| board.stages.insert(session, Arc::clone(&stage)));
        stage
    }

    pub(super) fn stage(&self, session: SessionId) -> Option<Arc<Stage>> {
        self.board().stages.get(&session).cloned()
    }

    /// Ends the session that has this number now, and its sources.
    pub(super) fn end_session(&self, session: SessionId, why: SessionEnd) {
        let stage = self.board().stages.remove(&session);
        stage.inspect(|stage| stage.shut(why));
    }

    /// A web audio player begins.
    pub(super) fn open_desk(&self, desk: &Arc<Desk>) {
        self.change(|board| board.desks.insert(desk.player, Arc::clone(desk)));
    }

    /// Something happened to a web audio player.
    pub(super) fn hear_player(&self, event: &audio::Event) {
        let mut board = self.board();
        let desk = match event {
            audio::Event::Ended { player } => {
                board.desks.remove(player).inspect(|desk| desk.shut(SessionEnd::Inactive))
            }
            _ => board.desks.get(&event.player()).cloned(),
        };
        drop(board);
        desk.inspect(|desk| desk.hear(event));
    }

    fn shut_all(&self, why: SessionEnd) {
        let stages: Vec<_> = self.board().stages.drain().collect();
        stages.iter().for_each(|(_, stage)| stage.shut(why));
        let desks: Vec<_> = self.board().desks.drain().collect();
        desks.iter().for_each(|(_, desk)| desk.shut(why));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Board) -> T) {
        change(&mut self.board());
        self.board_changed.notify_all();
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
