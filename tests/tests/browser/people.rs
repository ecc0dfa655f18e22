//! The bridge's own pages, as a person uses them.

use greenroom_core::message::TargetState;
use greenroom_tests::neighbour::Neighbour;
use greenroom_tests::observe;
use greenroom_tests::tv_box::Setup;
use serde_json::json;

use super::chromium::Chromium;
use super::stage::{Stage, TOKEN};
use super::{chromium, turn, until};

const PHONE: (u32, u32) = (390, 844);
const DESKTOP: (u32, u32) = (1280, 800);
const TV: (u32, u32) = (1280, 720);

/// PS-01, PS-10, PS-18
#[test]
fn a_person_opens_the_link_shows_a_page_talks_to_it_and_ends_it() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let mut stage = Stage::start();
    stage.send_chooser_away();
    let browser = &stage.browser;
    browser.open(&stage.phone_web.url("/"));
    browser.until("document.getElementById('problem').textContent.includes('token')");
    browser.open(&stage.phone_web.url(&format!("/#token={TOKEN}")));
    browser.reload();
    browser.until("document.querySelector('#devices input') && !document.getElementById('begin').disabled");
    assert!(
        !browser.run("return location.href", &[]).as_str().unwrap().contains(TOKEN),
        "it is not kept in the history"
    );
    browser.type_into("#url", &stage.tv_web.url("/receiver"));
    browser.click(&format!("input[value='{}']", stage.tv.name()));
    browser.click("#begin");
    browser.until("document.getElementById('talk-state').textContent === 'connected'");
    for text in ["Good evening", "where"] {
        browser.type_into("#text", text);
        browser.click("#send");
    }
    browser.until("document.querySelectorAll('#messages p').length === 4");
    browser.until("document.querySelector('#presentations .state.connected')");
    browser.run("scrollTo(0, 0)", &[]);
    browser.picture("web-controller-desktop.png", DESKTOP);
    browser.picture("web-controller-phone.png", PHONE);
    browser.picture_at_night("web-controller-phone-dark.png", PHONE);
    picture_of_tv(&stage.tv);

    somebody_elses_page_asks(&stage);
    browser.click("#presentations button:last-child");
    browser.until("document.getElementById('talk-state').textContent === 'terminated'");
    stage.expect_nothing_left();
}

/// PS-01: a page of another origin asks, and the person chooses.
fn somebody_elses_page_asks(stage: &Stage) {
    let person = stage.browser.another_window();
    stage.open_controller();
    let page = stage.browser.window();
    stage.press("start", &json!(stage.site.receiver()));
    stage.browser.look_at(&person);
    stage.browser.until("document.querySelector('#choices button')");
    stage.browser.run("scrollTo(0, 0)", &[]);
    stage.browser.picture("web-choice-phone.png", PHONE);
    stage.browser.click("#choices button.plain");
    stage.browser.look_at(&page);
    assert_eq!(stage.expect("error")["name"], "NotAllowedError");
    stage.browser.close_window();
    stage.browser.look_at(&person);
}

/// The driver looks at the browser that the launcher has started.
fn picture_of_tv(tv: &Neighbour) {
    let browser = Chromium::shown_by(tv.receivers()[0], &[]);
    browser.until("document.querySelectorAll('.said p').length === 2");
    browser.until("document.getElementById('video').currentTime > 0");
    browser.picture("web-tv.png", TV);
}

/// SM-39, PS-36: the manager starts what serves browsers, and starts it again; the page lives on.
#[test]
fn the_status_page_shows_the_box_live_and_survives_what_serves_it() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let setup = Setup::new().decoders(2);
    let port = greenroom_tests::web::free_port();
    let place = setup.place().display().to_string();
    let section = format!(
        "[presentation]\nenabled = true\nname = \"a box under test\"\ninterfaces = [\"lo\"]\nsocket = \"{place}/presentation.sock\"\n\
         state_directory = \"{place}/state\"\n[presentation.web]\nenabled = true\nlisten = \"127.0.0.1:{port}\"\ntoken = \"{TOKEN}\""
    );
    let tv_box = setup.more(&section).start();
    let mut controller = tv_box.watch();
    controller.bring_up("com.example.tv", TargetState::Active);
    controller.bring_up("com.example.radio", TargetState::Inactive);
    until("browsers are served", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let browser = Chromium::start();
    browser.open(&format!("http://127.0.0.1:{port}/status#token={TOKEN}"));
    browser.until("document.querySelectorAll('#apps .state.active').length === 1");
    browser.until("document.querySelectorAll('#apps .state.inactive').length === 1");
    browser.picture("web-status-desktop.png", DESKTOP);
    browser.picture("web-status-phone.png", PHONE);
    controller.bring_to("com.example.tv", TargetState::Inactive);
    browser.until("document.querySelectorAll('#apps .state.inactive').length === 2");

    let server = observe::children(tv_box.process_id()).into_iter().find(|process| {
        std::fs::read_link(format!("/proc/{process}/exe")).is_ok_and(|program| program.ends_with("greenroom-web"))
    });
    let server = rustix::process::Pid::from_raw(server.expect("it runs").cast_signed()).expect("a process");
    rustix::process::kill_process(server, rustix::process::Signal::KILL).expect("it is there");
    controller.bring_to("com.example.tv", TargetState::Active);
    browser.until("document.querySelectorAll('#apps .state.active').length === 1");
}
