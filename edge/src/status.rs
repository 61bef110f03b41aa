//! What the running daemon knows about itself: counters and levels, written by the capture and
//! worker threads and by the one that publishes, read by any.
//!
//! Everything is an atomic of its own, so that no reader can delay a writer; two figures of one
//! [`Snapshot`] may therefore be a block apart. All operations are relaxed: nothing is synchronised
//! through a status.
//!
//! # Real-time
//!
//! Every `add` and `set` method may be called from the audio callback.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Samples at least this loud count as clipped: full scale of 16 bits.
pub(crate) const CLIPPED: f32 = 32_767.0 / 32_768.0;

/// The level of digital silence, here and in the decide stage.
pub(crate) const LEVEL_FLOOR_DBFS: f32 = -120.0;

/// Counters and levels of one stream.
#[derive(Debug)]
pub struct Status {
    started: Instant,
    n_samples: AtomicU64,
    n_queued: AtomicU64,
    n_overruns: AtomicU64,
    n_dropped: AtomicU64,
    n_xruns: AtomicU64,
    n_gaps: AtomicU64,
    n_gap_samples: AtomicU64,
    n_clipped: AtomicU64,
    n_non_finite: AtomicU64,
    rms: AtomicU32,
    peak: AtomicU32,
    n_frames: AtomicU64,
    n_pulses: AtomicU64,
    busy_ns: AtomicU64,
    last_frame_ns: AtomicU64,
    n_suppressed: AtomicU64,
    /// NaN until it is known.
    drift_ppm: AtomicU64,
}

/// The figures of a [`Status`] at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// Seconds since the stream was set up.
    pub uptime_s: f64,
    /// Samples that reached the worker, at the source's rate.
    pub n_samples: u64,
    /// Samples that wait in the ring.
    pub n_queued: u64,
    /// Times the ring was full.
    pub n_overruns: u64,
    /// Samples dropped because the ring was full.
    pub n_dropped: u64,
    /// Overruns reported by the device's driver.
    pub n_xruns: u64,
    /// Gaps in the stream from any cause.
    pub n_gaps: u64,
    /// Length of all gaps in samples at the source's rate.
    pub n_gap_samples: u64,
    /// Samples at full scale.
    pub n_clipped: u64,
    /// Samples that were not numbers, or infinite, and were taken as 0.
    pub n_non_finite: u64,
    /// Root mean square of the last block in dB of full scale, no lower than -120.
    pub level_dbfs: f32,
    /// Largest magnitude in the last block.
    pub peak: f32,
    /// Log-mel frames computed.
    pub n_frames: u64,
    /// Pulses taken by the network.
    pub n_pulses: u64,
    /// Seconds the worker has spent computing.
    pub busy_s: f64,
    /// `busy_s` as a share of `uptime_s`.
    pub load: f64,
    /// Seconds since the last log-mel frame; `None` before the first.
    pub last_frame_age_s: Option<f64>,
    /// Events that were not reported because they began in quiet hours.
    pub n_suppressed: u64,
    /// Microseconds of computing a pulse, on average.
    pub us_per_pulse: Option<f64>,
    /// How much faster the source's clock is than the machine's, parts in a million; `None` until
    /// it could be measured.
    pub drift_ppm: Option<f64>,
}

impl Default for Status {
    fn default() -> Self {
        Status {
            started: Instant::now(),
            n_samples: AtomicU64::new(0),
            n_queued: AtomicU64::new(0),
            n_overruns: AtomicU64::new(0),
            n_dropped: AtomicU64::new(0),
            n_xruns: AtomicU64::new(0),
            n_gaps: AtomicU64::new(0),
            n_gap_samples: AtomicU64::new(0),
            n_clipped: AtomicU64::new(0),
            n_non_finite: AtomicU64::new(0),
            rms: AtomicU32::new(0),
            peak: AtomicU32::new(0),
            n_frames: AtomicU64::new(0),
            n_pulses: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            last_frame_ns: AtomicU64::new(0),
            n_suppressed: AtomicU64::new(0),
            drift_ppm: AtomicU64::new(f64::NAN.to_bits()),
        }
    }
}

impl Status {
    /// A block of `n_samples` was dropped or cut because the ring was full; `new` when the ring was
    /// not full before.
    pub fn add_dropped(&self, n_samples: u64, new: bool) {
        self.n_dropped.fetch_add(n_samples, Relaxed);
        self.n_overruns.fetch_add(new.into(), Relaxed);
    }

    /// The device's driver reported an overrun of its own buffer.
    pub fn add_xrun(&self) {
        self.n_xruns.fetch_add(1, Relaxed);
    }

    /// Overruns reported by the device's driver so far.
    pub fn n_xruns(&self) -> u64 {
        self.n_xruns.load(Relaxed)
    }

    /// The worker passed a gap of `n_samples` at the source's rate.
    pub fn add_gap(&self, n_samples: u64) {
        self.n_gaps.fetch_add(1, Relaxed);
        self.n_gap_samples.fetch_add(n_samples, Relaxed);
    }

    /// The worker took a `block` from the ring, which still holds `n_queued` samples.
    pub fn add_block(&self, block: &[f32], n_queued: u64) {
        self.n_samples.fetch_add(block.len() as u64, Relaxed);
        self.n_queued.store(n_queued, Relaxed);
        if block.is_empty() {
            return;
        }
        let energy: f32 = block.iter().map(|x| x * x).sum();
        let peak = block.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
        self.rms.store((energy / block.len() as f32).sqrt().to_bits(), Relaxed);
        self.peak.store(peak.to_bits(), Relaxed);
        if peak >= CLIPPED {
            let n_clipped = block.iter().filter(|x| x.abs() >= CLIPPED).count();
            self.n_clipped.fetch_add(n_clipped as u64, Relaxed);
        }
    }

    /// The worker took log-mel frames from the ring which stand for `n_samples`, with `mean_square`
    /// by their bands; the ring holds those of `n_queued` more.
    pub fn add_frames(&self, n_samples: u64, n_queued: u64, mean_square: f64) {
        self.n_samples.fetch_add(n_samples, Relaxed);
        self.n_queued.store(n_queued, Relaxed);
        self.rms.store((mean_square.sqrt() as f32).to_bits(), Relaxed);
    }

    /// The worker replaced samples that were not numbers, or infinite.
    pub fn add_non_finite(&self, n_samples: u64) {
        self.n_non_finite.fetch_add(n_samples, Relaxed);
    }

    /// The worker computed for `busy`, which made `n_frames` log-mel frames and `n_pulses` pulses.
    pub fn add_work(&self, busy: Duration, n_frames: u64, n_pulses: u64) {
        self.busy_ns.fetch_add(nanos(busy), Relaxed);
        self.n_frames.fetch_add(n_frames, Relaxed);
        self.n_pulses.fetch_add(n_pulses, Relaxed);
        if n_frames > 0 {
            self.last_frame_ns.store(nanos(self.started.elapsed()), Relaxed);
        }
    }

    /// An event was not reported because it began in quiet hours.
    pub fn add_suppressed(&self) {
        self.n_suppressed.fetch_add(1, Relaxed);
    }

    /// How much faster the clock of the source is than that of the machine.
    pub fn set_drift_ppm(&self, ppm: f64) {
        self.drift_ppm.store(ppm.to_bits(), Relaxed);
    }

    /// Log-mel frames and pulses so far.
    pub fn progress(&self) -> (u64, u64) {
        (self.n_frames.load(Relaxed), self.n_pulses.load(Relaxed))
    }

    /// All figures now.
    pub fn snapshot(&self) -> Snapshot {
        let uptime = self.started.elapsed();
        let (n_frames, n_pulses) = self.progress();
        let busy_s = self.busy_ns.load(Relaxed) as f64 * 1e-9;
        let last_frame = Duration::from_nanos(self.last_frame_ns.load(Relaxed));
        let rms = f32::from_bits(self.rms.load(Relaxed));
        Snapshot {
            uptime_s: uptime.as_secs_f64(),
            n_samples: self.n_samples.load(Relaxed),
            n_queued: self.n_queued.load(Relaxed),
            n_overruns: self.n_overruns.load(Relaxed),
            n_dropped: self.n_dropped.load(Relaxed),
            n_xruns: self.n_xruns.load(Relaxed),
            n_gaps: self.n_gaps.load(Relaxed),
            n_gap_samples: self.n_gap_samples.load(Relaxed),
            n_clipped: self.n_clipped.load(Relaxed),
            n_non_finite: self.n_non_finite.load(Relaxed),
            level_dbfs: (20.0 * rms.log10()).max(LEVEL_FLOOR_DBFS),
            peak: f32::from_bits(self.peak.load(Relaxed)),
            n_frames,
            n_pulses,
            us_per_pulse: (n_pulses > 0).then(|| busy_s * 1e6 / n_pulses as f64),
            drift_ppm: Some(f64::from_bits(self.drift_ppm.load(Relaxed))).filter(|ppm| ppm.is_finite()),
            busy_s,
            load: busy_s / uptime.as_secs_f64().max(1e-9),
            n_suppressed: self.n_suppressed.load(Relaxed),
            last_frame_age_s: (n_frames > 0).then(|| uptime.saturating_sub(last_frame).as_secs_f64()),
        }
    }
}

impl Snapshot {
    /// The figures as a JSON object on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("a snapshot has only string keys: {error}"))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_of_a_full_scale_square_wave_is_zero_dbfs() {
        let status = Status::default();
        status.add_block(&[1.0, -1.0, 1.0, -1.0], 7);
        let snapshot = status.snapshot();
        assert_eq!((snapshot.level_dbfs, snapshot.peak, snapshot.n_clipped), (0.0, 1.0, 4));
        assert_eq!((snapshot.n_samples, snapshot.n_queued), (4, 7));
    }

    #[test]
    fn silence_has_a_finite_level() {
        let status = Status::default();
        assert_eq!(status.snapshot().level_dbfs, LEVEL_FLOOR_DBFS);
        status.add_block(&[0.5, -0.5], 0);
        assert!((status.snapshot().level_dbfs - -6.0206).abs() < 1e-3);
        status.add_block(&[0.0; 4], 0);
        assert_eq!(status.snapshot().level_dbfs, LEVEL_FLOOR_DBFS);
    }

    #[test]
    fn the_age_of_the_last_frame_is_unknown_before_the_first() {
        let status = Status::default();
        status.add_work(Duration::from_millis(3), 0, 0);
        assert_eq!(status.snapshot().last_frame_age_s, None);
        status.add_work(Duration::from_millis(4), 8, 1);
        let snapshot = status.snapshot();
        assert!(snapshot.last_frame_age_s.unwrap() < 1.0);
        assert!((snapshot.busy_s - 0.007).abs() < 1e-9);
        assert_eq!((snapshot.n_frames, snapshot.n_pulses), (8, 1));
    }
}
