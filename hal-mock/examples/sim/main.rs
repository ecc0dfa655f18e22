//! Runs seeds.

use greenroom_hal_mock::sim::{Fault, Run};

fn main() {
    let seeds: Vec<u64> = std::env::args().skip(1).map(|seed| seed.parse().expect("a number")).collect();
    let keeps_events = std::env::var("EVENTS").is_ok();
    for seed in seeds {
        let start = std::time::Instant::now();
        let outcome = Run { keeps_events, ..Run::hour(seed) }.run();
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
        let _ = Fault::ALL;
        if keeps_events {
            let text: Vec<String> = outcome.events.iter().map(ToString::to_string).collect();
            std::fs::write(format!("/tmp/sim-{seed}.log"), text.join("\n")).expect("written");
        }
    }
}
