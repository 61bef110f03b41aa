//! What is read of a long journal, in steps of SQLite's virtual machine: they are the same on every
//! machine.

use rusqlite::StatementStatus::VmStep;

use super::*;
use crate::journal::{query, retention};

const N: usize = 2000;

/// Far fewer than one for each record.
const FEW: i32 = 500;

/// The steps of a statement that was used since this was asked last.
fn n_steps(store: &Store, statement: &str) -> i32 {
    let n = store.database().connection().prepare_cached(statement).unwrap().reset_status(VmStep);
    assert!(n > 0, "it was not used: {statement}");
    n
}

/// A journal that keeps its events for a month, with [`N`] of them that are delivered.
fn long(path: &Path) -> Store {
    let mut store = Store::open(JournalSettings { keep: 30 * DAY, ..settings(path) }, &["a"]);
    let a = store.add_sink("a", Start::Kept);
    store.append(&onsets(N), now());
    let last = store.take(a, N).iter().map(|record| record.seq).max().unwrap();
    (1..=last).for_each(|seq| store.acknowledge(a, seq));
    store
}

#[test]
fn of_a_long_history_only_what_is_asked_for_and_what_is_to_go_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = long(&dir.path().join("journal"));
    n_steps(&store, retention::OLDER_THAN);

    store.append(&onsets(3), later(DAY));
    assert!(n_steps(&store, retention::OLDER_THAN) < FEW, "an event is written down");
    store.keep_alive(later(DAY));
    assert!(n_steps(&store, retention::OLDER_THAN) < FEW, "some seconds have passed");
    let today = Query { since: Some(later(DAY).wall), limit: Some(N), ..Query::default() };
    assert_eq!(store.query(&today).len(), 3);
    assert!(n_steps(&store, &query::newest_first()) < FEW, "the page looks at today");

    // After a month the old ones go, and the three of the second day stay.
    store.keep_alive(later(30 * DAY + DAY / 2));
    assert_eq!(store.query(&Query::default()).len(), 3);
}

#[test]
fn at_its_limit_of_bytes_a_journal_reads_what_it_removes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    drop(long(&path));
    let max_bytes = onsets(1)[0].to_json().len() as u64 * (N as u64 - 10);
    let mut store = Store::open(JournalSettings { max_bytes, keep: 30 * DAY, ..settings(&path) }, &["a"]);
    store.append(&onsets(1), now());
    assert!(n_steps(&store, retention::SIZES) < FEW);
    assert!((N - 100..N).contains(&store.query(&Query::default()).len()));
}
