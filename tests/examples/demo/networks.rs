//! Two networks of one cable: a namespace for the phone and one for the TV, each with an address of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::Failure;
use crate::journal::{Colour, Journal};

/// Addresses of the phone and of the TV, with the names of the cable's two ends.
const ENDS: [(&str, &str); 2] = [("phone0", "10.77.0.1"), ("tv0", "10.77.0.2")];

/// Where the two devices run. What holds the namespaces ends with this.
pub(crate) struct Networks {
    holders: Vec<Child>,
    words: [Vec<String>; 2],
    /// Why they are none; the devices share this machine's own network then.
    pub(crate) missing: Option<String>,
}

impl Networks {
    /// Makes them: as root, or with a user namespace where everybody may have one.
    pub(crate) fn make() -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let plans: &[bool] = if is_root { &[false, true] } else { &[true] };
        let mut missing = String::new();
        for &with_user in plans {
            match Self::try_make(with_user) {
                Ok(networks) => return networks,
                Err(failure) => missing = failure.to_string(),
            }
        }
        Self { holders: Vec::new(), words: Default::default(), missing: Some(missing) }
    }

    /// Says where they are, and loudly where they are nowhere.
    pub(crate) fn introduce(&self, journal: &Journal) {
        match (self.addresses(), &self.missing) {
            (Some([phone, tv]), _) => journal.note(&format!(
                "each is a network namespace with an address of its own, a cable between them: the phone {phone}, the TV {tv}"
            )),
            (None, missing) => {
                let why = missing.as_deref().unwrap_or_default();
                let loud = journal.paint(Colour::Bad, "NO NETWORK NAMESPACES CAN BE MADE HERE");
                journal.print(&format!("\n{loud} ({why})"));
                journal.print("phone and TV share this machine's own network instead, loopback included\n");
            }
        }
    }

    /// How the phone reaches the TV.
    pub(crate) fn how(&self) -> &'static str {
        if self.missing.is_none() { "each at its own address" } else { "over loopback, without namespaces" }
    }

    fn try_make(with_user: bool) -> Result<Self, Failure> {
        let mut networks = Self { holders: Vec::new(), words: Default::default(), missing: None };
        let user: &[&str] = if with_user { &["--user", "--map-root-user"] } else { &[] };
        let phone = networks.hold(&[&["unshare"], user, &["--net"]].concat())?;
        networks.words[0] = enter(phone, with_user);
        // The second one belongs to the first one's user, so that a cable may connect them.
        let target = format!("--target={phone}");
        let within: &[&str] = if with_user { &["nsenter", &target, "--user", "--preserve-credentials"] } else { &[] };
        let tv = networks.hold(&[within, &["unshare", "--net"]].concat())?;
        networks.words[1] = enter(tv, with_user);
        networks.connect(tv)?;
        Ok(networks)
    }

    /// Starts a process that is in a namespace of its own and does nothing; gives its number when it is there.
    fn hold(&mut self, unshare: &[&str]) -> Result<u32, Failure> {
        let (program, arguments) = unshare.split_first().ok_or("there is a program")?;
        let mut holder = Command::new(program)
            .args(arguments)
            .args(["sh", "-c", "echo there; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (process, output) = (holder.id(), holder.stdout.take());
        self.holders.push(holder);
        let mut line = String::new();
        BufReader::new(output.ok_or("its output is a pipe")?).read_line(&mut line)?;
        if line.trim() == "there" {
            Ok(process)
        } else {
            Err(format!("'{}' is not permitted", unshare.join(" ")).into())
        }
    }

    fn connect(&self, tv: u32) -> Result<(), Failure> {
        let [(phone_end, _), (tv_end, _)] = ENDS;
        let tv = tv.to_string();
        let cable = ["link", "add", phone_end, "type", "veth", "peer", "name", tv_end, "netns", &tv];
        ip(&self.words[0], &cable)?;
        for (words, (end, address)) in self.words.iter().zip(ENDS) {
            ip(words, &["address", "add", &format!("{address}/24"), "dev", end])?;
            ip(words, &["link", "set", end, "up"])?;
            ip(words, &["link", "set", "lo", "up"])?;
            // A browser tells pages of no address where nothing leads out of the network.
            ip(words, &["route", "add", "default", "dev", end])?;
        }
        Ok(())
    }

    /// What a program of the phone and one of the TV are started by; nothing without namespaces.
    pub(crate) fn words(&self) -> &[Vec<String>; 2] {
        &self.words
    }

    /// The addresses, where each device has its own.
    pub(crate) fn addresses(&self) -> Option<[&'static str; 2]> {
        self.missing.is_none().then(|| ENDS.map(|(_, address)| address))
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            // One that never came into being has ended.
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// Words that start a program in the namespaces of this process, and become it.
fn enter(process: u32, with_user: bool) -> Vec<String> {
    let mut words = vec!["nsenter".to_owned(), format!("--target={process}"), "--net".to_owned()];
    if with_user {
        words.extend(["--user", "--preserve-credentials"].map(String::from));
    }
    words
}

fn ip(words: &[String], arguments: &[&str]) -> Result<(), Failure> {
    let (program, rest) = words.split_first().ok_or("there is a namespace")?;
    let output = Command::new(program).args(rest).arg("ip").args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()).into())
}
