//! The manager and real session servers: starts, states, ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use greenroom_core::message::control::{Answer, Command, Refusal};
use greenroom_core::message::{Reason, ServerState, TargetState};
use greenroom_tests::deadline::until;
use greenroom_tests::observe;
use greenroom_tests::tv_box::{Controller, Setup, TvBox};

use ServerState::{Error, Inactive, NotRunning, Uninitialized};

/// SM-01, SM-05, SM-06, SM-08, SM-09
#[test]
fn an_app_without_a_socket_name_gets_one_of_its_own_and_comes_up_inactive() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    controller.bring_up("app2", TargetState::Inactive);
    let (one, two) = (controller.socket_of("app1"), controller.socket_of("app2"));
    assert_ne!(one, two);
    for socket in [one, two] {
        assert_eq!(socket.parent(), Some(tv_box.place()));
        greenroom_hal_linux::socket::SeqPacket::connect(&socket, Duration::from_secs(1)).expect("a client can connect");
    }
}

/// SM-01
#[test]
fn a_bare_socket_name_goes_to_the_default_directory_and_a_full_path_is_used_as_it_is() {
    let tv_box = TvBox::start();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("full.sock");
    let mut controller = tv_box.watch();
    for (app, socket) in [("bare", "bare.sock"), ("full", path.to_str().unwrap())] {
        let initiate = Command::Initiate { app, state: TargetState::Inactive, socket };
        assert_eq!(controller.ask(initiate), Ok(Answer::Done));
        controller.expect(app, Uninitialized);
        controller.expect(app, Inactive);
    }
    assert_eq!(controller.socket_of("bare"), tv_box.place().join("bare.sock"));
    assert_eq!(controller.socket_of("full"), path);
    assert!(path.exists());
}

/// SM-01
#[test]
fn a_socket_name_that_is_too_long_or_taken_by_another_app_is_refused_and_nothing_starts() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let taken = controller.socket_of("app1");
    let long = "x".repeat(108);
    for socket in [long.as_str(), "../up.sock", taken.to_str().unwrap()] {
        let refusal = controller.ask(Command::Initiate { app: "app2", state: TargetState::Inactive, socket });
        assert!(matches!(refusal, Err(Refusal::SocketPath | Refusal::SocketInUse { .. })), "{socket}: {refusal:?}");
    }
    assert_eq!(tv_box.session_servers().len(), 1);
    controller.expect_silence();
}

/// SM-02, SM-03
///
/// Field failure J
#[test]
fn a_session_server_gets_its_link_and_no_other_descriptor_of_the_manager() {
    let tv_box = Setup::new().misbehaving("waits-for-gate").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    controller.bring_up("app2", TargetState::Inactive);
    let [first, second] = ["app1", "app2"].map(|app| controller.status(app).unwrap().process_id);
    let links = [first, second].map(|server| {
        let descriptors = observe::descriptors(server);
        let sockets: Vec<_> =
            descriptors.iter().filter(|(_, to)| to.to_string_lossy().starts_with("socket:")).collect();
        assert!(descriptors.iter().all(|(number, _)| *number <= 3), "{descriptors:?}");
        assert_eq!(sockets.len(), 1, "{descriptors:?}");
        sockets[0].1.clone()
    });
    assert_ne!(links[0], links[1]);
}

/// SM-04
#[test]
fn initiate_is_answered_before_the_server_is_up() {
    let tv_box = Setup::new().misbehaving("never-ready").start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
    let status = controller.status("app1").unwrap();
    assert_eq!((status.state, status.wanted), (None, TargetState::Inactive));
    assert!(observe::exists(status.process_id));
    controller.expect_silence();
}

/// SM-04
///
/// Field failure A
#[test]
fn a_missing_or_forbidden_session_program_is_refused_with_its_reason_and_nothing_is_left() {
    let setup = Setup::new();
    let missing = setup.place().join("no-such-program");
    let tv_box = setup.session_program(missing).start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Err(Refusal::ProgramMissing));
    assert_eq!(controller.status("app1"), None);

    let setup = Setup::new();
    let plain = setup.place().join("plain-file");
    fs::write(&plain, "no program").unwrap();
    let tv_box = setup.session_program(plain).start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Err(Refusal::ProgramDenied));
    assert_eq!(controller.list().0, []);
    controller.expect_silence();
}

/// SM-09, SM-14
#[test]
fn an_unknown_app_has_no_connection_info_and_no_state_to_change() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.ask(Command::ConnectionInfo { app: "app1" }), Err(Refusal::UnknownApp));
    assert_eq!(controller.change("app1", TargetState::Active), Err(Refusal::UnknownApp));
    assert_eq!(controller.ask(Command::ConnectionInfo { app: "no/name" }), Err(Refusal::AppName));
    controller.expect_silence();
}

/// SM-09
#[test]
fn connection_info_is_there_once_the_app_is_up_and_gone_when_it_ended() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    controller.socket_of("app1");
    controller.bring_to("app1", TargetState::NotRunning);
    assert!(controller.ask(Command::ConnectionInfo { app: "app1" }).is_err());
}

/// SM-10
///
/// Field failure G
#[test]
fn a_socket_that_cannot_be_made_ends_the_server_with_error_and_its_reason() {
    let tv_box = TvBox::start();
    let place = tv_box.place();
    let taken = place.join("taken.sock");
    let _listener = UnixListener::bind(&taken).unwrap();
    let no_directory = place.join("no-such-directory/app.sock");
    let a_file = place.join("file.sock");
    fs::write(&a_file, "precious").unwrap();
    let mut controller = tv_box.watch();
    for (path, reason) in [
        (&taken, Reason::SocketTaken),
        (&no_directory, Reason::SocketDirectoryMissing),
        (&a_file, Reason::SocketPathNotSocket),
    ] {
        let socket = path.to_str().unwrap();
        let initiate = Command::Initiate { app: "app1", state: TargetState::Inactive, socket };
        assert_eq!(controller.ask(initiate), Ok(Answer::Done));
        controller.expect("app1", Uninitialized);
        assert_eq!(controller.expect("app1", Error), Some(reason));
        assert_eq!(controller.status("app1"), None);
        assert_eq!(tv_box.session_servers(), [0; 0]);
    }
    assert!(taken.exists());
    assert_eq!(fs::read_to_string(&a_file).unwrap(), "precious");
}

/// SM-11
#[test]
fn a_server_that_fails_before_it_is_up_is_reported_once_and_leaves_nothing() {
    for behaviour in ["fails-to-initialize", "fails-to-initialize-and-stays"] {
        let tv_box = Setup::new().misbehaving(behaviour).start();
        let mut controller = tv_box.watch();
        assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
        assert_eq!(controller.expect("app1", Error), Some(Reason::Initialization));
        assert_eq!((controller.list().0.len(), tv_box.session_servers().len()), (0, 0), "{behaviour}");
        controller.expect_silence();
    }
}

/// SM-11, SM-21
#[test]
fn a_server_that_dies_at_its_start_is_reported_with_its_exit_status() {
    let tv_box = Setup::new().misbehaving("exits-at-once").start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
    assert_eq!(controller.expect("app1", Error), Some(Reason::Exited(7)));
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done), "its name is free again");
}

/// SM-12
///
/// Field failure 7
#[test]
fn a_server_that_is_never_ready_is_killed_reaped_and_reported() {
    let tv_box = Setup::new().misbehaving("never-ready").ready_timeout_ms(100).start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
    let server = controller.status("app1").map(|status| status.process_id);
    assert_eq!(controller.expect("app1", Error), Some(Reason::ReadyTimeout));
    assert_eq!((controller.status("app1"), tv_box.session_servers().len()), (None, 0));
    assert!(server.is_none_or(|server| !observe::exists(server)));
    controller.expect_silence();
}

/// SM-13, SM-16
#[test]
fn an_app_that_starts_active_is_notified_active_only_and_has_its_shared_memory() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let status = controller.status("app1").unwrap();
    assert_eq!((status.state, status.decoders), (Some(ServerState::Active), 1));
    assert!(observe::memfds(status.process_id) > 0);
    assert!(controller.socket_of("app1").exists());
}

/// SM-15, SM-16, SM-18
#[test]
fn shared_memory_is_there_while_an_app_is_active_only() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let server = controller.status("app1").unwrap().process_id;
    let idle = observe::descriptors(server).len();
    for _ in 0..3 {
        assert_eq!((observe::memfds(server), observe::memfd_mappings(server)), (0, 0));
        controller.bring_to("app1", TargetState::Active);
        assert!(observe::memfds(server) > 0);
        controller.bring_to("app1", TargetState::Inactive);
    }
    until("the descriptors are as before", || (observe::descriptors(server).len() == idle).then_some(()));
}

/// SM-15
#[test]
fn a_server_that_refuses_active_stays_as_it_was_and_its_decoder_is_free_again() {
    let tv_box = Setup::new().misbehaving("refuses-active").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    assert_eq!(controller.change("app1", TargetState::Active), Err(Refusal::ServerRefused));
    let (apps, tv) = controller.list();
    assert_eq!((apps[0].state, tv.decoders_free), (Some(Inactive), 1));
    controller.expect_silence();
}

/// SM-17
#[test]
fn a_server_that_fails_to_become_active_is_in_error_holds_nothing_and_takes_only_not_running() {
    let tv_box = Setup::new().misbehaving("active-fails").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    assert_eq!(controller.change("app1", TargetState::Active), Ok(Answer::Done));
    assert_eq!(controller.expect("app1", Error), Some(Reason::SharedMemory));
    let (apps, tv) = controller.list();
    assert_eq!((apps[0].state, apps[0].decoders, tv.decoders_free), (Some(Error), 0, 1));
    for state in [TargetState::Active, TargetState::Inactive] {
        assert_eq!(controller.change("app1", state), Err(Refusal::WrongState { state: Some(Error) }));
    }
    controller.bring_to("app1", TargetState::NotRunning);
    assert_eq!(controller.list().0, []);
}

/// SM-19
#[test]
fn not_running_is_notified_when_the_process_is_reaped_and_nothing_of_it_is_left() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    for state in [TargetState::Inactive, TargetState::Active] {
        controller.bring_up("app1", state);
        let (server, socket) = (controller.status("app1").unwrap().process_id, controller.socket_of("app1"));
        assert_eq!(controller.change("app1", TargetState::NotRunning), Ok(Answer::Done));
        assert_eq!(controller.expect("app1", NotRunning), Some(Reason::Asked), "SM-20: from {state:?}");
        assert!(!observe::exists(server) && !socket.exists());
        assert_eq!(controller.list().1.decoders_free, 1);
    }
}

/// SM-21
///
/// Field failures 4, 5
#[test]
fn a_server_that_does_not_end_is_killed_and_its_end_is_told() {
    let tv_box = Setup::new().misbehaving("never-ends").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let server = controller.status("app1").unwrap().process_id;
    let answer = controller.change("app1", TargetState::NotRunning);
    assert!(matches!(answer, Ok(Answer::Done) | Err(Refusal::ServerTimeout | Refusal::ServerGone)), "{answer:?}");
    controller.expect("app1", NotRunning);
    assert!(!observe::exists(server));
    assert_eq!(tv_box.session_servers().len(), 0);
}

/// SM-21: whatever a server does instead of becoming Active, the asker is answered once and the end is told.
#[test]
fn a_server_that_dies_hangs_or_lies_at_active_is_ended_and_its_decoder_is_free_again() {
    for behaviour in ["dies-at-active", "never-answers", "answers-and-hangs", "sends-garbage-at-active"] {
        let tv_box = Setup::new().misbehaving(behaviour).session("restart = false").start();
        let mut controller = tv_box.watch();
        controller.bring_up("app1", TargetState::Inactive);
        let answer = controller.change("app1", TargetState::Active);
        assert_eq!(answer.is_ok(), behaviour == "answers-and-hangs", "{behaviour}: {answer:?}");
        assert!(controller.expect("app1", Error).is_some());
        assert_eq!((controller.list().1.decoders_free, tv_box.session_servers().len()), (1, 0), "{behaviour}");
        controller.expect_silence();
    }
}

/// SM-21, SM-31
#[test]
fn a_server_that_breaks_the_order_of_states_is_ended() {
    let tv_box = Setup::new().misbehaving("active-before-configured").start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
    controller.expect("app1", Uninitialized);
    assert_eq!(controller.expect("app1", Error), Some(Reason::LinkBroken));
    assert_eq!(tv_box.session_servers().len(), 0);
}

/// SM-36 without restarts: a server killed from outside is noticed, and costs its own app only.
#[test]
fn a_killed_server_is_reported_and_the_other_app_goes_on() {
    let tv_box = Setup::new().session("restart = false").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    controller.bring_up("app2", TargetState::Inactive);
    let socket = controller.socket_of("app1");
    controller.signal_server("app1", rustix::process::Signal::KILL);
    assert_eq!(controller.expect("app1", Error), Some(Reason::Killed(9)));
    assert!(controller.status("app1").is_none() && !socket.exists());
    controller.bring_to("app2", TargetState::Active);
}

/// SM-37
#[test]
fn a_second_state_request_is_refused_busy_but_not_running_is_taken() {
    let setup = Setup::new().misbehaving("waits-for-gate");
    let gate = setup.place().join("gate");
    let tv_box = setup.environment("GREENROOM_GATE", gate.to_str().unwrap()).start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let mut slow = Background::change(&tv_box, "app1", TargetState::Active);
    until("the change is in progress", || {
        (controller.change("app1", TargetState::Inactive) == Err(Refusal::Busy)).then_some(())
    });
    let mut end = Background::change(&tv_box, "app1", TargetState::NotRunning);
    fs::write(&gate, "").unwrap();
    let _ = slow.answer();
    assert_eq!(end.answer(), Ok(Answer::Done));
    until("the app has ended", || (controller.next_change().1 == NotRunning).then_some(()));
}

/// SM-37
#[test]
fn an_app_that_is_still_starting_can_be_ended() {
    let tv_box = Setup::new().misbehaving("never-ready").start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
    assert_eq!(controller.change("app1", TargetState::Active), Err(Refusal::NotRunning));
    let mut end = Background::change(&tv_box, "app1", TargetState::NotRunning);
    controller.expect("app1", NotRunning);
    let _ = end.answer();
    assert_eq!(tv_box.session_servers().len(), 0);
}

/// SM-37
#[test]
fn an_app_that_is_still_ending_is_not_started_again_and_the_asker_is_told() {
    let tv_box = Setup::new().misbehaving("never-ends").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let mut end = Background::change(&tv_box, "app1", TargetState::NotRunning);
    until("it is ending", || (controller.initiate("app1", TargetState::Inactive) == Err(Refusal::Busy)).then_some(()));
    let _ = end.answer();
    controller.expect("app1", NotRunning);
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
}

/// SM-38
#[test]
fn sigterm_takes_every_app_down_in_order_and_leaves_nothing() {
    let mut tv_box = Setup::new().decoders(2).start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    controller.bring_up("app2", TargetState::Inactive);
    let servers = tv_box.session_servers();
    assert_eq!(servers.len(), 2);
    tv_box.signal(rustix::process::Signal::TERM);
    let told: Vec<_> = std::iter::from_fn(|| controller.next_change_if_any()).collect();
    let of = |app: &str| told.iter().filter(|change| change.0 == app).map(|change| change.1).collect::<Vec<_>>();
    assert_eq!(of("app1"), [Inactive, NotRunning]);
    assert_eq!(of("app2"), [NotRunning]);
    assert!(tv_box.wait().success());
    assert!(servers.iter().all(|server| !observe::exists(*server)));
    assert_eq!(tv_box.socket_files(), [""; 0]);
}

/// SM-38
///
/// Field failure 5
#[test]
fn a_manager_that_ends_starts_nothing_and_ends_in_time_although_a_server_hangs() {
    let mut tv_box = Setup::new().misbehaving("never-ends").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    assert_eq!(controller.ask(Command::Stop), Ok(Answer::Done));
    assert_eq!(controller.initiate("app2", TargetState::Inactive), Err(Refusal::ShuttingDown));
    assert!(tv_box.wait().success());
}

/// SM-38
///
/// Field failure B
#[test]
fn session_servers_do_not_outlive_a_killed_manager() {
    let mut tv_box = Setup::new().decoders(2).start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    controller.bring_up("app2", TargetState::Inactive);
    let servers = tv_box.session_servers();
    let sockets = ["app1", "app2"].map(|app| controller.socket_of(app));
    tv_box.signal(rustix::process::Signal::KILL);
    tv_box.wait();
    for server in servers {
        until("the session server has gone", || (!observe::exists(server) || observe::is_zombie(server)).then_some(()));
    }
    assert!(sockets.iter().all(|socket| !socket.exists()));
}

/// SM-40
#[test]
fn active_is_refused_while_the_decoders_are_taken_and_the_holder_is_named() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    controller.bring_up("app2", TargetState::Inactive);
    for refusal in [controller.change("app2", TargetState::Active), controller.initiate("app3", TargetState::Active)] {
        let Err(Refusal::Decoders { wanted: 1, free: 0, total: 1, holders }) = refusal else { panic!("{refusal:?}") };
        assert_eq!((holders.len(), holders[0].app.as_str(), holders[0].decoders), (1, "app1", 1));
    }
    assert_eq!(controller.status("app3"), None);
    assert_eq!(controller.status("app2").unwrap().state, Some(Inactive), "a refusal changes nothing");
    controller.bring_to("app1", TargetState::Inactive);
    controller.bring_to("app2", TargetState::Active);
}

/// SM-40, SM-27: the decoder is free as soon as Inactive, or the death, was notified.
#[test]
fn a_decoder_comes_back_at_inactive_and_at_the_end() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    assert_eq!(controller.list().1.decoders_free, 0);
    controller.bring_to("app1", TargetState::Inactive);
    assert_eq!(controller.list().1.decoders_free, 1);
    controller.bring_to("app1", TargetState::Active);
    controller.bring_to("app1", TargetState::NotRunning);
    assert_eq!(controller.list().1.decoders_free, 1);
}

/// SM-08
///
/// Field failure 18
#[test]
fn an_apps_socket_has_the_configured_mode() {
    let tv_box = Setup::new().more("").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let mode = fs::metadata(controller.socket_of("app1")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

/// SM-12, SM-31: the time limit passes just as the server comes up, or as the app is ended. Whichever was first, one story is
/// told to its end and nothing is left.
///
/// Field failure 7
#[test]
fn a_start_that_is_over_just_when_the_server_comes_up_or_is_ended_is_told_as_the_one_or_the_other() {
    let tv_box = Setup::new().ready_timeout_ms(12).start();
    let mut controller = tv_box.watch();
    let mut asker = tv_box.connect();
    for round in 0..20 {
        assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
        let must_end = round % 2 == 0 || matches!(controller.next_change().1, Uninitialized);
        if must_end {
            let _ = asker.change("app1", TargetState::NotRunning);
        }
        until("the app is gone", || asker.status("app1").is_none().then_some(()));
        assert_eq!(tv_box.session_servers().len(), 0);
        // A change that comes after the end would be the next round's first.
        controller = tv_box.watch();
    }
    assert_eq!(tv_box.socket_files(), ["control.sock"]);
}

/// SM-21, SM-34: many start and end at once, and not one of them ends by itself.
///
/// Field failure 6
#[test]
fn children_that_are_stuck_on_their_way_out_hold_up_no_start_of_others() {
    const STUCK: [&str; 4] = ["stuck1", "stuck2", "stuck3", "stuck4"];
    const OTHERS: [&str; 4] = ["other1", "other2", "other3", "other4"];
    let tv_box = Setup::new().misbehaving("never-ends").start();
    let mut controller = tv_box.watch();
    let open = observe::descriptors(tv_box.process_id()).len();
    for name in STUCK {
        controller.bring_up(name, TargetState::Inactive);
    }
    let ends = STUCK.map(|name| Background::change(&tv_box, name, TargetState::NotRunning));
    for name in OTHERS {
        assert_eq!(controller.initiate(name, TargetState::Inactive), Ok(Answer::Done));
    }
    let changes: Vec<_> = std::iter::repeat_with(|| controller.next_change()).take(3 * STUCK.len()).collect();
    for name in OTHERS {
        let states = changes.iter().filter(|change| change.0 == name).map(|change| change.1);
        assert_eq!(states.collect::<Vec<_>>(), [Uninitialized, Inactive], "{name}");
    }
    for name in STUCK {
        assert!(changes.iter().any(|change| change.0 == name && change.1 == NotRunning), "{name}");
    }
    let servers = tv_box.session_servers();
    assert_eq!(servers.len(), OTHERS.len());
    assert!(!servers.iter().any(|server| observe::is_zombie(*server)));
    // Each has a pidfd and a link; its socket was not made.
    drop((controller, ends));
    until("no more is open than they need", || {
        (observe::descriptors(tv_box.process_id()).len() <= open + 2 * OTHERS.len()).then_some(())
    });
}

/// A request that is answered later, asked on a connection of its own.
struct Background(Option<std::thread::JoinHandle<Result<Answer, Refusal>>>);

impl Background {
    fn change(tv_box: &TvBox, app: &'static str, state: TargetState) -> Self {
        let mut controller: Controller = tv_box.connect();
        Self(Some(std::thread::spawn(move || controller.change(app, state))))
    }

    fn answer(&mut self) -> Result<Answer, Refusal> {
        self.0.take().expect("it is asked for once").join().expect("the manager answers")
    }
}
