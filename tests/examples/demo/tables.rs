//! What was measured, in tables.

use std::time::Duration;

use comfy_table::{CellAlignment, LineStyle, Table, presets};
use greenroom_daemon::appmanager::Move;
use greenroom_tests::sequence::{self, Lateness};

use crate::journal::{Colour, Journal};
use crate::story::{Counted, Played};

/// Shows all of them.
pub(crate) fn show(journal: &Journal, all: &[Played], moves: &[Move], counted: &Counted) {
    journal.act("Pictures");
    journal.print(&frames(all).to_string());
    let legend = "sent: by the app; taken: by the decoder, from the ring; decoded: read from the sink's pipe";
    journal.print(&journal.paint(Colour::Dim, legend));
    journal.act("Pace, measured where the pictures come out");
    journal.print(&pace(all).to_string());
    journal.act("State changes, measured at the application manager");
    journal.print(&latencies(moves).to_string());
    journal.act("What is there");
    journal.print(&left_over(counted).to_string());
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─'))).set_header(header);
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn frames(all: &[Played]) -> Table {
    let header =
        ["app", "sent", "taken", "decoded", "dropped", "missing", "duplicated", "out of order", "reached", "because"];
    let mut table = table(header);
    for played in all {
        let (video, order) = (played.end.video(), played.order);
        let counted = |count: Option<usize>| count.map_or_else(|| "-".into(), |count| count.to_string());
        table.add_row([
            played.app.to_owned(),
            video.frames_sent.to_string(),
            video.frames_taken.to_string(),
            played.recording.arrivals.len().to_string(),
            video.frames_dropped.to_string(),
            counted(order.map(|order| order.missing + order.unreadable)),
            counted(order.map(|order| order.duplicated)),
            counted(order.map(|order| order.out_of_order)),
            format!("{:.2} s", Duration::from_millis(played.end.position_ms).as_secs_f64()),
            played.end.reason.replace('_', " "),
        ]);
    }
    table
}

fn pace(all: &[Played]) -> Table {
    let mut table = table(["app", "pictures/s", "late, median", "late, at worst"]);
    for played in all {
        let arrivals = &played.recording.arrivals;
        let rate = sequence::rate_hz(arrivals).map_or_else(|| "-".into(), |rate_hz| format!("{rate_hz:.2}"));
        let lateness = Lateness::of(arrivals).filter(|_| played.app != "app3");
        let late = |late: fn(Lateness) -> Duration| lateness.map(late).map_or_else(|| "-".into(), milliseconds);
        table.add_row([played.app.to_owned(), rate, late(|late| late.median), late(|late| late.worst)]);
    }
    table
}

fn latencies(moves: &[Move]) -> Table {
    let mut table = table(["session server", "to", "request → answer", "request → notification"]);
    for Move { app, to, answered, notified } in moves {
        table.add_row([format!("of {app}"), format!("{to:?}"), milliseconds(*answered), milliseconds(*notified)]);
    }
    table
}

fn left_over(counted: &Counted) -> Table {
    let mut table = table(["", "processes", "sockets", "shared memory", "descriptors of the manager"]);
    for (when, census) in counted {
        let counts = [census.processes, census.sockets, census.memfds, census.manager_descriptors];
        table.add_row(std::iter::once((*when).to_owned()).chain(counts.map(|count| count.to_string())));
    }
    table
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}
