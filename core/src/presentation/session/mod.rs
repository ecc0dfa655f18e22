//! The machines of one connection, from either end, and of the page that is shown.
//!
//! ```text
//!            controlling device                             device that shows the page
//!   Controlling: channel, launch, offer,   <-- answer -->   Presenting: offer AND page, transport, answer
//!                answer AND transport                       Page: launch, load, end
//! ```
//!
//! They hold no text, no channel and no transport, only whether these are there. The service gives them what happens and
//! carries out their deeds.

pub mod controlling;
pub mod page;
pub mod presenting;
#[cfg(test)]
mod tests;

pub use controlling::Controlling;
pub use page::Page;
pub use presenting::Presenting;

/// Caller: this cannot be asked in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongState;

use crate::message::papi::Reason;
use crate::message::presentation::CloseReason;

/// What the page is told when the channel was lost before there was a connection: that is never in order.
const fn lost_too_early(reason: Reason) -> CloseReason {
    CloseReason::Error(if reason.is_normal() { Reason::OPERATION } else { reason })
}

/// What the other device is told when this is why the connection ends.
const fn spoken(reason: CloseReason) -> Reason {
    match reason {
        CloseReason::Closed | CloseReason::WentAway | CloseReason::Terminated => Reason::NORMAL,
        CloseReason::Error(reason) => reason,
    }
}
