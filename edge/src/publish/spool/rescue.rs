//! A damaged spool: the file is set aside, and what can still be read of it leaves.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row};

use super::Result;

/// What could be read of a damaged spool.
pub(super) struct Found {
    /// Where the damaged file is now.
    pub(super) kept_as: PathBuf,
    /// When each event was kept, its topic and its payload; in order.
    pub(super) records: Vec<(i64, String, String)>,
    /// Id, last sign of life and payload of events that had not ended.
    pub(super) open: Vec<(String, i64, String)>,
}

/// Looks whether the database is sound.
pub(super) fn check(connection: &Connection) -> rusqlite::Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => {
            Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(verdict)))
        }
    }
}

/// Moves the spool at `path`, and its log, out of the way, and reads of it what can be read.
///
/// # Errors
///
/// When the files cannot be moved.
pub(super) fn set_aside(path: &Path) -> Result<Found> {
    let kept_as = with_suffix(path, &format!(".damaged-{}", Timestamp::now().as_millisecond()));
    std::fs::rename(path, &kept_as)?;
    let log = with_suffix(path, "-wal");
    if log.exists() {
        std::fs::rename(&log, with_suffix(&kept_as, "-wal"))?;
    }
    let mut found = Found { kept_as, records: Vec::new(), open: Vec::new() };
    if let Ok(connection) = Connection::open_with_flags(&found.kept_as, OpenFlags::SQLITE_OPEN_READ_WRITE) {
        let events = "SELECT at_ms, topic, payload FROM event ORDER BY seq";
        found.records = readable(&connection, events, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        // What is not an object any more would reach the broker as one.
        found.records.retain(|(_, _, payload)| serde_json::from_str::<serde_json::Map<_, _>>(payload).is_ok());
        let open = "SELECT id, alive_ms, payload FROM open";
        found.open = readable(&connection, open, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    }
    Ok(found)
}

/// The rows of `query` up to the first that cannot be reached. Single rows that cannot be read are passed over.
fn readable<T>(connection: &Connection, query: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
    let mut all = Vec::new();
    let Ok(mut statement) = connection.prepare(query) else { return all };
    let Ok(mut rows) = statement.query([]) else { return all };
    while let Ok(Some(row)) = rows.next() {
        all.extend(read(row));
    }
    all
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
