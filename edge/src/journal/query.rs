//! What the journal's file holds, for who asks.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row, params};

use super::trouble::{Result, Trouble};
use super::{Query, Record, schema};

/// The columns that make a [`Record`].
pub(super) const COLUMNS: &str = "seq, device, label, payload";

/// The events of the file at `path` that `query` asks for, oldest first, while a daemon may be
/// writing to it.
///
/// # Errors
///
/// When the file cannot be read, or is of another version.
pub(super) fn read(path: &Path, query: &Query) -> Result<Vec<Record>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        schema::VERSION => select(&connection, query),
        _ => Err(Trouble::Newer { version }),
    }
}

/// Looks at what is at `path`, which need not exist, and changes nothing.
///
/// # Errors
///
/// Why it cannot be opened.
pub(super) fn check(path: &Path) -> Result<()> {
    if !path.exists() {
        let mut folders = path.ancestors().skip(1).filter(|folder| folder.exists());
        return match folders.next() {
            Some(folder) if !folder.is_dir() => Err(io::Error::from(io::ErrorKind::NotADirectory).into()),
            _ => Ok(()),
        };
    }
    let none = Query { limit: Some(0), ..Query::default() };
    match read(path, &none) {
        // It is set aside, and what can be read of it is kept.
        Err(trouble) if trouble.is_damage() => Ok(()),
        // An earlier version's becomes one of this version.
        Err(Trouble::Newer { version }) if version < schema::VERSION => Ok(()),
        result => result.map(drop),
    }
}

/// The events that `query` asks for, oldest first.
///
/// # Errors
///
/// When the file cannot be read.
pub(super) fn select(connection: &Connection, query: &Query) -> Result<Vec<Record>> {
    let statement = format!(
        "SELECT * FROM (
            SELECT {COLUMNS} FROM event
            WHERE (?1 IS NULL OR at_ms >= ?1) AND (?2 IS NULL OR label = ?2) AND (?3 IS NULL OR device = ?3)
            ORDER BY seq DESC LIMIT ?4
        ) ORDER BY seq"
    );
    let mut statement = connection.prepare_cached(&statement)?;
    let since_ms = query.since.map(Timestamp::as_millisecond);
    let limit = query.limit.map_or(-1, |limit| limit as i64);
    let records = statement.query_map(params![since_ms, query.label, query.source, limit], record)?;
    Ok(records.collect::<rusqlite::Result<_>>()?)
}

/// The record of a row of [`COLUMNS`].
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record { seq: row.get(0)?, device: row.get(1)?, label: row.get(2)?, payload: row.get(3)? })
}
