//! What many microphones cost: the daemon listens to 1, 8 and 32 FIFOs, each of which is fed the
//! demo scene at the pace of real time. Enters: numbers of streams, or nothing. Leaves: a table of
//! the daemon's processor time and resident memory.
//!
//! ```text
//! streams [N ..]
//! ```

use std::error::Error;
use std::fs::{self, File};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use benches::{microphone, scene};

/// Longer than the daemon's buffers, so that all of their memory has been touched.
const WARM_UP: Duration = Duration::from_secs(15);
const MEASURED: Duration = Duration::from_secs(40);
/// The kernel's unit of processor time (`sysconf(_SC_CLK_TCK)`), the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the daemon took while it listened to some streams.
struct Cost {
    n_streams: usize,
    /// Of one core.
    cpu_percent: f64,
    rss_mb: f64,
    /// Lines of the daemon's log that are not for information.
    warnings: Vec<String>,
}

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
fn run() -> Outcome<bool> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|n| n.parse()).collect::<Result<_, _>>()?;
    let numbers = if numbers.is_empty() { vec![1, 8, 32] } else { numbers };
    let raw = Arc::new(microphone::raw(&scene(microphone::RATE_HZ)));
    println!(
        "{:>8} {:>16} {:>14} {:>12} {:>16}",
        "streams", "% of one core", "% per stream", "memory, MB", "MB per stream"
    );
    let mut first: Option<Cost> = None;
    let mut all_is_heard = true;
    for n_streams in numbers {
        let cost = measure(n_streams, &raw)?;
        let per_stream = first.as_ref().filter(|first| first.n_streams < n_streams);
        let per_stream = per_stream.map_or("-".to_owned(), |first| {
            format!("{:.2}", (cost.rss_mb - first.rss_mb) / (n_streams - first.n_streams) as f64)
        });
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
        first.get_or_insert(cost);
    }
    Ok(all_is_heard)
}

fn measure(n_streams: usize, raw: &Arc<Vec<u8>>) -> Outcome<Cost> {
    let dir = tempfile::tempdir()?;
    let fifos = microphone::make(dir.path(), n_streams)?;
    let log = dir.path().join("log");
    let daemon = microphone::start(dir.path(), &fifos, Stdio::null(), File::create(&log)?.into())?;
    let id = daemon.0.id();
    let begin = Instant::now();
    for fifo in fifos {
        let raw = Arc::clone(raw);
        // Ends with the daemon, which is the reader of the FIFO.
        thread::spawn(move || microphone::feed(&fifo, &raw, begin));
    }
    thread::sleep(WARM_UP);
    let (begin, used) = (Instant::now(), cpu_s(id)?);
    thread::sleep(MEASURED);
    let (elapsed_s, used) = (begin.elapsed().as_secs_f64(), cpu_s(id)? - used);
    let rss_mb = rss_mb(id)?;
    drop(daemon);
    let log = fs::read_to_string(&log)?;
    let warnings = log.lines().filter(|line| !line.contains(" INFO ")).map(str::to_owned).collect();
    Ok(Cost { n_streams, cpu_percent: 100.0 * used / elapsed_s, rss_mb, warnings })
}

/// Processor time that a process has used in all its threads, in seconds.
fn cpu_s(id: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, in brackets, may have spaces in it. utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace().skip(11).take(2));
    let ticks = fields.into_iter().flatten().map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_PER_S)
}

/// Resident memory of a process now.
fn rss_mb(id: u32) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    let kib: f64 = kib.ok_or("no VmRSS in the status of the daemon")?;
    Ok(kib * 1024.0 / 1e6)
}
