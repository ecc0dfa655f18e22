//! Runs seeds.

use greenroom_hal_mock::sim::{Fault, Run};

fn main() {
    let seeds: Vec<u64> = std::env::args().skip(1).map(|seed| seed.parse().expect("a number")).collect();
    for seed in seeds {
        let start = std::time::Instant::now();
        let outcome = Run::hour(seed).run();
        println!(
            "seed {seed}: {} ms, {} inputs, converged in {} ms, {} violations, {:?}",
            outcome.box_ms,
            outcome.inputs,
            outcome.convergence_ms,
            outcome.violation_count,
            start.elapsed()
        );
        for violation in outcome.violations.iter().take(4) {
            println!("    {} ms {}: {}", violation.at_ms, violation.rule, violation.what);
        }
        let faults: Vec<String> = Fault::ALL
            .iter()
            .filter(|fault| outcome.faults[**fault as usize] > 0)
            .map(|fault| format!("{fault} {}", outcome.faults[*fault as usize]))
            .collect();
        println!("    {}", faults.join(", "));
    }
}
