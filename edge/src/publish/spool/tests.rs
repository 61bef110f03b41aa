//! The spool on real files, with real damage; a full disk is SQLite's own limit on pages, which fails in the same way.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::decide::Transition;
use crate::event::{Event, EventBuilder, Phase};

const LIMITS: Limits = Limits { max_bytes: 1_000_000, max_age: Duration::from_secs(86_400) };

fn noon() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

/// The onset and the offset of an event, `t_s` seconds into the stream.
fn event(t_s: f64) -> [Event; 2] {
    let mut builder = EventBuilder::new("ear", "test-1.0.0", &["bell".to_string()]);
    let transition =
        |phase, t_offset_s| Transition { class_id: 0, phase, t_onset_s: t_s, t_offset_s, score: 0.5, peak_score: 0.5 };
    let wall = |t_s: f64| noon() + SignedDuration::from_secs_f64(t_s);
    [(Phase::Onset, None), (Phase::Offset, Some(t_s + 1.0))]
        .map(|(phase, end)| builder.build(&transition(phase, end), wall))
}

fn draft(event: &Event) -> Draft {
    Draft { topic: "earwitness/ear/event".into(), event: event.clone(), payload: event.to_json() }
}

fn drafts(n: usize) -> Vec<Draft> {
    (0..n).map(|n| draft(&event(n as f64)[0])).collect()
}

fn payloads(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.payload.as_str()).collect()
}

fn expected(drafts: &[Draft]) -> Vec<&str> {
    drafts.iter().map(|draft| draft.payload.as_str()).collect()
}

#[test]
fn what_was_kept_is_there_after_a_restart_in_order_until_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/yet/there/spool");
    let drafts = drafts(5);
    let mut spool = Spool::open(&path, LIMITS, 0).unwrap();
    spool.append(&drafts[..2], noon()).unwrap();
    spool.append(&drafts[2..], noon()).unwrap();
    drop(spool);
    let mut spool = Spool::open(&path, LIMITS, 0).unwrap();
    let records = spool.after(0, 10).unwrap();
    assert_eq!(payloads(&records), expected(&drafts));
    assert_eq!(spool.n_events(), 5);
    spool.remove(records[0].seq.unwrap()).unwrap();
    spool.remove(records[0].seq.unwrap()).unwrap();
    spool.remove(records[4].seq.unwrap()).unwrap();
    drop(spool);
    let spool = Spool::open(&path, LIMITS, 0).unwrap();
    assert_eq!(payloads(&spool.after(0, 2).unwrap()), expected(&drafts[1..3]));
    assert_eq!(spool.n_bytes(), drafts[1..4].iter().map(|draft| draft.payload.len() as u64).sum::<u64>());
}

#[test]
fn numbers_never_mean_two_events() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let mut spool = Spool::open(&path, LIMITS, 0).unwrap();
    spool.append(&drafts(1), noon()).unwrap();
    let first = spool.after(0, 1).unwrap()[0].seq.unwrap();
    spool.remove(first).unwrap();
    spool.append(&drafts(1), noon()).unwrap();
    assert!(spool.after(0, 1).unwrap()[0].seq.unwrap() > first);
    drop(spool);
    std::fs::remove_file(&path).unwrap();
    let mut spool = Spool::open(&path, LIMITS, 40).unwrap();
    spool.append(&drafts(1), noon()).unwrap();
    assert_eq!(spool.after(40, 1).unwrap()[0].seq, Some(41));
}

#[test]
fn the_oldest_go_when_there_are_too_many_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let drafts = drafts(10);
    let len = drafts[0].payload.len() as u64;
    let limits = Limits { max_bytes: 4 * len + len / 2, ..LIMITS };
    let mut spool = Spool::open(&dir.path().join("spool"), limits, 0).unwrap();
    for draft in &drafts {
        spool.append(std::slice::from_ref(draft), noon()).unwrap();
    }
    assert_eq!(payloads(&spool.after(0, 10).unwrap()), expected(&drafts[6..]));
    assert_eq!((spool.n_events(), spool.n_dropped()), (4, 6));
}

#[test]
fn what_is_too_old_goes_but_not_what_was_heard_before_the_clock_was_set() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&dir.path().join("spool"), LIMITS, 0).unwrap();
    let drafts = drafts(3);
    spool.append(&drafts[..1], Timestamp::UNIX_EPOCH).unwrap();
    spool.append(&drafts[1..2], noon()).unwrap();
    let days = |n: i64| noon() + SignedDuration::from_hours(24 * n);
    spool.append(&drafts[2..], days(1) - SignedDuration::from_secs(1)).unwrap();
    assert_eq!(spool.n_events(), 3);
    spool.append(&[], days(1) + SignedDuration::from_secs(1)).unwrap();
    // The one of before the clock was set is older still: it goes with it, since order is kept.
    assert_eq!(payloads(&spool.after(0, 10).unwrap()), expected(&drafts[2..]));
    assert_eq!(spool.n_dropped(), 2);
}

#[test]
fn a_daemon_that_died_owes_its_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let [first, first_end] = event(1.0);
    let [second, _] = event(2.0);
    let mut spool = Spool::open(&path, LIMITS, 0).unwrap();
    spool.append(&[draft(&first), draft(&second), draft(&first_end)], noon()).unwrap();
    spool.keep_alive(noon() + SignedDuration::from_secs(30)).unwrap();
    drop(spool);

    let mut spool = Spool::open(&path, LIMITS, 0).unwrap();
    let owed = spool.interrupted().unwrap();
    assert_eq!(owed.len(), 1);
    assert_eq!((owed[0].id, owed[0].phase, owed[0].duration_s), (second.id, Phase::Offset, Some(28.0)));
    spool.append(&[draft(&owed[0])], noon()).unwrap();
    assert!(spool.interrupted().unwrap().is_empty());
}

#[test]
fn two_cannot_have_the_same_spool() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let _first = Spool::open(&path, LIMITS, 0).unwrap();
    let error = Backlog::open(&path, LIMITS).unwrap_err().to_string();
    assert!(error.contains("mqtt.spool") && error.contains("locked"), "{error}");
}

#[test]
fn a_full_disk_holds_up_nothing_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = Spool::open(&path, LIMITS, 0).unwrap();
    let pages: i64 = spool.connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    spool.connection().pragma_update(None, "max_page_count", pages + 3).unwrap();
    let drafts = drafts(200);
    let mut backlog = Backlog::on(spool);
    for draft in &drafts {
        backlog.push(vec![draft.clone()]);
    }
    let depth = backlog.depth();
    assert!(depth.n_in_memory > 0 && depth.n_in_memory < 200, "{depth:?}");
    assert_eq!((depth.n_events, depth.n_dropped), (200, 0));
    // There is room again.
    backlog.spool().connection().pragma_update(None, "max_page_count", 1_000_000).unwrap();
    backlog.retry_now();
    assert_eq!(backlog.depth().n_in_memory, 0);
    assert_eq!(payloads(&backlog.take(500)), expected(&drafts));
}

#[test]
fn a_damaged_file_is_set_aside_and_what_can_be_read_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let drafts = drafts(400);
    let mut spool = Spool::open(&path, LIMITS, 0).unwrap();
    spool.append(&drafts, noon()).unwrap();
    drop(spool);
    // Somewhere behind the middle of the file a few pages are gone.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() * 3 / 5 / 4096 * 4096;
    bytes[at..at + 8192].fill(0xA5);
    std::fs::write(&path, &bytes).unwrap();

    let spool = Spool::open(&path, LIMITS, 0).unwrap();
    let kept = spool.after(0, 1000).unwrap();
    assert!(kept.len() > 100 && kept.len() < 400, "{}", kept.len());
    let all = expected(&drafts);
    assert!(payloads(&kept).iter().all(|payload| all.contains(payload)), "none is invented");
    let aside = std::fs::read_dir(dir.path()).unwrap().flatten();
    let aside: Vec<_> = aside.filter(|entry| entry.file_name().to_string_lossy().contains("damaged")).collect();
    assert_eq!(std::fs::read(aside[0].path()).unwrap().len(), bytes.len(), "{aside:?}");
}

#[test]
fn a_file_that_is_none_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    std::fs::write(
        &path,
        "this is a letter to grandma, and long enough to be taken for a header of some kind of file.".repeat(20),
    )
    .unwrap();
    let mut spool = Spool::open(&path, LIMITS, 0).unwrap();
    spool.append(&drafts(1), noon()).unwrap();
    assert_eq!(spool.n_events(), 1);
}

#[test]
fn damage_at_run_time_is_mended_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let drafts = drafts(4);
    let mut backlog = Backlog::open(&path, LIMITS).unwrap();
    backlog.push(drafts[..2].to_vec());
    let records = backlog.take(10);
    assert_eq!(payloads(&records), expected(&drafts[..2]));
    // The disk forgets what it had.
    backlog.spool().connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let len = std::fs::metadata(&path).unwrap().len() as usize;
    std::fs::write(&path, vec![0xA5; len]).unwrap();
    backlog.spool().connection().execute_batch("PRAGMA cache_size = 0; PRAGMA shrink_memory").unwrap();
    backlog.push(drafts[2..].to_vec());
    backlog.retry_now();
    assert_eq!(payloads(&backlog.take(10)), expected(&drafts[2..]));
    // An acknowledgement of a record of the old file hits nothing in the new one.
    backlog.acknowledged(records[0].seq.unwrap());
    assert_eq!(backlog.depth().n_events, 2);
}

/// Operations on a backlog against a plain list.
mod model {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize),
        Take(usize),
        Acknowledge(usize),
        Restart,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1..4_usize).prop_map(Step::Push),
            (1..6_usize).prop_map(Step::Take),
            (0..8_usize).prop_map(Step::Acknowledge),
            Just(Step::Restart),
        ];
        proptest::collection::vec(step, 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn nothing_is_lost_invented_or_out_of_order(steps in steps()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("spool");
            let mut backlog = Backlog::open(&path, LIMITS).unwrap();
            // What has been pushed and not acknowledged; what has been handed out since the start.
            let mut kept: Vec<String> = Vec::new();
            let mut out: Vec<Record> = Vec::new();
            let mut n_out = 0;
            let mut n = 0.0;
            for step in steps {
                match step {
                    Step::Push(k) => {
                        let drafts: Vec<Draft> = (0..k).map(|k| draft(&event(n + k as f64)[0])).collect();
                        n += k as f64;
                        kept.extend(drafts.iter().map(|draft| draft.payload.clone()));
                        backlog.push(drafts);
                    }
                    Step::Take(k) => {
                        let records = backlog.take(k);
                        let due = kept.iter().skip(n_out).take(k).cloned().collect::<Vec<_>>();
                        prop_assert_eq!(payloads(&records), due.iter().map(String::as_str).collect::<Vec<_>>());
                        n_out += records.len();
                        out.extend(records);
                    }
                    Step::Acknowledge(at) if at < out.len() => {
                        let record = out.remove(at);
                        backlog.acknowledged(record.seq.unwrap());
                        kept.retain(|payload| *payload != record.payload);
                        n_out -= 1;
                    }
                    Step::Acknowledge(_) => {}
                    Step::Restart => {
                        drop(backlog);
                        backlog = Backlog::open(&path, LIMITS).unwrap();
                        out.clear();
                        n_out = 0;
                    }
                }
                prop_assert_eq!(backlog.depth().n_events, kept.len() as u64);
            }
        }
    }
}
