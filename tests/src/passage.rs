//! A way into another network namespace for who is outside of it: a port here that leads to one there.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::programs;

/// Joins its standard input and output with a connection to this port of the loopback interface, until that has ended.
const JOIN: &str = "exec 3<>/dev/tcp/127.0.0.1/$0 && { cat <&0 >&3 & cat <&3; kill $!; }";

/// The way. Dropping it lets nobody through any more; who is through stays so until one of the two ends.
pub struct Passage {
    port: u16,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Passage {
    /// To this port of the loopback interface of the place where these words run a program.
    ///
    /// # Panics
    /// When nobody can listen here.
    pub fn to(port: u16, within: &[String]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
        let here = listener.local_addr().expect("it listens").port();
        let ends = Arc::new(AtomicBool::new(false));
        let (told, within) = (ends.clone(), within.to_vec());
        let admit = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                join(stream, port, &within);
            }
        };
        Self { port: here, ends, thread: Some(std::thread::spawn(admit)) }
    }

    /// Where it begins, on this side's loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn join(stream: TcpStream, port: u16, within: &[String]) {
    let Ok(input) = stream.try_clone() else { return };
    let started = programs::command(within, Path::new("bash"))
        .args(["-c", JOIN, &port.to_string()])
        .stdin(Stdio::from(OwnedFd::from(input)))
        .stdout(Stdio::from(OwnedFd::from(stream)))
        .stderr(Stdio::null())
        .spawn();
    // Where it cannot be started, the connection is closed by now.
    if let Ok(mut child) = started {
        std::thread::spawn(move || child.wait());
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // So that it looks.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_is_said_here_is_heard_there_and_answered() {
        let there = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let passage = Passage::to(there.local_addr().unwrap().port(), &["env".to_owned()]);
        let mut here = TcpStream::connect((Ipv4Addr::LOCALHOST, passage.port())).unwrap();
        let (mut other, _) = there.accept().unwrap();
        let mut heard = [0; 5];
        here.write_all(b"hello").unwrap();
        other.read_exact(&mut heard).unwrap();
        other.write_all(&heard).unwrap();
        drop(other);
        let mut answer = Vec::new();
        here.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"hello");
    }
}
