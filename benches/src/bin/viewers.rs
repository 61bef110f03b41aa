//! What the page costs: the daemon listens to one FIFO, which is fed the demo scene at the pace of
//! real time, without the page, with it, and with live views open. Leaves: a table of the daemon's
//! processor time and resident memory.
//!
//! ```text
//! viewers
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use benches::{cost, microphone, scene};

/// What is measured.
const PAGES: [(&str, Option<usize>); 4] =
    [("no page", None), ("no viewer", Some(0)), ("1 viewer", Some(1)), ("20 viewers", Some(20))];

/// Each is measured so often, in turns.
const N_ROUNDS: usize = 3;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let raw = Arc::new(microphone::raw(&scene(microphone::RATE_HZ)));
    let mut costs: [Vec<(f64, f64)>; PAGES.len()] = Default::default();
    for round in 1..=N_ROUNDS {
        for ((name, viewers), costs) in PAGES.iter().zip(&mut costs) {
            eprintln!("round {round} of {N_ROUNDS}: {name}");
            let cost = cost::measure(1, *viewers, &raw)?;
            if let Some(warning) = cost.warnings.first() {
                return Err(format!("the daemon was not undisturbed: {warning}").into());
            }
            costs.push((cost.cpu_percent, cost.rss_mb));
        }
    }
    println!("{:<10} {:>16} {:>12}   medians of {N_ROUNDS} rounds", "", "% of one core", "memory, MB");
    for ((name, _), costs) in PAGES.iter().zip(&costs) {
        let median = |of: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = costs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!("{name:<10} {:>16.2} {:>12.1}", median(|cost| cost.0), median(|cost| cost.1));
    }
    Ok(())
}
