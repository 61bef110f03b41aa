//! Whether a pipe's samples come at the pace of time: sample counts and times enter, a verdict
//! leaves. Runs on the thread that reads the pipe.
//!
//! A recording comes as fast as it is taken, and what is written while it is recorded comes as
//! time goes by. So two seconds in which the reading was never held up, and which brought two
//! seconds of sound, mean that the source is live.

use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(2);

/// By how much the pace may differ from that of time.
const TOLERANCE: f64 = 0.15;

/// A longer pause says nothing of the pace.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Watches one stream.
#[derive(Debug)]
pub(super) struct Tempo {
    sample_rate: u32,
    /// Where the pace is measured from.
    since: Option<(Instant, u64)>,
}

impl Tempo {
    pub(super) fn new(sample_rate: u32) -> Self {
        Tempo { sample_rate, since: None }
    }

    /// `n_samples` have come in all by `now`, the last of them after a pause. Whether this is the
    /// pace of time; `held_up` says that the reader was kept from reading meanwhile.
    pub(super) fn is_of_time(&mut self, n_samples: u64, now: Instant, pause: Duration, held_up: bool) -> bool {
        let Some((since, n_before)) = self.since.filter(|_| !held_up && pause <= MAX_PAUSE) else {
            self.since = Some((now, n_samples));
            return false;
        };
        let elapsed = now.duration_since(since);
        if elapsed < PERIOD {
            return false;
        }
        self.since = Some((now, n_samples));
        let pace = (n_samples - n_before) as f64 / f64::from(self.sample_rate) / elapsed.as_secs_f64();
        (pace - 1.0).abs() <= TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time at which a stream is taken for live of which `n_seconds(t)` have come at `t`.
    fn live_at(n_seconds: impl Fn(f64) -> f64, held_up: bool) -> Option<f64> {
        let (mut tempo, begin, mut last) = (Tempo::new(8_000), Instant::now(), (0.0, 0.0));
        (1..=1_000).map(|tick| f64::from(tick) * 0.02).find(|&t| {
            let seconds = n_seconds(t);
            if seconds == last.1 {
                return false;
            }
            let pause = Duration::from_secs_f64(t - last.0);
            last = (t, seconds);
            let now = begin + Duration::from_secs_f64(t);
            tempo.is_of_time((seconds * 8_000.0) as u64, now, pause, held_up)
        })
    }

    #[test]
    fn what_is_recorded_while_it_comes_is_live_within_seconds() {
        assert!(live_at(|t| t, false).unwrap() < 2.1);
        // A server sends what it has kept, and then lumps of a quarter of a second.
        assert!(live_at(|t| 5.0 + (t * 4.0).floor() / 4.0, false).unwrap() < 4.5);
        // A pause in the beginning does not matter.
        assert!(live_at(|t| if t < 4.0 { 0.1 } else { t - 4.0 }, false).unwrap() < 6.5);
    }

    #[test]
    fn what_was_recorded_is_not() {
        assert_eq!(live_at(|t| 50.0 * t, false), None);
        assert_eq!(live_at(|t| 0.5 * t, false), None);
        assert_eq!(live_at(|t| t, true), None, "its pace is that of those who read it");
    }
}
