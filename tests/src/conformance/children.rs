//! Processes.

use greenroom_core::hal::{
    Child, Descriptors, ErrorKind, ExitStatus, Interest, Received, Signal, Socket, Spawn, Token, Watch,
};

use super::platform::{Platform, Script, kind};

const NEWS: Token = Token { kind: 1, index: 0, generation: 1 };
const EXIT: Token = Token { kind: 0, index: 0, generation: 1 };

fn start<P: Platform>(platform: &mut P, script: Script) -> (P::Child, P::Socket) {
    platform.spawner(script).spawn().unwrap()
}

fn wait<P: Platform>(platform: &mut P, child: &mut P::Child) -> ExitStatus {
    let mut events = platform.events();
    events.watch(child, EXIT, Interest::Read).unwrap();
    assert_eq!(platform.ready(&mut events)[0].token, EXIT);
    events.unwatch(child);
    child.try_wait().unwrap().unwrap()
}

fn receive<P: Platform>(platform: &mut P, link: &mut P::Socket) -> Received {
    let mut events = platform.events();
    events.watch(link, NEWS, Interest::Read).unwrap();
    assert_eq!(platform.ready(&mut events)[0].token, NEWS);
    events.unwatch(link);
    link.receive(&mut [0; 16], &mut Descriptors::new()).unwrap()
}

/// SM-21
pub fn a_child_that_ends_is_seen_with_its_status(platform: &mut impl Platform) {
    let (mut child, _link) = start(platform, Script::Exit(7));
    assert_eq!(wait(platform, &mut child), ExitStatus::Exited(7));
    assert_eq!(child.try_wait().unwrap(), Some(ExitStatus::Exited(7)));
}

/// SM-02, SM-03
pub fn a_child_has_its_end_of_the_link(platform: &mut impl Platform) {
    let (mut child, mut link) = start(platform, Script::UntilLinkEnds);
    assert_eq!(receive(platform, &mut link), Received::Message { bytes: 3 });
    assert_eq!(child.try_wait().unwrap(), None);
    drop(link);
    assert_eq!(wait(platform, &mut child), ExitStatus::Exited(5));
}

/// SM-36
pub fn the_link_ends_with_the_child(platform: &mut impl Platform) {
    let (mut child, mut link) = start(platform, Script::Exit(0));
    wait(platform, &mut child);
    assert_eq!(receive(platform, &mut link), Received::Closed);
}

/// SM-21
pub fn a_child_is_asked_to_end(platform: &mut impl Platform) {
    let (mut child, mut link) = start(platform, Script::UntilLinkEnds);
    receive(platform, &mut link);
    child.signal(Signal::Terminate).unwrap();
    assert_eq!(wait(platform, &mut child), ExitStatus::Killed(15));
}

/// SM-12, SM-21
pub fn a_child_that_does_not_listen_is_killed(platform: &mut impl Platform) {
    let (mut child, mut link) = start(platform, Script::IgnoreTerminate);
    receive(platform, &mut link);
    child.signal(Signal::Terminate).unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    child.signal(Signal::Kill).unwrap();
    assert_eq!(wait(platform, &mut child), ExitStatus::Killed(9));
}

/// SM-21
pub fn a_signal_to_a_child_that_has_ended_does_nothing(platform: &mut impl Platform) {
    let (mut child, _link) = start(platform, Script::Exit(3));
    wait(platform, &mut child);
    child.signal(Signal::Terminate).unwrap();
    child.signal(Signal::Kill).unwrap();
    assert_eq!(child.try_wait().unwrap(), Some(ExitStatus::Exited(3)));
}

/// SM-21
pub fn each_child_is_its_own(platform: &mut impl Platform) {
    let (mut one, _one_link) = start(platform, Script::UntilLinkEnds);
    let (mut other, _other_link) = start(platform, Script::UntilLinkEnds);
    assert_ne!(one.process_id(), other.process_id());
    one.signal(Signal::Kill).unwrap();
    assert_eq!(wait(platform, &mut one), ExitStatus::Killed(9));
    assert_eq!(other.try_wait().unwrap(), None);
    other.signal(Signal::Kill).unwrap();
    wait(platform, &mut other);
}

/// SM-04
pub fn a_missing_program_is_not_found(platform: &mut impl Platform) {
    assert_eq!(kind(platform.spawner(Script::Missing).spawn()), ErrorKind::NotFound);
}

/// SM-04
pub fn a_file_that_is_no_program_is_denied(platform: &mut impl Platform) {
    assert_eq!(kind(platform.spawner(Script::NotExecutable).spawn()), ErrorKind::Denied);
}

/// Makes a test of each claim about processes; `$platform` makes a new platform for each.
#[macro_export]
macro_rules! children_conformance {
    ($platform:expr) => {
        $crate::claims! { children, $platform;
            a_child_that_ends_is_seen_with_its_status
            a_child_has_its_end_of_the_link
            the_link_ends_with_the_child
            a_child_is_asked_to_end
            a_child_that_does_not_listen_is_killed
            a_signal_to_a_child_that_has_ended_does_nothing
            each_child_is_its_own
            a_missing_program_is_not_found
            a_file_that_is_no_program_is_denied
        }
    };
}
