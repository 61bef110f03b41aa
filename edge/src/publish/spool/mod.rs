//! The spool: events enter on the thread that publishes, and stay on disk until the broker has acknowledged them.
//!
//! `Spool` is the file, [`Backlog`] the queue that the MQTT sink works off: what is on disk, in the order of publication, and
//! behind it, in memory, what a full or broken disk did not take.
//!
//! # What is promised
//!
//! [`Backlog::push`] returns when its events are on the disk: SQLite, write-ahead log, one transaction and one `fsync`
//! a call (`synchronous = FULL`). So an event that was published survives the daemon's death and a power cut. The removal of an
//! acknowledged event is not synchronised (`synchronous = NORMAL`): should it be lost, the event is sent once more, with its id.
//!
//! The spool also knows which events have begun and not ended. What is open when it is opened was left so by a daemon that died:
//! [`Backlog::interrupted`] are the ends of these, at the last time that they were known to go on.

mod backlog;
mod database;
mod rescue;

pub use backlog::Backlog;
use database::Spool;
pub use database::{Draft, Record};

use std::time::Duration;

use rusqlite::ErrorCode;

type Result<T> = std::result::Result<T, Trouble>;

/// Why the file cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] std::io::Error),
}

impl Trouble {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Trouble::Database(error) => error.sqlite_error_code(),
            Trouble::File(_) => None,
        }
    }

    /// Whether the file is no database, or a broken one.
    fn is_damage(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// Whether the disk is full or fails: that may pass, unlike a wrong path.
    fn is_of_the_disk(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
            || matches!(self, Trouble::File(error) if error.kind() == std::io::ErrorKind::StorageFull)
    }
}

/// What the spool may hold; the oldest events go first. What is dropped is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of payloads.
    pub max_bytes: u64,
    /// Longest time that an event is kept for.
    pub max_age: Duration,
}

/// What the spool holds and what it has lost since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Events that the broker has not acknowledged.
    pub n_events: u64,
    /// Bytes of their payloads.
    pub n_bytes: u64,
    /// Events dropped because there were too many or they were too old.
    pub n_dropped: u64,
    /// Events that the disk did not take and that only memory holds.
    pub n_in_memory: u64,
}

#[cfg(test)]
mod tests;
