//! What the incumbent is known to get wrong, and no test of a requirement shows (see `docs/presentation-defects.md`).

use super::probes::{liar, start_on};
use super::*;

/// Presentation defect 9, PS-30: it is not taken for a connection that goes on being made.
#[test]
fn a_device_that_leaves_before_it_has_greeted_is_told_of_at_once() {
    let mut home = Home::new(Protection::None);
    let mut door = liar(&home, 0);
    let mut page = home.boxes[PHONE].client();
    page.say(Command::Hello);
    home.settle();
    page.say(start_on("p", "liar 0"));
    assert_eq!(page.news(&mut home), ["welcome", "connection", "connecting"]);
    drop(door.accept().unwrap().expect("it is reached"));
    let told = page.news(&mut home);
    assert!(told.len() == 1 && told[0].starts_with("closed: Error"), "{told:?}");
    drop(page);
    home.assert_nothing_left();
}

/// Presentation defect 9, PS-30, PS-32: who is left before it has greeted hears why, and is not waited for.
#[test]
fn a_page_that_leaves_before_its_device_has_greeted_says_so_there() {
    let mut home = Home::new(Protection::None);
    let mut door = liar(&home, 0);
    let mut page = home.boxes[PHONE].client();
    page.say(Command::Hello);
    home.settle();
    page.say(start_on("p", "liar 0"));
    home.settle();
    page.say(Command::Close { connection: first(), went_away: false });
    assert!(page.news(&mut home).contains(&"closed: Closed".to_string()));
    let mut heard = [0; 256];
    let bytes = door.accept().unwrap().expect("it is reached").read(&mut heard).unwrap();
    let heard = core::str::from_utf8(&heard[..bytes]).unwrap();
    assert!(heard.contains(r#""type":"disconnect""#), "{heard}");
    drop(page);
    home.assert_nothing_left();
}

/// Presentation defect 32, PS-22: who wants to know which devices there are makes no noise on the network.
#[test]
fn devices_are_looked_for_once_however_often_they_are_listed() {
    let mut home = Home::new(Protection::None);
    let mut platform = home.boxes[PHONE].client();
    platform.say(Command::Hello);
    assert_eq!(platform.news(&mut home), ["welcome"]);
    for _ in 0..20 {
        platform.say(Command::ListDevices { from: 0 });
        let told = platform.news(&mut home);
        assert!(told.len() == 1 && told[0].contains("TV"), "{told:?}");
    }
    home.pass(Duration::from_secs(60));
    assert_eq!(home.boxes[PHONE].host.platform.discovery.browses, 1);
}
