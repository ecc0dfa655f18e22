//! The second act: a phone puts a film on the screen of a TV, over a network between them.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use greenroom_core::message::ServerState;
use greenroom_core::message::control::{Command, Event};
use greenroom_daemon::control::ControlClient;
use greenroom_hal_mock::diagram::Kind;
use greenroom_tests::neighbour::{self, Neighbour};
use greenroom_tests::picture_fifo::{self, Pace, PictureFifo, Recording};
use greenroom_tests::sequence::{self, Order};
use greenroom_tests::tv_box::{Setup, TvBox};
use rustix::process::Signal;

use crate::Failure;
use crate::census::Census;
use crate::checks::Checks;
use crate::clips::Clips;
use crate::journal::Journal;
use crate::networks::Networks;
use crate::page::Page;
use crate::seen::{Scene, Seen, Who};

const APP: &str = "tv";
/// How long the phone looks on, and is away.
const STAY: Duration = Duration::from_millis(1_500);
const ABSENCE: Duration = Duration::from_millis(1_000);
/// What has ended is gone within this.
const PATIENCE: Duration = Duration::from_secs(10);

const SCENE: Scene = Scene {
    act: "second act",
    title: "A phone puts a film on the screen of a TV",
    file: "phone",
    parts: &[
        (Who::Page, "page"),
        (Who::Phone, "phone"),
        (Who::Tv, "TV"),
        (Who::Receiver, "receiver"),
        (Who::Manager, "manager"),
    ],
};

type Changes = Receiver<(Instant, ServerState)>;

/// The phone, the TV, and what comes out of it.
struct Devices {
    phone: Neighbour,
    tv: Neighbour,
    tv_box: TvBox,
    pictures: PictureFifo,
    changes: Changes,
}

/// Tells the act.
pub(crate) fn tell(journal: &Journal, clips: &Clips, checks: &mut Checks) -> Result<(), Failure> {
    journal.act("Second act: a phone puts a film on the screen of a TV");
    let networks = Networks::make();
    networks.introduce(journal);
    let (media, url) = film(clips)?;
    let seen = Seen::start(journal, &SCENE);
    let mut devices = Devices::start(&networks, &media)?;
    let since = Instant::now();
    let states = play(&seen, &mut devices, &url, &networks, checks)?;
    seen.read_logs(&devices.phone.log(), &devices.tv.log(), devices.tv.name());
    let (recording, tv_box) = devices.close(journal, checks)?;
    drop(networks);
    let left = Census::settled(|| Census::take(&tv_box), Census::NOTHING);
    checks.check(left == Census::NOTHING, "when both devices are off, nothing at all is left");
    judge(clips, checks, &recording, &states, since);
    let came = recording.arrivals.len();
    journal.print(&format!("\nthe film: {came} pictures came out of the TV's session server"));
    seen.draw(&clips.directory)
}

/// The directory of the film, and its page.
fn film(clips: &Clips) -> Result<(std::path::PathBuf, String), Failure> {
    let file = &clips.files[0];
    let media = file.parent().ok_or("a file lies in a directory")?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let encoded = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    Ok((media.to_owned(), format!("https://tv.example/{}", name.bytes().map(encoded).collect::<String>())))
}

impl Devices {
    fn start(networks: &Networks, media: &Path) -> Result<Self, Failure> {
        let [on_phone, on_tv] = networks.words();
        let setup = Setup::new().decoders(1).runs_within(on_tv).more("[log]\ndefault = \"warning\"");
        let path = setup.place().join("film.pictures");
        let pictures = PictureFifo::create(&path, 100)?;
        let sink = picture_fifo::sink(&path, Pace::RealTime);
        let tv_box = setup.more(&format!("[app.{APP}]\nvideo_sink = {sink:?}\naudio_sink = \"fake\"")).start();
        let changes = watch(&tv_box)?;
        let tv = neighbour::Setup::new("TV").runs_within(on_tv).control(&tv_box.control());
        let tv = tv.plays("https://tv.example/*", APP, media).start();
        let phone = neighbour::Setup::new("phone").runs_within(on_phone).start();
        Ok(Self { phone, tv, tv_box, pictures, changes })
    }

    /// Ends everything; gives what came out, and the box as it is left.
    fn close(self, journal: &Journal, checks: &mut Checks) -> Result<(Recording, TvBox), Failure> {
        let Self { mut phone, mut tv, mut tv_box, pictures, .. } = self;
        for (service, whose) in [(&mut phone, "the phone's"), (&mut tv, "the TV's")] {
            service.signal(Signal::TERM);
            let status = service.wait();
            journal.note(&format!("greenroom-presentation of {}: {status}", service.name()));
            checks.check(status.success(), format!("{whose} presentation service ends with exit status 0"));
        }
        checks.check(tv.log().contains("has ended: Exited(0)"), "the receiver ended with exit status 0");
        tv_box.signal(Signal::TERM);
        checks.check(tv_box.wait().success(), "the TV's manager ends with exit status 0");
        Ok((pictures.finish()?, tv_box))
    }

    /// Waits until nothing of what was shown is left; false when it stays.
    fn is_stage_empty(&self) -> bool {
        let end = Instant::now() + PATIENCE;
        let is_empty = || self.tv.receivers().is_empty() && self.tv_box.session_servers().is_empty();
        while !is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        is_empty()
    }

    fn knows_certificate(&self) -> bool {
        let known = self.phone.place().join("state/known-devices.toml");
        std::fs::read_to_string(known).is_ok_and(|known| known.contains(self.tv.name()))
    }
}

/// Notes when the manager says that the app's session server is in another state.
fn watch(tv_box: &TvBox) -> Result<Changes, Failure> {
    let mut client = ControlClient::connect(&tv_box.control())?;
    client.request(Command::Watch)?;
    let (tell, changes) = channel();
    std::thread::spawn(move || {
        // Until the manager ends.
        while let Ok(event) = client.next_event(Instant::now() + Duration::from_secs(3_600)) {
            if let Some(Event::StateChanged { state, .. }) = event {
                let _ = tell.send((Instant::now(), state));
            }
        }
    });
    Ok(changes)
}

/// From the first sight to the end; gives the states that the manager has told.
fn play(
    seen: &Seen<'_>,
    devices: &mut Devices,
    url: &str,
    networks: &Networks,
    checks: &mut Checks,
) -> Result<Vec<ServerState>, Failure> {
    let mut page = Page::connect(&devices.phone.socket(), seen)?;
    page.find(devices.tv.name())?;
    checks.check(true, format!("the phone finds the TV, {}", networks.how()));
    page.start(url, devices.tv.name())?;
    checks.check(devices.knows_certificate(), "they speak TLS: the phone knows the TV by its certificate from now on");
    page.hear(|told| told.state == "playing")?;
    std::thread::sleep(STAY);
    let paused = page.say("pause")?;
    page.hear(|told| told.state == "paused")?;
    page.say("play")?;
    page.hear(|told| told.state == "playing")?;
    let before = page.say("where")?;
    checks
        .check(paused.position_ms <= before.position_ms, "messages go both ways: it pauses, plays on, and says where");
    let presentation = page.presentation.clone();
    page.leave()?;
    std::thread::sleep(ABSENCE);
    checks.check(devices.tv.receivers().len() == 1, "while the phone is away, the film goes on");

    let mut page = Page::connect(&devices.phone.socket(), seen)?;
    page.reconnect(&presentation, url)?;
    let after = page.say("where")?;
    checks.check(after.position_ms > before.position_ms, "the phone comes back to the same film, further on");
    page.terminate()?;
    checks.check(devices.is_stage_empty(), "when it is terminated, receiver, app and session server are gone");
    Ok(states(seen, &devices.changes))
}

fn states(seen: &Seen<'_>, changes: &Changes) -> Vec<ServerState> {
    let mut states = Vec::new();
    while let Ok((at, state)) = changes.recv_timeout(PATIENCE) {
        seen.at(at, Kind::Notification, Who::Manager, Who::Receiver, &format!("session server of {APP} is {state:?}"));
        states.push(state);
        if state == ServerState::NotRunning {
            break;
        }
    }
    states
}

fn judge(clips: &Clips, checks: &mut Checks, recording: &Recording, states: &[ServerState], since: Instant) {
    let expected = [ServerState::Uninitialized, ServerState::Active, ServerState::NotRunning];
    checks.check(states == expected, "the film has a session server of its own: Active, and at last NotRunning");
    let arrivals = &recording.arrivals;
    checks.check(!arrivals.is_empty(), "the film: pictures came out");
    if clips.pictures.is_some() {
        let order = Order::of(arrivals, sequence::end_of(arrivals));
        checks.check(order.is_perfect(), "the film: its pictures are complete and in order up to the last");
        let is_paced = sequence::is_never_early(arrivals, since);
        checks.check(is_paced, "the film: no picture came before its time");
    }
}
