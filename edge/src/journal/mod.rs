//! The journal: events enter once, on the thread that collects them, and every sink reads them from
//! there at its own pace, with a [`Cursor`] of its own.
//!
//! # What is promised
//!
//! [`Journal::append`] returns when its events are on the disk: SQLite, write-ahead log, one
//! transaction and one `fsync` per call (`synchronous = FULL`). So an event that a sink has seen
//! survives the daemon's death and a power cut. A sink that is [kept](Start::Kept) gets each event
//! at least once, in order: it goes on after the last one that it has acknowledged, in the next
//! process, too. How far it is is not synchronised (`synchronous = NORMAL`): should that be lost,
//! some events are delivered once more, with their ids.
//!
//! A sink that is slow or away holds up neither the others nor the recognition. What it has not
//! taken waits, within the limits of size and age; what these drop is counted and reported.
//!
//! Without a file, and while a disk fails, events are kept in memory, up to [`QUEUE_EVENTS`] of
//! them.
//!
//! The journal also knows which events have begun and not ended. What is open when it is opened was
//! left so by a daemon that died: [`Journal::interrupted`] are the ends of these, at the last time
//! that they were known to go on. Events stay for a configured time after every sink has them, for
//! [`Journal::events`] and [`read`].

mod cursor;
mod database;
mod dispatch;
mod files;
mod limits;
mod lookup;
mod moment;
mod query;
mod rescue;
mod retention;
mod schema;
mod settings;
mod store;
mod trouble;

pub use cursor::{Cursor, Gauge};
pub use settings::{JournalPlace, JournalSettings};

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use self::moment::Moment;
use self::store::Store;
use crate::event::Event;
use crate::fault::Fault;

/// Events that are kept in memory where there is no disk: some hours of a busy room, about 5 MB.
pub const QUEUE_EVENTS: usize = 10_000;

/// The sink whose events an earlier version's spool holds.
pub const MQTT: &str = "mqtt";

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Counts up from one record to the next; sinks acknowledge by it.
    pub seq: i64,
    /// Name of the source, as in the event.
    pub device: String,
    /// The event's label.
    pub label: String,
    /// The event's JSON object, [`Event::to_json`].
    pub payload: String,
}

/// Where a sink begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After the last record that it has acknowledged, in an earlier process, too.
    Kept,
    /// With what comes from now on.
    Now,
}

/// Which events are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Not those that were written down earlier.
    pub since: Option<Timestamp>,
    /// Only those of sounds that began before this, whenever they were written down.
    pub until: Option<Timestamp>,
    /// Only those of this label.
    pub label: Option<String>,
    /// Only those of this source.
    pub source: Option<String>,
    /// At most this many, the newest.
    pub limit: Option<usize>,
}

/// What occurs in a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The labels of its events, in order.
    pub labels: Vec<String>,
    /// The sources of its events, in order.
    pub sources: Vec<String>,
}

/// What a sink has not acknowledged, and what it has lost since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Events.
    pub n_events: u64,
    /// Bytes of their payloads.
    pub n_bytes: u64,
    /// Events dropped because there were too many or they were too old.
    pub n_dropped: u64,
    /// Events that are on no disk and end with the process.
    pub n_in_memory: u64,
}

/// The journal of a daemon.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<JournalShared>,
}

#[derive(Debug)]
struct JournalShared {
    store: Mutex<Store>,
    changed: Condvar,
    n_wakes: AtomicU64,
}

/// Wakes the sinks that wait for records.
#[derive(Debug, Clone)]
pub struct Waker(Arc<JournalShared>);

impl Depth {
    /// Events that the next process will find on the disk.
    pub fn n_on_disk(&self) -> u64 {
        self.n_events.saturating_sub(self.n_in_memory)
    }
}

impl Journal {
    /// Opens the journal. `sinks` names all that will take part and are [kept](Start::Kept).
    ///
    /// A file that cannot be opened is no error: that is reported once, events are kept in memory,
    /// and it is tried again.
    pub fn open(settings: JournalSettings, sinks: &[&str]) -> Self {
        let store = Mutex::new(Store::open(settings, sinks));
        Journal { shared: Arc::new(JournalShared { store, changed: Condvar::new(), n_wakes: AtomicU64::new(0) }) }
    }

    /// The view of the sink `name`, which takes part from now on.
    pub fn reader(&self, name: &str, start: Start) -> Cursor {
        let sink = self.shared.lock().add_sink(name, start);
        Cursor { shared: Arc::clone(&self.shared), sink }
    }

    /// Takes `events`, in order. When it returns they are on the disk, or, where that failed, in
    /// memory.
    pub fn append(&self, events: &[Event]) {
        self.shared.lock().append(events, Moment::now());
        self.shared.changed.notify_all();
    }

    /// The offsets that a daemon that died owes: of every event that had begun and not ended, at
    /// the last time it was known to go on. To be appended.
    pub fn interrupted(&self) -> Vec<Event> {
        self.shared.lock().interrupted()
    }

    /// Is to be called every few seconds: notes until when open events go on.
    pub fn keep_alive(&self) {
        self.shared.lock().keep_alive(Moment::now());
        self.shared.changed.notify_all();
    }

    /// The events that `query` asks for, oldest first.
    pub fn events(&self, query: &Query) -> Vec<Record> {
        self.shared.lock().query(query)
    }

    /// What a sink has written down under `key`, in an earlier process, too. `None` where there is
    /// no disk.
    pub fn memo(&self, key: &str) -> Option<String> {
        self.shared.lock().memo(key)
    }

    /// Writes `value` down under `key`, where there is a disk.
    pub fn set_memo(&self, key: &str, value: &str) {
        self.shared.lock().set_memo(key, value);
    }

    /// Why events are kept in memory that should be on the disk, if they are.
    pub fn fault(&self) -> Option<Fault> {
        self.shared.lock().fault().cloned()
    }

    /// Whether events are kept in memory because nothing else was asked for.
    pub fn is_memory(&self) -> bool {
        self.shared.lock().is_memory()
    }

    /// Wakes the sinks that wait for records.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }
}

impl Waker {
    /// Lets every [`Cursor::wait`] return.
    pub fn wake(&self) {
        self.0.n_wakes.fetch_add(1, Relaxed);
        // With the lock, so that no thread is between looking and waiting.
        drop(self.0.lock());
        self.0.changed.notify_all();
    }
}

/// The events of the journal's file at `path` that `query` asks for, oldest first; the daemon may
/// be running.
///
/// # Errors
///
/// Why the file cannot be read.
pub fn read(path: &Path, query: &Query) -> Result<Vec<Record>, Fault> {
    query::read(path, query).map_err(|trouble| trouble.fault(path))
}

/// The labels and the sources that occur in the journal's file at `path`.
///
/// # Errors
///
/// Why the file cannot be read.
pub fn names(path: &Path) -> Result<Names, Fault> {
    query::names(path).map_err(|trouble| trouble.fault(path))
}

/// Looks at what is at `path`, which need not exist, and changes nothing.
///
/// # Errors
///
/// Why a daemon would keep events in memory, as far as it can be seen from outside.
pub fn check(path: &Path) -> Result<(), Fault> {
    query::check(path).map_err(|trouble| trouble.fault(path))
}

impl Record {
    fn new(seq: i64, event: &Event) -> Self {
        Record { seq, device: event.device.clone(), label: event.label.clone(), payload: event.to_json() }
    }
}

impl Query {
    fn matches(&self, record: &Record, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until || began_before(until, record))
            && self.label.as_ref().is_none_or(|label| *label == record.label)
            && self.source.as_ref().is_none_or(|source| *source == record.device)
    }
}

fn began_before(until: Timestamp, record: &Record) -> bool {
    Event::from_json(&record.payload).is_ok_and(|event| event.onset < until)
}

impl JournalShared {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, store: MutexGuard<'a, Store>, timeout: Duration) -> MutexGuard<'a, Store> {
        self.changed.wait_timeout(store, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    fn n_wakes(&self) -> u64 {
        self.n_wakes.load(Relaxed)
    }
}

#[cfg(test)]
mod tests;
