//! The hand-over from capture to worker: samples enter on one thread, the same samples and marks
//! for missing ones leave on another.
//!
//! Time is the point of this module. A stream's time is its sample count, so what could not be
//! stored must not vanish: the reader gets every stored sample and, exactly where others are
//! missing, a [`Chunk::Gap`] with their number. The lengths of all chunks add up to the samples
//! that were written, stored or dropped.
//!
//! After an overrun the writer waits until half of the ring is free before it stores again: one
//! long gap does less harm to recognition than many short ones.
//!
//! # Real-time
//!
//! [`Writer::write`] and [`Writer::mark_gap`] never allocate, lock or make system calls: they are
//! made for the audio callback. Therefore they cannot wake the reader, which polls.
//! [`Writer::write_blocking`] sleeps while the ring is full: for files and pipes, which can wait.
//! Construction allocates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

use crate::status::Status;

/// Gaps that can wait at once. Overruns are at least half a ring apart; the rest is for gaps
/// reported by a device.
const N_MARKS: usize = 64;

/// How long a full ring makes [`Writer::write_blocking`] sleep: a fraction of what the ring holds.
const FULL_SLEEP: Duration = Duration::from_millis(1);

/// A ring for `capacity` samples. Overruns are counted in `status`.
///
/// # Panics
///
/// When `capacity` is zero.
pub fn ring(capacity: usize, status: Arc<Status>) -> (Writer, Reader) {
    let (samples_in, samples_out) = HeapRb::new(capacity).split();
    let (marks_in, marks_out) = HeapRb::new(N_MARKS).split();
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        samples: samples_in,
        marks: marks_in,
        resume_at: capacity.div_ceil(2),
        n_stored: 0,
        n_missing: 0,
        overrun: false,
        shared: shared.clone(),
        status,
    };
    (writer, Reader { samples: samples_out, marks: marks_out, n_read: 0, shared })
}

/// The capture end. Dropping it ends the stream.
pub struct Writer {
    samples: HeapProd<f32>,
    marks: HeapProd<Mark>,
    /// Free places that end an overrun.
    resume_at: usize,
    n_stored: u64,
    /// Length of the gap that ends where the next stored sample begins.
    n_missing: u64,
    overrun: bool,
    shared: Arc<Shared>,
    status: Arc<Status>,
}

/// Ends the stream in the writer's place, for a writer that is in the hands of a device that hangs.
pub struct Closer {
    shared: Arc<Shared>,
}

/// The worker's end. Dropping it lets the writer know that no one listens.
pub struct Reader {
    samples: HeapCons<f32>,
    marks: HeapCons<Mark>,
    n_read: u64,
    shared: Arc<Shared>,
}

/// What comes next in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// This many samples were copied to the front of the buffer.
    Samples(usize),
    /// This many samples are missing here.
    Gap(u64),
    /// Nothing yet.
    Empty,
    /// The stream is over and everything has been read.
    Ended,
}

/// `n_missing` samples belong before the stored sample number `at`.
struct Mark {
    at: u64,
    n_missing: u64,
}

#[derive(Default)]
struct Shared {
    /// Set after the last sample; whoever sees it sees all samples and marks.
    closed: AtomicBool,
    /// The gap after the last stored sample, valid once `closed`.
    n_missing_at_end: AtomicU64,
    reader_gone: AtomicBool,
}

impl Writer {
    /// Stores `block`, or as much of it as finds room; the rest becomes a gap.
    pub fn write(&mut self, block: &[f32]) {
        let n_free = self.samples.vacant_len();
        if self.overrun && n_free >= self.resume_at {
            self.overrun = false;
        }
        if self.overrun || !self.push_mark() {
            self.drop_samples(block.len());
            return;
        }
        let n = self.samples.push_slice(&block[..block.len().min(n_free)]);
        self.n_stored += n as u64;
        if n < block.len() {
            self.drop_samples(block.len() - n);
        }
    }

    /// Says that the device lost `n_samples` before the next block.
    pub fn mark_gap(&mut self, n_samples: u64) {
        self.n_missing += n_samples;
    }

    /// Stores all of `block`, sleeping while the ring is full. Returns `false`, with the rest
    /// unstored, once the reader is gone or `stop` is set.
    pub fn write_blocking(&mut self, mut block: &[f32], stop: &AtomicBool) -> bool {
        loop {
            if self.reader_is_gone() || stop.load(Ordering::Relaxed) {
                return false;
            }
            if self.push_mark() {
                let n = self.samples.push_slice(block);
                self.n_stored += n as u64;
                block = &block[n..];
            }
            if block.is_empty() {
                return true;
            }
            thread::sleep(FULL_SLEEP);
        }
    }

    /// A handle that can end the stream from another thread.
    pub fn closer(&self) -> Closer {
        Closer { shared: self.shared.clone() }
    }

    /// Whether the other end was dropped.
    pub fn reader_is_gone(&self) -> bool {
        self.shared.reader_gone.load(Ordering::Relaxed)
    }

    /// Hands over the mark of the gap before the next sample, if there is one. `false` when there
    /// is no room for it.
    fn push_mark(&mut self) -> bool {
        if self.n_missing > 0 {
            if self.marks.try_push(Mark { at: self.n_stored, n_missing: self.n_missing }).is_err() {
                return false;
            }
            self.n_missing = 0;
        }
        true
    }

    fn drop_samples(&mut self, n_samples: usize) {
        self.status.add_dropped(n_samples as u64, !self.overrun);
        self.n_missing += n_samples as u64;
        self.overrun = true;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.n_missing_at_end.store(self.n_missing, Ordering::Relaxed);
        self.shared.closed.store(true, Ordering::Release);
    }
}

impl Closer {
    /// Ends the stream after what has been stored; what is written afterwards is lost.
    pub fn close(self) {
        self.shared.closed.store(true, Ordering::Release);
    }
}

impl Reader {
    /// Takes the next chunk, no longer than `buffer`. Never waits.
    pub fn read(&mut self, buffer: &mut [f32]) -> Chunk {
        // The order matters: a mark is written before the samples after it, and the end after
        // everything. So whatever was visible of the later is surely visible of the earlier.
        let closed = self.shared.closed.load(Ordering::Acquire);
        let n_stored = self.samples.occupied_len();
        let n_before_gap = self.marks.try_peek().map(|mark| mark.at - self.n_read);
        if n_before_gap == Some(0)
            && let Some(mark) = self.marks.try_pop()
        {
            return Chunk::Gap(mark.n_missing);
        }
        let limit = n_before_gap.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let n = buffer.len().min(n_stored).min(limit);
        if n > 0 {
            let n = self.samples.pop_slice(&mut buffer[..n]);
            self.n_read += n as u64;
            return Chunk::Samples(n);
        }
        match closed {
            false => Chunk::Empty,
            true => match self.shared.n_missing_at_end.swap(0, Ordering::Relaxed) {
                0 => Chunk::Ended,
                n_missing => Chunk::Gap(n_missing),
            },
        }
    }

    /// Whether the stream has been ended. What was stored may still have to be read.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Samples that wait to be read.
    pub fn n_queued(&self) -> usize {
        self.samples.occupied_len()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.reader_gone.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
