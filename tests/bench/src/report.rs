//! Progress, the table and the file of results.

use std::fs;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Failure;
use crate::figure::Figure;
use crate::pinning::Pinning;
use crate::rounds::Spread;

/// Collects figures and prints them.
#[derive(Debug)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    warnings: Vec<String>,
}

impl Report {
    pub(crate) fn new(pinning: Pinning, rounds: u32) -> Self {
        println!("{rounds} interleaved rounds; median [quartiles]; {pinning}");
        Self { figures: Vec::new(), warnings: Vec::new() }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Says below the table what a reader of its figures must know.
    pub(crate) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Prints the table and writes the results.
    pub(crate) fn finish(self, results: &Path) -> Result<(), Failure> {
        println!("\n{}\n", self.table());
        self.warnings.iter().for_each(|warning| println!("not to be relied on: {warning}\n"));
        if let Some(directory) = results.parent() {
            fs::create_dir_all(directory)?;
        }
        let all: Vec<_> = self.figures.iter().map(Figure::result).collect();
        fs::write(results, serde_json::to_string_pretty(&all)? + "\n")?;
        let missed = self.figures.iter().filter(|figure| figure.holds() == Some(false)).count();
        let aimed = self.figures.iter().filter(|figure| figure.target.is_some()).count();
        println!("{} of {aimed} targets hold; all figures stand in {}", aimed - missed, results.display());
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["figure", "value", "unit", "beside", "its value", "ratio", "target", "holds"]);
        for figure in &self.figures {
            table.add_row([
                figure.name.clone(),
                readable(figure.value),
                figure.unit.into(),
                figure.reference.into(),
                readable(figure.reference_value),
                format!("{:.2}", figure.ratio()),
                figure.target.map(|target| target.to_string()).unwrap_or_default(),
                figure.holds().map_or("", |holds| if holds { "yes" } else { "NO" }).into(),
            ]);
        }
        for number in [1, 4, 5] {
            table.column_mut(number).into_iter().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        }
        table
    }
}

/// The median, and the quartiles where they differ.
fn readable(Spread { lower, median, upper }: Spread) -> String {
    let decimals = match median {
        _ if median.fract() == 0.0 || median >= 1_000.0 => 0,
        _ if median >= 10.0 => 1,
        _ => 3,
    };
    if lower == upper {
        return format!("{median:.decimals$}");
    }
    format!("{median:.decimals$} [{lower:.decimals$} .. {upper:.decimals$}]")
}

/// Shows how far one comparison has come; where nobody looks, a line at its start.
pub(crate) fn progress(what: &str, turns: u32) -> ProgressBar {
    let bar = ProgressBar::new(turns.into());
    if bar.is_hidden() {
        println!("{what}");
    }
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {pos}/{len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.with_message(what.to_owned())
}
