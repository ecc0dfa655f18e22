//! What is played: the user's file, or clips that are made once and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use greenroom_tests::numbered_clip::{self, Coding, Content, presentation_of};
use greenroom_tests::test_card::Style;

use crate::Failure;
use crate::journal::Journal;

/// Eight seconds.
const PICTURES: u16 = 200;

/// What is played, and where pictures are written to.
pub(crate) struct Clips {
    /// For app 1 and app 2.
    pub(crate) files: [PathBuf; 2],
    /// What a browser plays.
    pub(crate) film: PathBuf,
    /// How many numbered pictures are in each clip; None: the user's file, whose pictures carry no numbers.
    pub(crate) pictures: Option<u16>,
    /// `target/demo`.
    pub(crate) directory: PathBuf,
}

impl Clips {
    /// How long app 1 plays before the switch.
    pub(crate) fn first_stay(&self) -> Duration {
        self.pictures.map_or(Duration::from_secs(5), |pictures| presentation_of(pictures) * 3 / 8)
    }
}

/// Makes the clips, unless they are there or the user brought a file.
pub(crate) fn prepare(journal: &Journal, file: Option<PathBuf>) -> Result<Clips, Failure> {
    let directory = directory()?;
    fs::create_dir_all(&directory)?;
    remove_old_pictures(&directory)?;
    let one = Content { pictures: PICTURES, style: Style { background: [30, 60, 140], dots: 1 }, tone_hz: 440 };
    let two = Content { pictures: PICTURES, style: Style { background: [20, 110, 70], dots: 2 }, tone_hz: 660 };
    let film = clip(journal, &directory, "app1", Coding::H264Aac, &one)?;
    if let Some(file) = file {
        let file = std::path::absolute(file)?;
        return Ok(Clips { files: [file.clone(), file], film, pictures: None, directory });
    }
    let second = clip(journal, &directory, "app2", Coding::Vp9Opus, &two)?;
    Ok(Clips { files: [film.clone(), second], film, pictures: Some(PICTURES), directory })
}

/// `target/demo`, wherever `target` is: this program is `target/PROFILE/examples/demo`.
fn directory() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(3).ok_or("this program does not lie in target/PROFILE/examples")?;
    Ok(target.join("demo"))
}

/// What tests have drawn stays.
fn remove_old_pictures(directory: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_own = ["app", "page"].iter().any(|start| name.starts_with(start));
        if is_own && name.ends_with(".png") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn clip(
    journal: &Journal,
    directory: &Path,
    name: &str,
    coding: Coding,
    content: &Content,
) -> Result<PathBuf, Failure> {
    let path = directory.join(name).with_extension(coding.extension());
    if !is_current(&path) {
        journal.note(&format!("making {} ({coding:?}, {} pictures)", path.display(), content.pictures));
        numbered_clip::make(&path, coding, content)?;
    }
    Ok(path)
}

/// A clip from before this program was built may have been made in another way.
fn is_current(path: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path)?.modified();
    let built = std::env::current_exe().and_then(|own| changed(&own)).unwrap_or_else(|_| SystemTime::now());
    changed(path).is_ok_and(|made| made > built)
}
