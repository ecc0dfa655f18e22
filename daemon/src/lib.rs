//! What the programs share.
//!
//! | room | what is in it |
//! |---|---|
//! | [`control`] | asking the manager, and hearing its events |
//! | [`log`] | what is written to stderr, at levels that change at run time |
//! | [`runtime`] | where sockets lie when nobody says otherwise |

pub mod control;
pub mod log;
pub mod runtime;
