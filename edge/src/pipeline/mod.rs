//! The worker: a running [source](Source) enters, onsets and offsets leave through a channel.
//!
//! One thread, [`Worker`], takes samples from the source's ring and drives them through the [`Chain`] of stages. It
//! sets the [clock](Clock)'s anchor when the first samples arrive, repairs samples that are not numbers, and reports to
//! the [status](Status).

mod chain;
mod level;

pub(crate) use chain::until;
pub use chain::{Chain, Observer};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::capture::Source;
use crate::clock::Clock;
use crate::decide::Transition;
use crate::error::{Error, Result};
use crate::ring::{Chunk, Reader};
use crate::status::Status;

/// Most samples taken from the ring at once; the stop flag is looked at in between.
const BLOCK_LEN: usize = 4096;

/// How long the worker sleeps when the ring is empty: the audio callback must not wake it. One hop of the front end.
const EMPTY_SLEEP: Duration = Duration::from_millis(10);

/// 40 dB above full scale. Float streams may exceed full scale a little; far beyond, energies would overflow.
const MAX_MAGNITUDE: f32 = 100.0;

/// Gaps are logged no more often than this.
const GAP_LOG: Duration = Duration::from_secs(10);

/// The worker thread of a running stream.
pub struct Worker {
    /// Onsets and offsets in the order of their confirmation. Ends when the stream does.
    pub transitions: Receiver<Transition>,
    thread: JoinHandle<Result<()>>,
}

impl Worker {
    /// Starts the worker. It ends, after closing all open events, when the source does or when `stop` is set.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn spawn(
        source: Source,
        chain: Chain,
        clock: Arc<Clock>,
        status: Arc<Status>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let (sender, transitions) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("worker".to_string())
            .spawn(move || {
                run(source, chain, &clock, &status, &stop, &mut |transition| {
                    // Nobody listens any more only when the program is about to end.
                    let _ = sender.send(transition);
                })
            })
            .map_err(Error::io("start worker thread"))?;
        Ok(Worker { transitions, thread })
    }

    /// Waits for the worker to end.
    ///
    /// # Errors
    ///
    /// What ended it: the source's error or the network's. Being stopped and the end of a file are none.
    pub fn join(self) -> Result<()> {
        let panicked = |_| Err(Error::Thread { thread: "worker", reason: "panicked".to_string() });
        self.thread.join().unwrap_or_else(panicked)
    }
}

/// The worker's work, on the calling thread: everything from `source` through `chain`, to its end or until `stop` is
/// set.
///
/// # Errors
///
/// As [`Worker::join`].
pub fn run(
    mut source: Source,
    mut chain: Chain,
    clock: &Clock,
    status: &Status,
    stop: &AtomicBool,
    on_transition: &mut dyn FnMut(Transition),
) -> Result<()> {
    let pumped = pump(&mut source.reader, source.sample_rate, &mut chain, clock, status, stop, on_transition);
    let flushed = chain.finish(on_transition);
    // The source is asked even if the network failed: its thread has to end.
    let ended = source.finish();
    tracing::info!("stream ended: {}", status.snapshot().to_json());
    pumped.and(flushed).and(ended)
}

fn pump(
    reader: &mut Reader,
    sample_rate: u32,
    chain: &mut Chain,
    clock: &Clock,
    status: &Status,
    stop: &AtomicBool,
    on_transition: &mut dyn FnMut(Transition),
) -> Result<()> {
    let mut buffer = vec![0.0; BLOCK_LEN];
    let mut anchored = false;
    let mut gap_log = GapLog { sample_rate, n_gaps: 0, n_samples: 0, last: None };
    while !stop.load(Ordering::Relaxed) {
        match reader.read(&mut buffer) {
            Chunk::Samples(n) => {
                let n_queued = reader.n_queued();
                if !anchored {
                    // The newest sample of the ring was captured just now.
                    clock.anchor((n + n_queued) as f64 / f64::from(sample_rate), Timestamp::now());
                    anchored = true;
                }
                let samples = &mut buffer[..n];
                let n_non_finite = repair(samples);
                if n_non_finite > 0 {
                    status.add_non_finite(n_non_finite);
                }
                status.add_block(samples, n_queued as u64);
                chain.push(samples, on_transition)?;
            }
            Chunk::Gap(n) => {
                gap_log.add(n);
                chain.gap(n, on_transition)?;
            }
            Chunk::Empty => thread::sleep(EMPTY_SLEEP),
            Chunk::Ended => break,
        }
    }
    Ok(())
}

/// Takes what is not a number, or infinite, as 0, and limits the rest to what the front end can square. Returns how
/// many samples were taken as 0.
pub(crate) fn repair(samples: &mut [f32]) -> u64 {
    let mut n_non_finite = 0;
    for sample in samples {
        if !sample.is_finite() {
            *sample = 0.0;
            n_non_finite += 1;
        }
        *sample = sample.clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE);
    }
    n_non_finite
}

/// Says that samples are missing, but not thousands of times a second.
struct GapLog {
    sample_rate: u32,
    n_gaps: u64,
    n_samples: u64,
    last: Option<Instant>,
}

impl GapLog {
    fn add(&mut self, n_samples: u64) {
        self.n_gaps += 1;
        self.n_samples += n_samples;
        if self.last.is_none_or(|last| last.elapsed() >= GAP_LOG) {
            let seconds = self.n_samples as f64 / f64::from(self.sample_rate);
            tracing::warn!("samples missing: {} gaps, {seconds:.3} s in all", self.n_gaps);
            *self = GapLog { sample_rate: self.sample_rate, n_gaps: 0, n_samples: 0, last: Some(Instant::now()) };
        }
    }
}

#[cfg(test)]
mod tests;
