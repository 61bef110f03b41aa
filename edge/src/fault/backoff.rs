//! How long to wait before the next attempt.

use std::time::Duration;

/// What has worked for this long did not work by accident.
pub const SOUND: Duration = Duration::from_secs(60);

/// Waits that double from the first to the last.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits from `first` to `last`.
    pub fn new(first: Duration, last: Duration) -> Self {
        Backoff { first, last, next: first }
    }

    /// The wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.last);
        wait
    }

    /// Notes for how long an attempt has worked: after [`SOUND`] the waits begin with the first one
    /// again. What works for a moment and fails again does not count as working.
    pub fn worked_for(&mut self, duration: Duration) {
        if duration >= SOUND {
            self.reset();
        }
    }

    /// Begins with the first wait again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_until_something_has_worked_for_a_minute() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(3));
        let mut waits_ms = || {
            let mut next = || {
                backoff.worked_for(Duration::from_secs(1));
                backoff.next_wait().as_millis()
            };
            let waits = [next(), next(), next(), next(), next()];
            backoff.worked_for(SOUND);
            waits
        };
        assert_eq!(waits_ms(), [500, 1000, 2000, 3000, 3000]);
        assert_eq!(waits_ms(), [500, 1000, 2000, 3000, 3000]);
    }
}
