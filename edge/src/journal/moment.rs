//! When something is written down: by the wall clock, which people set and which jumps, and by the
//! machine's uptime, which does not.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    /// The wall clock.
    pub(super) wall: Timestamp,
    /// Time since the machine was started, asleep or not.
    pub(super) uptime: Duration,
    /// Which start of the machine that is.
    pub(super) boot: i64,
}

impl Moment {
    pub(super) fn now() -> Self {
        let (uptime, boot) = uptime();
        Moment { wall: Timestamp::now(), uptime, boot }
    }
}

/// The machine's uptime, and a number for its start. If the system reports neither, the process
/// stands for the machine.
fn uptime() -> (Duration, i64) {
    static PROCESS: OnceLock<(Instant, i64)> = OnceLock::new();
    static BOOT: OnceLock<Option<i64>> = OnceLock::new();
    let boot = *BOOT.get_or_init(|| std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(number));
    // CLOCK_BOOTTIME, proc(5).
    let kernel = std::fs::read_to_string("/proc/uptime").ok();
    let seconds = kernel.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    match (seconds, boot) {
        (Some(seconds), Some(boot)) => (Duration::from_secs_f64(seconds.max(0.0)), boot),
        _ => {
            let start = || (Instant::now(), number(uuid::Uuid::now_v7().to_string()));
            let (started, process) = PROCESS.get_or_init(start);
            (started.elapsed(), *process)
        }
    }
}

fn number(id: String) -> i64 {
    let mut hasher = DefaultHasher::new();
    id.trim().hash(&mut hasher);
    hasher.finish() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_runs_within_one_start_of_the_machine() {
        let first = Moment::now();
        std::thread::sleep(Duration::from_millis(30));
        let second = Moment::now();
        assert_eq!(first.boot, second.boot);
        assert!(second.uptime > first.uptime, "{first:?} {second:?}");
    }
}
