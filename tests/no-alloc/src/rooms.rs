//! The rooms that need no platform: tables, the ledger, the inbox.

use core::hint::black_box;

use greenroom_core::driver::Inbox;
use greenroom_core::limits::CAPACITIES;
use greenroom_core::message::{AppId, LogLevels};
use greenroom_core::resources::Ledger;
use greenroom_core::table::Table;
use greenroom_core::time::{Instant, earliest};

static INBOX: Inbox<u8, 4> = Inbox::new();

pub(crate) fn exercise(bytes: &mut [u8]) {
    black_box(CAPACITIES);
    black_box(LogLevels::default());
    black_box(earliest(Some(Instant::from_millis(bytes.len() as u64)), None));
    for byte in bytes.iter().copied() {
        let _ = black_box(INBOX.post(byte));
    }
    black_box(INBOX.take());
    table(bytes);
    ledger(bytes.len() as u8);
}

fn table(bytes: &[u8]) {
    let mut table = Table::<AppId, 4>::new();
    let Ok(app) = AppId::new(core::str::from_utf8(bytes).unwrap_or_default()) else { return };
    let Ok(handle) = table.insert(app) else { return };
    black_box(table.iter().count());
    black_box(table.get(handle));
    black_box(table.remove(handle));
}

fn ledger(units: u8) {
    let mut ledger = Ledger::new(units);
    match ledger.reserve(black_box(units)) {
        Ok(reservation) => ledger.release(reservation),
        Err(shortage) => drop(black_box(shortage)),
    }
}
