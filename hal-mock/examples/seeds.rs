//! Writes the seeds of the fuzz target `codec_postcard` into a directory: `make fuzz-seeds`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(env::args_os().nth(1).ok_or("name the directory to write to")?);
    fs::create_dir_all(&directory)?;
    for (name, bytes) in greenroom_hal_mock::fuzzing::message_seeds() {
        fs::write(directory.join(name), bytes)?;
    }
    Ok(())
}
