//! The spool's file: drafts enter, records leave in the order in which they came, and are removed by their numbers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, params};

use super::{Limits, Result, rescue};
use crate::event::{Event, Phase};

/// Pages of the database that are kept in memory, KiB.
const CACHE_KIB: i32 = 256;

/// Before this moment a machine's clock was not set: that an event is of such a time does not make it too old.
const CLOCK_IS_SET: &str = "2025-01-01T00:00:00Z";

/// `seq` never repeats, also when the spool was empty in between: an acknowledgement that comes late cannot meet another event.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        topic TEXT NOT NULL,
        payload TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS open (
        id TEXT PRIMARY KEY,
        alive_ms INTEGER NOT NULL,
        payload TEXT NOT NULL
    );";

/// An event that is to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Where it is to be published.
    pub topic: String,
    /// The event.
    pub event: Event,
    /// [`Event::to_json`].
    pub payload: String,
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the spool; `None` for one that only memory holds.
    pub seq: Option<i64>,
    /// Where it is to be published.
    pub topic: String,
    /// The JSON object.
    pub payload: String,
}

/// An open spool. No other process can open it meanwhile.
#[derive(Debug)]
pub struct Spool {
    connection: Connection,
    path: PathBuf,
    limits: Limits,
    n_events: u64,
    n_bytes: u64,
    n_dropped: u64,
    /// Number of the newest event there has been.
    last_seq: i64,
    /// Number of the newest event that was dropped.
    dropped_to: i64,
    /// Events that have begun and not ended.
    n_open: u64,
}

impl Spool {
    /// Opens the spool at `path`, or makes one, in a folder that is made if need be. A file that is damaged is set aside, and what can
    /// be read of it goes into a new one.
    ///
    /// Numbers begin above `above`, so that they mean nothing else than in a file that was there before.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or made, or another process has it.
    pub fn open(path: &Path, limits: Limits, above: i64) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match Self::open_sound(path, limits, above) {
            Err(error) if error.is_damage() => {
                let found = rescue::set_aside(path)?;
                tracing::error!(
                    spool = %path.display(), kept_as = %found.kept_as.display(), n_rescued = found.records.len(),
                    "the spool is damaged ({}): a new one is begun, with what could be read of the old one: {} events; it is kept as {}",
                    crate::error::one_line(&error),
                    found.records.len(),
                    found.kept_as.display()
                );
                let mut spool = Self::open_sound(path, limits, above)?;
                spool.restore(&found)?;
                Ok(spool)
            }
            result => result,
        }
    }

    fn open_sound(path: &Path, limits: Limits, above: i64) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // A daemon that was killed leaves its lock for a moment.
        connection.busy_timeout(Duration::from_secs(2))?;
        // Exclusive before the log is begun: then the log's index stays in memory, and there is no third file.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        rescue::check(&connection)?;
        connection.execute_batch(SCHEMA)?;
        let n_events = number(&connection, "SELECT count(*) FROM event")?;
        let n_bytes = number(&connection, "SELECT coalesce(sum(length(CAST(payload AS BLOB))), 0) FROM event")?;
        let newest = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'";
        let mut last_seq = connection.query_row(newest, [], |row| row.get(0))?;
        if last_seq < above {
            last_seq = above;
            connection.execute("DELETE FROM sqlite_sequence WHERE name = 'event'", [])?;
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?1)", [above])?;
        }
        let n_open = number(&connection, "SELECT count(*) FROM open")?;
        let path = path.to_path_buf();
        Ok(Spool { connection, path, limits, n_events, n_bytes, n_dropped: 0, last_seq, dropped_to: 0, n_open })
    }

    fn restore(&mut self, found: &rescue::Found) -> Result<()> {
        let transaction = self.connection.transaction()?;
        for (at_ms, topic, payload) in &found.records {
            self.last_seq = insert(&transaction, *at_ms, topic, payload)?;
            self.n_events += 1;
            self.n_bytes += payload.len() as u64;
        }
        for (id, alive_ms, payload) in &found.open {
            transaction.execute("INSERT OR REPLACE INTO open VALUES (?1, ?2, ?3)", params![id, alive_ms, payload])?;
        }
        self.n_open = found.open.len() as u64;
        Ok(transaction.commit()?)
    }

    /// Keeps `drafts`, all of them or, with an error, none. When it returns they are on the disk.
    ///
    /// # Errors
    ///
    /// For example when the disk is full.
    pub fn append(&mut self, drafts: &[Draft], now: Timestamp) -> Result<()> {
        let now_ms = now.as_millisecond();
        let transaction = self.connection.transaction()?;
        let (mut last_seq, mut n_bytes) = (self.last_seq, 0);
        for Draft { topic, event, payload } in drafts {
            last_seq = insert(&transaction, now_ms, topic, payload)?;
            n_bytes += payload.len() as u64;
            let id = event.id.to_string();
            match event.phase {
                Phase::Onset => {
                    transaction.execute("INSERT OR REPLACE INTO open VALUES (?1, ?2, ?3)", params![id, now_ms, payload])
                }
                Phase::Offset => transaction.execute("DELETE FROM open WHERE id = ?1", [id]),
            }?;
        }
        let n_open = number(&transaction, "SELECT count(*) FROM open")?;
        transaction.commit()?;
        (self.last_seq, self.n_open) = (last_seq, n_open);
        self.n_events += drafts.len() as u64;
        self.n_bytes += n_bytes;
        self.drop_excess(now)
    }

    /// The `n` oldest events behind the number `seq`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn after(&self, seq: i64, n: usize) -> Result<Vec<Record>> {
        if seq >= self.last_seq {
            return Ok(Vec::new());
        }
        let query = "SELECT seq, topic, payload FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let mut statement = self.connection.prepare_cached(query)?;
        let record =
            |row: &rusqlite::Row<'_>| Ok(Record { seq: Some(row.get(0)?), topic: row.get(1)?, payload: row.get(2)? });
        let records = statement.query_map(params![seq, n as i64], record)?.collect::<rusqlite::Result<_>>()?;
        Ok(records)
    }

    /// Forgets the event with the number `seq`: the broker has it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The event stays, and will be sent again.
    pub fn remove(&mut self, seq: i64) -> Result<()> {
        self.remove_where("seq = ?1", seq).map(drop)
    }

    /// Removes the events for which `condition` holds, and returns how many there were.
    fn remove_where(&mut self, condition: &str, value: i64) -> Result<u64> {
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let removed = (|| {
            let query = format!("DELETE FROM event WHERE {condition} RETURNING length(CAST(payload AS BLOB))");
            let mut statement = self.connection.prepare_cached(&query)?;
            let lengths = statement.query_map([value], |row| row.get(0))?;
            lengths.collect::<rusqlite::Result<Vec<i64>>>()
        })();
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let lengths = removed?;
        self.n_events -= lengths.len() as u64;
        self.n_bytes -= lengths.iter().sum::<i64>() as u64;
        Ok(lengths.len() as u64)
    }

    /// Drops the oldest events until the limits are kept, but never the newest one.
    fn drop_excess(&mut self, now: Timestamp) -> Result<()> {
        let is_set = CLOCK_IS_SET.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond);
        let oldest_ms = now.as_millisecond().saturating_sub(self.limits.max_age.as_millis() as i64);
        let too_old = "SELECT coalesce(max(seq), 0) FROM event WHERE at_ms < ?1 AND at_ms >= ?2";
        let too_old = self.connection.query_row(too_old, [oldest_ms, is_set], |row| row.get(0))?;
        let mut drop_to: i64 = too_old;
        if self.n_bytes > self.limits.max_bytes {
            // The bytes of an event and of all that came behind it exceed the limit.
            let too_many = "SELECT coalesce(max(seq), 0) FROM (
                SELECT seq, sum(length(CAST(payload AS BLOB))) OVER (ORDER BY seq DESC) AS n_bytes FROM event
            ) WHERE n_bytes > ?1";
            let max_bytes = self.limits.max_bytes as i64;
            drop_to =
                self.connection.query_row(too_many, [max_bytes], |row| row.get(0)).map(|seq: i64| seq.max(drop_to))?;
        }
        let drop_to = drop_to.min(self.last_seq - 1);
        if drop_to > self.dropped_to {
            let n = self.remove_where("seq <= ?1", drop_to)?;
            self.dropped_to = drop_to;
            self.n_dropped += n;
            tracing::warn!(
                n,
                in_all = self.n_dropped,
                "the broker is away for too long: the {n} oldest events are dropped, {} in all",
                self.n_dropped
            );
        }
        Ok(())
    }

    /// Says that the open events went on until now. Written only if there are any.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn keep_alive(&mut self, now: Timestamp) -> Result<()> {
        if self.n_open > 0 {
            self.connection.execute("UPDATE open SET alive_ms = ?1", [now.as_millisecond()])?;
        }
        Ok(())
    }

    /// The offsets that a daemon that died owes: of every event that had begun, at the last time it was known to go on. To be
    /// published, and thereby kept; until then they are owed.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn interrupted(&mut self) -> Result<Vec<Event>> {
        let open = self.open_events()?;
        let (mut ended, mut strange) = (Vec::new(), Vec::new());
        for (id, alive_ms, payload) in open {
            let alive = Timestamp::from_millisecond(alive_ms).unwrap_or(Timestamp::MIN);
            match Event::from_json(&payload) {
                Ok(event) => ended.push(event.ended_at(alive)),
                Err(error) => {
                    tracing::error!(spool = %self.path.display(), id, %error, "an open event cannot be read: {error}");
                    strange.push(id);
                }
            }
        }
        for id in strange {
            self.connection.execute("DELETE FROM open WHERE id = ?1", [id])?;
        }
        Ok(ended)
    }

    fn open_events(&self) -> rusqlite::Result<Vec<(String, i64, String)>> {
        let mut statement = self.connection.prepare("SELECT id, alive_ms, payload FROM open ORDER BY id")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    }

    /// The file and its limits.
    pub(super) fn place(&self) -> (PathBuf, Limits) {
        (self.path.clone(), self.limits)
    }

    /// Events in it.
    pub fn n_events(&self) -> u64 {
        self.n_events
    }

    /// Bytes of their payloads.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Events dropped to keep the limits, since it was opened.
    pub fn n_dropped(&self) -> u64 {
        self.n_dropped
    }

    /// Number of the newest event that was dropped; those below are gone, too.
    pub(super) fn dropped_to(&self) -> i64 {
        self.dropped_to
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// What `query` counts.
fn number(connection: &Connection, query: &str) -> rusqlite::Result<u64> {
    connection.query_row(query, [], |row| row.get::<_, i64>(0)).map(|n| n as u64)
}

/// Adds a row and returns its number.
fn insert(connection: &Connection, at_ms: i64, topic: &str, payload: &str) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached("INSERT INTO event (at_ms, topic, payload) VALUES (?1, ?2, ?3)")?;
    statement.insert(params![at_ms, topic, payload])
}
