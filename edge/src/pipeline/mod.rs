//! The worker: a running [source](Source) enters, onsets and offsets leave.
//!
//! One thread, [`Worker`], takes samples from the sessions of a source and drives them through the
//! [`Chain`] of stages. It keeps the [clock](Clock) right, measures what is missing between two
//! sessions, repairs samples that are not numbers, judges whether there is sound at all, and
//! reports to the [status](Status).

mod chain;
mod features;
mod level;
mod pump;
mod recogniser;
mod track;

pub use chain::Chain;
pub(crate) use pump::repair;
pub use recogniser::Observer;
#[cfg(feature = "evaluate")]
pub(crate) use recogniser::until;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::capture::{Hearing, Source};
use crate::clips::RecentSound;
use crate::clock::Clock;
use crate::decide::{Rules, Transition};
use crate::error::{Error, Result};
use crate::live::Tap;
use crate::status::Status;
use pump::Pump;

/// What the worker shares with the other threads.
#[derive(Debug, Clone)]
pub struct WorkerShared {
    /// From stream time to the wall clock's.
    pub clock: Arc<Clock>,
    /// Figures.
    pub status: Arc<Status>,
    /// How the source is doing.
    pub hearing: Arc<Hearing>,
    /// What is heard, for viewers.
    pub tap: Tap,
    /// Rules that are to hold from now on; the worker takes them between two pulses.
    pub new_rules: Arc<Mutex<Option<Rules>>>,
    /// The last seconds, where clips are kept.
    pub recent: Option<Arc<RecentSound>>,
}

impl WorkerShared {
    /// For a source called `name`, whose stream begins now.
    pub fn of(name: &str) -> Self {
        WorkerShared {
            clock: Arc::new(Clock::starting_now()),
            status: Arc::default(),
            hearing: Arc::new(Hearing::of(name)),
            tap: Tap::default(),
            new_rules: Arc::default(),
            recent: None,
        }
    }

    /// Has the worker go on under `rules`.
    pub fn set_rules(&self, rules: Rules) {
        *self.new_rules.lock().unwrap_or_else(PoisonError::into_inner) = Some(rules);
    }

    fn take_rules(&self) -> Option<Rules> {
        self.new_rules.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The worker thread of a running stream.
pub struct Worker {
    thread: JoinHandle<Result<()>>,
}

impl Worker {
    /// Starts the worker. It ends, after closing all open events, when the source does or when
    /// `stop` is set. Onsets and offsets go to `on_transition`, in the order of their confirmation,
    /// on the worker's thread.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn spawn(
        source: Source,
        chain: Chain,
        shared: WorkerShared,
        stop: Arc<AtomicBool>,
        mut on_transition: impl FnMut(Transition) + Send + 'static,
    ) -> Result<Self> {
        let thread = thread::Builder::new()
            .name("worker".to_string())
            .spawn(move || run(source, chain, &shared, &stop, &mut on_transition))
            .map_err(Error::io("cannot start the worker thread"))?;
        Ok(Worker { thread })
    }

    /// Whether the worker has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the worker to end.
    ///
    /// # Errors
    ///
    /// What ended it: the source's error or the network's. Being stopped and the end of a file are
    /// none.
    pub fn join(self) -> Result<()> {
        let panicked = |_| Err(Error::Thread { thread: "worker", reason: "panicked".to_string() });
        self.thread.join().unwrap_or_else(panicked)
    }
}

/// The worker's work, on the calling thread: everything from `source` through `chain`, to its end
/// or until `stop` is set.
///
/// # Errors
///
/// As [`Worker::join`].
pub fn run(
    mut source: Source,
    chain: Chain,
    shared: &WorkerShared,
    stop: &AtomicBool,
    on_transition: &mut dyn FnMut(Transition),
) -> Result<()> {
    let mut pump = Pump::new(chain, shared, source.gain);
    let mut result = Ok(());
    while let (Ok(()), Some(mut session)) = (&result, source.next_session(stop)) {
        result = pump.session(&mut session, &source, stop, on_transition);
        // Before its ring closes: a program fails when it can write no more, which is no fault of
        // it.
        if result.is_err() || stop.load(Ordering::Relaxed) {
            source.stop();
        }
        drop(session);
        result = result.and(pump.chain.finish());
        pump.chain.transitions().for_each(&mut *on_transition);
        if let Some(recent) = &shared.recent {
            recent.end();
        }
    }
    // The source is asked even if the network failed: its thread has to end.
    let result = result.and(source.finish());
    let name = shared.hearing.name();
    tracing::info!(
        source = name,
        "{name}: the stream has ended; its figures, as in the health message: {}",
        shared.status.snapshot().to_json()
    );
    // So that it is reported now, and not when the last of several sources has ended.
    if !stop.load(Ordering::Relaxed) {
        shared.hearing.ended(result.as_ref().err());
    }
    result
}

#[cfg(test)]
mod tests;
