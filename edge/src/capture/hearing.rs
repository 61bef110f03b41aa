//! How a source is doing: what the capture thread and the worker find out enters, what the daemon
//! reports leaves.
//!
//! What is wrong is a [`Fault`], whose kind is its identity; the text that goes with it may change
//! from one time to the next. An outage is logged once for each kind of fault in it, and for a few
//! causes of one kind: a camera that was unreachable and now refuses the password has both lines.
//! Outages that follow each other closely are logged less and less often.
//!
//! # Real-time
//!
//! Not for the audio callback: the reason is protected by a lock.

use std::collections::BTreeMap;
#[cfg(feature = "serial")]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

#[cfg(feature = "serial")]
use super::report::{NodeReport, NodeSnapshot};
use crate::error::Error;
use crate::fault::{Fault, FaultLog, N_CAUSES};

/// What is wrong with a source, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
    /// Samples come, and a large part of them are not numbers.
    Garbage,
    /// Samples come, but all are zero, or all have the same value.
    Dead,
    /// It does not open, failed, stalled, or has the wrong rate.
    Lost,
    /// It has come to its end, as a recording does.
    Ended,
}

impl Condition {
    /// Whether events can be expected.
    pub fn hears(self) -> bool {
        match self {
            Condition::Opening | Condition::Listening | Condition::Clipped | Condition::Dc => true,
            Condition::Garbage | Condition::Dead | Condition::Lost | Condition::Ended => false,
        }
    }
}

/// Kinds of faults by which a source is lost.
pub(crate) mod fault {
    /// It does not open.
    pub(crate) const UNOPENED: &str = "does-not-open";
    /// It was open and failed.
    pub(crate) const FAILED: &str = "failed";
    /// It is open and nothing comes.
    pub(crate) const STALLED: &str = "stalled";
    /// It delivers at another rate than it claims.
    #[cfg(feature = "mic")]
    pub(crate) const RATE: &str = "wrong-rate";
    /// What feeds it has ended.
    pub(crate) const ENDED: &str = "ended";
    /// What comes is not understood.
    pub(crate) const FOREIGN: &str = "not-understood";
    /// It answers, and is not what is asked for.
    #[cfg(feature = "serial")]
    pub(crate) const UNUSABLE: &str = "unusable";
}

/// What could be better with a source that is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hint {
    /// Nothing loud has come for a while.
    Quiet,
    /// Nothing but noise of the last bit.
    Muted,
    /// There are no high frequencies.
    NarrowBand,
    /// The channels cancel each other in their mean.
    Cancelling,
    /// One channel is much louder than another.
    Unequal,
    /// A pipe comes at another rate than it should.
    Rate,
    /// A recording or a pipe is clipped, constant or no sound.
    NoSound,
}

/// How often a fault that continues, and that the log kept for later, is offered to it again.
const OFFER: Duration = Duration::from_secs(60);

/// How one source is doing.
#[derive(Debug)]
pub struct Hearing {
    /// What the source is called, for the log.
    name: String,
    started: Instant,
    state: Mutex<State>,
    n_opened: AtomicU64,
    n_abandoned: AtomicU64,
    /// When the capture thread was last known to be alive, milliseconds since `started`.
    beat_ms: AtomicU64,
    reopen: AtomicBool,
    restart: AtomicBool,
    #[cfg(feature = "serial")]
    node: Arc<NodeReport>,
}

#[derive(Debug)]
struct State {
    condition: Condition,
    fault: Option<Fault>,
    /// When it ceased to be all right, and the causes that were logged since then.
    since: Instant,
    causes: Vec<Cause>,
    /// When the present fault was last taken to the log, which may have kept it for later.
    offered: Option<(Instant, Cause)>,
    log: FaultLog,
    hints: BTreeMap<Hint, Fault>,
    hint_log: FaultLog,
}

/// What makes a fault another line of the log within one outage.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cause {
    kind: &'static str,
    /// The words of the fault's text, without those that hold a digit: figures, addresses and times
    /// differ from one occurrence to the next.
    words: String,
}

impl Cause {
    fn of(fault: &Fault) -> Self {
        let words = fault.text().split(|c: char| !c.is_alphanumeric());
        let words = words.filter(|word| !word.is_empty() && !word.contains(|c: char| c.is_ascii_digit()));
        Cause { kind: fault.kind(), words: words.collect::<Vec<_>>().join(" ") }
    }

    /// Whether it is to be logged after those of the same outage that were: a kind is once, and
    /// further causes of it are while there are few lines.
    fn is_news(&self, logged: &[Cause]) -> bool {
        logged.iter().all(|other| other.kind != self.kind) || logged.len() < N_CAUSES && !logged.contains(self)
    }
}

/// The state of a [`Hearing`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HearingSnapshot {
    /// What is wrong, if anything.
    pub capture: Condition,
    /// The kind of what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture_fault: Option<&'static str>,
    /// In words, where something is wrong.
    pub capture_reason: Option<String>,
    /// What could be better, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capture_hints: Vec<String>,
    /// How many times the source was opened again.
    pub n_reopened: u64,
    /// How many devices did not close and were abandoned, with their threads.
    pub n_abandoned: u64,
    /// What a microcontroller reports about itself.
    #[cfg(feature = "serial")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeSnapshot>,
}

impl Hearing {
    /// Of a source that is still to be opened.
    pub fn of(name: impl Into<String>) -> Self {
        let started = Instant::now();
        Hearing {
            name: name.into(),
            started,
            state: Mutex::new(State {
                condition: Condition::Opening,
                fault: None,
                since: started,
                causes: Vec::new(),
                offered: None,
                log: FaultLog::default(),
                hints: BTreeMap::new(),
                hint_log: FaultLog::default(),
            }),
            n_opened: AtomicU64::new(0),
            n_abandoned: AtomicU64::new(0),
            beat_ms: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            restart: AtomicBool::new(false),
            #[cfg(feature = "serial")]
            node: Arc::default(),
        }
    }

    /// What the source is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The source cannot be heard.
    pub(crate) fn lost(&self, fault: Fault) {
        self.set(Condition::Lost, Some(fault));
    }

    /// Sound arrives, as far as the thread that opened the source knows.
    pub(crate) fn listening(&self) {
        self.set(Condition::Listening, None);
    }

    /// The source has come to its end, as a recording does, or by an error.
    pub(crate) fn ended(&self, error: Option<&Error>) {
        let fault = match error {
            None => Fault::new(fault::ENDED, "the recording has ended"),
            Some(error) => Fault::new(fault::FAILED, format!("{error}; listening to this source has stopped")),
        };
        self.set(Condition::Ended, Some(fault));
    }

    /// Takes note of what the samples show, unless no more will arrive: what is left in the ring
    /// shows nothing about a source that is lost.
    pub(crate) fn judge(&self, condition: Condition, fault: impl Into<Option<Fault>>) {
        if !matches!(self.condition(), Condition::Opening | Condition::Lost | Condition::Ended) {
            self.set(condition, fault.into());
        }
    }

    /// Takes note of a condition, and logs it if it is news.
    fn set(&self, condition: Condition, fault: Option<Fault>) {
        let name = &self.name;
        let mut state = self.lock();
        let (was_well, is_well) = (state.fault.is_none(), fault.is_none());
        if was_well && !is_well {
            state.since = Instant::now();
            state.causes.clear();
        }
        let is_end = condition == Condition::Ended;
        let goes_on = state.condition == condition && state.fault == fault;
        let cause = fault.as_ref().map(|fault| (fault, Cause::of(fault)));
        let is_offered = |cause: &Cause| {
            let of_late = state.offered.as_ref().is_some_and(|(at, last)| last == cause && at.elapsed() < OFFER);
            goes_on && of_late
        };
        if let Some((fault, cause)) =
            cause.filter(|(_, cause)| is_end || !is_offered(cause) && cause.is_news(&state.causes))
        {
            let news = state.log.occurred_by(fault, &cause.words);
            state.offered = Some((Instant::now(), cause.clone()));
            match (condition, news) {
                (Condition::Ended, _) if fault.kind() == fault::ENDED => {
                    tracing::info!(source = name, "{name}: {fault}")
                }
                (Condition::Ended, _) => tracing::error!(source = name, "{name}: {fault}"),
                (_, Some(news)) => {
                    state.causes.push(cause);
                    tracing::warn!(source = name, fault = fault.kind(), "{name}: {fault}{}", news.suffix());
                }
                (_, None) => {}
            }
        }
        if !was_well && is_well && state.log.recovered() {
            let silent_s = state.since.elapsed().as_secs_f64();
            tracing::info!(source = name, silent_s, "{name}: heard again after {silent_s:.1} s");
        }
        state.condition = condition;
        state.fault = fault;
    }

    /// Takes note of what could be better, or that it has become so, and logs news.
    pub(crate) fn hint(&self, hint: Hint, fault: Option<Fault>) {
        let name = &self.name;
        let mut state = self.lock();
        match fault {
            Some(fault) => {
                let is_new = !state.hints.contains_key(&hint);
                if let Some(news) = is_new.then(|| state.hint_log.occurred(&fault)).flatten() {
                    tracing::warn!(source = name, hint = fault.kind(), "{name}: {fault}{}", news.suffix());
                }
                state.hints.insert(hint, fault);
            }
            None => {
                state.hints.remove(&hint);
            }
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
            capture_fault: state.fault.as_ref().map(Fault::kind),
            capture_reason: state.fault.as_ref().map(|fault| fault.text().to_string()),
            capture_hints: state.hints.values().map(|hint| hint.text().to_string()).collect(),
            n_reopened: self.n_opened.load(Relaxed).saturating_sub(1),
            n_abandoned: self.n_abandoned.load(Relaxed),
            #[cfg(feature = "serial")]
            node: self.node.snapshot(),
        }
    }

    /// Where the report of a microcontroller is kept.
    #[cfg(feature = "serial")]
    pub(super) fn node(&self) -> Arc<NodeReport> {
        self.node.clone()
    }

    /// The source was opened.
    pub(crate) fn opened(&self) {
        self.n_opened.fetch_add(1, Relaxed);
    }

    /// A device did not close and was abandoned.
    #[cfg(feature = "mic")]
    pub(crate) fn abandoned(&self) {
        self.n_abandoned.fetch_add(1, Relaxed);
    }

    /// The capture thread is alive.
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
    pub(crate) fn is_asked_to_reopen(&self) -> bool {
        self.reopen.swap(false, Relaxed)
    }

    /// Asks for the daemon to end, so that it is started again: the process itself is the trouble.
    #[cfg(feature = "mic")]
    pub(crate) fn ask_to_restart(&self) {
        self.restart.store(true, Relaxed);
    }

    /// Whether that was asked for.
    pub fn is_asked_to_restart(&self) -> bool {
        self.restart.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
