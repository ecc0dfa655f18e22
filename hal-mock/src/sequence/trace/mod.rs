//! The diagram of what was recorded: each machine is replayed, and what it was told and did is drawn in the order of time.

mod order;
mod run;

use greenroom_core::time::Instant;
use greenroom_core::trace::file::File;

use self::order::{Conversations, next_of};
use self::run::{Run, Whose};
use super::{AppStep, Detail, Sequence};
use crate::replay::{ReplayError, replay};

/// What was recorded, and what is known beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Story<'a> {
    /// What the diagram is called.
    pub title: &'a str,
    /// How much is shown.
    pub detail: Detail,
    /// What the apps' own processes did; their clocks are those of the traces.
    pub apps: &'a [(Instant, String, AppStep)],
}

/// Replays what was recorded and draws it. Of a machine that is in several files a later file goes on where the earlier ends.
/// Fails as [`replay`] does.
pub fn sequence_of(files: &[File<'_>], story: &Story<'_>) -> Result<Sequence, ReplayError> {
    let mut runs = Vec::new();
    for file in files {
        runs_of(file)?.into_iter().for_each(|run| join(&mut runs, run));
    }
    runs.push(Run::of_apps(story.apps));
    let mut sequence = Sequence::new(story.title, story.detail);
    let mut conversations = Conversations::of(&runs);
    let mut now = Instant::default();
    while let Some(place) = next_of(&runs, &conversations) {
        let run = &mut runs[place];
        let Some(seen) = run.steps.pop_front() else { break };
        conversations.pass(&seen);
        now = now.max(seen.at);
        seen.draw(&mut sequence, &run.whose, now);
    }
    Ok(sequence)
}

fn runs_of(file: &File<'_>) -> Result<Vec<Run>, ReplayError> {
    let mut runs: Vec<Run> = Vec::new();
    replay(file, |step| {
        let whose = Whose::Machine(step.origin.clone());
        let place = runs.iter().position(|run| run.whose.is(&whose)).unwrap_or_else(|| {
            runs.push(Run::new(whose));
            runs.len() - 1
        });
        runs[place].push(step);
    })?;
    Ok(runs)
}

fn join(runs: &mut Vec<Run>, later: Run) {
    let Some(run) = runs.iter_mut().find(|run| run.whose.is(&later.whose)) else { return runs.push(later) };
    let Some(from) = later.steps.front().map(|seen| seen.at) else { return };
    run.steps.retain(|seen| seen.at < from);
    run.steps.extend(later.steps);
}
