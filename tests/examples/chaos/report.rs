//! What came out: a table, a verdict, and files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use crate::samples::{Growth, Samples};
use crate::tally::{Class, Count, Tally};
use crate::{Failure, plot};

/// What is known when it is over.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    pub(crate) tally: &'a Tally,
    pub(crate) samples: &'a Samples,
    pub(crate) growths: Vec<Growth>,
}

/// Writes report, samples and plot, prints the report; true when nothing was violated.
pub(crate) fn write(directory: &Path, findings: &Findings<'_>) -> Result<bool, Failure> {
    let text = text(findings);
    println!("\n{text}");
    fs::write(directory.join("report.md"), &text)?;
    fs::write(directory.join("samples.csv"), findings.samples.csv())?;
    fs::write(directory.join("memory.svg"), plot::svg(findings.samples.all()))?;
    println!("report.md, memory.svg, samples.csv and manager.log are in {}", directory.display());
    Ok(findings.tally.violations_from(0).is_empty())
}

fn text(findings: &Findings<'_>) -> String {
    let Findings { seed, length, tally, growths, .. } = findings;
    let violations = tally.violations_from(0);
    let mut text = String::new();
    let minutes = length.as_secs_f64() / 60.0;
    let _ = writeln!(text, "# Chaos: {minutes:.1} minutes, seed {seed}\n\n{}\n", counters(tally));
    match growths.is_empty() {
        true => text.push_str("Too short to say whether anything grows; 5 minutes are enough.\n\n"),
        false => text.push_str(&format!("{}\n\n", table_of_growths(growths))),
    }
    for violation in &violations {
        let _ = writeln!(text, "- VIOLATION after {:.2} s: {}", violation.at.as_secs_f64(), violation.what);
    }
    let kills = tally.sum(Class::Kill);
    let verdict = if violations.is_empty() { "nothing was violated" } else { "FAILED" };
    let _ = writeln!(text, "{kills} kills, {} violations: {verdict}", violations.len());
    text
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn counters(tally: &Tally) -> Table {
    let mut table = table(["what happened", "times"]);
    for count in Count::ALL {
        table.add_row([count.label().to_owned(), tally.of(*count).to_string()]);
    }
    table
}

fn table_of_growths(growths: &[Growth]) -> Table {
    let mut table =
        table(["while the manager lived", "first third", "last third", "may grow by", "samples", "verdict"]);
    for growth in growths {
        let quantity = |value: u64| match growth.unit {
            "bytes" => format!("{:.2} MiB", value as f64 / 1024.0 / 1024.0),
            _ => value.to_string(),
        };
        table.add_row([
            growth.what.to_owned(),
            quantity(growth.first),
            quantity(growth.last),
            quantity(growth.tolerance),
            growth.samples.to_string(),
            if growth.is_bounded() { "flat" } else { "GROWN" }.to_owned(),
        ]);
    }
    table
}
