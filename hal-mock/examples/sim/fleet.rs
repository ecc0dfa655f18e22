//! Many boxes in one process: what one of them costs, and an input, however many there are.
//!
//! A box's tables and messages have fixed capacities, which is nearly all that it costs. For a large fleet they are built
//! smaller, see `make fleet`.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use greenroom_hal_mock::sim::Household;
use indicatif::ProgressBar;

/// How far the boxes go in turn, so that none is far ahead of another.
const SLICE: Duration = Duration::from_secs(1);
/// How long each box of a fleet is measured, once it is up.
const MEASURED: Duration = Duration::from_secs(20);

/// Measures fleets of 1, 10, 100, ... boxes, up to so many.
pub(super) fn measure(boxes: usize) {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["boxes", "bytes a box", "inputs", "ns an input", "box-hours a second"]);
    let mut size = 1;
    loop {
        table.add_row(row_of(size));
        if size >= boxes {
            break;
        }
        size = boxes.min(size * 10);
    }
    table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    println!("{table}");
}

fn row_of(boxes: usize) -> [String; 5] {
    let before = resident_bytes();
    let progress = ProgressBar::new(boxes as u64 * (1 + MEASURED.as_secs()));
    let mut fleet: Vec<Household> = (0..boxes as u64).map(|seed| up(seed, &progress)).collect();
    let inputs_before: u64 = fleet.iter().map(Household::inputs).sum();
    let start_ns = processor_ns();
    for slice in 1..=MEASURED.as_secs() as u32 {
        fleet.iter_mut().for_each(|household| household.run_for(SLICE));
        progress.set_position(boxes as u64 * u64::from(1 + slice));
    }
    let took_ns = processor_ns().saturating_sub(start_ns).max(1);
    progress.finish_and_clear();
    let inputs = fleet.iter().map(Household::inputs).sum::<u64>() - inputs_before;
    let bytes = resident_bytes().saturating_sub(before) / boxes as u64;
    let hours = boxes as f64 * MEASURED.as_secs_f64() / 3600.0;
    [
        boxes.to_string(),
        bytes.to_string(),
        inputs.to_string(),
        (took_ns / inputs.max(1)).to_string(),
        format!("{:.1}", hours * 1e9 / took_ns as f64),
    ]
}

fn up(seed: u64, progress: &ProgressBar) -> Household {
    let household = Household::up(seed);
    progress.inc(1);
    household
}

/// How long this thread had a processor, so that it does not matter who else wants one.
fn processor_ns() -> u64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// What this process keeps in memory.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * PAGE_BYTES
}
