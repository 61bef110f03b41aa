//! From stream time to wall-clock time: seconds since the first sample enter, UTC timestamps leave.
//!
//! Stream time comes from sample counts alone and never jumps. The wall clock enters in one place,
//! the **anchor**: the wall time of stream sample 0. Set when the first block arrives, it can be
//! moved at any time by the thread that watches the drift between the device's clock and the
//! system's; readers on other threads take it atomically.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use jiff::Timestamp;

/// The anchor of one stream.
#[derive(Debug)]
pub struct Clock {
    /// Wall time of stream sample 0, microseconds since 1970-01-01 UTC.
    anchor_us: AtomicI64,
    /// Whether what is heard happens now.
    is_live: AtomicBool,
}

impl Clock {
    /// A clock whose stream begins now.
    pub fn starting_now() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// A clock whose stream begins at `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Clock { anchor_us: AtomicI64::new(start.as_microsecond()), is_live: AtomicBool::new(false) }
    }

    /// Moves the anchor so that stream time `t_s` (seconds) falls on `wall`.
    pub fn anchor(&self, t_s: f64, wall: Timestamp) {
        self.anchor_us.store(wall.as_microsecond().saturating_sub(microseconds(t_s)), Relaxed);
    }

    /// From now on the stream is live: nothing in it happened later than now, even if its samples
    /// come in bursts.
    pub fn goes_live(&self) {
        self.is_live.store(true, Relaxed);
    }

    /// The wall time of stream time `t_s` (seconds), to the microsecond. Times out of jiff's range
    /// (years -9999 to 9999) saturate.
    pub fn wall_time(&self, t_s: f64) -> Timestamp {
        let us = self.anchor_us.load(Relaxed).saturating_add(microseconds(t_s));
        let us = if self.is_live.load(Relaxed) { us.min(Timestamp::now().as_microsecond()) } else { us };
        Timestamp::from_microsecond(us).unwrap_or(if us < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }
}

/// A machine whose clock says that it is earlier has not had its clock set since it was started:
/// the year is one before this program.
pub fn clock_is_set() -> Timestamp {
    Timestamp::constant(1_735_689_600, 0)
}

/// `as` saturates, and turns a stray NaN into 0.
fn microseconds(t_s: f64) -> i64 {
    (t_s * 1e6).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn stream_time_is_added_to_the_anchor() {
        let clock = Clock::starting_at(noon());
        let time = |t_s| clock.wall_time(t_s).to_string();
        assert_eq!(time(0.0), "2026-01-31T12:00:00Z");
        assert_eq!(time(12.480_4), "2026-01-31T12:00:12.4804Z");
        assert_eq!(time(86_400.0 * 28.0), "2026-02-28T12:00:00Z");
    }

    #[test]
    fn the_anchor_can_be_corrected() {
        let clock = Clock::starting_at(noon());
        clock.anchor(10.0, noon());
        assert_eq!(clock.wall_time(10.0), noon());
        assert_eq!(clock.wall_time(0.0).to_string(), "2026-01-31T11:59:50Z");
    }

    #[test]
    fn absurd_times_saturate() {
        let clock = Clock::starting_at(noon());
        assert_eq!(clock.wall_time(f64::INFINITY), Timestamp::MAX);
        assert_eq!(clock.wall_time(f64::NEG_INFINITY), Timestamp::MIN);
        assert_eq!(clock.wall_time(f64::NAN), noon());
    }

    #[test]
    fn nothing_live_happens_in_the_future() {
        let clock = Clock::starting_now();
        let before = Timestamp::now();
        assert!(clock.wall_time(60.0) > before, "a recording has a time of its own");
        clock.goes_live();
        let burst = clock.wall_time(60.0);
        assert!(before.as_microsecond() <= burst.as_microsecond() && burst <= Timestamp::now());
        assert!(clock.wall_time(-60.0) < before);
    }
}
