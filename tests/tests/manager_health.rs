//! Session servers and clients that hang, as real processes (SM-35, SM-36).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command as Process, Stdio};

use greenroom_core::message::playback::{Command, Event};
use greenroom_core::message::{Reason, ServerState, TargetState};
use greenroom_tests::deadline::until;
use greenroom_tests::session_process::App;
use greenroom_tests::tv_box::{Controller, Setup, TvBox};
use greenroom_tests::{observe, programs};
use rustix::process::{Pid, Signal, kill_process};

use ServerState::{Active, Error, Uninitialized};

const QUICK: &str = "health_interval_ms = 60\nhealth_failures_max = 3";

fn quick_box() -> (TvBox, Controller) {
    let tv_box = Setup::new().decoders(2).session(QUICK).more("[app.app1]\nmax_playback_sessions = 2").start();
    let controller = tv_box.watch();
    (tv_box, controller)
}

/// A client in a process of its own.
struct Client {
    process: Child,
    says: BufReader<ChildStdout>,
}

impl Client {
    fn holding_a_session(socket: &Path) -> Self {
        let mut started = Process::new(programs::path("holding-client"));
        let mut process =
            started.arg(socket).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let says = BufReader::new(process.stdout.take().unwrap());
        let mut client = Self { process, says };
        assert_eq!(client.next_word(), "holds");
        client
    }

    fn next_word(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn holds(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Field failure 12, Field failure 13: the socket stays, and who connects meanwhile is served by the next server.
#[test]
fn a_server_that_hangs_is_ended_and_followed_by_another_one_on_the_same_socket() {
    let (_tv_box, mut controller) = quick_box();
    controller.bring_up("app1", TargetState::Active);
    let (socket, hung) = (controller.socket_of("app1"), controller.status("app1").unwrap().process_id);
    let _living = Client::holding_a_session(&socket);
    controller.signal_server("app1", Signal::STOP);
    let mut app = App::connected_to(&socket);
    assert_eq!(controller.expect("app1", Error), Some(Reason::Unhealthy));
    assert!(!observe::exists(hung));
    controller.expect("app1", Uninitialized);
    assert_eq!(controller.expect("app1", Active), None);
    app.greet();
    app.session();
}

/// Field failure C: what a client does has no part in what the manager thinks of its server.
#[test]
fn a_client_that_is_stopped_loses_its_own_session_and_nobody_else_anything() {
    let (_tv_box, mut controller) = quick_box();
    controller.bring_up("app1", TargetState::Active);
    let (socket, server) = (controller.socket_of("app1"), controller.status("app1").unwrap().process_id);
    let mut well = Client::holding_a_session(&socket);
    let mut stopped = Client::holding_a_session(&socket);
    stopped.signal(Signal::STOP);
    // There are two places: a third client gets the one that was the stopped client's.
    let mut third = App::connected_to(&socket);
    third.greet();
    until("its place is free", || third.call(Command::GetSharedMemory).ok());
    assert!(well.holds());
    stopped.signal(Signal::CONT);
    assert_eq!(stopped.next_word(), "lost");
    assert!(well.holds());
    controller.expect_silence();
    assert_eq!(controller.status("app1").unwrap().process_id, server);
}

/// Field failure 10: one that answers is let alone, however long.
#[test]
fn a_client_that_answers_keeps_its_memory() {
    let (_tv_box, mut controller) = quick_box();
    controller.bring_up("app1", TargetState::Active);
    let mut app = App::connected_to(&controller.socket_of("app1"));
    app.greet();
    app.session();
    for _ in 0..8 {
        app.wait_for(Event::Ping);
        assert!(app.call(Command::Pong).is_ok());
    }
    controller.expect_silence();
}

#[test]
fn a_spare_that_hangs_is_replaced() {
    let tv_box = Setup::new().session(QUICK).session("spares = 1").start();
    let mut controller = tv_box.watch();
    until("the spare is up", || (controller.list().1.spares == 1).then_some(()));
    let hung = tv_box.session_servers()[0];
    kill_process(Pid::from_raw(hung.cast_signed()).unwrap(), Signal::STOP).unwrap();
    until("it is ended", || (!observe::exists(hung)).then_some(()));
    until("another one is up", || (controller.list().1.spares == 1).then_some(()));
    controller.bring_up("app1", TargetState::Active);
}
