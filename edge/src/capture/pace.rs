//! Whether a live source delivers at the rate that it claims: sample counts and times enter, a
//! complaint leaves. Runs on the capture thread.
//!
//! | fault | reported after |
//! |---|---|
//! | nothing comes | 2 s; 5 s after opening, for Bluetooth and network devices take their time to wake |
//! | a fifth too many or too few samples | 2 s |
//! | one in twenty-five too many or too few | 10 s: over a shorter time, what a sound server had buffered is as much |

use std::time::{Duration, Instant};

const STALLED: Duration = Duration::from_secs(2);
const STALLED_AT_START: Duration = Duration::from_secs(5);

/// Lengths of time and by how much the rate over each may deviate.
const TOLERANCES: [(Duration, f64); 2] = [(Duration::from_secs(2), 0.2), (Duration::from_secs(10), 0.04)];

/// Watches the rate of one opening of a source.
#[derive(Debug)]
pub(super) struct Pace {
    sample_rate: u32,
    opened: Instant,
    n_delivered: u64,
    last_delivery: Option<Instant>,
    /// Where the rate of each tolerance is measured from.
    since: [Option<(Instant, u64)>; TOLERANCES.len()],
}

/// What is wrong with a source's pace.
#[derive(Debug, PartialEq)]
pub(super) enum Unpaced {
    Stalled(String),
    Slow(String),
    Fast(String),
}

impl Pace {
    pub(super) fn new(sample_rate: u32, opened: Instant) -> Self {
        Pace { sample_rate, opened, n_delivered: 0, last_delivery: None, since: Default::default() }
    }

    /// Whether samples have come since the last call; `n_delivered` is how many there have been in
    /// all.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub(super) fn look(&mut self, n_delivered: u64, now: Instant) -> Result<bool, Unpaced> {
        let news = n_delivered != self.n_delivered;
        if news {
            self.n_delivered = n_delivered;
            self.last_delivery = Some(now);
        }
        let (since, patience) = self.last_delivery.map_or((self.opened, STALLED_AT_START), |last| (last, STALLED));
        if now.duration_since(since) > patience {
            return Err(Unpaced::Stalled(format!("delivered no samples for {} s", patience.as_secs())));
        }
        // What comes first may have waited since before the device was opened.
        if !news {
            return Ok(false);
        }
        for ((period, tolerance), since) in TOLERANCES.iter().zip(&mut self.since) {
            let (begin, n_before) = *since.get_or_insert((now, n_delivered));
            let elapsed = now.duration_since(begin);
            if elapsed < *period {
                continue;
            }
            *since = Some((now, n_delivered));
            let rate = (n_delivered - n_before) as f64 / elapsed.as_secs_f64();
            if (rate / f64::from(self.sample_rate) - 1.0).abs() > *tolerance {
                let reason = format!("delivers {rate:.0} samples per second instead of {}", self.sample_rate);
                return Err(if rate < f64::from(self.sample_rate) {
                    Unpaced::Slow(reason)
                } else {
                    Unpaced::Fast(reason)
                });
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after which a device of 48 kHz is found at fault that has delivered
    /// `n_samples(seconds)`; at most a minute.
    fn fault(n_samples: impl Fn(f64) -> f64) -> Option<(f64, String)> {
        let opened = Instant::now();
        let mut pace = Pace::new(48_000, opened);
        (1..=1_200).map(|tick| f64::from(tick) * 0.05).find_map(|t| {
            let result = pace.look(n_samples(t) as u64, opened + Duration::from_secs_f64(t));
            let text = |unpaced| match unpaced {
                Unpaced::Stalled(reason) | Unpaced::Slow(reason) | Unpaced::Fast(reason) => reason,
            };
            result.err().map(|unpaced| (t, text(unpaced)))
        })
    }

    #[test]
    fn a_good_device_is_left_alone() {
        assert_eq!(fault(|t| 48_000.0 * t), None);
        // What a sound server had buffered comes at once, and then lumps.
        assert_eq!(fault(|t| 48_000.0 * (t * 4.0).floor() / 4.0 + 96_000.0), None);
        assert_eq!(fault(|t| 48_000.0 * (t - 4.0).max(0.0)), None, "it may take its time to wake");
    }

    #[test]
    fn a_stalled_device_is_found_out() {
        let (at, reason) = fault(|t| 48_000.0 * t.min(10.0)).unwrap();
        assert!((12.0..12.2).contains(&at), "{at}: {reason}");
        assert!(reason.contains("no samples for 2 s"));
        let (at, _) = fault(|_| 0.0).unwrap();
        assert!((5.0..5.2).contains(&at));
    }

    #[test]
    fn a_wrong_rate_is_found_out() {
        let (at, reason) = fault(|t| 16_000.0 * t).unwrap();
        assert!(at < 2.2, "{at}: {reason}");
        assert!(reason.contains("16000 samples per second instead of 48000"), "{reason}");
        assert!(fault(|t| 20e6 * t).unwrap().0 < 2.2);
        let (at, reason) = fault(|t| 44_100.0 * t).unwrap();
        assert!(at < 10.2, "{at}: {reason}");
    }
}
