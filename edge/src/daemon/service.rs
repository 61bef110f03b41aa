//! Messages to systemd (sd_notify(3)), and its watchdog. Runs on the main thread.
//!
//! The watchdog is notified while every source does what it should: frames and pulses advance; or
//! the source is known to be away and its capture thread is trying to open it; or it has come to
//! its end. A worker that hangs, or a capture thread that hangs in a driver, keeps the watchdog
//! from being notified, and systemd restarts the daemon.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::ear::Ear;
use crate::capture::Condition;

/// A capture thread gives a sign of life every 50 ms, but may take its time to open a device.
const ALIVE: Duration = Duration::from_secs(15);

/// What systemd knows of the daemon. Without systemd all of it is idle.
pub(super) struct Service {
    /// Time from one feeding to the next.
    watchdog: Option<Duration>,
    fed: Instant,
    /// What `systemctl status` shows.
    status: String,
}

impl Service {
    /// Says that the daemon is up.
    pub(super) fn ready() -> Self {
        tell(&[NotifyState::Ready]);
        // Twice as often as it must be.
        Service {
            watchdog: sd_notify::watchdog_enabled().map(|period| period / 2),
            fed: Instant::now(),
            status: String::new(),
        }
    }

    pub(super) fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
    }

    pub(super) fn reloaded(&self) {
        tell(&[NotifyState::Ready]);
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Says how the sources are doing when it has changed, and feeds the watchdog when it is time
    /// to and everything advances.
    pub(super) fn look_after(&mut self, ears: &mut [Ear]) {
        let deaf: Vec<String> = ears.iter().filter_map(complaint).collect();
        let status = if deaf.is_empty() { "listening".to_string() } else { deaf.join("; ") };
        if status != self.status {
            tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
        let Some(period) = self.watchdog.filter(|period| self.fed.elapsed() >= *period) else { return };
        // Also when it is not fed: then the next look is only after another period, so that a slow
        // pulse is not a hang.
        self.fed = Instant::now();
        // Each is looked at, also after one that is stuck: the look is what the next one is
        // compared with.
        let progress = ears.iter_mut().map(|ear| (advances(ear), ear.name.as_str()));
        let stuck: Vec<&str> = progress.filter(|(advances, _)| !advances).map(|(_, name)| name).collect();
        if !stuck.is_empty() {
            let sources = stuck.join(", ");
            tracing::error!(
                sources,
                ?period,
                "no progress of {sources} for {period:?}: systemd's watchdog is not notified and will restart the \
                 daemon"
            );
            return;
        }
        tell(&[NotifyState::Watchdog]);
    }
}

/// What is wrong with a source, if anything.
fn complaint(ear: &Ear) -> Option<String> {
    Some(format!("{}: {}", ear.name, ear.shared.hearing.snapshot().capture_reason?))
}

/// Whether a source has made progress since the last look, or cannot for a reason that is being
/// looked after.
fn advances(ear: &mut Ear) -> bool {
    let before = std::mem::replace(&mut ear.progress, ear.shared.status.progress());
    let (frames, pulses) = (ear.progress.0 > before.0, ear.progress.1 > before.1);
    let hearing = &ear.shared.hearing;
    let condition = hearing.condition();
    let is_waiting = (condition == Condition::Opening || !condition.hears()) && hearing.since_beat() < ALIVE;
    (frames && pulses) || ear.is_finished() || is_waiting
}

fn tell(states: &[NotifyState]) {
    // If no one listens, this does nothing; if systemd does not take it, systemd cannot be notified
    // of that either.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}
