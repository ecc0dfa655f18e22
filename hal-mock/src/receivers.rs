//! What shows pages: processes that a test plays.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use greenroom_core::hal::{ErrorType, Launch, Receivers};
use greenroom_core::message::presentation::LaunchToken;

use crate::error::{Call, SimulatedError};
use crate::process::{ChildProcess, Process};
use crate::world::World;

/// A process that was started to show a page. Dropping it does not end it.
#[derive(Debug)]
pub struct Launched {
    /// What the presentation is called.
    pub presentation_id: String,
    /// The page.
    pub url: String,
    /// What it inherited.
    pub token: LaunchToken,
    /// It.
    pub process: Process,
}

/// Starts processes for pages; whoever plays them gets them from [`MockReceivers::next_started`].
#[derive(Debug)]
pub struct MockReceivers {
    world: World,
    started: Rc<RefCell<VecDeque<Launched>>>,
}

impl MockReceivers {
    /// Starts processes in this world.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), started: Rc::default() }
    }

    /// The process that was started first of those that nobody plays yet.
    pub fn next_started(&self) -> Option<Launched> {
        self.started.borrow_mut().pop_front()
    }
}

impl ErrorType for MockReceivers {
    type Error = SimulatedError;
}

impl Receivers for MockReceivers {
    type Receiver = ChildProcess;

    fn start(&mut self, launch: &Launch<'_>) -> Result<ChildProcess, SimulatedError> {
        self.world.fault(Call::StartReceiver)?;
        let (child, process) = ChildProcess::begin_alone(&self.world);
        self.started.borrow_mut().push_back(Launched {
            presentation_id: launch.presentation_id.to_owned(),
            url: launch.url.to_owned(),
            token: launch.token,
            process,
        });
        Ok(child)
    }
}
