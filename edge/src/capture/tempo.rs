//! Whether a pipe's samples come at the pace of time: sample counts and times enter, a verdict
//! leaves. Runs on the thread that reads the pipe.
//!
//! A recording comes as fast as it is taken, and what is written while it is recorded comes as time
//! goes by. So two seconds in which the reading was never held up, and which brought two seconds of
//! sound, mean that the source is live. For a live source, ten such seconds show its real rate.

use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(2);
const LONG_PERIOD: Duration = Duration::from_secs(10);

/// By how much the pace may differ from that of time.
const TOLERANCE: f64 = 0.15;

/// By how much the real rate of a live source may differ from its nominal rate.
const RATE_TOLERANCE: f64 = 0.04;

/// A longer pause shows nothing about the pace.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Watches one stream.
#[derive(Debug)]
pub(super) struct Tempo {
    sample_rate: u32,
    /// Where the pace is measured from.
    since: Option<(Instant, u64)>,
    is_live: bool,
}

/// What the pace of a stream shows.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing new.
    Nothing,
    /// The stream is live.
    Live,
    /// The stream is live and has this many samples per second instead of those that it should.
    Odd(f64),
    /// The stream is live and its rate is right.
    Even,
}

impl Tempo {
    /// For samples at a rate, of a source that is live or whose pace will show whether it is.
    pub(super) fn new(sample_rate: u32, is_live: bool) -> Self {
        Tempo { sample_rate, since: None, is_live }
    }

    /// `n_samples` have come in all by `now`, the last of them after a pause. `held_up` says that
    /// the reader was kept from reading meanwhile.
    pub(super) fn look(&mut self, n_samples: u64, now: Instant, pause: Duration, held_up: bool) -> Verdict {
        let Some((since, n_before)) = self.since.filter(|_| !held_up && pause <= MAX_PAUSE) else {
            self.since = Some((now, n_samples));
            return Verdict::Nothing;
        };
        let elapsed = now.duration_since(since);
        if elapsed < if self.is_live { LONG_PERIOD } else { PERIOD } {
            return Verdict::Nothing;
        }
        self.since = Some((now, n_samples));
        let rate = (n_samples - n_before) as f64 / elapsed.as_secs_f64();
        let deviation = (rate / f64::from(self.sample_rate) - 1.0).abs();
        match self.is_live {
            true if deviation > RATE_TOLERANCE => Verdict::Odd(rate),
            true => Verdict::Even,
            false if deviation <= TOLERANCE => {
                self.is_live = true;
                Verdict::Live
            }
            false => Verdict::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts, and when they are given, for a stream of which `n_seconds(t)` have arrived at
    /// `t`; the second time if `n` is 1, and so on.
    fn said(n_seconds: impl Fn(f64) -> f64, held_up: bool, n: usize) -> Option<(f64, Verdict)> {
        let (mut tempo, begin, mut last) = (Tempo::new(8_000, false), Instant::now(), (0.0, 0.0));
        let mut verdicts = (1..=1_000).map(|tick| f64::from(tick) * 0.02).filter_map(|t| {
            let seconds = n_seconds(t);
            if seconds == last.1 {
                return None;
            }
            let pause = Duration::from_secs_f64(t - last.0);
            last = (t, seconds);
            let now = begin + Duration::from_secs_f64(t);
            let verdict = tempo.look((seconds * 8_000.0) as u64, now, pause, held_up);
            (verdict != Verdict::Nothing).then_some((t, verdict))
        });
        verdicts.nth(n)
    }

    fn live_at(n_seconds: impl Fn(f64) -> f64, held_up: bool) -> Option<f64> {
        said(n_seconds, held_up, 0).map(|(t, verdict)| {
            assert_eq!(verdict, Verdict::Live);
            t
        })
    }

    #[test]
    fn a_live_source_with_another_rate_than_it_should_have_is_found_out() {
        assert_eq!(said(|t| t, false, 1).unwrap().1, Verdict::Even);
        let (t, verdict) = said(|t| t * 44.1 / 48.0, false, 1).unwrap();
        assert!(t < 12.5 && matches!(verdict, Verdict::Odd(rate) if (rate / 7350.0 - 1.0).abs() < 0.01), "{verdict:?}");
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
