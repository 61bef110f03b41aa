//! What a stream's time is in the world's: arrivals of samples enter, the moment of stream time 0
//! leaves.
//!
//! A device's crystal is off by up to a hundred parts in a million, which are nine seconds per day.
//! Samples come when they have been captured, or later, never earlier: so the least delay of the
//! last minute tells where stream time stands, and its change is the drift. What comes late by more
//! than half a second for two seconds on end was lost somewhere: that is a gap, and stream time
//! passes over it.
//!
//! Time here is the machine's uptime, which continues while the machine sleeps and is never set.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The delays of this many seconds make one minimum.
const BUCKET_S: f64 = 2.0;

/// Minima that are remembered: a minute. At a hundred parts in a million the oldest is 6 ms off.
const N_BUCKETS: usize = 30;

/// A bucket with fewer arrivals shows nothing.
const MIN_ARRIVALS: u32 = 10;

/// Delays above the usual one by this much, for a whole bucket, are a gap. Seconds.
const LOST_S: f64 = 0.5;

/// Drift is reported once it could be measured for this long. Seconds.
const DRIFT_S: f64 = 600.0;

/// Follows one stream.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// Least delays, the oldest first. A delay is an arrival less the stream's time.
    buckets: VecDeque<f64>,
    bucket: Option<Bucket>,
    /// Moment and delay from which drift is measured.
    reference: Option<(f64, f64)>,
}

#[derive(Debug)]
struct Bucket {
    begin_s: f64,
    delay_s: f64,
    n_arrivals: u32,
}

impl Tracker {
    /// At `uptime_s` the stream's newest sample, at stream time `t_s`, had arrived. Returns how
    /// much of the stream is missing before it, if something is, in seconds; the caller passes that
    /// gap, and later stream times contain it.
    pub(super) fn arrival(&mut self, t_s: f64, uptime_s: f64) -> Option<f64> {
        let delay_s = uptime_s - t_s;
        let bucket = self.bucket.get_or_insert(Bucket { begin_s: uptime_s, delay_s, n_arrivals: 0 });
        bucket.delay_s = bucket.delay_s.min(delay_s);
        bucket.n_arrivals += 1;
        if uptime_s - bucket.begin_s < BUCKET_S {
            return None;
        }
        let Bucket { delay_s, n_arrivals, .. } = *bucket;
        self.bucket = None;
        if n_arrivals < MIN_ARRIVALS {
            return None;
        }
        let usual_s = self.buckets.iter().copied().reduce(f64::min);
        if let Some(missing_s) = usual_s.map(|usual_s| delay_s - usual_s).filter(|missing_s| *missing_s > LOST_S) {
            return Some(missing_s);
        }
        if self.buckets.len() == N_BUCKETS {
            self.buckets.pop_front();
        }
        self.buckets.push_back(delay_s);
        if self.buckets.len() == N_BUCKETS && self.reference.is_none() {
            self.reference = self.delay_s().map(|delay_s| (uptime_s, delay_s));
        }
        None
    }

    /// The uptime at stream time 0: what to add to stream time to have uptime. `None` before the
    /// first arrival.
    pub(super) fn delay_s(&self) -> Option<f64> {
        let current = self.bucket.as_ref().map(|bucket| bucket.delay_s);
        self.buckets.iter().copied().chain(current).reduce(f64::min)
    }

    /// How much faster the stream's clock is than the machine's, parts in a million; `None` until
    /// that could be measured.
    pub(super) fn drift_ppm(&self, uptime_s: f64) -> Option<f64> {
        let (since_s, delay_s) = self.reference?;
        let elapsed_s = uptime_s - since_s;
        (elapsed_s >= DRIFT_S).then(|| (delay_s - self.delay_s().unwrap_or(delay_s)) / elapsed_s * 1e6)
    }

    /// A new session begins, whose first sample was captured at `first_s` (uptime). Returns how
    /// much of the stream is missing before it, seconds, if the stream's time was `t_s` until then.
    /// What is known of the old device is forgotten.
    pub(super) fn resume(&mut self, t_s: f64, first_s: f64) -> f64 {
        let missing_s = self.delay_s().map_or(0.0, |delay_s| (first_s - (t_s + delay_s)).max(0.0));
        *self = Tracker::default();
        missing_s
    }
}

/// The machine's uptime.
#[derive(Debug)]
pub(super) struct Uptime {
    started: Instant,
    /// The kernel's uptime when this began, seconds.
    kernel_s: Option<f64>,
    /// Time that the machine has slept since then, seconds.
    slept_s: f64,
    looked: Instant,
}

/// How often the kernel is asked.
const LOOK: Duration = Duration::from_millis(500);

/// The kernel's uptime is exact to 10 ms; a shorter sleep is ignored.
const SLEPT_S: f64 = 0.2;

impl Uptime {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Uptime { started: now, kernel_s: kernel_uptime_s(), slept_s: 0.0, looked: now }
    }

    /// Seconds since this began, including those in which the machine slept.
    pub(super) fn now_s(&mut self) -> f64 {
        let now = Instant::now();
        let awake_s = now.duration_since(self.started).as_secs_f64();
        if now.duration_since(self.looked) >= LOOK {
            self.looked = now;
            if let (Some(before_s), Some(now_s)) = (self.kernel_s, kernel_uptime_s()) {
                let slept_s = now_s - before_s - awake_s;
                if slept_s > self.slept_s + SLEPT_S {
                    self.slept_s = slept_s;
                }
            }
        }
        awake_s + self.slept_s
    }
}

/// Seconds since the machine was started, asleep or not (CLOCK_BOOTTIME; proc(5), `/proc/uptime`).
/// Other systems have none.
fn kernel_uptime_s() -> Option<f64> {
    std::fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Jitter of deliveries in seconds, from a generator that repeats: mostly small, now and then a
    /// second.
    fn jitter(state: &mut u32) -> f64 {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let x = f64::from(*state >> 8) / f64::from(1 << 24);
        if x > 0.999 { 1.0 } else { 0.03 * x }
    }

    #[test]
    fn stream_time_stays_within_50_ms_for_weeks() {
        for ppm in [-100.0, 0.0, 80.0] {
            let mut tracker = Tracker::default();
            let mut state = 1;
            let (mut worst_s, mut last_ppm) = (0.0_f64, None);
            // Three weeks, five arrivals a second.
            for n in 0..5 * 86_400 * 21_u32 {
                let truth_s = f64::from(n) * 0.2;
                // Stream time 0 is 7 s after the machine's.
                let t_s = (truth_s - 7.0) * (1.0 + ppm * 1e-6);
                assert_eq!(tracker.arrival(t_s, truth_s + jitter(&mut state)), None, "nothing is missing");
                let error_s = t_s + tracker.delay_s().unwrap() - truth_s;
                if n > 20 {
                    worst_s = worst_s.max(error_s.abs());
                }
                last_ppm = tracker.drift_ppm(truth_s);
            }
            assert!(worst_s < 0.05, "{worst_s} s at {ppm} ppm");
            assert!((last_ppm.unwrap() - ppm).abs() < 1.0, "{last_ppm:?} for {ppm}");
        }
    }

    #[test]
    fn what_never_arrived_is_found_missing() {
        let mut tracker = Tracker::default();
        let mut missing_s = 0.0;
        for n in 0..600 {
            let truth_s = f64::from(n) * 0.1;
            // From the 30th second on, 4 s of the stream are gone.
            let t_s = if truth_s < 30.0 { truth_s } else { truth_s - 4.0 } + missing_s;
            if let Some(found_s) = tracker.arrival(t_s, truth_s + 0.01) {
                assert!((32.0..35.0).contains(&truth_s), "found at {truth_s}");
                missing_s += found_s;
            }
        }
        assert!((missing_s - 4.0).abs() < 1e-6, "{missing_s}");
    }

    #[test]
    fn the_gap_between_two_sessions_is_measured() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.resume(0.0, 3.0), 0.0, "nothing is missing before the first");
        for n in 0..100 {
            tracker.arrival(f64::from(n) * 0.1, 3.0 + f64::from(n) * 0.1);
        }
        // The stream's 9.9 s were at 12.9 s; the next sample was captured at 20.
        assert!((tracker.resume(9.9, 20.0) - 7.1).abs() < 1e-9);
        assert_eq!(tracker.delay_s(), None);
    }

    #[test]
    fn uptime_runs() {
        let mut uptime = Uptime::new();
        let first = uptime.now_s();
        std::thread::sleep(Duration::from_millis(20));
        assert!((0.02..10.0).contains(&(uptime.now_s() - first)));
    }
}
