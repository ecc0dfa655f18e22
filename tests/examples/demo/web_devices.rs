//! The phone and the TV of the third act: each has its presentation service, and beside it what serves browsers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_tests::chromium::Chromium;
use greenroom_tests::deadline::PATIENCE;
use greenroom_tests::neighbour::{Neighbour, Setup};
use greenroom_tests::web::{Web, free_port};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::Failure;
use crate::checks::Checks;
use crate::networks::Networks;
use crate::site::Site;

/// All that takes part but the phone's browser, which a person has.
pub(crate) struct WebDevices {
    pub(crate) phone: Neighbour,
    pub(crate) tv: Neighbour,
    pub(crate) phone_web: Web,
    pub(crate) tv_web: Web,
    /// The page that is to be shown: the TV's sample, with a film that is on the phone.
    pub(crate) url: String,
    /// Where what the TV launches keeps what it keeps.
    room: TempDir,
    words: [Vec<String>; 2],
    _site: Site,
}

impl WebDevices {
    pub(crate) fn start(networks: &Networks, film: &Path) -> Result<Self, Failure> {
        let words = networks.words().clone();
        let [on_phone, on_tv] = &words;
        let room = tempfile::tempdir()?;
        let [phone_ip, tv_ip] = networks.addresses().unwrap_or(["127.0.0.1"; 2]);
        let film_at: SocketAddr = SocketAddr::new(phone_ip.parse()?, free_port());
        let site = Site::start(film_at, film, on_phone)?;
        let phone_at = SocketAddr::new(phone_ip.parse()?, free_port());
        let (phone, phone_web) = serve(Setup::new("phone"), phone_at, on_phone);
        // Pages that are launched find it on their own device.
        let everywhere = if networks.missing.is_none() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let tv_at = SocketAddr::new(IpAddr::V4(everywhere), free_port());
        let setup = Setup::new("TV").browses("http://*", tv_at.port(), on_tv);
        let in_room = [&on_tv[..], &["env".to_owned(), format!("TMPDIR={}", room.path().display())]].concat();
        let (tv, tv_web) = serve(setup, tv_at, &in_room);
        let url = format!("http://{tv_ip}:{}/receiver?video=http://{film_at}/film", tv_at.port());
        Ok(Self { phone, tv, phone_web, tv_web, url, room, words, _site: site })
    }

    /// A browser on the phone.
    pub(crate) fn phone_browser(&self) -> Chromium {
        Chromium::recording(&self.words[0])
    }

    /// The browser that the TV has launched.
    pub(crate) fn tv_browser(&self) -> Result<Chromium, Failure> {
        let receiver = self.tv.receivers().first().copied().ok_or("the TV has launched nothing")?;
        Ok(Chromium::shown_by(receiver, &self.words[1]))
    }

    /// Every program of both.
    pub(crate) fn signal(&self, signal: Signal) {
        [&self.phone, &self.tv].into_iter().for_each(|service| service.signal(signal));
        [&self.phone_web, &self.tv_web].into_iter().for_each(|web| web.signal(signal));
    }

    /// Waits until nothing of what was shown is left on the TV, no process and no file; false when it stays.
    pub(crate) fn is_tv_empty(&self) -> bool {
        let end = Instant::now() + PATIENCE;
        let is_room_empty = || self.room.path().read_dir().is_ok_and(|mut entries| entries.next().is_none());
        let is_empty = || self.tv.receivers().is_empty() && is_room_empty();
        while !is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        is_empty()
    }

    /// Ends all of them; gives the services, for what they have left.
    pub(crate) fn close(self, checks: &mut Checks) -> [Neighbour; 2] {
        self.signal(Signal::TERM);
        let Self { mut phone, mut tv, mut phone_web, mut tv_web, .. } = self;
        let ended = [phone_web.wait(), tv_web.wait(), phone.wait(), tv.wait()];
        let all = ended.iter().all(std::process::ExitStatus::success);
        checks.check(all, "both devices' presentation services and bridges end with exit status 0");
        [phone, tv]
    }
}

fn serve(setup: Setup, listen: SocketAddr, within: &[String]) -> (Neighbour, Web) {
    let section = format!("[presentation.web]\nenabled = true\nlisten = \"{listen}\"\n");
    let device = setup.runs_within(within).waits(PATIENCE / 2, PATIENCE).more(&section).start();
    let web = Web::start(&device, listen, within);
    (device, web)
}
