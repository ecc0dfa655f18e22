//! The app's side with real processes: application manager, apps, manager, session servers.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command as Process, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use greenroom_core::client::LostReason;
use greenroom_core::message::playback::Refusal;
use greenroom_core::message::{AppState, ServerState, TargetState};
use greenroom_daemon::app_protocol::{Line, ManagedState};
use greenroom_daemon::appmanager::{ApplicationManager, Settings, StageError, StepKind};
use greenroom_hal_linux::client::{CallError, Client};
use greenroom_tests::deadline::{PATIENCE, until};
use greenroom_tests::terminal::Terminal;
use greenroom_tests::tv_box::{Setup, TvBox};
use greenroom_tests::{clip, observe, programs};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use ManagedState::{Inactive, NotRunning, Running};

/// What an application manager has seen, in its order.
#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Vec<(String, StepKind)>>>);

impl Steps {
    fn take(&self) -> Vec<(String, StepKind)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// An application manager on a box, and what it sees.
fn application_manager(tv_box: &TvBox) -> (ApplicationManager<'static>, Steps) {
    let mut settings = Settings::new(&tv_box.control());
    settings.program = programs::path("greenroom-play");
    settings.step_timeout = PATIENCE;
    let steps = Steps::default();
    let seen = steps.clone();
    let manager = ApplicationManager::connect(settings, move |step| {
        seen.0.lock().unwrap().push((step.app.clone(), step.what));
    });
    (manager.unwrap(), steps)
}

/// The steps of one app, as they are compared.
fn of(app: &str, steps: &[StepKind]) -> Vec<(String, StepKind)> {
    steps.iter().map(|step| (app.to_owned(), *step)).collect()
}

/// The one process that is connected to an app's socket: the client library's.
fn app_process(tv_box: &TvBox) -> u32 {
    let us = std::process::id();
    let servers = tv_box.session_servers();
    let is_app = |child: &u32| {
        let command = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
        command.contains("greenroom-play") && command.contains(&tv_box.place().display().to_string())
    };
    let apps: Vec<u32> =
        observe::children(us).into_iter().filter(|child| !servers.contains(child)).filter(is_app).collect();
    assert_eq!(apps.len(), 1, "one app runs");
    apps[0]
}

/// A `greenroom-play` and the JSON that it prints.
struct Player {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Player {
    fn start(socket: &Path, arguments: &[&str], file: &Path) -> Self {
        let mut child = Process::new(programs::path("greenroom-play"))
            .arg("--socket")
            .arg(socket)
            .args(arguments)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Self { child, input, lines }
    }

    /// The next event of this kind.
    #[track_caller]
    fn event(&self, kind: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {kind} came"));
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Waits until it has played to this position.
    #[track_caller]
    fn reach(&self, position_ms: u64) {
        while self.event("position")["position_ms"].as_u64().unwrap() < position_ms {}
    }

    fn tell(&mut self, line: Line) {
        writeln!(self.input, "{line}").unwrap();
    }

    #[track_caller]
    fn says(&self) -> Option<Line> {
        Line::parse(&self.lines.recv_timeout(PATIENCE).expect("the app says something"))
    }

    fn exit_status(&mut self) -> Option<i32> {
        until("the app exits", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn play(arguments: &[&str]) -> Output {
    Process::new(programs::path("greenroom-play")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// SM-22, SM-28
#[test]
fn an_app_that_starts_inactive_connects_by_itself_and_reports_it_after_its_server() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 2);
    let (mut manager, steps) = application_manager(&tv_box);
    manager.start("app1", &file, Inactive).unwrap();
    use StepKind::{App, AppStarted, Server, ServerAsked};
    let expected = [
        ServerAsked(TargetState::Inactive),
        Server(ServerState::Uninitialized, None),
        Server(ServerState::Inactive, None),
        AppStarted(Inactive),
        App(Inactive),
    ];
    assert_eq!(steps.take(), of("app1", &expected));
    assert_eq!(observe::memfd_mappings(app_process(&tv_box)), 0);
}

/// SM-23, SM-24, SM-25: the server goes Active first and Inactive last, and the app maps its memory between the two.
#[test]
fn the_server_is_active_before_the_app_runs_and_inactive_after_it() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 20);
    let (mut manager, steps) = application_manager(&tv_box);
    manager.start("app1", &file, Inactive).unwrap();
    let app = app_process(&tv_box);
    steps.take();
    use StepKind::{App, AppTold, Server, ServerAsked};
    for _ in 0..3 {
        manager.running("app1").unwrap();
        let up = [ServerAsked(TargetState::Active), Server(ServerState::Active, None), AppTold(Running), App(Running)];
        assert_eq!(steps.take(), of("app1", &up));
        assert_eq!(observe::memfd_mappings(app), 2, "both regions are mapped");
        manager.inactive("app1").unwrap();
        let down =
            [AppTold(Inactive), App(Inactive), ServerAsked(TargetState::Inactive), Server(ServerState::Inactive, None)];
        assert_eq!(steps.take(), of("app1", &down));
        assert_eq!(observe::memfd_mappings(app), 0, "nothing stays mapped");
    }
}

/// SM-26, SM-34
#[test]
fn a_running_app_that_ends_lets_go_first_and_nothing_is_left() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 20);
    let (mut manager, steps) = application_manager(&tv_box);
    manager.start("app1", &file, Running).unwrap();
    let app = app_process(&tv_box);
    steps.take();
    manager.stop("app1").unwrap();
    let all = steps.take();
    use StepKind::{App, AppExited, AppTold, ServerAsked};
    let ended = [AppTold(NotRunning), App(NotRunning), AppExited(Some(0)), ServerAsked(TargetState::NotRunning)];
    assert_eq!(all[..4], of("app1", &ended));
    assert!(matches!(all[4].1, StepKind::Server(ServerState::NotRunning, _)));
    assert_eq!(all.len(), 5);
    assert!(!observe::exists(app));
    assert!(tv_box.session_servers().is_empty());
    assert_eq!(tv_box.socket_files(), ["control.sock"]);
}

/// SM-27: with one decoder app 2 can be Active only when app 1's server has said that it is Inactive.
#[test]
fn switching_gives_app_two_the_decoder_only_when_app_one_has_given_it_up() {
    let tv_box = Setup::new().decoders(1).start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 20);
    let (mut manager, steps) = application_manager(&tv_box);
    manager.start("app1", &file, Running).unwrap();
    manager.start("app2", &file, Inactive).unwrap();
    assert!(matches!(manager.running("app2"), Err(StageError::Control { .. })), "the decoder is taken");
    for (from, to) in [("app1", "app2"), ("app2", "app1"), ("app1", "app2")] {
        steps.take();
        manager.switch(from, to).unwrap();
        let all = steps.take();
        let at = |app: &str, step| all.iter().position(|it| *it == (app.to_owned(), step)).unwrap();
        let given_up = at(from, StepKind::Server(ServerState::Inactive, None));
        let asked = at(to, StepKind::ServerAsked(TargetState::Active));
        assert!(at(from, StepKind::App(Inactive)) < given_up && given_up < asked, "{all:?}");
        assert!(asked < at(to, StepKind::App(Running)), "{all:?}");
    }
    manager.stop_all().unwrap();
}

/// SM-24
#[test]
fn memory_cannot_be_had_before_the_server_is_active() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let client = Client::connect(controller.socket_of("app1")).unwrap();
    assert_eq!(client.application_state(), AppState::Inactive);
    let refused = Err(CallError::Refused(Refusal::NotActive));
    assert_eq!(client.set_application_state(AppState::Running), refused);
    assert_eq!(observe::memfd_mappings(std::process::id()), 0);
}

/// SM-29: Active, Inactive and the end, without asking.
#[test]
fn a_client_learns_its_servers_states_without_asking() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let client = Client::connect(controller.socket_of("app1")).unwrap();
    controller.bring_to("app1", TargetState::Active);
    client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
    controller.bring_to("app1", TargetState::Inactive);
    client.wait_for_application_state(AppState::Inactive, PATIENCE).unwrap();
    controller.change("app1", TargetState::NotRunning).unwrap();
    client.wait_for_application_state(AppState::Unknown, PATIENCE).ok();
    assert_eq!(client.lost(), Some(LostReason::Closed));
}

/// SM-28: the text protocol itself, with an app that nobody else speaks to.
#[test]
fn an_app_answers_each_new_state_once_and_ends_with_its_input() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 20);
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let mut player = Player::start(&controller.socket_of("app1"), &["--managed", "--state", "running"], &file);
    assert_eq!(player.says(), Some(Line::StateChanged(Running)));
    for state in [Inactive, Running, Running, Inactive, Inactive, Running] {
        player.tell(Line::NotifyNewState(state));
        assert_eq!(player.says(), Some(Line::StateChanged(state)));
    }
    player.tell(Line::NotifyNewState(NotRunning));
    assert_eq!(player.says(), Some(Line::StateChanged(NotRunning)));
    assert_eq!(player.exit_status(), Some(0));
}

/// Every frame of the file is decoded, and the exit status is 0.
#[test]
fn a_file_is_played_to_its_end_and_its_frames_are_counted() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 2);
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let mut player = Player::start(&controller.socket_of("app1"), &["--json"], &file);
    let end = player.event("end");
    assert_eq!(end["reason"], "end_of_stream");
    assert_eq!(end["sources"][0]["frames_sent"], 50);
    for source in end["sources"].as_array().unwrap() {
        assert_eq!(source["frames_taken"], source["frames_sent"], "{end}");
        assert!(source["frames_rendered"].as_u64().unwrap() > 0, "{end}");
    }
    assert_eq!(player.exit_status(), Some(0));
}

/// SM-25, SM-29: the app keeps its place while it is off the stage.
#[test]
fn an_app_that_comes_back_goes_on_where_it_was() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 30);
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let player = Player::start(&controller.socket_of("app1"), &["--json", "--seek", "10"], &file);
    player.reach(10_500);
    controller.bring_to("app1", TargetState::Inactive);
    let left_at = player.event("end");
    assert_eq!(left_at["reason"], "inactive");
    let left_at_ms = left_at["position_ms"].as_u64().unwrap();
    assert!(left_at_ms >= 10_500, "{left_at}");
    controller.bring_to("app1", TargetState::Active);
    let first = player.event("position")["position_ms"].as_u64().unwrap();
    assert!(first + 1_500 > left_at_ms, "it went on at {first} ms and not at {left_at_ms} ms");
    player.reach(left_at_ms + 500);
}

/// SM-36: the server dies while the app plays.
#[test]
fn an_app_whose_server_dies_says_so_and_exits() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 30);
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let mut player = Player::start(&controller.socket_of("app1"), &["--json"], &file);
    player.event("first_frame");
    let [server] = tv_box.session_servers()[..] else { panic!("one session server") };
    kill_process(Pid::from_raw(server.cast_signed()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(player.exit_status(), Some(1));
}

/// SM-36: it goes on where it was, on the server that has taken the place of the first.
///
/// Field failure 70
#[test]
fn an_app_that_reconnects_survives_its_server_and_plays_to_the_end() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 4);
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let mut player = Player::start(&controller.socket_of("app1"), &["--json", "--reconnect"], &file);
    player.reach(1_000);
    controller.signal_server("app1", Signal::KILL);
    let lost = player.event("connection_lost");
    assert!(lost["reason"].as_str().unwrap().contains("ended"), "{lost}");
    player.event("reconnected");
    let first = player.event("position")["position_ms"].as_u64().unwrap();
    assert!(first + 1_500 > 1_000, "it went on at {first} ms");
    assert_eq!(player.event("end")["reason"], "end_of_stream");
    assert_eq!(player.exit_status(), Some(0));
}

/// A signal ends the app in order: the session is given back.
#[test]
fn a_terminated_app_gives_its_session_back_and_exits() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 30);
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let mut player = Player::start(&controller.socket_of("app1"), &["--json"], &file);
    player.event("first_frame");
    kill_process(Pid::from_child(&player.child), Signal::TERM).unwrap();
    assert_eq!(player.event("end")["reason"], "quit");
    assert_eq!(player.exit_status(), Some(0));
    let client = Client::connect(controller.socket_of("app1")).unwrap();
    client.set_application_state(AppState::Running).unwrap();
    client.create_session().expect("the only session is free again");
}

/// Field failure 69
#[test]
fn what_cannot_be_played_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("words.mp4");
    std::fs::write(&text, "no picture at all, but words").unwrap();
    let socket = directory.path().join("nobody.sock");
    let (socket, text) = (socket.to_str().unwrap(), text.to_str().unwrap());
    let clip = clip::mp4(directory.path(), "clip.mp4", 1);
    let cases = [
        ("/nowhere/clip.mp4", ["/nowhere/clip.mp4", "No such file"]),
        (text, [text, "not a media file"]),
        (clip.to_str().unwrap(), [socket, "greenroomctl list"]),
    ];
    for (file, words) in cases {
        let output = play(&["--socket", socket, file]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

/// However the app ends, the terminal is as it was.
#[test]
fn a_terminal_gives_keys_while_the_app_plays_and_lines_after_every_way_out() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 30);
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let socket = controller.socket_of("app1");
    let by_key: fn(&Terminal, &Child) = |terminal, _| terminal.type_keys(b" m+-\x1b[C\x1b[D q");
    let by_signal: fn(&Terminal, &Child) = |_, app| kill_process(Pid::from_child(app), Signal::TERM).unwrap();
    // Ctrl-\, which by itself would end the app on the spot.
    let by_quitting: fn(&Terminal, &Child) = |_, app| kill_process(Pid::from_child(app), Signal::QUIT).unwrap();
    for end in [by_key, by_signal, by_quitting] {
        let terminal = Terminal::open();
        let mut app = Process::new(programs::path("greenroom-play"))
            .arg("--socket")
            .arg(&socket)
            .arg(&file)
            .stdin(terminal.stdio())
            .stdout(terminal.stdio())
            .stderr(terminal.stdio())
            .spawn()
            .unwrap();
        until("the terminal gives keys", || (!terminal.is_for_lines()).then_some(()));
        end(&terminal, &app);
        let status = until("the app exits", || app.try_wait().unwrap());
        assert!(status.success(), "{status}");
        assert!(terminal.is_for_lines());
    }
}

/// SM-28: the program with its little language, from start to end.
#[test]
fn the_application_managers_program_runs_a_whole_story() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 20);
    let file = file.display();
    let story = format!("start app1 {file} running; start app2 {file}; wait app2 inactive 10; switch app1 app2; quit");
    let output = Process::new(programs::path("greenroom-appmanager"))
        .arg("--control")
        .arg(tv_box.control())
        .args(["run", &story])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.matches("<- app: running").count(), 2, "{told}");
    assert_eq!(told.matches("<- app: exited with status 0").count(), 2, "{told}");
    assert!(tv_box.session_servers().is_empty());
    let wrong = Process::new(programs::path("greenroom-appmanager"))
        .arg("--control")
        .arg(tv_box.control())
        .args(["run", "running nobody"])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("there is no app nobody"));
}

/// An app that hangs is ended all the same, and with it its place.
#[test]
fn an_app_that_does_not_answer_is_ended_and_its_server_too() {
    let tv_box = TvBox::start();
    let file = clip::mp4(tv_box.place(), "clip.mp4", 20);
    let mut settings = Settings::new(&tv_box.control());
    settings.program = programs::path("greenroom-play");
    let mut manager = ApplicationManager::connect(settings.clone(), |_| {}).unwrap();
    manager.start("app1", &file, Running).unwrap();
    let app = app_process(&tv_box);
    drop(manager);
    until("an app ends with its manager", || (!observe::exists(app) || observe::is_zombie(app)).then_some(()));
    assert!(tv_box.ctl(&["state", "app1", "not-running"]).status.success());
    settings.step_timeout = Duration::from_millis(500);
    settings.program = "sleep".into();
    settings.arguments = vec!["60".into()];
    let mut manager = ApplicationManager::connect(settings, |_| {}).unwrap();
    until("the old server has ended", || tv_box.session_servers().is_empty().then_some(()));
    assert!(matches!(manager.start("app2", &file, Inactive), Err(StageError::App { .. })));
    manager.stop("app2").ok();
    assert!(tv_box.session_servers().is_empty());
}
