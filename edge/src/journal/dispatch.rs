//! What sinks take from the store: records leave in the order of their numbers, acknowledgements
//! enter in any order.

use std::sync::Arc;

use super::store::{Place, Store};
use super::{Depth, Record, Start};

impl Store {
    /// The `n` records that come next for a sink.
    pub(super) fn take(&mut self, sink: usize, n: usize) -> Vec<Arc<Record>> {
        let before = self.sinks[sink].acked_to();
        let records = self.look_for(sink, n);
        self.sinks[sink].starved(records.is_empty());
        self.progressed(sink, before);
        records
    }

    fn look_for(&mut self, sink: usize, n: usize) -> Vec<Arc<Record>> {
        while let Place::Open(database) = &self.place {
            let progress = &mut self.sinks[sink];
            match database.after(progress.position(), n) {
                Ok(records) if records.is_empty() => break,
                Ok(records) => {
                    let taken = progress.hand_out(records.into_iter().map(Arc::new));
                    if !taken.is_empty() {
                        return taken;
                    }
                }
                Err(trouble) => {
                    self.failed(&trouble);
                    break;
                }
            }
        }
        let progress = &mut self.sinks[sink];
        let is_due = |record: &&Arc<Record>| progress.is_due(record.seq);
        let records: Vec<_> = self.memory.iter().map(|draft| &draft.record).filter(is_due).take(n).cloned().collect();
        match &self.place {
            // What is on a disk that cannot be read just now comes before it: it is not passed
            // over.
            Place::Closed { .. } => progress.hand_out_of_turn(records),
            Place::Open(_) | Place::Memory => progress.hand_out(records.into_iter()),
        }
    }

    /// A sink is done with the record of this number.
    pub(super) fn acknowledge(&mut self, sink: usize, seq: i64) {
        let before = self.sinks[sink].acked_to();
        self.sinks[sink].acknowledged(seq);
        self.purge_memory();
        self.progressed(sink, before);
    }

    /// Whether there is something to take for a sink.
    pub(super) fn has_more(&self, sink: usize) -> bool {
        self.sinks[sink].has_more()
    }

    /// Whether the record with this number is still wanted by the sink: the limits may have dropped
    /// it since it was handed out.
    pub(super) fn is_kept(&self, sink: usize, seq: i64) -> bool {
        self.sinks[sink].is_kept(seq)
    }

    /// What a sink has not acknowledged.
    pub(super) fn depth(&self, sink: usize) -> Depth {
        let sink = &self.sinks[sink];
        let n_in_memory = match self.place {
            Place::Memory => sink.n_pending,
            _ => self.memory.iter().filter(|draft| !sink.is_done(draft.record.seq)).count() as u64,
        };
        Depth { n_events: sink.n_pending, n_bytes: sink.n_bytes, n_dropped: sink.n_dropped, n_in_memory }
    }

    /// A sink is gone.
    pub(super) fn leave(&mut self, sink: usize) {
        if self.sinks[sink].start == Start::Now {
            self.sinks[sink].left();
            self.purge_memory();
        }
    }
}
