//! The acts.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use greenroom_core::message::control::Refusal;
use greenroom_daemon::control::ControlError;
use greenroom_tests::picture_fifo::Recording;
use greenroom_tests::sequence::{self, Order};

use crate::Failure;
use crate::app_record::End;
use crate::census::Census;
use crate::checks::Checks;
use crate::clips::Clips;
use crate::drawing::{AppSteps, Drawing};
use crate::journal::Journal;
use crate::stage::{Stage, Until, has_display};
use crate::tables;

/// Long files are not played to their end.
const SECOND_STAY: Duration = Duration::from_secs(15);
/// Far more than a clip of the demo takes.
const CLIP_TIMEOUT: Duration = Duration::from_secs(40);

/// How an app's stay on stage went.
pub(crate) struct Played {
    pub(crate) app: &'static str,
    /// What the app and its session server count.
    pub(crate) end: End,
    /// What came out.
    pub(crate) recording: Recording,
    /// Where each number must have come; None: there are no numbers.
    pub(crate) order: Option<Order>,
    /// When it was told to be Running.
    pub(crate) since: Instant,
}

/// What was there, and when.
pub(crate) type Counted = Vec<(&'static str, Census)>;

/// Tells the story.
pub(crate) fn tell(journal: &Journal, clips: &Clips, checks: &mut Checks) -> Result<(), Failure> {
    let told_running = RefCell::default();
    let app_steps = AppSteps::default();
    let mut drawing = Drawing::new(&clips.directory);

    journal.act("A box with one decoder");
    let keep_every = if clips.pictures.is_some() { 50 } else { 100 };
    let mut stage = Stage::build(journal, &told_running, &app_steps, keep_every)?;
    introduce(journal, &stage, clips);
    let before = Census::take(&stage.tv_box);
    let mut counted: Counted = vec![("manager alone", before)];

    journal.act("App 1 takes the stage");
    stage.start("app1", &clips.files[0])?;
    stage.running("app1")?;
    stage.watch("app1", Until::EndOr(clips.first_stay()))?;

    journal.act("App 2 wants the decoder, too");
    stage.start("app2", &clips.files[1])?;
    refuse(journal, &mut stage, checks)?;
    counted.push(("app 1 plays, app 2 waits", Census::take(&stage.tv_box)));

    journal.act("App 1 leaves the stage, app 2 takes it");
    stage.switch("app1", "app2")?;
    let one = played(&mut stage, "app1", clips)?;
    let until = if clips.pictures.is_some() { Until::End(CLIP_TIMEOUT) } else { Until::EndOr(SECOND_STAY) };
    stage.watch("app2", until)?;

    drawing.save(&stage)?;
    journal.act("Both end");
    stage.stop("app1")?;
    stage.stop("app2")?;
    let two = played(&mut stage, "app2", clips)?;
    let after = Census::settled(|| Census::take(&stage.tv_box), before);
    counted.push(("both NotRunning", after));
    checks.check(after == before, "when both apps have ended, nothing of them is left");

    let three = fast(journal, &mut stage, clips, &mut drawing)?;
    let moves = stage.moves();

    journal.act("The manager ends");
    let (status, tv_box) = stage.close();
    journal.note(&format!("greenroomd: {status}"));
    checks.check(status.success(), "the manager ends with exit status 0");
    let end = Census::settled(|| Census::take(&tv_box), Census::NOTHING);
    counted.push(("manager ended", end));
    checks.check(end == Census::NOTHING, "when the manager has ended, nothing at all is left");

    let all = [one, two, three];
    tables::show(journal, &all, &moves, &counted);
    write_pictures(journal, clips, &all)?;
    drawing.draw(journal, &app_steps)?;
    judge(checks, clips, &all);
    checks.check(drawing.replays(journal)?, "every trace of this run, run again, comes to the recorded states");
    Ok(())
}

fn introduce(journal: &Journal, stage: &Stage<'_>, clips: &Clips) {
    journal.note(&format!(
        "greenroomd is process {}, it listens at {}",
        stage.tv_box.process_id(),
        stage.tv_box.control().display()
    ));
    journal.note(if has_display() {
        "there is a display: pictures are shown in a window, and written to a pipe where they are counted"
    } else {
        "no display: pictures go at real-time pace to a pipe, where they are counted"
    });
    if clips.pictures.is_none() {
        journal.note(&format!(
            "app 1 plays {} for {} s, app 2 for at most {} s",
            clips.files[0].display(),
            clips.first_stay().as_secs(),
            SECOND_STAY.as_secs()
        ));
    }
}

/// App 2 asks for what app 1 has; once through the application manager, once as a person would.
fn refuse(journal: &Journal, stage: &mut Stage<'_>, checks: &mut Checks) -> Result<(), Failure> {
    let refusal = stage.running_is_refused("app2")?;
    journal.refused(&refusal.to_string());
    let names_holder = matches!(&refusal, ControlError::Refused(Refusal::Decoders { holders, free: 0, .. })
        if holders.iter().any(|holding| holding.app.as_str() == "app1"));
    checks.check(names_holder, "app 2 is refused the decoder, and told that app 1 holds it");

    journal.print("\n            $ greenroomctl state app2 active");
    let output = stage.ctl(&["state", "app2", "active"]);
    for line in String::from_utf8_lossy(&output.stderr).lines().chain(String::from_utf8_lossy(&output.stdout).lines()) {
        journal.print(&format!("            {line}"));
    }
    journal.print(&format!("            ({})\n", output.status));
    checks.check(!output.status.success(), "greenroomctl fails with it");
    Ok(())
}

/// The same clip once more, with a sink that does not wait for the clock.
fn fast(journal: &Journal, stage: &mut Stage<'_>, clips: &Clips, drawing: &mut Drawing<'_>) -> Result<Played, Failure> {
    journal.act("Without a clock: as fast as the decoder goes");
    stage.start("app3", &clips.files[0])?;
    stage.running("app3")?;
    let until = if clips.pictures.is_some() { Until::End(CLIP_TIMEOUT) } else { Until::EndOr(SECOND_STAY) };
    stage.watch("app3", until)?;
    drawing.save(stage)?;
    stage.stop("app3")?;
    drawing.save(stage)?;
    played(stage, "app3", clips)
}

/// What became of an app that does not play any more.
fn played(stage: &mut Stage<'_>, app: &'static str, clips: &Clips) -> Result<Played, Failure> {
    stage.hear_until(app, |record| record.end.is_some());
    let end = stage.record(app).end.clone().ok_or_else(|| format!("{app} never said how it went"))?;
    let since = stage.told_running(app).ok_or("an app that played was told to")?;
    let recording = stage.recording(app)?;
    let order = clips.pictures.map(|pictures| {
        let is_whole = end.reason == "end_of_stream";
        let expected = if is_whole { pictures } else { sequence::end_of(&recording.arrivals) };
        Order::of(&recording.arrivals, expected)
    });
    Ok(Played { app, end, recording, order, since })
}

fn write_pictures(journal: &Journal, clips: &Clips, all: &[Played]) -> Result<(), Failure> {
    let mut written = 0;
    for played in all {
        for (place, picture) in &played.recording.kept {
            let number = played.recording.arrivals[*place].number.map_or(*place, usize::from);
            picture.write_png(&clips.directory.join(format!("{}-{number:04}.png", played.app)))?;
            written += 1;
        }
    }
    journal.print(&format!("\n{written} decoded pictures are in {}", clips.directory.display()));
    Ok(())
}

fn judge(checks: &mut Checks, clips: &Clips, all: &[Played]) {
    for played in all {
        let (app, video) = (played.app, played.end.video());
        checks.check(!played.recording.arrivals.is_empty(), format!("{app}: pictures came out"));
        checks.check(video.frames_dropped == 0, format!("{app}: no frame was dropped"));
        let Some(order) = &played.order else { continue };
        checks.check(order.is_perfect(), format!("{app}: its pictures are complete and in order up to the last"));
        if played.app != "app1" {
            let expected = clips.pictures.map(usize::from);
            let whole = played.end.reason == "end_of_stream" && Some(order.came) == expected;
            checks.check(whole, format!("{app}: it played to the end, every picture came out"));
            let counts = [video.frames_sent, video.frames_taken, video.frames_rendered].map(|count| count as usize);
            checks.check(
                counts.iter().all(|count| Some(*count) == expected),
                format!("{app}: all that was sent was shown"),
            );
        }
        // How fast it was is shown, not judged: on a busy machine that says nothing of the programs.
        if played.app != "app3" {
            let is_paced = sequence::is_never_early(&played.recording.arrivals, played.since);
            checks.check(is_paced, format!("{app}: no picture came before its time"));
        }
    }
}
