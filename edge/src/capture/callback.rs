//! What happens on the audio thread: device blocks enter, mono samples leave to the ring.
//!
//! # Real-time
//!
//! Does not allocate, lock, log or make system calls. Errors reach the capture thread through a
//! lock-free queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cpal::{InputCallbackInfo, StreamInstant};
use ringbuf::HeapProd;
use ringbuf::traits::Producer;

use crate::mono::Mono;
use crate::ring::Writer;
use crate::status::Status;

/// What happens on the audio thread.
pub(super) struct Callback {
    pub(super) mono: Mono,
    pub(super) n_channels: usize,
    pub(super) sample_rate: u32,
    pub(super) writer: Writer,
    /// Samples so far.
    pub(super) n_delivered: Arc<AtomicU64>,
    pub(super) status: Arc<Status>,
    /// Driver overruns that have been accounted for.
    pub(super) n_xruns: u64,
    /// When the first sample after the last block was captured.
    pub(super) next_capture: Option<StreamInstant>,
}

impl Callback {
    pub(super) fn store<T: Copy>(&mut self, block: &[T], to_f32: impl Fn(T) -> f32, info: &InputCallbackInfo) {
        let capture = info.timestamp().capture;
        let n_xruns = self.status.n_xruns();
        if n_xruns != self.n_xruns {
            self.n_xruns = n_xruns;
            // The driver does not say how much it lost; its clock does.
            let lost = self.next_capture.map(|due| capture.saturating_duration_since(due)).unwrap_or_default();
            self.writer.mark_gap((lost.as_secs_f64() * f64::from(self.sample_rate)).round() as u64);
        }
        let Callback { mono, writer, .. } = self;
        mono.mix_by(block, to_f32, |samples| writer.write(samples));
        let n_samples = block.len() / self.n_channels;
        let duration = Duration::from_secs_f64(n_samples as f64 / f64::from(self.sample_rate));
        self.next_capture = capture.checked_add(duration);
        self.n_delivered.fetch_add(n_samples as u64, Ordering::Relaxed);
    }
}

/// Sorts a stream's errors, on the audio thread: driver overruns are counted, the rest is handed to
/// the capture thread. What finds no room is a repetition.
pub(super) fn fault_sink(
    mut faults: HeapProd<cpal::Error>,
    status: Arc<Status>,
) -> impl FnMut(cpal::Error) + Send + 'static {
    move |error| match error.kind() {
        cpal::ErrorKind::Xrun => status.add_xrun(),
        _ => {
            let _ = faults.try_push(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use ringbuf::HeapRb;
    use ringbuf::traits::{Consumer, Split};

    use super::*;
    use crate::ring::{self, Chunk, Reader};

    fn callback(sample_rate: u32, n_channels: usize) -> (Callback, Reader, Arc<Status>) {
        let status = Arc::new(Status::default());
        let (writer, reader) = ring::ring(1000, status.clone());
        let callback = Callback {
            mono: Mono::new(n_channels),
            n_channels,
            sample_rate,
            writer,
            n_delivered: Arc::default(),
            status: status.clone(),
            n_xruns: 0,
            next_capture: None,
        };
        (callback, reader, status)
    }

    fn captured_at(ms: u64) -> InputCallbackInfo {
        let at = StreamInstant::from_millis(ms);
        InputCallbackInfo::new(cpal::InputStreamTimestamp { callback: at, capture: at })
    }

    #[test]
    fn a_driver_overrun_becomes_a_gap_of_the_time_it_lasted() {
        let (mut callback, mut reader, status) = callback(1_000, 2);
        callback.store(&[0_i16; 40], f32::from, &captured_at(100));
        status.add_xrun();
        // 20 frames of 1 ms were due until 120; the next block was captured at 175.
        callback.store(&[0_i16; 40], f32::from, &captured_at(175));
        callback.store(&[0_i16; 40], f32::from, &captured_at(199));
        let mut buffer = [0.0; 100];
        assert_eq!(reader.read(&mut buffer), Chunk::Samples(20));
        assert_eq!(reader.read(&mut buffer), Chunk::Gap(55));
        assert_eq!(reader.read(&mut buffer), Chunk::Samples(40), "clock jitter without an overrun is no gap");
        assert_eq!(callback.n_delivered.load(Ordering::Relaxed), 60);
    }

    #[test]
    fn overruns_are_counted_and_other_faults_are_passed_on() {
        let (faults_in, mut faults) = HeapRb::new(2).split();
        let status = Arc::new(Status::default());
        let mut sink = fault_sink(faults_in, status.clone());
        sink(cpal::Error::new(cpal::ErrorKind::Xrun));
        for _ in 0..3 {
            sink(cpal::Error::new(cpal::ErrorKind::DeviceNotAvailable));
        }
        assert_eq!(status.n_xruns(), 1);
        assert_eq!(faults.try_pop().unwrap().kind(), cpal::ErrorKind::DeviceNotAvailable);
    }
}
