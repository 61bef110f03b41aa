//! How late the daemon's lines are: the demo scene enters through a simulated microphone at the
//! pace of real time, and each line on standard output is compared with the moment at which the
//! sound that decides it was recorded. Enters: minutes, or nothing. Leaves: a table.
//!
//! ```text
//! latency [MINUTES]
//! ```
//!
//! The chain itself, to which the same blocks are given here, says after which block a transition
//! is confirmed: that is the time that the network's look-ahead, the window and the least duration
//! ask for. What the daemon adds to it are transport, computation and printing.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use benches::microphone::{self, BLOCK_LEN, RATE_HZ, block_time};
use benches::{home, scene};
use edge::decide::{Phase, Rules};
use edge::engine::{PrecisionChoice, load_engine};
use edge::pipeline::Chain;
use edge::status::Status;
use serde_json::Value;

const MINUTES: u32 = 5;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A transition that the daemon has to print.
struct Expected {
    label: String,
    phase: &'static str,
    /// Blocks after which it is confirmed.
    n_blocks: u32,
    /// From the sound's begin or end to the end of that block, seconds.
    confirmation_s: f64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Outcome<()> {
    let minutes = std::env::args().nth(1).map_or(Ok(MINUTES), |minutes| minutes.parse())?;
    // As the daemon gets them: 16 bits.
    let raw = microphone::raw(&scene(RATE_HZ));
    let expected = expected(&raw, minutes * 60 * RATE_HZ / BLOCK_LEN as u32)?;

    let dir = tempfile::tempdir()?;
    let fifos = microphone::make(dir.path(), 1)?;
    let mut daemon = microphone::start(dir.path(), &fifos, "", Stdio::piped(), Stdio::null())?;
    let begin = Instant::now();
    // Ends with the daemon, which is the reader of the FIFO.
    thread::spawn(move || microphone::feed(&fifos[0], &raw, begin));
    let lines = BufReader::new(daemon.0.stdout.take().ok_or("the daemon has no standard output")?).lines();
    let (mut added_ms, mut whole_ms, mut confirmation_ms) = (Vec::new(), Vec::new(), Vec::new());
    for (line, expected) in lines.zip(&expected) {
        let now = Instant::now();
        let event: Value = serde_json::from_str(&line?)?;
        if event["label"] != expected.label.as_str() || event["phase"] != expected.phase {
            return Err(format!("the daemon says {event}, expected {} of {}", expected.phase, expected.label).into());
        }
        let late_s = now.saturating_duration_since(begin + block_time(expected.n_blocks)).as_secs_f64();
        added_ms.push(1e3 * late_s);
        confirmation_ms.push(1e3 * expected.confirmation_s);
        whole_ms.push(1e3 * (expected.confirmation_s + late_s));
    }
    println!("{} lines in {minutes} min, milliseconds:", added_ms.len());
    println!("{:<54} {:>8} {:>8} {:>8}", "", "median", "p99", "most");
    for (name, values) in [
        ("from the sound's begin or end to its confirmation", &mut confirmation_ms),
        ("from the confirming sample to the line", &mut added_ms),
        ("whole", &mut whole_ms),
    ] {
        values.sort_by(f64::total_cmp);
        let quantile =
            |q: f64| values.get(((values.len() - 1) as f64 * q).round() as usize).copied().unwrap_or(f64::NAN);
        println!("{name:<54} {:>8.1} {:>8.1} {:>8.1}", quantile(0.5), quantile(0.99), quantile(1.0));
    }
    Ok(())
}

/// What the chain confirms while it hears `n_blocks` blocks of `raw`, over and over.
fn expected(raw: &[u8], n_blocks: u32) -> Outcome<Vec<Expected>> {
    let model = home();
    let manifest = &model.manifest;
    // The daemon's own choice, so that both confirm at the same sample.
    let engine = load_engine(&model, PrecisionChoice::Auto)?;
    let rules = Rules::new(manifest, &manifest.decision);
    let mut chain = Chain::new(manifest, rules, engine, RATE_HZ, Arc::new(Status::default()))?;
    let mut expected = Vec::new();
    for (n, block) in (1..=n_blocks).zip(raw.chunks_exact(2 * BLOCK_LEN).cycle()) {
        let samples: Vec<f32> =
            block.chunks_exact(2).map(|bytes| f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0).collect();
        chain.push(&samples)?;
        expected.extend(chain.transitions().map(|transition| {
            let (phase, t_s) = match transition.phase {
                Phase::Onset => ("onset", transition.t_onset_s),
                Phase::Offset => ("offset", transition.t_offset_s.unwrap_or(transition.t_onset_s)),
            };
            Expected {
                label: manifest.labels[transition.class_id].clone(),
                phase,
                n_blocks: n,
                confirmation_s: block_time(n).as_secs_f64() - t_s,
            }
        }));
    }
    if expected.is_empty() {
        return Err("the chain confirms nothing in this time".into());
    }
    Ok(expected)
}
