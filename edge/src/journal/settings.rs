//! Where events are kept and for how long, as validated settings.

use std::path::PathBuf;
use std::time::Duration;

/// Where events are kept and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSettings {
    /// The place.
    pub place: JournalPlace,
    /// Most bytes of events on the disk; the oldest are dropped.
    pub max_bytes: u64,
    /// Longest time that an event waits for a sink.
    pub max_age: Duration,
    /// How long an event is kept after every sink has it.
    pub keep: Duration,
}

/// Where events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalPlace {
    /// In memory, which is how it was configured, or nothing needs more.
    Memory,
    /// In memory, because this user has no folder for such a file.
    Nowhere,
    /// In this file.
    File {
        /// The file.
        file: PathBuf,
        /// Where earlier versions kept it: it becomes the new file if there is none yet.
        before: Option<PathBuf>,
    },
}

impl JournalSettings {
    /// A journal that ends with the process.
    pub fn in_memory() -> Self {
        JournalSettings {
            place: JournalPlace::Memory,
            max_bytes: 64_000_000,
            max_age: Duration::from_secs(30 * 86_400),
            keep: Duration::ZERO,
        }
    }
}
