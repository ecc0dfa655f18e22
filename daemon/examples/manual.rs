//! Writes the manual pages and the shell completions of all programs, as a directory `share` holds them:
//! `manual DIRECTORY`.

use std::fs::create_dir_all;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use greenroom_daemon::command_line::{Program, programs};

/// Where each shell looks, below `share`.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/site-functions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

fn main() -> ExitCode {
    let Some(share) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("manual: no directory; give the one to write to, e.g. target/release/share");
        return ExitCode::from(2);
    };
    match programs().into_iter().try_for_each(|program| write(program, &share)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: cannot write to {}: {error}", share.display());
            ExitCode::FAILURE
        }
    }
}

fn write(program: Program, share: &Path) -> io::Result<()> {
    let Program { command, section, is_in_path } = program;
    if is_in_path {
        write_completions(command.clone(), share)?;
    }
    let pages = share.join(format!("man/man{section}"));
    create_dir_all(&pages)?;
    // The pages of subcommands stand beside it; one for `help` would say nothing.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    write_pages(&command, section, &pages)
}

fn write_pages(command: &Command, section: u8, pages: &Path) -> io::Result<()> {
    let page = Man::new(command.clone()).section(section.to_string()).manual("Greenroom");
    page.generate_to(pages)?;
    command.get_subcommands().try_for_each(|subcommand| write_pages(subcommand, section, pages))
}

fn write_completions(mut command: Command, share: &Path) -> io::Result<()> {
    let name = command.get_name().to_owned();
    for (shell, directory) in COMPLETIONS {
        let directory = share.join(directory);
        create_dir_all(&directory)?;
        generate_to(shell, &mut command, &name, &directory)?;
    }
    Ok(())
}
