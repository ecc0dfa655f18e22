//! Sockets by name.

use greenroom_core::hal::{
    Descriptors, ErrorKind, Interest, Listen, Listener, Received, Socket, SocketPlace, Token, Watch,
};
use greenroom_core::limits::SOCKET_PATH_BYTES_MAX;

use super::platform::{Platform, kind};

fn place(path: &str) -> SocketPlace<'_> {
    SocketPlace { path, mode: 0o660, owner: "", group: "" }
}

fn path(platform: &mut impl Platform) -> String {
    platform.directory() + "/app.sock"
}

/// SM-08
pub fn a_connection_is_announced_and_accepted_with_its_peer<P: Platform>(platform: &mut P) {
    let path = path(platform);
    let mut listener = platform.files().listen(&place(&path)).unwrap();
    let (mut events, token) = (platform.events(), Token { kind: 0, index: 0, generation: 1 });
    events.watch(&listener, token, Interest::Read).unwrap();
    assert!(listener.accept().unwrap().is_none());
    let mut client = platform.connect(&path).unwrap();
    assert_eq!(platform.ready(&mut events)[0].token, token);
    let (mut server, peer) = listener.accept().unwrap().unwrap();
    assert_eq!(peer.process_id, platform.own_process_id());
    assert!(listener.accept().unwrap().is_none());
    client.send(b"hello", &[]).unwrap();
    let received = server.receive(&mut [0; 16], &mut Descriptors::new()).unwrap();
    assert_eq!(received, Received::Message { bytes: 5 });
    events.unwatch(&listener);
}

/// SM-08
pub fn the_file_has_the_mode_that_was_asked_for(platform: &mut impl Platform) {
    let path = path(platform);
    for mode in [0o600, 0o666] {
        let mut files = platform.files();
        let _listener = files.listen(&SocketPlace { mode, ..place(&path) }).unwrap();
        assert_eq!(platform.mode(&path), Some(mode));
        files.remove(&path);
    }
}

/// SM-08
pub fn a_socket_that_somebody_listens_on_is_busy(platform: &mut impl Platform) {
    let path = path(platform);
    let _listener = platform.files().listen(&place(&path)).unwrap();
    assert_eq!(kind(platform.files().listen(&place(&path))), ErrorKind::Busy);
    assert!(platform.connect(&path).is_ok());
}

/// SM-08
pub fn a_socket_that_nobody_listens_on_any_more_is_replaced(platform: &mut impl Platform) {
    let path = path(platform);
    drop(platform.files().listen(&place(&path)).unwrap());
    assert_eq!(platform.connect(&path).unwrap_err(), ErrorKind::Gone);
    let _listener = platform.files().listen(&place(&path)).unwrap();
    assert!(platform.connect(&path).is_ok());
}

/// SM-08
pub fn a_file_that_is_no_socket_is_never_replaced(platform: &mut impl Platform) {
    let path = path(platform);
    platform.write_file(&path);
    let mode = platform.mode(&path);
    assert_eq!(kind(platform.files().listen(&place(&path))), ErrorKind::WrongKind);
    assert_eq!(platform.mode(&path), mode);
    assert_eq!(platform.connect(&path).unwrap_err(), ErrorKind::Gone);
}

/// SM-10
pub fn what_fails_leaves_nothing_behind(platform: &mut impl Platform) {
    let directory = platform.directory();
    let (path, missing) = (format!("{directory}/app.sock"), format!("{directory}/missing/app.sock"));
    let long = format!("{directory}/{}", "a".repeat(SOCKET_PATH_BYTES_MAX));
    let unknown = SocketPlace { group: "no-such-group", ..place(&path) };
    let mut files = platform.files();
    assert_eq!(kind(files.listen(&unknown)), ErrorKind::Owner);
    assert_eq!(kind(files.listen(&place(&missing))), ErrorKind::NotFound);
    assert_eq!(kind(files.listen(&place(&long))), ErrorKind::Unsupported);
    assert_eq!(kind(files.listen(&place("relative.sock"))), ErrorKind::Unsupported);
    for path in [path, missing, long] {
        assert_eq!(platform.mode(&path), None);
    }
}

/// SM-34
pub fn a_process_removes_its_own_file_and_no_other(platform: &mut impl Platform) {
    let path = path(platform);
    let (mut ours, mut theirs) = (platform.files(), platform.files());
    drop(ours.listen(&place(&path)).unwrap());
    theirs.remove(&path);
    assert!(platform.mode(&path).is_some());
    assert_eq!((ours.has_file(&path), theirs.has_file(&path)), (true, false));
    let _listener = theirs.listen(&place(&path)).unwrap();
    assert_eq!((ours.has_file(&path), theirs.has_file(&path)), (false, true));
    ours.remove(&path);
    assert!(platform.connect(&path).is_ok());
    theirs.remove(&path);
    assert_eq!(platform.mode(&path), None);
    assert_eq!(platform.connect(&path).unwrap_err(), ErrorKind::NotFound);
}

/// SM-34
pub fn a_file_that_nobody_listens_on_can_be_removed_by_anybody(platform: &mut impl Platform) {
    let path = path(platform);
    let (mut ours, mut theirs) = (platform.files(), platform.files());
    let listener = ours.listen(&place(&path)).unwrap();
    theirs.remove_dead(&path);
    assert!(platform.connect(&path).is_ok());
    drop(listener);
    theirs.remove_dead(&path);
    assert_eq!(platform.mode(&path), None);
    platform.write_file(&path);
    theirs.remove_dead(&path);
    assert!(platform.mode(&path).is_some());
}

/// SM-34
pub fn a_file_that_somebody_else_has_put_there_stays(platform: &mut impl Platform) {
    let path = path(platform);
    let mut files = platform.files();
    let _listener = files.listen(&place(&path)).unwrap();
    platform.remove_file(&path);
    platform.write_file(&path);
    files.remove(&path);
    assert!(platform.mode(&path).is_some());
}

/// SM-36
pub fn a_duplicate_keeps_the_path_valid_until_a_replacement_adopts_it<P: Platform>(platform: &mut P) {
    let path = path(platform);
    let mut first = platform.files();
    let listener = first.listen(&place(&path)).unwrap();
    let kept = first.duplicate(&listener).unwrap();
    drop((listener, first));
    let client = platform.connect(&path).unwrap();
    let mut second = platform.files();
    let mut adopted = second.adopt(kept).unwrap();
    assert!(second.has_file(&path));
    assert!(adopted.accept().unwrap().is_some());
    drop(client);
    second.remove(&path);
    assert_eq!(platform.mode(&path), None);
}

/// SM-36
pub fn what_does_not_listen_is_not_adopted(platform: &mut impl Platform) {
    let (descriptor, witness) = platform.descriptor();
    assert_eq!(kind(platform.files().adopt(descriptor)), ErrorKind::Unsupported);
    assert!(platform.is_closed(&witness));
}

/// SM-34
pub fn connections_that_nobody_accepted_end_with_the_listener(platform: &mut impl Platform) {
    let path = path(platform);
    let listener = platform.files().listen(&place(&path)).unwrap();
    let mut client = platform.connect(&path).unwrap();
    drop(listener);
    assert_eq!(client.receive(&mut [0; 16], &mut Descriptors::new()).unwrap(), Received::Closed);
}

/// Makes a test of each claim about sockets by name; `$platform` makes a new platform for each.
#[macro_export]
macro_rules! listeners_conformance {
    ($platform:expr) => {
        $crate::claims! { listeners, $platform;
            a_connection_is_announced_and_accepted_with_its_peer
            the_file_has_the_mode_that_was_asked_for
            a_socket_that_somebody_listens_on_is_busy
            a_socket_that_nobody_listens_on_any_more_is_replaced
            a_file_that_is_no_socket_is_never_replaced
            what_fails_leaves_nothing_behind
            a_process_removes_its_own_file_and_no_other
            a_file_that_nobody_listens_on_can_be_removed_by_anybody
            a_file_that_somebody_else_has_put_there_stays
            a_duplicate_keeps_the_path_valid_until_a_replacement_adopts_it
            what_does_not_listen_is_not_adopted
            connections_that_nobody_accepted_end_with_the_listener
        }
    };
}
