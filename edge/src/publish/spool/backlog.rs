//! What the broker has not acknowledged: drafts enter on the publishing thread, records leave in the order in which they
//! were published, acknowledgements come back on the sink's thread. Plain state behind the sink's mutex.
//!
//! Where a disk cannot take an event, memory holds it, behind everything that is on the disk; with the next events the disk is
//! tried again.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Depth, Draft, Limits, Record, Spool, Trouble};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::publish::QUEUE_EVENTS;

/// A spool that could not be opened or written is tried again no more often than this.
const RETRY: Duration = Duration::from_secs(5);

/// The queue in front of a broker.
#[derive(Debug)]
pub struct Backlog {
    spool: Place,
    /// What the disk did not take, oldest first.
    memory: VecDeque<Draft>,
    /// Number of the newest record that was handed out.
    handed_to: i64,
    n_dropped: u64,
    /// The failure that was logged last.
    failure: Option<String>,
    retry_at: Option<Instant>,
}

#[derive(Debug)]
enum Place {
    Open(Spool),
    /// Not open, for now.
    Closed {
        path: PathBuf,
        limits: Limits,
    },
    /// Events are to be kept in memory only.
    Memory,
}

impl Backlog {
    /// A queue on the spool at `path`.
    ///
    /// A disk that is full is no error: the events stay in memory until it has room.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for any other reason.
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        let mut backlog = Backlog::in_memory();
        backlog.spool = match Spool::open(path, limits, 0) {
            Ok(spool) => Place::Open(spool),
            Err(trouble) if trouble.is_of_the_disk() => {
                backlog.failed(&trouble);
                Place::Closed { path: path.to_path_buf(), limits }
            }
            Err(trouble) => return Err(Error::usage("mqtt.spool", format!("{}: {trouble}", path.display()))),
        };
        Ok(backlog)
    }

    /// A queue that ends with the process.
    pub fn in_memory() -> Self {
        Backlog {
            spool: Place::Memory,
            memory: VecDeque::new(),
            handed_to: 0,
            n_dropped: 0,
            failure: None,
            retry_at: None,
        }
    }

    /// The offsets that a daemon that died owes: of every event that had begun and not ended, at the last time it was known to
    /// go on. To be published.
    pub fn interrupted(&mut self) -> Vec<Event> {
        let Place::Open(spool) = &mut self.spool else { return Vec::new() };
        match spool.interrupted() {
            Ok(events) => events,
            Err(trouble) => {
                self.failed(&trouble);
                Vec::new()
            }
        }
    }

    /// Takes `drafts`, in order. When it returns they are on the disk, or, where that failed, in memory.
    pub fn push(&mut self, drafts: Vec<Draft>) {
        self.memory.extend(drafts);
        let is_due = self.retry_at.is_none_or(|at| Instant::now() >= at);
        if is_due && !matches!(self.spool, Place::Memory) {
            self.flush();
        }
        while self.memory.len() > QUEUE_EVENTS {
            self.memory.pop_front();
            self.n_dropped += 1;
            if self.n_dropped.is_power_of_two() {
                tracing::warn!(
                    n_dropped = self.n_dropped,
                    "no room for more events in memory, the oldest are dropped: {} so far",
                    self.n_dropped
                );
            }
        }
    }

    /// Writes what memory holds.
    fn flush(&mut self) {
        match self.try_flush() {
            Ok(()) => {
                if self.failure.take().is_some() {
                    tracing::info!("the spool works again");
                }
                self.retry_at = None;
            }
            Err(trouble) => self.failed(&trouble),
        }
    }

    fn try_flush(&mut self) -> super::Result<()> {
        if let Place::Closed { path, limits } = &self.spool {
            self.spool = Place::Open(Spool::open(path, *limits, self.handed_to)?);
        }
        if let Place::Open(spool) = &mut self.spool
            && !self.memory.is_empty()
        {
            spool.append(self.memory.make_contiguous(), Timestamp::now())?;
            self.memory.clear();
        }
        Ok(())
    }

    /// Says why the disk does not take events, once for each reason. A damaged file is closed: opening it again mends it.
    fn failed(&mut self, trouble: &Trouble) {
        let text = crate::error::one_line(trouble);
        if self.failure.as_ref() != Some(&text) {
            tracing::error!("the spool fails ({text}): events are kept in memory until it works again");
            self.failure = Some(text);
        }
        self.retry_at = Some(Instant::now() + RETRY);
        if trouble.is_damage()
            && let Place::Open(spool) = &self.spool
        {
            let (path, limits) = spool.place();
            self.spool = Place::Closed { path, limits };
        }
    }

    /// The `n` records that come next.
    pub fn take(&mut self, n: usize) -> Vec<Record> {
        if let Place::Open(spool) = &self.spool {
            match spool.after(self.handed_to, n) {
                Ok(records) if !records.is_empty() => {
                    self.handed_to = records.iter().filter_map(|record| record.seq).fold(self.handed_to, i64::max);
                    return records;
                }
                Ok(_) => {}
                Err(trouble) => self.failed(&trouble),
            }
        }
        let n = n.min(self.memory.len());
        self.memory.drain(..n).map(|Draft { topic, payload, .. }| Record { seq: None, topic, payload }).collect()
    }

    /// The broker has the record with this number.
    pub fn acknowledged(&mut self, seq: i64) {
        if let Place::Open(spool) = &mut self.spool
            && let Err(trouble) = spool.remove(seq)
        {
            self.failed(&trouble);
        }
    }

    /// Whether the record is still wanted: the limits may have dropped it since it was handed out.
    pub fn is_kept(&self, record: &Record) -> bool {
        match (&self.spool, record.seq) {
            (Place::Open(spool), Some(seq)) => seq > spool.dropped_to(),
            _ => true,
        }
    }

    /// Says that open events go on, and tries a disk again that failed.
    pub fn keep_alive(&mut self, now: Timestamp) {
        if self.retry_at.is_some_and(|at| Instant::now() >= at) {
            self.flush();
        }
        if let Place::Open(spool) = &mut self.spool
            && let Err(trouble) = spool.keep_alive(now)
        {
            self.failed(&trouble);
        }
    }

    /// What there is, on disk and in memory.
    pub fn depth(&self) -> Depth {
        let n_in_memory = self.memory.len() as u64;
        let bytes_in_memory: usize = self.memory.iter().map(|draft| draft.payload.len()).sum();
        let (n_events, n_bytes, n_dropped) = match &self.spool {
            Place::Open(spool) => (spool.n_events(), spool.n_bytes(), spool.n_dropped()),
            Place::Closed { .. } | Place::Memory => (0, 0, 0),
        };
        Depth {
            n_events: n_events + n_in_memory,
            n_bytes: n_bytes + bytes_in_memory as u64,
            n_dropped: n_dropped + self.n_dropped,
            n_in_memory,
        }
    }

    /// A queue on an open spool.
    #[cfg(test)]
    pub(super) fn on(spool: Spool) -> Self {
        Backlog { spool: Place::Open(spool), ..Backlog::in_memory() }
    }

    #[cfg(test)]
    pub(super) fn spool(&self) -> &Spool {
        match &self.spool {
            Place::Open(spool) => spool,
            other => panic!("the spool is not open: {other:?}"),
        }
    }

    /// Tries a disk that failed, without waiting.
    #[cfg(test)]
    pub(super) fn retry_now(&mut self) {
        self.flush();
    }
}
