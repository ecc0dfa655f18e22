//! What a child is given on Linux, and what not.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use greenroom_core::hal::{Child, Descriptors, Interest, Received, Signal, Socket, Spawn, Token, Watch};
use greenroom_hal_linux::clock::Clock;
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::memory::trace;
use greenroom_hal_linux::process::{PidChild, Program, Spawner};
use greenroom_hal_linux::socket::SeqPacket;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

fn start(script: &str, environment: &[(&str, &str)]) -> (PidChild, SeqPacket) {
    let program = Program {
        path: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".into(), script.into()],
        environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    };
    Spawner::new(program).spawn().unwrap()
}

/// It is recorded in memory that its parent holds, too.
#[test]
fn a_child_that_is_recorded_finds_its_memory_and_leaves_it_behind() {
    let program = Program {
        path: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".into(), "printf written >&4; echo $0 $1 $2 $3 >&3; read line <&3".into()],
        environment: Vec::new(),
    };
    let (mut child, mut link) = Spawner::new(program).with_trace(8192).spawn().unwrap();
    assert_eq!(hear(&mut link), "--link-fd 3 --trace-fd 4");
    child.signal(Signal::Kill).unwrap();
    while child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let left = trace::read(child.trace().unwrap(), 8192).unwrap();
    assert_eq!((&left[..7], left.len()), (&b"written"[..], 8192));
    assert!(trace::read(child.trace().unwrap(), 4096).is_err(), "its size is not what the child says");
}

fn hear(link: &mut SeqPacket) -> String {
    let mut events = EventLoop::new().unwrap();
    events.watch(link, Token { kind: 0, index: 0, generation: 1 }, Interest::Read).unwrap();
    assert!(!events.wait(Some(Clock.now().after(Duration::from_secs(10)))).unwrap().is_empty());
    let mut buffer = [0; 4096];
    match link.receive(&mut buffer, &mut Descriptors::new()).unwrap() {
        Received::Message { bytes } => String::from_utf8_lossy(&buffer[..bytes]).trim_end().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// What `/proc/ID/status` says of a child that has said that it is up.
fn status(child: &PidChild, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", child.process_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().to_owned()
}

fn end(mut child: PidChild) {
    child.signal(Signal::Kill).unwrap();
    let mut events = EventLoop::new().unwrap();
    events.watch(&child, Token { kind: 0, index: 0, generation: 1 }, Interest::Read).unwrap();
    events.wait(Some(Clock.now().after(Duration::from_secs(10)))).unwrap();
    assert!(child.try_wait().unwrap().is_some());
}

/// SM-03
///
/// Field failure 6
#[test]
fn a_child_has_its_link_and_no_other_descriptor_of_ours() {
    // Even one that somebody forgot to close on exec. As number 3 the link would replace it, whatever is forgotten.
    let null = fs::File::open("/dev/null").unwrap();
    let forgotten = fcntl_dupfd_cloexec(&null, 10).unwrap();
    fcntl_setfd(&forgotten, FdFlags::empty()).unwrap();
    // A shell has one more while it redirects, so it makes place for another program, which answers when it is there.
    let (child, mut link) = start("exec /bin/cat <&3 >&3", &[]);
    link.send(b"up", &[]).unwrap();
    assert_eq!(hear(&mut link), "up");
    let open: BTreeSet<String> = fs::read_dir(format!("/proc/{}/fd", child.process_id()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(open, ["0", "1", "2", "3"].map(String::from).into());
    end(child);
}

/// SM-03
#[test]
fn a_child_is_told_where_its_link_is_and_has_no_environment_but_its_own() {
    let (child, mut link) = start(
        "echo $0 $1 >&3; cat /proc/$$/environ | tr '\\0' ' ' >&3; read line <&3",
        &[("GREENROOM_A", "1"), ("PATH", "/usr/bin:/bin")],
    );
    assert_eq!(hear(&mut link), "--link-fd 3");
    assert_eq!(hear(&mut link), "GREENROOM_A=1 PATH=/usr/bin:/bin");
    end(child);
}

/// SM-03, SM-21
#[test]
fn no_signal_is_blocked_or_ignored_in_a_child() {
    // Rust programs ignore SIGPIPE, so there is something to reset.
    let (child, mut link) = start("echo up >&3; read line <&3", &[]);
    hear(&mut link);
    // Signals 32 and 33 belong to the C library, which leaves them as they are.
    const C_LIBRARY: u64 = 0b11 << 31;
    for field in ["SigBlk", "SigIgn"] {
        let signals = u64::from_str_radix(&status(&child, field), 16).unwrap();
        assert_eq!(signals & !C_LIBRARY, 0, "{field}");
    }
    end(child);
}

/// SM-34
#[test]
fn a_child_that_was_waited_for_is_no_zombie() {
    let (child, mut link) = start("echo up >&3; read line <&3", &[]);
    hear(&mut link);
    let id = child.process_id();
    end(child);
    assert!(!PathBuf::from(format!("/proc/{id}")).exists());
}

/// SM-04
#[test]
fn a_failure_names_the_program() {
    let program = Program { path: PathBuf::from("/no/such/program"), ..Program::default() };
    let error = Spawner::new(program).spawn().unwrap_err();
    assert!(error.to_string().starts_with("cannot start /no/such/program: "), "{error}");
}
