//! What leaves the journal's file: what every sink has, what is too old, what is too much.

use std::time::Duration;

use rusqlite::Row;

use super::database::Database;
use super::moment::Moment;
use super::trouble::Result;
use crate::clock::clock_is_set;

/// The number of the newest of the oldest records that are older than an age: those up to `?6` that
/// come before the first one that is known to be younger. So nothing is read but what is to go and
/// one record more. Of a record from this start of the machine the age is known whatever was done
/// to the clock; one from before the clock was set, or from a clock that was ahead, has none, and
/// goes with the ones after it. The values are those of [`age_limits`].
pub(super) const OLDER_THAN: &str = "
    SELECT max(seq) FROM event
    WHERE CASE boot WHEN ?1 THEN up_ms < ?2 ELSE at_ms < ?3 AND at_ms >= ?4 END
        AND seq < coalesce((
            SELECT seq FROM event
            WHERE CASE boot WHEN ?1 THEN up_ms >= ?2 ELSE at_ms >= ?3 AND at_ms <= ?5 END OR seq > ?6
            ORDER BY seq LIMIT 1
        ), 9223372036854775807)";

/// The bytes of each payload, oldest first.
pub(super) const SIZES: &str = "SELECT seq, length(CAST(payload AS BLOB)) FROM event ORDER BY seq";

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
        let to = if keep.is_zero() { Some(to) } else { self.older_than(keep, to, now)? };
        to.map_or_else(|| Ok(Vec::new()), |to| self.remove_to(to))
    }

    /// Number of the newest record up to the number `to` that is older than `age`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn older_than(&self, age: Duration, to: i64, now: Moment) -> Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached(OLDER_THAN)?;
        Ok(statement.query_row(age_limits(age, to, now), |row| row.get(0))?)
    }

    /// Number of the newest record whose bytes, with those of all later ones, exceed `max_bytes`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn in_excess_of(&self, max_bytes: u64) -> Result<Option<i64>> {
        let mut excess = self.n_bytes.saturating_sub(max_bytes);
        if excess == 0 {
            return Ok(None);
        }
        let mut statement = self.connection.prepare_cached(SIZES)?;
        let (mut rows, mut newest) = (statement.query([])?, None);
        while excess > 0
            && let Some(row) = rows.next()?
        {
            newest = Some(row.get(0)?);
            excess = excess.saturating_sub(row.get::<_, i64>(1)? as u64);
        }
        Ok(newest)
    }

    /// Removes everything up to the number `to`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn remove_to(&mut self, to: i64) -> Result<Vec<Removed>> {
        let removed = self.relaxed(|connection| {
            let query = "DELETE FROM event WHERE seq <= ?1 RETURNING seq, length(CAST(payload AS BLOB))";
            let mut statement = connection.prepare_cached(query)?;
            let row = |row: &Row<'_>| Ok(Removed { seq: row.get(0)?, n_bytes: row.get::<_, i64>(1)? as u64 });
            statement.query_map([to], row)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        self.n_bytes -= removed.iter().map(|removed| removed.n_bytes).sum::<u64>();
        Ok(removed)
    }
}

/// The values of [`OLDER_THAN`].
fn age_limits(age: Duration, to: i64, now: Moment) -> [i64; 6] {
    let ms = age.as_millis() as i64;
    let (up_ms, at_ms) = (now.uptime.as_millis() as i64, now.wall.as_millisecond());
    [now.boot, up_ms - ms, at_ms - ms, clock_is_set().as_millisecond(), at_ms, to]
}
