//! A log that stays readable, whatever somebody sends.

use std::time::{Duration, Instant};

use greenroom_core::hal::Socket;
use greenroom_core::message::TargetState;
use greenroom_hal_linux::socket::SeqPacket;
use greenroom_tests::deadline::{PATIENCE, until};
use greenroom_tests::tv_box::TvBox;

/// Of one kind of line the log takes so many in a window; see `daemon/src/log/limit.rs`.
const LINES_MAX: usize = 100;
const WINDOW: Duration = Duration::from_secs(5);
const STORM: usize = 1_500;

/// SM-35
#[test]
fn clients_that_send_garbage_for_ever_do_not_fill_the_log_and_are_counted_in_it() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let start = Instant::now();
    for path in [controller.socket_of("app1"), tv_box.control()] {
        for _ in 0..STORM {
            let mut hostile = SeqPacket::connect(&path, PATIENCE).unwrap();
            // It may be closed before this is sent, for want of a place.
            let _ = hostile.send(b"garbage", &[]);
        }
    }
    let windows = start.elapsed().as_secs() / WINDOW.as_secs() + 2;
    let log = tv_box.log();
    for words in ["what is no call", "what is no request"] {
        let lines = log.lines().filter(|line| line.contains(words)).count();
        assert!(lines > 0 && lines <= LINES_MAX * usize::try_from(windows).unwrap(), "{lines} lines: {words}");
    }
    // The first line after the window tells of those before it.
    until("what was left out is told", || {
        let _ = SeqPacket::connect(&controller.socket_of("app1"), PATIENCE);
        tv_box.log().contains("were left out").then_some(())
    });
}
