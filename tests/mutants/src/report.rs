//! What came out.

use comfy_table::{CellAlignment, Table, presets};

use crate::trial::{Killer, Trial, Verdict};

/// Prints the table and the verdict; true when every bug was noticed by a test that names what it breaks.
pub(crate) fn print(trials: &[Trial]) -> bool {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(["breaks", "planted bug", "killed by", "in"]);
    table.column_iter_mut().skip(3).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    for trial in trials {
        let took = format!("{:.2} s", trial.took.as_secs_f64());
        table.add_row([trial.bug.breaks, trial.bug.name, &killed_by(trial), &took]);
    }
    println!("{table}\n");
    let killed = trials.iter().filter(|trial| matches!(trial.verdict, Verdict::Killed(_))).count();
    trials.iter().filter(|trial| !matches!(trial.verdict, Verdict::Killed(_))).for_each(explain);
    println!("{killed} of {} planted bugs killed", trials.len());
    killed == trials.len()
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

fn explain(trial: &Trial) {
    println!("NOT KILLED by a test that names {}: {}, so that {}", trial.bug.breaks, trial.bug.name, trial.bug.what);
}
