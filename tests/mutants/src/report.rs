//! What came out.

use comfy_table::{CellAlignment, Table, presets};

use crate::trial::{Killer, Trial, Verdict};

/// Prints the table and the verdict; true when every bug was noticed by a test that names what it breaks.
pub(crate) fn print(trials: &[Trial]) -> bool {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["breaks", "planted bug", "killed by the test", "in", "and by the seed"]);
    table.column_iter_mut().skip(3).take(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    for trial in trials {
        let took = format!("{:.2} s", trial.took.as_secs_f64());
        table.add_row([trial.bug.breaks, trial.bug.name, &killed_by(trial), &took, &seed(trial)]);
    }
    println!("{table}\n");
    let survivors: Vec<&Trial> = trials.iter().filter(|trial| !is_killed(trial)).collect();
    survivors.iter().for_each(|trial| explain(trial));
    let by_seeds = trials.iter().filter(|trial| trial.seed.is_some()).count();
    println!("{by_seeds} of them are noticed from outside, too, by what a box does in a few minutes under faults");
    println!("{} of {} planted bugs killed", trials.len() - survivors.len(), trials.len());
    survivors.is_empty()
}

fn is_killed(trial: &Trial) -> bool {
    matches!(trial.verdict, Verdict::Killed(_))
}

fn killed_by(trial: &Trial) -> String {
    match &trial.verdict {
        Verdict::Killed(killer) => who(killer),
        Verdict::KilledByAnother(killer) => format!("only {}, which does not name it", who(killer)),
        Verdict::Survived => format!("NOBODY; {} tests name it", trial.naming),
    }
}

fn who(Killer { test, has_hung }: &Killer) -> String {
    if *has_hung { format!("{test} (hangs)") } else { test.clone() }
}

fn seed(trial: &Trial) -> String {
    trial.seed.as_ref().map(|seed| format!("{}: {}", seed.number, seed.rule)).unwrap_or_default()
}

fn explain(trial: &Trial) {
    println!("NOT KILLED by a test that names {}: {}, so that {}", trial.bug.breaks, trial.bug.name, trial.bug.what);
}
