//! How a source is doing: what the capture thread and the worker find out enters, what the daemon reports leaves.
//!
//! # Real-time
//!
//! Not for the audio callback: the reason is behind a lock.

#[cfg(feature = "serial")]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

#[cfg(feature = "serial")]
use super::report::{NodeSnapshot, Report};

/// What is wrong with a source, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It is being opened for the first time.
    Opening,
    /// Sound comes.
    Listening,
    /// Samples come, a large part of them at full scale.
    Clipped,
    /// Samples come, with a large constant part.
    Dc,
    /// Samples come, but all are zero, or all have the same value.
    Dead,
    /// It does not open, failed, stalled, or has the wrong rate.
    Lost,
}

impl Condition {
    /// Whether events can be expected.
    pub fn hears(self) -> bool {
        match self {
            Condition::Opening | Condition::Listening | Condition::Clipped | Condition::Dc => true,
            Condition::Dead | Condition::Lost => false,
        }
    }
}

/// How one source is doing.
#[derive(Debug)]
pub struct Hearing {
    /// What the source is called, for the log.
    name: String,
    started: Instant,
    state: Mutex<State>,
    n_opened: AtomicU64,
    /// When the capture thread was last known to be alive, milliseconds since `started`.
    beat_ms: AtomicU64,
    reopen: AtomicBool,
    #[cfg(feature = "serial")]
    node: Arc<Report>,
}

#[derive(Debug)]
struct State {
    condition: Condition,
    reason: Option<String>,
}

/// The state of a [`Hearing`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HearingSnapshot {
    /// What is wrong, if anything.
    pub capture: Condition,
    /// In words, where something is wrong.
    pub capture_reason: Option<String>,
    /// How many times the source was opened again.
    pub n_reopened: u64,
    /// What a microcontroller says of itself.
    #[cfg(feature = "serial")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeSnapshot>,
}

impl Hearing {
    /// Of a source that is still to be opened.
    pub fn of(name: impl Into<String>) -> Self {
        Hearing {
            name: name.into(),
            started: Instant::now(),
            state: Mutex::new(State { condition: Condition::Opening, reason: None }),
            n_opened: AtomicU64::new(0),
            beat_ms: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            #[cfg(feature = "serial")]
            node: Arc::default(),
        }
    }

    /// What the source is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes note of a condition, and logs it if it is news.
    pub(crate) fn set(&self, condition: Condition, reason: impl Into<Option<String>>) {
        let reason = reason.into();
        let mut state = self.lock();
        if (state.condition, &state.reason) == (condition, &reason) {
            return;
        }
        match (&reason, condition) {
            (Some(reason), _) => tracing::warn!(source = self.name, "{}: {reason}", self.name),
            (None, Condition::Listening) if state.reason.is_some() => {
                tracing::info!(source = self.name, "{}: heard again", self.name)
            }
            (None, _) => {}
        }
        *state = State { condition, reason };
    }

    /// Takes note of what the samples say, unless there are none to come: what is left in the ring says nothing of a source that is
    /// lost.
    pub(crate) fn judge(&self, condition: Condition, reason: impl Into<Option<String>>) {
        if !matches!(self.condition(), Condition::Opening | Condition::Lost) {
            self.set(condition, reason);
        }
    }

    /// What is wrong, if anything.
    pub fn condition(&self) -> Condition {
        self.lock().condition
    }

    /// The state now.
    pub fn snapshot(&self) -> HearingSnapshot {
        let state = self.lock();
        HearingSnapshot {
            capture: state.condition,
            capture_reason: state.reason.clone(),
            n_reopened: self.n_opened.load(Relaxed).saturating_sub(1),
            #[cfg(feature = "serial")]
            node: self.node.snapshot(),
        }
    }

    /// Where a microcontroller's word on itself belongs.
    #[cfg(feature = "serial")]
    pub(super) fn node(&self) -> Arc<Report> {
        self.node.clone()
    }

    /// The source was opened.
    pub(crate) fn opened(&self) {
        self.n_opened.fetch_add(1, Relaxed);
    }

    /// The capture thread is alive.
    #[cfg(feature = "mic")]
    pub(crate) fn beat(&self) {
        self.beat_ms.store(self.started.elapsed().as_millis() as u64, Relaxed);
    }

    /// How long ago the capture thread was alive.
    pub fn since_beat(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.beat_ms.load(Relaxed)))
    }

    /// Asks for the source to be closed and opened again.
    pub(crate) fn ask_to_reopen(&self) {
        self.reopen.store(true, Relaxed);
    }

    /// Whether that was asked for since the last time.
    #[cfg(any(feature = "mic", test))]
    pub(crate) fn is_asked_to_reopen(&self) -> bool {
        self.reopen.swap(false, Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
