//! The tables of the journal's file, and how those of earlier versions become today's.

use rusqlite::{Connection, params};

use super::trouble::{Result, Trouble};
use crate::event::Event;

/// `PRAGMA user_version` of the tables below. The spool of earlier versions had 0.
pub(super) const VERSION: i64 = 1;

/// `event` holds what was reported, in the order of `seq`, with the moment by both clocks: `at_ms`
/// since 1970, and `up_ms` since the start of the machine that `boot` stands for. `event_at` is for
/// queries by time, which the page makes every few seconds. `cursor` holds
/// how far each sink has acknowledged; `open` the onsets whose offsets are still to come; `memo`
/// what a sink must know when it starts again.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS event (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        boot INTEGER NOT NULL,
        up_ms INTEGER NOT NULL,
        device TEXT NOT NULL,
        label TEXT NOT NULL,
        payload TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS event_at ON event (at_ms);
    CREATE TABLE IF NOT EXISTS cursor (
        sink TEXT PRIMARY KEY,
        seq INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS open (
        id TEXT PRIMARY KEY,
        alive_ms INTEGER NOT NULL,
        payload TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS memo (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    );";

/// Whether the tables are those of a journal, of any version, or there are none yet.
pub(super) fn check(connection: &Connection) -> Result<()> {
    let others = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
        AND name NOT IN ('event', 'cursor', 'open', 'memo', 'spool')";
    match connection.query_row(others, [], |row| row.get::<_, i64>(0))? {
        0 => Ok(()),
        _ => Err(Trouble::Foreign),
    }
}

/// Makes the tables, or today's out of those of an earlier version: of what waited in a spool,
/// `sink` has acknowledged nothing.
pub(super) fn prepare(connection: &mut Connection, sink: &str) -> Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Err(Trouble::Newer { version });
    }
    let transaction = connection.transaction()?;
    let tables = "SELECT count(*) FROM pragma_table_info('event') WHERE name = 'topic'";
    let is_spool: i64 = transaction.query_row(tables, [], |row| row.get(0))?;
    if is_spool > 0 {
        transaction.execute_batch("ALTER TABLE event RENAME TO spool")?;
    }
    transaction.execute_batch(TABLES)?;
    if is_spool > 0 {
        let rows = {
            let mut statement = transaction.prepare("SELECT seq, at_ms, payload FROM spool ORDER BY seq")?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?));
            statement.query_map([], row)?.collect::<rusqlite::Result<Vec<(i64, i64, String)>>>()?
        };
        let before = rows.first().map_or(0, |(seq, ..)| seq - 1);
        for (seq, at_ms, payload) in rows {
            // What is not an event would be none for its reader, either.
            let Ok(event) = Event::from_json(&payload) else { continue };
            let query = "INSERT INTO event VALUES (?1, ?2, 0, 0, ?3, ?4, ?5)";
            transaction.execute(query, params![seq, at_ms, event.device, event.label, payload])?;
        }
        transaction.execute("INSERT INTO cursor VALUES (?1, ?2)", params![sink, before])?;
        transaction.execute_batch("DROP TABLE spool")?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}
