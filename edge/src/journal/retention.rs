//! What leaves the journal's file: what every sink has, what is too old, what is too much.

use std::time::Duration;

use rusqlite::{Row, params};

use super::database::Database;
use super::moment::Moment;
use super::trouble::Result;
use crate::clock::clock_is_set;

/// Whether a record is older than an age, by the values of [`age_limits`]. The age of a record from
/// this start of the machine is known even if the clock was changed; a record from before the clock
/// was set has no age.
const IS_OLDER: &str = "CASE boot WHEN ?1 THEN up_ms < ?2 ELSE at_ms < ?3 AND at_ms >= ?4 END";

/// A record that was removed: its number and the bytes of its payload.
pub(super) struct Removed {
    pub(super) seq: i64,
    pub(super) n_bytes: u64,
}

impl Database {
    /// Removes what every sink has, up to the number `to`, and what was written down `keep` ago or
    /// earlier.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn remove_delivered(&mut self, to: i64, keep: Duration, now: Moment) -> Result<Vec<Removed>> {
        match keep.is_zero() {
            true => self.remove_to(to),
            false => {
                let [boot, up_ms, at_ms, set_ms] = age_limits(keep, now);
                self.remove_where(&format!("{IS_OLDER} AND seq <= ?5"), params![boot, up_ms, at_ms, set_ms, to])
            }
        }
    }

    /// Number of the newest record that is older than `age`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn older_than(&self, age: Duration, now: Moment) -> Result<Option<i64>> {
        let query = format!("SELECT max(seq) FROM event WHERE {IS_OLDER}");
        Ok(self.connection.query_row(&query, age_limits(age, now), |row| row.get(0))?)
    }

    /// Number of the newest record whose bytes, with those of all later ones, exceed `max_bytes`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn in_excess_of(&self, max_bytes: u64) -> Result<Option<i64>> {
        if self.n_bytes <= max_bytes {
            return Ok(None);
        }
        let query = "SELECT max(seq) FROM (
            SELECT seq, sum(length(CAST(payload AS BLOB))) OVER (ORDER BY seq DESC) AS n_bytes FROM event
        ) WHERE n_bytes > ?1";
        Ok(self.connection.query_row(query, [max_bytes as i64], |row| row.get(0))?)
    }

    /// Removes everything up to the number `to`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn remove_to(&mut self, to: i64) -> Result<Vec<Removed>> {
        self.remove_where("seq <= ?1", params![to])
    }

    fn remove_where(&mut self, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<Removed>> {
        let removed = self.relaxed(|connection| {
            let query = format!("DELETE FROM event WHERE {condition} RETURNING seq, length(CAST(payload AS BLOB))");
            let mut statement = connection.prepare_cached(&query)?;
            let row = |row: &Row<'_>| Ok(Removed { seq: row.get(0)?, n_bytes: row.get::<_, i64>(1)? as u64 });
            statement.query_map(values, row)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        self.n_bytes -= removed.iter().map(|removed| removed.n_bytes).sum::<u64>();
        Ok(removed)
    }
}

/// The values of [`IS_OLDER`] for an age.
fn age_limits(age: Duration, now: Moment) -> [i64; 4] {
    let ms = age.as_millis() as i64;
    let (up_ms, at_ms) = (now.uptime.as_millis() as i64, now.wall.as_millisecond());
    [now.boot, up_ms - ms, at_ms - ms, clock_is_set().as_millisecond()]
}
