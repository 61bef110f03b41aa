//! What the journal forgets: what every sink has, and what is too old or too much.

use super::Start;
use super::cursor::Progress;
use super::moment::Moment;
use super::store::{Place, Store};
use super::trouble::Result;

impl Store {
    /// Writes down how far a sink is that was at `before`.
    pub(super) fn progressed(&mut self, sink: usize, before: i64) {
        let to = self.sinks[sink].acked_to();
        if to != before
            && let Err(trouble) = self.note_progress(sink, to)
        {
            self.failed(&trouble);
        }
    }

    fn note_progress(&mut self, sink: usize, to: i64) -> Result<()> {
        let delivered = self.delivered_to();
        let Place::Open(database) = &mut self.place else { return Ok(()) };
        if self.sinks[sink].start == Start::Kept {
            database.set_cursor(&self.sinks[sink].name, to)?;
        }
        if self.settings.keep.is_zero() && delivered > self.removed_to {
            database.remove_to(delivered)?;
            self.removed_to = delivered;
        }
        Ok(())
    }

    /// What every sink has: everything up to this number.
    pub(super) fn delivered_to(&self) -> i64 {
        self.sinks.iter().map(Progress::acked_to).min().unwrap_or(i64::MIN)
    }

    /// Forgets what every sink has, if the journal is in memory. What waits for a file stays until
    /// the file has it, because the file may know of a sound that ends with it.
    pub(super) fn purge_memory(&mut self) {
        while let Some(first) = self.memory.front()
            && matches!(self.place, Place::Memory)
            && self.sinks.iter().all(|sink| sink.is_done(first.record.seq))
        {
            let seq = first.record.seq;
            self.memory.pop_front();
            self.sinks.iter_mut().for_each(|sink| sink.forget(seq));
        }
    }

    /// Drops the oldest events until the limits are kept, but never the newest one.
    pub(super) fn drop_excess(&mut self, now: Moment) -> Result<()> {
        let Place::Open(database) = &mut self.place else { return Ok(()) };
        let too_old = database.older_than(self.settings.max_age.max(self.settings.keep), i64::MAX, now)?;
        let too_many = database.in_excess_of(self.settings.max_bytes)?;
        let Some(to) = too_old.max(too_many).map(|to| to.min(self.last_seq - 1)) else { return Ok(()) };
        let mut n_lost = 0;
        for removed in database.remove_to(to)? {
            let drop = |lost, sink: &mut Progress| sink.dropped(removed.seq, removed.n_bytes) | lost;
            n_lost += u64::from(self.sinks.iter_mut().fold(false, drop));
        }
        if n_lost > 0 {
            self.say_dropped(n_lost, "a sink is away for too long");
        }
        Ok(())
    }

    pub(super) fn say_dropped(&mut self, n: u64, why: &str) {
        let before = self.n_dropped;
        self.n_dropped += n;
        // At powers of two, so that a day of it is a few lines.
        if before == 0 || before.ilog2() != self.n_dropped.ilog2() {
            tracing::warn!(
                n_dropped = self.n_dropped,
                "{why}: the oldest events are dropped before every sink has them, {} so far",
                self.n_dropped
            );
        }
    }
}
