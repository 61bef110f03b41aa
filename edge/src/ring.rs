//! The hand-over from capture to worker: samples enter on one thread, the same samples and marks for missing ones leave
//! on another.
//!
//! Time is the point of this module. A stream's time is its sample count, so what could not be stored must not vanish:
//! the reader gets every stored sample and, exactly where others are missing, a [`Chunk::Gap`] with their number. The
//! lengths of all chunks add up to the samples that were written, stored or dropped.
//!
//! After an overrun the writer waits until half of the ring is free before it stores again: one long gap does less harm
//! to recognition than many short ones.
//!
//! # Real-time
//!
//! [`Writer::write`] and [`Writer::mark_gap`] never allocate, lock or make system calls: they are made for the audio
//! callback. Therefore they cannot wake the reader, which polls. [`Writer::write_blocking`] sleeps while the ring is
//! full: for files and pipes, which can wait. Construction allocates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

use crate::status::Status;

/// Gaps that can wait at once. Overruns are at least half a ring apart; the rest is for gaps reported by a device.
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

/// The worker's end. Dropping it lets the writer know that nobody listens.
pub struct Reader {
    samples: HeapCons<f32>,
    marks: HeapCons<Mark>,
    n_read: u64,
    shared: Arc<Shared>,
}

/// What comes next in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// So many samples were copied to the front of the buffer.
    Samples(usize),
    /// So many samples are missing here.
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

    /// Stores all of `block`, sleeping while the ring is full. Returns `false`, with the rest unstored, once the reader
    /// is gone or `stop` is set.
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

    /// Whether the other end was dropped.
    pub fn reader_is_gone(&self) -> bool {
        self.shared.reader_gone.load(Ordering::Relaxed)
    }

    /// Hands over the mark of the gap before the next sample, if there is one. `false` when there is no room for it.
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

impl Reader {
    /// Takes the next chunk, no longer than `buffer`. Never waits.
    pub fn read(&mut self, buffer: &mut [f32]) -> Chunk {
        // The order matters: a mark is written before the samples behind it, and the end after everything. So whatever
        // was visible of the later is surely visible of the earlier.
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

    /// Whether the writer is gone. What it stored may still have to be read.
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn new(capacity: usize) -> (Writer, Reader, Arc<Status>) {
        let status = Arc::new(Status::default());
        let (writer, reader) = ring(capacity, status.clone());
        (writer, reader, status)
    }

    /// Everything that can be read now: stored samples, and a NaN for each missing one.
    fn read_all(reader: &mut Reader, buffer_len: usize, stream: &mut Vec<f32>) -> bool {
        let mut buffer = vec![0.0; buffer_len];
        loop {
            match reader.read(&mut buffer) {
                Chunk::Samples(n) => stream.extend(&buffer[..n]),
                Chunk::Gap(n) => stream.extend(std::iter::repeat_n(f32::NAN, n as usize)),
                Chunk::Empty => return false,
                Chunk::Ended => return true,
            }
        }
    }

    #[test]
    fn a_gap_lies_where_the_samples_are_missing() {
        let (mut writer, mut reader, status) = new(4);
        let mut buffer = [0.0; 8];
        writer.write(&[1.0, 2.0, 3.0]);
        writer.write(&[4.0, 5.0, 6.0]);
        writer.write(&[7.0]);
        assert_eq!(reader.read(&mut buffer), Chunk::Samples(4));
        writer.write(&[8.0, 9.0]);
        assert_eq!(reader.read(&mut buffer), Chunk::Gap(3));
        assert_eq!(reader.read(&mut buffer), Chunk::Samples(2));
        assert_eq!(buffer[..2], [8.0, 9.0]);
        assert_eq!(reader.read(&mut buffer), Chunk::Empty);
        drop(writer);
        assert_eq!(reader.read(&mut buffer), Chunk::Ended);
        let snapshot = status.snapshot();
        assert_eq!((snapshot.n_overruns, snapshot.n_dropped), (1, 3));
    }

    #[test]
    fn an_overrun_lasts_until_half_of_the_ring_is_free() {
        let (mut writer, mut reader, status) = new(8);
        writer.write(&[0.0; 9]);
        assert_eq!(reader.read(&mut [0.0; 3]), Chunk::Samples(3));
        writer.write(&[0.0; 1]);
        assert_eq!(reader.read(&mut [0.0; 1]), Chunk::Samples(1));
        writer.write(&[0.5; 1]);
        let mut stream = Vec::new();
        read_all(&mut reader, 8, &mut stream);
        assert!(stream[4..6].iter().all(|x| x.is_nan()), "{stream:?}");
        assert_eq!(stream[6], 0.5);
        assert_eq!((status.snapshot().n_overruns, status.snapshot().n_dropped), (1, 2));
    }

    #[test]
    fn a_gap_at_the_end_is_not_forgotten() {
        let (mut writer, mut reader, _) = new(2);
        writer.write(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        drop(writer);
        let mut buffer = [0.0; 8];
        assert_eq!(reader.read(&mut buffer), Chunk::Samples(2));
        assert_eq!(reader.read(&mut buffer), Chunk::Gap(3));
        assert_eq!(reader.read(&mut buffer), Chunk::Ended);
        assert_eq!(reader.read(&mut buffer), Chunk::Ended);
    }

    #[test]
    fn a_blocking_writer_loses_nothing_and_notices_that_nobody_listens() {
        let (mut writer, mut reader, status) = new(16);
        let stop = AtomicBool::new(false);
        let sent: Vec<f32> = (0..5_000).map(|n| n as f32).collect();
        let mut received = Vec::new();
        thread::scope(|scope| {
            let sent = &sent;
            scope.spawn(move || {
                let stop = AtomicBool::new(false);
                sent.chunks(37).for_each(|block| assert!(writer.write_blocking(block, &stop)));
            });
            while !read_all(&mut reader, 7, &mut received) {
                thread::yield_now();
            }
        });
        assert_eq!(received, sent);
        assert_eq!(status.snapshot().n_overruns, 0);

        let (mut writer, reader, _) = new(16);
        drop(reader);
        assert!(!writer.write_blocking(&[0.0; 8], &stop));
        let (mut writer, _reader, _) = new(16);
        stop.store(true, Ordering::Relaxed);
        assert!(!writer.write_blocking(&[0.0; 8], &stop));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(usize),
        MarkGap(u64),
        Read(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_usize..40).prop_map(Step::Write),
            1 => (0_u64..9).prop_map(Step::MarkGap),
            4 => (1_usize..40).prop_map(Step::Read),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        /// Sample number n has the value n, so a stream is right when each of its places holds its own index or is
        /// missing.
        #[test]
        fn stream_time_is_exact_whatever_happens(capacity in 1_usize..64, steps in steps()) {
            let (mut writer, mut reader, status) = new(capacity);
            let mut n_written = 0_u64;
            let mut n_lost = 0_u64;
            let mut stream = Vec::new();
            for step in steps {
                match step {
                    Step::Write(n) => {
                        let block: Vec<f32> = (n_written..n_written + n as u64).map(|n| n as f32).collect();
                        writer.write(&block);
                        n_written += n as u64;
                    }
                    Step::MarkGap(n) => {
                        writer.mark_gap(n);
                        n_written += n;
                        n_lost += n;
                    }
                    Step::Read(n) => {
                        let mut buffer = vec![0.0; n];
                        match reader.read(&mut buffer) {
                            Chunk::Samples(n) => stream.extend(&buffer[..n]),
                            Chunk::Gap(n) => stream.extend(std::iter::repeat_n(f32::NAN, n as usize)),
                            Chunk::Empty => {}
                            Chunk::Ended => prop_assert!(false, "ended while the writer is alive"),
                        }
                    }
                }
            }
            drop(writer);
            prop_assert!(read_all(&mut reader, 5, &mut stream));
            prop_assert_eq!(stream.len() as u64, n_written);
            for (index, x) in stream.iter().enumerate() {
                prop_assert!(x.is_nan() || *x == index as f32, "place {} holds {}", index, x);
            }
            let n_missing = stream.iter().filter(|x| x.is_nan()).count() as u64;
            prop_assert_eq!(n_missing, status.snapshot().n_dropped + n_lost);
        }

        /// The same across two threads, where the interleaving is the scheduler's.
        #[test]
        fn stream_time_is_exact_across_threads(capacity in 1_usize..200, block_len in 1_usize..60, buffer_len in 1_usize..60) {
            const N_WRITTEN: usize = 20_000;
            let (mut writer, mut reader, status) = new(capacity);
            let mut stream = Vec::new();
            thread::scope(|scope| {
                scope.spawn(move || {
                    let all: Vec<f32> = (0..N_WRITTEN).map(|n| n as f32).collect();
                    all.chunks(block_len).for_each(|block| writer.write(block));
                });
                while !read_all(&mut reader, buffer_len, &mut stream) {
                    std::hint::spin_loop();
                }
            });
            prop_assert_eq!(stream.len(), N_WRITTEN);
            for (index, x) in stream.iter().enumerate() {
                prop_assert!(x.is_nan() || *x == index as f32, "place {} holds {}", index, x);
            }
            let n_missing = stream.iter().filter(|x| x.is_nan()).count() as u64;
            prop_assert_eq!(n_missing, status.snapshot().n_dropped);
        }
    }
}
