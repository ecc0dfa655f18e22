//! Shows what a fuzz target does with one input: `replay TARGET FILE`.

use std::error::Error;
use std::{env, fs};

use greenroom_hal_mock::fuzzing::TARGETS;

fn main() -> Result<(), Box<dyn Error>> {
    let (name, file) = env::args().nth(1).zip(env::args_os().nth(2)).ok_or("name a target and a file")?;
    let (_, run) = TARGETS.iter().find(|(target, _)| *target == name).ok_or("there is no such target")?;
    run(&fs::read(file)?);
    Ok(())
}
