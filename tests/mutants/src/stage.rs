//! What the tests that run against planted bugs share with those in `tests/`, and parts of the programs that need nothing else.

#[path = "../../../daemon/src/app_protocol.rs"]
pub mod app_protocol;
#[path = "../../src/recording.rs"]
pub mod recording;
#[path = "../../src/session_stage.rs"]
pub mod session_stage;
