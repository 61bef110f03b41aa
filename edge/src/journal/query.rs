//! Queries of the journal's file.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row, params};

use super::trouble::{Result, Trouble};
use super::{Names, Query, Record, files, schema};

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// The columns that make a [`Record`].
pub(super) const COLUMNS: &str = "seq, device, label, payload";

/// The events of the file at `path` that `query` asks for, oldest first, while a daemon may be
/// writing to it.
///
/// # Errors
///
/// When the file cannot be read, or is of another version.
pub(super) fn read(path: &Path, query: &Query) -> Result<Vec<Record>> {
    select(&open(path)?, query)
}

/// The labels and the sources of the events in the file at `path`.
///
/// # Errors
///
/// As [`read`].
pub(super) fn names(path: &Path) -> Result<Names> {
    let connection = open(path)?;
    let all = |column: &str| -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(&format!("SELECT DISTINCT {column} FROM event ORDER BY 1"))?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    Ok(Names { labels: all("label")?, sources: all("device")? })
}

/// The file at `path`, to be read alone.
fn open(path: &Path) -> Result<Connection> {
    files::check_kind(path)?;
    match open_shared(path) {
        // SQLite wants to write beside the file, for others who may read and write it. If this user
        // may not, and no writer has left a log, no one is writing.
        Err(trouble) if trouble.is_unopened() && !has_log(path) => open_alone(path).map_err(|_| trouble),
        result => result,
    }
}

fn open_shared(path: &Path) -> Result<Connection> {
    checked(Connection::open_with_flags(path, FLAGS)?)
}

fn open_alone(path: &Path) -> Result<Connection> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::path::absolute(path)?;
    let escaped = path.as_os_str().as_bytes().iter().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    let address = format!("file:{}?immutable=1", escaped.collect::<String>());
    checked(Connection::open_with_flags(address, FLAGS | OpenFlags::SQLITE_OPEN_URI)?)
}

fn checked(connection: Connection) -> Result<Connection> {
    connection.busy_timeout(Duration::from_secs(2))?;
    schema::check(&connection)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 if !connection.table_exists(None, "event")? => Err(Trouble::Foreign),
        schema::VERSION => Ok(connection),
        ..schema::VERSION => Err(Trouble::Older),
        _ => Err(Trouble::Newer { version }),
    }
}

/// Whether a writer's log lies beside the file.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_os_string();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
}

/// Looks at what is at `path`, which need not exist, and changes nothing.
///
/// # Errors
///
/// Why it cannot be opened.
pub(super) fn check(path: &Path) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        return Ok(());
    }
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
        Err(Trouble::Older) => Ok(()),
        result => result.map(drop),
    }
}

/// The events that `query` asks for, oldest first.
///
/// # Errors
///
/// When the file cannot be read.
pub(super) fn select(connection: &Connection, query: &Query) -> Result<Vec<Record>> {
    let since_ms = query.since.map_or(i64::MIN, Timestamp::as_millisecond);
    let mut statement = connection.prepare_cached(&newest_first())?;
    let mut rows = statement.query(params![since_ms, query.label, query.source])?;
    let (mut records, limit) = (Vec::new(), query.limit.unwrap_or(usize::MAX));
    while records.len() < limit
        && let Some(row) = rows.next()?
    {
        let (record, at) = (record(row)?, Timestamp::from_millisecond(row.get(4)?));
        if query.matches(&record, at.unwrap_or(Timestamp::UNIX_EPOCH)) {
            records.push(record);
        }
    }
    records.reverse();
    Ok(records)
}

/// The events since a time, of a label and a source. The inner query reads the index alone.
pub(super) fn newest_first() -> String {
    format!(
        "SELECT {COLUMNS}, at_ms FROM event
        WHERE seq IN (SELECT seq FROM event WHERE at_ms >= ?1)
            AND (?2 IS NULL OR label = ?2) AND (?3 IS NULL OR device = ?3)
        ORDER BY seq DESC"
    )
}

/// The record of a row of [`COLUMNS`].
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record { seq: row.get(0)?, device: row.get(1)?, label: row.get(2)?, payload: row.get(3)? })
}
