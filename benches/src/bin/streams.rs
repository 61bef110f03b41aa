//! What many microphones cost: the daemon listens to 1, 8 and 32 FIFOs, each of which is fed the
//! demo scene at the pace of real time. Enters: numbers of streams, or nothing. Leaves: a table of
//! the daemon's processor time and resident memory.
//!
//! ```text
//! streams [N ..]
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use benches::{cost, microphone, scene};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints the table. Returns whether no sound was lost.
fn run() -> Result<bool, Box<dyn Error>> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|n| n.parse()).collect::<Result<_, _>>()?;
    let numbers = if numbers.is_empty() { vec![1, 8, 32] } else { numbers };
    let raw = Arc::new(microphone::raw(&scene(microphone::RATE_HZ)));
    println!(
        "{:>8} {:>16} {:>14} {:>12} {:>16}",
        "streams", "% of one core", "% per stream", "memory, MB", "MB per stream"
    );
    let mut first = None;
    let mut all_is_heard = true;
    for n_streams in numbers {
        let cost = cost::measure(n_streams, None, &raw)?;
        let (n_before, mb_before) = *first.get_or_insert((n_streams, cost.rss_mb));
        let per_stream = match n_streams.checked_sub(n_before) {
            Some(further @ 1..) => format!("{:.2}", (cost.rss_mb - mb_before) / further as f64),
            _ => "-".to_owned(),
        };
        println!(
            "{n_streams:>8} {:>16.2} {:>14.3} {:>12.1} {per_stream:>16}",
            cost.cpu_percent,
            cost.cpu_percent / n_streams as f64,
            cost.rss_mb
        );
        for warning in &cost.warnings {
            all_is_heard = false;
            eprintln!("{warning}");
        }
    }
    Ok(all_is_heard)
}
