//! The sequences that the system was specified with, each with its branches, as the real drivers go through them in the
//! simulated world. Their diagrams lie in `tests/diagrams`, to be read beside the specification.
//!
//! `UPDATE_DIAGRAMS=1` writes them anew; `DRAW_DIAGRAMS=DIRECTORY` also draws each as a picture there.

mod app_side;
mod hosts;
mod recorded;
mod server_side;
mod stage;
mod watcher;

use std::path::PathBuf;

use stage::Stage;

/// Goes through a sequence and compares its diagram with the one that is kept.
fn scenario(file: &str, title: &str, play: impl FnOnce(&mut Stage)) {
    let mut stage = Stage::new(title);
    play(&mut stage);
    let diagram = stage.finish();
    if let Some(place) = std::env::var_os("DRAW_DIAGRAMS") {
        std::fs::write(PathBuf::from(place).join(format!("{file}.svg")), diagram.to_svg()).unwrap();
    }
    let drawn = diagram.to_text();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/diagrams").join(format!("{file}.txt"));
    if std::env::var_os("UPDATE_DIAGRAMS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == drawn,
        "{}: what happens is not what is kept; if it is right now, run again with UPDATE_DIAGRAMS=1\n{drawn}",
        path.display()
    );
}
