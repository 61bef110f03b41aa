//! How far one sink is, and the sink's view of the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Depth, JournalShared, Record, Start};

/// How far one sink is. Part of the journal's state.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) name: String,
    pub(super) start: Start,
    /// Everything up to this number was looked at: it is handed out, or done.
    position: i64,
    /// Everything up to this number is done.
    acked_to: i64,
    /// Numbers above `acked_to` that are done.
    done: BTreeSet<i64>,
    /// Handed out and not acknowledged: number, and bytes of the payload.
    out: BTreeMap<i64, u64>,
    /// What waits for it cannot be read just now.
    is_starved: bool,
    pub(super) n_pending: u64,
    pub(super) n_bytes: u64,
    pub(super) n_dropped: u64,
}

impl Progress {
    /// A sink that begins after the number `seq`.
    pub(super) fn new(name: &str, start: Start, seq: i64) -> Self {
        Progress {
            name: name.to_string(),
            start,
            position: seq,
            acked_to: seq,
            done: BTreeSet::new(),
            out: BTreeMap::new(),
            is_starved: false,
            n_pending: 0,
            n_bytes: 0,
            n_dropped: 0,
        }
    }

    /// The file says that the sink continues after `seq`, and what waits for it there.
    pub(super) fn attached(&mut self, seq: i64, n_events: u64, n_bytes: u64) {
        (self.position, self.acked_to, self.is_starved) = (seq, seq, false);
        self.n_pending += n_events;
        self.n_bytes += n_bytes;
    }

    /// There is a new record.
    pub(super) fn added(&mut self, record: &Record) {
        self.is_starved = false;
        if !self.is_done(record.seq) {
            self.n_pending += 1;
            self.n_bytes += record.payload.len() as u64;
        }
    }

    pub(super) fn position(&self) -> i64 {
        self.position
    }

    pub(super) fn acked_to(&self) -> i64 {
        self.acked_to
    }

    /// The sink takes no more, and waits for nothing.
    pub(super) fn left(&mut self) {
        (self.n_pending, self.n_bytes, self.acked_to) = (0, 0, i64::MAX);
        self.done.clear();
        self.out.clear();
    }

    /// Whether the record is to be handed out.
    pub(super) fn is_due(&self, seq: i64) -> bool {
        !self.is_done(seq) && !self.out.contains_key(&seq)
    }

    pub(super) fn is_done(&self, seq: i64) -> bool {
        seq <= self.acked_to || self.done.contains(&seq)
    }

    /// Whether a record that was handed out is still wanted.
    pub(super) fn is_kept(&self, seq: i64) -> bool {
        self.out.contains_key(&seq)
    }

    pub(super) fn has_more(&self) -> bool {
        !self.is_starved && self.n_pending > self.out.len() as u64
    }

    /// Nothing was found although something waits: it is not looked for again before the journal
    /// has changed.
    pub(super) fn starved(&mut self, is_starved: bool) {
        self.is_starved = is_starved;
    }

    /// Hands out `records`, which come next.
    pub(super) fn hand_out(&mut self, records: impl Iterator<Item = Arc<Record>>) -> Vec<Arc<Record>> {
        let mut taken = Vec::new();
        // In the order of their numbers.
        for record in records {
            self.position = self.position.max(record.seq);
            if self.is_due(record.seq) {
                self.out.insert(record.seq, record.payload.len() as u64);
                taken.push(record);
            }
        }
        self.advance();
        taken
    }

    /// Hands out records that others come before.
    pub(super) fn hand_out_of_turn(&mut self, records: Vec<Arc<Record>>) -> Vec<Arc<Record>> {
        self.out.extend(records.iter().map(|record| (record.seq, record.payload.len() as u64)));
        records
    }

    /// What was passed over is to be looked at again.
    pub(super) fn look_again(&mut self) {
        (self.position, self.is_starved) = (self.acked_to, false);
    }

    pub(super) fn acknowledged(&mut self, seq: i64) {
        let Some(n_bytes) = self.out.remove(&seq) else { return };
        self.settle(seq, n_bytes);
    }

    /// A record was dropped, and so was all before it. Returns whether it was still to be
    /// delivered.
    pub(super) fn dropped(&mut self, seq: i64, n_bytes: u64) -> bool {
        self.position = self.position.max(seq);
        self.dropped_from_memory(seq, n_bytes)
    }

    /// A record was dropped before it came to the disk, where earlier ones may be. Returns whether
    /// it was still to be delivered.
    pub(super) fn dropped_from_memory(&mut self, seq: i64, n_bytes: u64) -> bool {
        if self.is_done(seq) {
            return false;
        }
        self.out.remove(&seq);
        self.n_dropped += 1;
        self.settle(seq, n_bytes);
        true
    }

    /// The record of this number is nowhere any more.
    pub(super) fn forget(&mut self, seq: i64) {
        self.done.remove(&seq);
    }

    fn settle(&mut self, seq: i64, n_bytes: u64) {
        self.n_pending = self.n_pending.saturating_sub(1);
        self.n_bytes = self.n_bytes.saturating_sub(n_bytes);
        self.done.insert(seq);
        self.advance();
    }

    /// What was looked at and is not out is done.
    fn advance(&mut self) {
        let to = self.out.keys().next().map_or(self.position, |first| self.position.min(first - 1));
        if to > self.acked_to {
            self.acked_to = to;
            self.done = self.done.split_off(&(to + 1));
        }
    }
}

/// A sink's view of the journal: records leave in order, acknowledgements enter.
///
/// What is not acknowledged is handed out again by the next process, if the sink is one that is
/// [kept](Start::Kept).
#[derive(Debug)]
pub struct Cursor {
    pub(super) shared: Arc<JournalShared>,
    pub(super) sink: usize,
}

impl Cursor {
    /// The `n` records that come next, as far as there are any.
    pub fn take(&mut self, n: usize) -> Vec<Arc<Record>> {
        self.shared.lock().take(self.sink, n)
    }

    /// The sink is done with the record of this number.
    pub fn acknowledge(&mut self, seq: i64) {
        self.shared.lock().acknowledge(self.sink, seq);
        self.shared.changed.notify_all();
    }

    /// Waits until there is something to take, the sink is [woken](super::Waker::wake), or
    /// `timeout` is over.
    pub fn wait(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut store = self.shared.lock();
        let n_wakes = self.shared.n_wakes();
        while !store.has_more(self.sink) && self.shared.n_wakes() == n_wakes {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            store = self.shared.wait(store, left);
        }
    }

    /// Whether there is something to take.
    pub fn has_more(&self) -> bool {
        self.shared.lock().has_more(self.sink)
    }

    /// Whether the record of this number is still wanted: the limits may have dropped it since it
    /// was handed out.
    pub fn is_kept(&self, seq: i64) -> bool {
        self.shared.lock().is_kept(self.sink, seq)
    }

    /// What the sink has not acknowledged.
    pub fn depth(&self) -> Depth {
        self.shared.lock().depth(self.sink)
    }

    /// Tells others how far the sink is.
    pub fn gauge(&self) -> Gauge {
        Gauge { shared: Arc::clone(&self.shared), sink: self.sink }
    }
}

impl Drop for Cursor {
    /// Nothing waits for a sink that is gone, unless the next process continues with it.
    fn drop(&mut self) {
        self.shared.lock().leave(self.sink);
    }
}

/// Tells how far a sink is.
#[derive(Debug, Clone)]
pub struct Gauge {
    shared: Arc<JournalShared>,
    sink: usize,
}

impl Gauge {
    /// What the sink has not acknowledged.
    pub fn depth(&self) -> Depth {
        self.shared.lock().depth(self.sink)
    }
}
