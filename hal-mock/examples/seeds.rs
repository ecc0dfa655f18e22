//! Writes the seeds of every fuzz target anew into a directory: `make fuzz-seeds`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use greenroom_hal_mock::fuzzing::seeds;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(env::args_os().nth(1).ok_or("name the directory to write to")?);
    for (target, text) in seeds::files() {
        fs::write(directory.join(format!("{target}.hex")), text)?;
    }
    Ok(())
}
