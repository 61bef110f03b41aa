//! What the journal holds, on the disk and in memory, for anyone who asks the daemon.

use super::database::Draft;
use super::store::{Place, Store};
use super::{Query, Record, query};

impl Store {
    /// The events that are asked for, oldest first.
    pub(super) fn query(&mut self, wanted: &Query) -> Vec<Record> {
        let mut records = Vec::new();
        if let Place::Open(database) = &self.place {
            match query::select(database.connection(), wanted) {
                Ok(found) => records = found,
                Err(trouble) => self.failed(&trouble),
            }
        }
        let matches = |draft: &&Draft| wanted.matches(&draft.record, draft.moment.wall);
        records.extend(self.memory.iter().filter(matches).map(|draft| (*draft.record).clone()));
        let n_excess = wanted.limit.map_or(0, |limit| records.len().saturating_sub(limit));
        records.split_off(n_excess)
    }
}
