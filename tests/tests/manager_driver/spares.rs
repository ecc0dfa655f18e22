//! Session servers that are up before anybody needs them.

use super::*;

impl Stage {
    /// A manager whose one spare is up.
    fn with_spare() -> (Self, Server) {
        let mut stage = Self::with(Settings { spares: 1, ..calm() });
        let spare = stage.next_spare();
        (stage, spare)
    }

    fn next_spare(&mut self) -> Server {
        self.settle();
        let mut spare = self.next_server().expect("a spare is started");
        spare.says(ServerState::Uninitialized, None);
        self.settle();
        spare
    }
}

/// SM-05 to SM-07, SM-34: the app gets the process and the link of the spare.
#[test]
fn a_start_configures_the_spare_and_no_process_is_started_for_it() {
    let (mut stage, mut spare) = Stage::with_spare();
    let mut controller = stage.observe();
    let start = Command::Initiate { app: "app1", state: TargetState::Inactive, socket: "" };
    assert_eq!(stage.ask(&mut controller, start), Ok(Answer::Done));
    assert!(stage.next_server().is_none());
    spare.hears(|command| {
        let link::Command::SetConfiguration(configuration) = command else { panic!("{command:?}") };
        assert_eq!((configuration.app, configuration.socket), ("app1", SOCKET));
    });
    spare.replies(Ok(()));
    spare.says(ServerState::Inactive, None);
    stage.settle();
    let states: Vec<_> = controller.heard().into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, [ServerState::Uninitialized, ServerState::Inactive]);
    let next = stage.next_spare();
    spare.process.exit(ExitStatus::Killed(11));
    stage.settle();
    assert!(next.process.is_alive(), "the end of the app's server is no business of the next spare");
    let heard = controller.heard();
    assert_eq!(heard[0], ("app1".to_owned(), ServerState::Error, Some(Reason::Killed(11))));
    assert_eq!(heard[1], ("app1".to_owned(), ServerState::Uninitialized, None));
}

/// SM-36: the socket of the dead server goes to the spare.
#[test]
fn a_restart_hands_the_socket_to_the_spare() {
    let (mut stage, spare) = Stage::with_spare();
    let mut controller = stage.connect();
    let start = Command::Initiate { app: "app1", state: TargetState::Inactive, socket: "" };
    assert_eq!(stage.ask(&mut controller, start), Ok(Answer::Done));
    let mut first = spare;
    first.hears(|_| {});
    first.replies(Ok(()));
    first.says(ServerState::Inactive, None);
    stage.settle();
    let mut theirs = SocketFiles::new(&stage.world);
    let _listener = stage.listen(&mut first, &mut theirs);
    let mut second = stage.next_spare();
    first.process.exit(ExitStatus::Killed(9));
    stage.settle();
    let mut inherited = second.hears(|command| assert!(matches!(command, link::Command::SetConfiguration(_))));
    assert!(SocketFiles::new(&stage.world).adopt(inherited.pop().expect("a socket")).is_ok());
}

/// SM-34, Field failure A
#[test]
fn a_spare_that_dies_leaves_nothing_and_is_replaced() {
    let (mut stage, spare) = Stage::with_spare();
    let watched = stage.watched();
    spare.process.exit(ExitStatus::Killed(11));
    let next = stage.next_spare();
    assert_eq!(stage.watched(), watched);
    next.process.exit(ExitStatus::Killed(11));
    stage.settle();
    assert!(stage.next_server().is_none(), "the second one waits");
    stage.time_out();
    assert!(stage.next_server().is_some());
}

/// SM-38
#[test]
fn a_manager_that_ends_asks_its_spare_to_end_and_waits_for_it() {
    let (mut stage, mut spare) = Stage::with_spare();
    let now = stage.world.now();
    assert_eq!(stage.driver.terminate(now), Turn::Next);
    spare.hears(|command| assert_eq!(command, link::Command::SetState(TargetState::NotRunning)));
    spare.replies(Ok(()));
    spare.says(ServerState::NotRunning, Some(Reason::Asked));
    stage.settle();
    assert_eq!(stage.last, Turn::Next);
    spare.process.exit(ExitStatus::Exited(0));
    stage.settle();
    assert_eq!(stage.last, Turn::Exit);
}
