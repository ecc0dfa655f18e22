//! `greenroomctl watch` on a terminal.

use std::process::{Child, Command as Process};

use greenroom_core::message::TargetState;
use greenroom_tests::deadline::until;
use greenroom_tests::programs;
use greenroom_tests::terminal::Terminal;
use greenroom_tests::tv_box::TvBox;
use rustix::process::{Pid, Signal, kill_process};

/// The other screen without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

fn watch(tv_box: &TvBox, terminal: &Terminal, more: &[&str]) -> Child {
    Process::new(programs::path("greenroomctl"))
        .arg("--control")
        .arg(tv_box.control())
        .arg("watch")
        .args(more)
        .env("TERM", "xterm")
        .stdin(terminal.stdio())
        .stdout(terminal.stdio())
        .stderr(terminal.stdio())
        .spawn()
        .unwrap()
}

fn until_shown(terminal: &Terminal, words: &str) {
    until(&format!("'{words}' is shown"), || terminal.shown().contains(words).then_some(()));
}

/// However it ends, the terminal is as it was.
#[test]
fn a_terminal_shows_how_things_are_in_place_and_is_as_it_was_after_every_way_out() {
    let tv_box = TvBox::start();
    tv_box.watch().bring_up("app1", TargetState::Inactive);
    let by_key: fn(&Terminal, &Child) = |terminal, _| terminal.type_keys(b"xq");
    let by_interrupt: fn(&Terminal, &Child) = |_, watch| kill_process(Pid::from_child(watch), Signal::INT).unwrap();
    // Ctrl-\, which by itself would end it on the spot.
    let by_quitting: fn(&Terminal, &Child) = |_, watch| kill_process(Pid::from_child(watch), Signal::QUIT).unwrap();
    for end in [by_key, by_interrupt, by_quitting] {
        let terminal = Terminal::open();
        let mut watch = watch(&tv_box, &terminal, &[]);
        until_shown(&terminal, "app1");
        assert!(terminal.shown().contains(ENTER) && !terminal.is_for_lines());
        end(&terminal, &watch);
        let status = until("it ends", || watch.try_wait().unwrap());
        assert!(status.success(), "{status}");
        until_shown(&terminal, LEAVE);
        assert!(terminal.is_for_lines());
    }
}

#[test]
fn what_happens_is_shown_and_the_end_of_the_manager_ends_the_view() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    let terminal = Terminal::open();
    let mut watch = watch(&tv_box, &terminal, &[]);
    until_shown(&terminal, "0 of 16 apps");
    controller.bring_up("app1", TargetState::Active);
    until_shown(&terminal, "app1 active");
    until_shown(&terminal, "0 of 1 decoder(s) free (app1 has 1)");
    tv_box.signal(Signal::TERM);
    let status = until("it ends", || watch.try_wait().unwrap());
    assert!(status.success(), "{status}");
    until_shown(&terminal, "the manager has ended");
    assert!(terminal.is_for_lines());
}

#[test]
fn who_wants_lines_gets_lines_on_a_terminal_too() {
    let tv_box = TvBox::start();
    let terminal = Terminal::open();
    let mut watch = watch(&tv_box, &terminal, &["--lines"]);
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    until_shown(&terminal, "app1 inactive");
    assert!(!terminal.shown().contains('\x1b'));
    watch.kill().unwrap();
    watch.wait().unwrap();
}
