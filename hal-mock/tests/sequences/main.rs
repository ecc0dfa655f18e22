//! The sequences that the system was specified with, each with its branches, as the real drivers go through them in the
//! simulated world. Their diagrams lie in `tests/diagrams`, to be read beside the specification.
//!
//! `UPDATE_DIAGRAMS=1` writes them anew; `DRAW_DIAGRAMS=DIRECTORY` also draws each as a picture there.

mod app_home;
mod app_side;
#[path = "../network/mod.rs"]
mod network;
mod presentation;
mod recorded;
mod server_side;
mod stage;
mod two_devices;
mod watcher;

use std::path::PathBuf;

use greenroom_hal_mock::Diagram;
use stage::Stage;
use two_devices::TwoDevices;

/// Goes through a sequence and compares its diagram with the one that is kept.
fn scenario(file: &str, title: &str, play: impl FnOnce(&mut Stage)) -> Diagram {
    on_stage(file, Stage::new(title), play)
}

/// The same on a stage of its own.
fn on_stage(file: &str, mut stage: Stage, play: impl FnOnce(&mut Stage)) -> Diagram {
    play(&mut stage);
    let diagram = stage.finish();
    compare(file, &diagram);
    diagram
}

/// The same between two devices, of which one shows a page of the other.
fn between_devices(file: &str, title: &str, play: impl FnOnce(&mut TwoDevices)) -> Diagram {
    let mut devices = TwoDevices::new(title);
    play(&mut devices);
    let diagram = devices.finish();
    compare(file, &diagram);
    diagram
}

fn compare(file: &str, diagram: &Diagram) {
    if let Some(place) = std::env::var_os("DRAW_DIAGRAMS") {
        std::fs::write(PathBuf::from(place).join(format!("{file}.svg")), diagram.to_svg()).unwrap();
    }
    assert_kept(&format!("tests/diagrams/{file}.txt"), &diagram.to_text());
}

/// A document of the repository shows this diagram as it is drawn.
fn assert_part_of(path: &str, drawn: &str) {
    let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let document = std::fs::read_to_string(&place).unwrap();
    assert!(document.contains(drawn.trim_end()), "{path} does not show what happens:\n{drawn}");
}

/// What is drawn is what lies at this path of the repository.
fn assert_kept(path: &str, drawn: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE_DIAGRAMS").is_some() {
        std::fs::write(&path, drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == drawn,
        "{}: what happens is not what is kept; if it is right now, run again with UPDATE_DIAGRAMS=1\n{drawn}",
        path.display()
    );
}

/// Every diagram that is kept is named in the list of them and drawn by a scenario, and every name leads to one.
#[test]
fn the_list_of_diagrams_is_complete_and_no_diagram_is_left_that_nothing_draws() {
    let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/diagrams");
    let list = std::fs::read_to_string(place.join("README.md")).unwrap();
    let scenarios =
        [include_str!("app_side.rs"), include_str!("server_side.rs"), include_str!("presentation.rs")].concat();
    let files = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: Vec<String> = files.filter(|name| name != "README.md").collect();
    for file in &files {
        let name = file.strip_suffix(".txt").unwrap_or(file);
        assert!(list.contains(&format!("]({file})")), "{file} is not in the list");
        let draws = |call: &str| scenarios.contains(&format!("{call}(\"{name}\", "));
        let is_drawn = ["scenario", "on_stage", "between_devices"].into_iter().any(draws);
        assert!(is_drawn, "no scenario draws {file} any more: remove it");
    }
    assert_eq!(list.matches(".txt)").count(), files.len());
}
