//! The inputs of the fuzz targets, between the repository and the files that a fuzzer works with.
//!
//! - `seeds DIRECTORY` writes the seeds of every target anew: `make fuzz-seeds`
//! - `unpack FILE DIRECTORY` writes every input of a file as a file of its own
//! - `pack DIRECTORY FILE` writes every file of a directory as a line of one file, the shortest first

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use greenroom_hal_mock::fuzzing::{corpus, seeds};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["seeds", directory] => write_seeds(Path::new(directory)),
        ["unpack", file, directory] => unpack(Path::new(file), Path::new(directory)),
        ["pack", directory, file] => pack(Path::new(directory), Path::new(file)),
        _ => Err("seeds DIRECTORY, unpack FILE DIRECTORY, or pack DIRECTORY FILE".into()),
    }
}

fn write_seeds(directory: &Path) -> Result<(), Box<dyn Error>> {
    for (target, text) in seeds::files() {
        fs::write(directory.join(format!("{target}.hex")), text)?;
    }
    Ok(())
}

fn unpack(file: &Path, directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    let stem = file.file_stem().unwrap_or_default().display();
    for (number, input) in corpus::read(&fs::read_to_string(file)?)?.iter().enumerate() {
        fs::write(directory.join(format!("{stem}-{number}")), input)?;
    }
    Ok(())
}

fn pack(directory: &Path, file: &Path) -> Result<(), Box<dyn Error>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(directory)? {
        inputs.push(fs::read(entry?.path())?);
    }
    inputs.sort_by_key(|input| (input.len(), input.clone()));
    inputs.dedup();
    fs::write(file, corpus::write(inputs.iter().map(|input| (None, &input[..]))))?;
    Ok(())
}
