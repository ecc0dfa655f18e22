//! Bytes of the programs as they are installed.

use std::fs;

use greenroom_tests::programs;

use crate::Failure;
use crate::figure::Figure;
use crate::report::Report;
use crate::rounds::Spread;

pub(crate) fn measure(report: &mut Report) -> Result<(), Failure> {
    let empty = bytes("empty-session")?;
    for program in ["greenroomd", "greenroom-session", "greenroomctl", "greenroom-play"] {
        let name = format!("size_{}", program.replace('-', "_"));
        report.add(Figure::new(name, "bytes", bytes(program)?, "empty program", empty));
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "no program has 2^52 bytes")]
fn bytes(program: &str) -> Result<Spread, Failure> {
    Ok(Spread::exactly(fs::metadata(programs::find(program)?)?.len() as f64))
}
