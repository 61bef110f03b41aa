//! The thread `clips`: what is complete in the [`RecentSound`] of each source enters, files of the
//! [`ClipFolder`] leave.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use super::recent_sound::Cut;
use super::trouble::fault;
use super::{ClipFolder, ClipSettings, RecentSound};
use crate::error::{Error, Result};
use crate::fault::{Fault, FaultLog};

/// How often the thread looks when nothing wakes it.
const LOOK: Duration = Duration::from_secs(1);

/// How often clips that have become too old are removed while no new ones come.
const TIDY: Duration = Duration::from_secs(600);

/// Clips of a running daemon.
pub struct Clips {
    shared: Arc<Shared>,
    thread: Thread,
    ended: Receiver<()>,
}

struct Shared {
    settings: ClipSettings,
    folder: ClipFolder,
    sources: Mutex<Vec<Arc<RecentSound>>>,
    gauge: ClipsGauge,
    is_ending: AtomicBool,
    deadline: Mutex<Option<Instant>>,
}

/// How the clips are doing, for any thread.
#[derive(Debug, Clone, Default)]
pub struct ClipsGauge(Arc<Gauge>);

#[derive(Debug, Default)]
struct Gauge {
    n_kept: AtomicU64,
    n_lost: AtomicU64,
    n_removed: AtomicU64,
    fault: Mutex<Option<Fault>>,
}

/// How the clips are doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClipsSnapshot {
    /// Clips written since the start.
    pub n_kept: u64,
    /// Clips that could not be written.
    pub n_lost: u64,
    /// Clips removed because there were too many or they were too old.
    pub n_removed: u64,
    /// Why clips are lost, if they are.
    pub fault: Option<Fault>,
}

impl Clips {
    /// Begins to keep clips. A folder that cannot be used is no error: that is reported, and tried
    /// again with each clip.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(settings: &ClipSettings) -> Result<Self> {
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            folder: ClipFolder::new(&settings.folder),
            sources: Mutex::default(),
            gauge: ClipsGauge::default(),
            is_ending: AtomicBool::new(false),
            deadline: Mutex::default(),
        });
        let (alive, ended) = mpsc::channel();
        let of_thread = Arc::clone(&shared);
        let handle = thread::Builder::new().name("clips".into()).spawn(move || {
            of_thread.run();
            drop(alive);
        });
        let thread = handle.map_err(Error::io("cannot start the clips thread"))?.thread().clone();
        Ok(Clips { shared, thread, ended })
    }

    /// Clips of the source `name`, too, whose sound comes to what is returned.
    pub fn listen_to(&self, name: &str) -> Arc<RecentSound> {
        let recent = RecentSound::new(name, &self.shared.settings, self.thread.clone());
        lock(&self.shared.sources).push(Arc::clone(&recent));
        recent
    }

    /// How they are doing.
    pub fn gauge(&self) -> ClipsGauge {
        self.shared.gauge.clone()
    }

    /// Writes what is left, until `deadline`, and ends the thread. One that is stuck ends with the
    /// process.
    pub fn finish(self, deadline: Instant) {
        *lock(&self.shared.deadline) = Some(deadline);
        self.shared.is_ending.store(true, Relaxed);
        self.thread.unpark();
        // Nothing is ever sent: the channel ends with the thread.
        let _ = self.ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl ClipsGauge {
    /// The figures now.
    pub fn snapshot(&self) -> ClipsSnapshot {
        let Gauge { n_kept, n_lost, n_removed, fault } = &*self.0;
        ClipsSnapshot {
            n_kept: n_kept.load(Relaxed),
            n_lost: n_lost.load(Relaxed),
            n_removed: n_removed.load(Relaxed),
            fault: lock(fault).clone(),
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut log = FaultLog::default();
        self.report_failure(self.folder.prepare().and_then(|()| self.tidy()), &mut log);
        let mut tidied = Instant::now();
        loop {
            let is_ending = self.is_ending.load(Relaxed);
            let sources = lock(&self.sources).clone();
            for source in sources {
                while let Some(cut) = source.take(is_ending) {
                    self.keep(&cut, &mut log);
                }
                self.gauge.0.n_lost.fetch_add(source.take_lost(), Relaxed);
            }
            if is_ending {
                return;
            }
            if tidied.elapsed() >= TIDY {
                tidied = Instant::now();
                self.report_failure(self.tidy(), &mut log);
            }
            thread::park_timeout(LOOK);
        }
    }

    fn keep(&self, cut: &Cut, log: &mut FaultLog) {
        let is_late = lock(&self.deadline).is_some_and(|deadline| Instant::now() > deadline);
        if is_late || cut.samples.is_empty() {
            self.gauge.0.n_lost.fetch_add(1, Relaxed);
            return;
        }
        match self.folder.keep(cut, &self.settings, Timestamp::now()) {
            Ok(n_removed) => {
                self.gauge.0.n_kept.fetch_add(1, Relaxed);
                self.gauge.0.n_removed.fetch_add(n_removed, Relaxed);
                self.report(Ok(()), log);
            }
            Err(error) => {
                self.gauge.0.n_lost.fetch_add(1, Relaxed);
                self.report(Err(error), log);
            }
        }
    }

    fn tidy(&self) -> std::io::Result<()> {
        let n_removed = self.folder.make_room(&self.settings, 0, Timestamp::now())?;
        self.gauge.0.n_removed.fetch_add(n_removed, Relaxed);
        Ok(())
    }

    /// As [`Shared::report`], of what succeeds on a full disk, too.
    fn report_failure(&self, result: std::io::Result<()>, log: &mut FaultLog) {
        if result.is_err() {
            self.report(result, log);
        }
    }

    /// Says that clips are lost, and that they are kept again.
    fn report(&self, result: std::io::Result<()>, log: &mut FaultLog) {
        let fault = result.err().map(|error| fault(self.folder.path(), &error));
        match &fault {
            Some(fault) => {
                if let Some(news) = log.occurred(fault) {
                    let (kind, suffix) = (fault.kind(), news.suffix());
                    tracing::warn!(kind, "{fault}; clips are lost, events are not{suffix}");
                }
            }
            None if log.recovered() => {
                tracing::info!("clips are kept again in {}", self.folder.path().display());
            }
            None => {}
        }
        *lock(&self.gauge.0.fault) = fault;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
