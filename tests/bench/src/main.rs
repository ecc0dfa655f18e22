//! What Greenroom reaches, each figure beside its limit or peer from the same run.
//!
//! A number alone says more about the machine than about the program. So every figure is taken in rounds, in each of
//! which its peers have their turn as well, under the same pinning, with the same sizes and pages; what is given out is
//! the median of the rounds, with the quartiles, and the quotient of the two medians.

mod browser;
mod figure;
mod heap;
mod link;
mod machine;
mod patience;
mod pinning;
mod presentation;
mod programs;
mod report;
mod ring;
mod rounds;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::pinning::Pinning;
use crate::report::Report;

/// Why a measurement has no result. What is wrong is the machine or a bug: nobody can act on more than the sentence.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures Greenroom beside its limits and peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds of each comparison; in each, every contestant has one turn.
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(15..))]
    rounds: u32,
    /// Where the results go.
    #[arg(long, default_value = "target/bench/results.json")]
    results: PathBuf,
    /// Measure this alone; may be given several times.
    #[arg(long, value_name = "GROUP")]
    only: Vec<Group>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// Figures that are taken together.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Group {
    /// Frames from one process to another.
    Rings,
    /// Inputs of the manager's machine.
    Machine,
    /// Questions and their answers.
    Control,
    /// Session servers that start and end.
    Starting,
    /// Changes of an app's state.
    States,
    /// First pictures.
    Pictures,
    /// What the programs hold, and how large they are.
    Memory,
    /// What the core takes of the heap and of memory.
    Core,
    /// Pages on other devices: transports, starts, crowds.
    Presentation,
    /// Pages in browsers, where there is one.
    Browser,
}

impl Group {
    fn measure(self, report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
        match self {
            Self::Rings => ring::measure(report, pinning, rounds),
            Self::Machine => machine::measure(report, rounds),
            Self::Control => programs::control(report, pinning, rounds),
            Self::Starting => programs::starting(report, pinning, rounds),
            Self::States => programs::states(report, pinning, rounds),
            Self::Pictures => programs::first_frame(report, pinning, rounds),
            Self::Memory => {
                programs::memory(report, pinning, rounds)?;
                programs::sizes(report)
            }
            Self::Core => {
                heap::measure(report)?;
                tables::measure(report);
                Ok(())
            }
            Self::Presentation => presentation::measure(report, pinning, rounds),
            Self::Browser => browser::measure(report, pinning, rounds),
        }
    }
}

/// What this program does when it started itself as the other process of a comparison.
#[derive(Debug, Subcommand)]
enum Role {
    /// Sends frames.
    #[command(hide = true)]
    Sender(ring::Orders),
    /// Answers messages.
    #[command(hide = true)]
    Bare(programs::Orders),
    /// Answers messages that came by a transport of a presentation.
    #[command(hide = true)]
    Far(presentation::FarOrders),
    /// Receives devices.
    #[command(hide = true)]
    BareDevice(presentation::BareDeviceOrders),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.role {
        Some(Role::Sender(orders)) => ring::send(orders),
        Some(Role::Bare(orders)) => programs::serve(orders),
        Some(Role::Far(orders)) => presentation::far(orders),
        Some(Role::BareDevice(orders)) => presentation::bare_device(orders),
        None => measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("greenroom-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let pinning = Pinning::choose()?;
    pinning::pin(pinning.app)?;
    // Anonymous memory and shared memory shall have pages of the same size; children inherit that.
    rustix::thread::disable_transparent_huge_pages(true)?;
    let mut report = Report::new(pinning, arguments.rounds);
    let groups = if arguments.only.is_empty() { Group::value_variants() } else { &arguments.only };
    for group in groups {
        group.measure(&mut report, pinning, arguments.rounds)?;
    }
    report.finish(&arguments.results)
}
