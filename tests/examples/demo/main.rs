//! The story of a box with one decoder and two apps that want it, of a phone that puts a film on a TV, and of two pages in
//! browsers that find each other, told while it happens; `make demo` runs it.
//!
//! Everything in it is real: the manager, the session servers and the apps are processes of their own, and every number
//! that is shown was measured. Exit status: 0 every check held; 1 one did not, or the story could not be told.

mod app_record;
mod census;
mod checks;
mod clips;
mod drawing;
mod journal;
mod networks;
mod page;
mod screen;
mod second_act;
mod seen;
mod site;
mod stage;
mod story;
mod tables;
mod third_act;
mod web_devices;

use std::path::PathBuf;
use std::process::ExitCode;

use checks::Checks;
use greenroom_tests::programs;
use journal::Journal;

/// Why the story could not be told to its end.
type Failure = Box<dyn std::error::Error>;

const PROGRAMS: [&str; 8] = [
    "greenroomd",
    "greenroom-session",
    "greenroomctl",
    "greenroom-play",
    "greenroom-presentation",
    "greenroom-receiver",
    "greenroom-browser",
    "greenroom-web",
];

const USAGE: &str = "usage: demo [FILE]   plays FILE, a media file with video, instead of its own clips";

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let file = match &arguments[..] {
        [flag, address, film] if flag.as_os_str() == site::FLAG => return site::serve(address, film),
        [] => None,
        [file] if !file.to_string_lossy().starts_with('-') => Some(file.clone()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let journal = Journal::start();
    match run(&journal, file) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            journal.complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Whether every check held.
fn run(journal: &Journal, file: Option<PathBuf>) -> Result<bool, Failure> {
    if let Some(file) = &file {
        // Before anything is started: the commonest mistake is a name.
        let opened = std::fs::File::open(file).and_then(|file| file.metadata());
        let metadata = opened.map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
        if !metadata.is_file() {
            return Err(format!("{}: is no file", file.display()).into());
        }
    }
    for program in PROGRAMS {
        programs::find(program)?;
    }
    let clips = clips::prepare(journal, file)?;
    let mut checks = Checks::default();
    story::tell(journal, &clips, &mut checks)?;
    second_act::tell(journal, &clips, &mut checks)?;
    third_act::tell(journal, &clips, &mut checks)?;
    journal.act("Checks");
    Ok(checks.conclude(journal))
}
