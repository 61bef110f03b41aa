//! A damaged journal: the file is set aside, and what can still be read of it is returned.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row};

use super::Record;
use super::files::with_suffix;
use super::moment::Moment;
use super::query::{COLUMNS, record};
use super::trouble::Result;

/// What could be read of a damaged journal.
pub(super) struct Found {
    /// Where the damaged file is now.
    pub(super) kept_as: PathBuf,
    /// In order.
    pub(super) records: Vec<Kept>,
    /// How far each sink had acknowledged.
    pub(super) cursors: Vec<(String, i64)>,
    /// Id, last sign of life and payload of events that had not ended.
    pub(super) open: Vec<(String, i64, String)>,
}

/// A record and when it was written down.
pub(super) struct Kept {
    pub(super) record: Record,
    pub(super) moment: Moment,
}

/// Checks the database for damage.
pub(super) fn check(connection: &Connection) -> rusqlite::Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => {
            Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(verdict)))
        }
    }
}

/// Moves the journal at `path`, and its log, out of the way, and reads of it what can be read.
///
/// # Errors
///
/// When the files cannot be moved.
pub(super) fn set_aside(path: &Path) -> Result<Found> {
    let kept_as = with_suffix(path, &format!(".damaged-{}", Timestamp::now().as_millisecond()));
    std::fs::rename(path, &kept_as)?;
    for suffix in ["-wal", "-shm"] {
        let file = with_suffix(path, suffix);
        if file.exists() {
            std::fs::rename(&file, with_suffix(&kept_as, suffix))?;
        }
    }
    let mut found = Found { kept_as, records: Vec::new(), cursors: Vec::new(), open: Vec::new() };
    if let Ok(connection) = Connection::open_with_flags(&found.kept_as, OpenFlags::SQLITE_OPEN_READ_WRITE) {
        found.records = records(&connection);
        // A damaged payload must not reach the sinks as an event.
        found.records.retain(|kept| serde_json::from_str::<serde_json::Map<_, _>>(&kept.record.payload).is_ok());
        found.cursors = readable(&connection, "SELECT sink, seq FROM cursor", |row| Ok((row.get(0)?, row.get(1)?)));
        let open = "SELECT id, alive_ms, payload FROM open";
        found.open = readable(&connection, open, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    }
    Ok(found)
}

/// The records that can be read, in order.
pub(super) fn records(connection: &Connection) -> Vec<Kept> {
    let events = format!("SELECT {COLUMNS}, at_ms, boot, up_ms FROM event ORDER BY seq");
    readable(connection, &events, |row| {
        let record = record(row)?;
        let wall = Timestamp::from_millisecond(row.get(4)?).unwrap_or(Timestamp::UNIX_EPOCH);
        let uptime = Duration::from_millis(row.get::<_, i64>(6)?.max(0) as u64);
        Ok(Kept { record, moment: Moment { wall, uptime, boot: row.get(5)? } })
    })
}

/// The rows of `query` up to the first that cannot be reached. Single rows that cannot be read are
/// passed over.
fn readable<T>(connection: &Connection, query: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
    let mut all = Vec::new();
    let Ok(mut statement) = connection.prepare(query) else { return all };
    let Ok(mut rows) = statement.query([]) else { return all };
    while let Ok(Some(row)) = rows.next() {
        all.extend(read(row));
    }
    all
}
