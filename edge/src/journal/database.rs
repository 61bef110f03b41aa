//! The journal's file: events enter, records leave in the order in which they came.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row, params};
use uuid::Uuid;

use super::moment::Moment;
use super::query::{COLUMNS, record};
use super::trouble::Result;
use super::{Record, files, rescue, schema};
use crate::event::{Event, Phase};
use crate::identity::FileIdentity;

/// Pages of the database that are kept in memory, KiB.
const CACHE_KIB: i32 = 256;

/// A record that is to be kept, and what the file has to know of it.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) record: Arc<Record>,
    pub(super) moment: Moment,
    pub(super) id: Uuid,
    pub(super) phase: Phase,
}

/// An open file. No other daemon has it; other processes may read it.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    path: PathBuf,
    pub(super) n_bytes: u64,
    /// Number of the newest event that is in the file, or was acknowledged.
    last_seq: i64,
    /// Events that have begun and not ended.
    n_open: u64,
    identity: FileIdentity,
    /// Held for as long as this is open.
    _lock: File,
}

impl Database {
    /// Opens the file at `path`, or makes one, in a folder that is made if need be. A file that is
    /// damaged is set aside, and what can be read of it goes into a new one. `sink` is the one that
    /// events of an earlier version's spool are for.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or made, or another process has it.
    pub(super) fn open(path: &Path, sink: &str, patient: bool) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        files::check_kind(path)?;
        let lock = files::lock(path, patient)?;
        match Self::open_sound(path, sink, &lock) {
            Err(error) if error.is_damage() => {
                let found = rescue::set_aside(path)?;
                tracing::error!(
                    journal = %path.display(), kept_as = %found.kept_as.display(), n_rescued = found.records.len(),
                    "the journal is damaged ({}): a new one is begun with the events that could be read, {}; the \
                     damaged file is kept as {}",
                    crate::error::one_line(&error),
                    found.records.len(),
                    found.kept_as.display()
                );
                let mut database = Self::open_sound(path, sink, &lock)?;
                database.restore(&found)?;
                Ok(database)
            }
            result => result,
        }
    }

    fn open_sound(path: &Path, sink: &str, lock: &File) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        // Who reads it meanwhile does so in moments.
        connection.busy_timeout(Duration::from_secs(2))?;
        schema::check(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        rescue::check(&connection)?;
        schema::prepare(&mut connection, sink)?;
        let mut database = Database {
            connection,
            path: path.to_path_buf(),
            n_bytes: 0,
            last_seq: 0,
            n_open: 0,
            identity: fs::metadata(path)?.into(),
            _lock: lock.try_clone()?,
        };
        database.count()?;
        Ok(database)
    }

    /// Whether the file has been deleted, or another one has taken its name.
    pub(super) fn is_displaced(&self) -> bool {
        !fs::metadata(&self.path).is_ok_and(|metadata| FileIdentity::from(metadata) == self.identity)
    }

    /// The events after the number `seq`, from a file that has been deleted but is still open.
    pub(super) fn drafts_after(&self, seq: i64) -> Vec<Draft> {
        let draft = |kept: rescue::Kept| {
            let Event { id, phase, .. } = Event::from_json(&kept.record.payload).ok()?;
            Some(Draft { record: Arc::new(kept.record), moment: kept.moment, id, phase })
        };
        let kept = rescue::records(&self.connection).into_iter().filter(|kept| kept.record.seq > seq);
        kept.filter_map(draft).collect()
    }

    /// Number of the newest event in the file, 0 without any.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn newest(&self) -> Result<i64> {
        Ok(self.number("SELECT coalesce(max(seq), 0) FROM event")?)
    }

    fn count(&mut self) -> Result<()> {
        self.n_bytes = self.number("SELECT coalesce(sum(length(CAST(payload AS BLOB))), 0) FROM event")? as u64;
        self.n_open = self.number("SELECT count(*) FROM open")? as u64;
        self.last_seq = self.number(
            "SELECT max(coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT max(seq) FROM cursor), 0))",
        )?;
        Ok(())
    }

    fn number(&self, query: &str) -> rusqlite::Result<i64> {
        self.connection.query_row(query, [], |row| row.get(0))
    }

    fn restore(&mut self, found: &rescue::Found) -> Result<()> {
        let transaction = self.connection.transaction()?;
        for row in &found.records {
            let (moment, record) = (&row.moment, &row.record);
            insert(&transaction, record, *moment)?;
        }
        for (sink, seq) in &found.cursors {
            transaction.execute("INSERT OR REPLACE INTO cursor VALUES (?1, ?2)", params![sink, seq])?;
        }
        for (id, alive_ms, payload) in &found.open {
            transaction.execute("INSERT OR REPLACE INTO open VALUES (?1, ?2, ?3)", params![id, alive_ms, payload])?;
        }
        transaction.commit()?;
        self.count()
    }

    /// Renumbers what is in the file so that its last number is below `first`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn shift_below(&mut self, first: i64) -> Result<()> {
        let by = self.last_seq - first + 1;
        if by > 0 {
            let transaction = self.connection.transaction()?;
            // In two steps through numbers that no row has: a row must not meet another one's.
            let away = i64::MAX / 2;
            transaction.execute("UPDATE event SET seq = seq - ?1", [away])?;
            transaction.execute("UPDATE event SET seq = seq + ?1", [away - by])?;
            transaction.execute("UPDATE cursor SET seq = seq - ?1", [by])?;
            transaction.commit()?;
            self.last_seq -= by;
        }
        Ok(())
    }

    /// Keeps `drafts`, all of them or, with an error, none. When it returns they are on the disk.
    ///
    /// # Errors
    ///
    /// For example when the disk is full.
    pub(super) fn append<'a>(&mut self, drafts: impl Iterator<Item = &'a Draft>) -> Result<()> {
        let transaction = self.connection.transaction()?;
        let (mut last_seq, mut n_bytes) = (self.last_seq, 0);
        for Draft { record, moment, id, phase } in drafts {
            insert(&transaction, record, *moment)?;
            last_seq = last_seq.max(record.seq);
            n_bytes += record.payload.len() as u64;
            let (id, alive_ms) = (id.to_string(), moment.wall.as_millisecond());
            match phase {
                Phase::Onset => {
                    let values = params![id, alive_ms, record.payload];
                    transaction.execute("INSERT OR REPLACE INTO open VALUES (?1, ?2, ?3)", values)
                }
                Phase::Offset => transaction.execute("DELETE FROM open WHERE id = ?1", [id]),
            }?;
        }
        let n_open: i64 = transaction.query_row("SELECT count(*) FROM open", [], |row| row.get(0))?;
        transaction.commit()?;
        (self.last_seq, self.n_open) = (last_seq, n_open as u64);
        self.n_bytes += n_bytes;
        Ok(())
    }

    /// The `n` oldest records after the number `seq`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn after(&self, seq: i64, n: usize) -> Result<Vec<Record>> {
        if seq >= self.last_seq {
            return Ok(Vec::new());
        }
        let query = format!("SELECT {COLUMNS} FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        let mut statement = self.connection.prepare_cached(&query)?;
        Ok(statement.query_map(params![seq, n as i64], record)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Records after the number `seq`, and the bytes of their payloads.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn pending(&self, seq: i64) -> Result<(u64, u64)> {
        let query = "SELECT count(*), coalesce(sum(length(CAST(payload AS BLOB))), 0) FROM event WHERE seq > ?1";
        let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64));
        Ok(self.connection.query_row(query, [seq], row)?)
    }

    /// How far each sink has acknowledged.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn cursors(&self) -> Result<Vec<(String, i64)>> {
        let mut statement = self.connection.prepare("SELECT sink, seq FROM cursor")?;
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(statement.query_map([], row)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Notes how far `sink` has acknowledged. Not synchronised: should it be lost, the sink gets a
    /// record twice.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The records will be delivered again.
    pub(super) fn set_cursor(&mut self, sink: &str, seq: i64) -> Result<()> {
        self.relaxed(|connection| {
            let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO cursor VALUES (?1, ?2)")?;
            statement.execute(params![sink, seq]).map(drop)
        })
    }

    /// Forgets the sink.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn remove_cursor(&mut self, sink: &str) -> Result<()> {
        self.relaxed(|connection| connection.execute("DELETE FROM cursor WHERE sink = ?1", [sink]).map(drop))
    }

    /// Writes without waiting for the disk.
    pub(super) fn relaxed<T>(&mut self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let result = write(&self.connection);
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(result?)
    }

    /// Notes that the open events went on until now. Written only if there are any.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn keep_alive(&mut self, now: Timestamp) -> Result<()> {
        if self.n_open > 0 {
            self.connection.execute("UPDATE open SET alive_ms = ?1", [now.as_millisecond()])?;
        }
        Ok(())
    }

    /// The offsets that a daemon that died owes: of every event that had begun, at the last time it
    /// was known to go on. To be appended; until then they are owed.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn interrupted(&mut self) -> Result<Vec<Event>> {
        let open = {
            let mut statement = self.connection.prepare("SELECT id, alive_ms, payload FROM open ORDER BY id")?;
            let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            statement.query_map([], row)?.collect::<rusqlite::Result<Vec<(String, i64, String)>>>()?
        };
        let (mut ended, mut strange) = (Vec::new(), Vec::new());
        for (id, alive_ms, payload) in open {
            let alive = Timestamp::from_millisecond(alive_ms).unwrap_or(Timestamp::MIN);
            match Event::from_json(&payload) {
                Ok(event) => ended.push(event.ended_at(alive)),
                Err(error) => {
                    let journal = self.path.display();
                    tracing::error!(%journal, id, %error, "an open event cannot be read: {error}");
                    strange.push(id);
                }
            }
        }
        for id in strange {
            self.connection.execute("DELETE FROM open WHERE id = ?1", [id])?;
        }
        Ok(ended)
    }

    /// What was written down under `key`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn memo(&self, key: &str) -> Result<Option<String>> {
        let query = "SELECT max(value) FROM memo WHERE key = ?1";
        Ok(self.connection.query_row(query, [key], |row| row.get(0))?)
    }

    /// Writes `value` down under `key`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn set_memo(&mut self, key: &str, value: &str) -> Result<()> {
        self.relaxed(|connection| {
            connection.execute("INSERT OR REPLACE INTO memo VALUES (?1, ?2)", params![key, value]).map(drop)
        })
    }

    /// Number of the newest event that is in the file, or was acknowledged.
    pub(super) fn last_seq(&self) -> i64 {
        self.last_seq
    }

    /// For queries.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

fn insert(connection: &Connection, record: &Record, moment: Moment) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let Record { seq, device, label, payload } = record;
    let (at_ms, up_ms) = (moment.wall.as_millisecond(), moment.uptime.as_millis() as i64);
    statement.execute(params![seq, at_ms, moment.boot, up_ms, device, label, payload]).map(drop)
}
