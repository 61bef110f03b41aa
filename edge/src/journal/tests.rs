//! The journal on real files, with real damage; a full disk is SQLite's own limit on pages, which
//! fails in the same way.

use jiff::SignedDuration;

use super::*;
use crate::decide::Transition;
use crate::event::{EventBuilder, Phase};

fn noon() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

/// Some time after the machine was started at noon.
fn later(after: Duration) -> Moment {
    let wall = noon() + SignedDuration::try_from(after).unwrap();
    Moment { wall, uptime: after, boot: 1 }
}

const DAY: Duration = Duration::from_secs(86_400);

fn settings(file: &Path) -> JournalSettings {
    let place = JournalPlace::File { file: file.to_path_buf(), before: None };
    JournalSettings { place, max_bytes: 1_000_000, max_age: DAY, keep: Duration::ZERO }
}

fn open(file: &Path) -> Store {
    Store::open(settings(file), &["a", "b"])
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

fn onsets(n: usize) -> Vec<Event> {
    (0..n).map(|n| event(n as f64)[0].clone()).collect()
}

/// Ids and phases, which are enough to tell events apart.
fn names<'a>(records: impl IntoIterator<Item = &'a Arc<Record>>) -> Vec<String> {
    records.into_iter().map(|record| name(&Event::from_json(&record.payload).unwrap())).collect()
}

fn expected(events: &[Event]) -> Vec<String> {
    events.iter().map(name).collect()
}

fn name(event: &Event) -> String {
    format!("{} {:?} {}", event.t_onset_s, event.phase, event.id)
}

fn now() -> Moment {
    later(Duration::ZERO)
}

#[test]
fn a_kept_sink_goes_on_after_the_last_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/yet/there/journal");
    let events = onsets(5);
    let mut store = open(&path);
    let (a, b) = (store.add_sink("a", Start::Kept), store.add_sink("b", Start::Kept));
    let passing = store.add_sink("passing", Start::Now);
    store.append(&events[..2], now());
    store.append(&events[2..], now());
    let records = store.take(a, 10);
    assert_eq!(names(&records), expected(&events));
    assert_eq!(names(&store.take(passing, 3)), expected(&events[..3]));
    // Out of order, and one is missing.
    for n in [0, 1, 4, 3] {
        store.acknowledge(a, records[n].seq);
    }
    assert_eq!((store.depth(a).n_events, store.depth(b).n_events), (1, 5));
    drop(store);

    let mut store = open(&path);
    let (b, a) = (store.add_sink("b", Start::Kept), store.add_sink("a", Start::Kept));
    let passing = store.add_sink("passing", Start::Now);
    assert_eq!(names(&store.take(a, 10)), expected(&events[2..]), "at least once");
    assert_eq!(names(&store.take(b, 2)), expected(&events[..2]));
    assert_eq!(names(&store.take(b, 9)), expected(&events[2..]));
    assert!(store.take(passing, 10).is_empty());
    assert_eq!(store.depth(b).n_bytes, events.iter().map(|event| event.to_json().len() as u64).sum::<u64>());
}

#[test]
fn what_every_sink_has_leaves_the_disk_unless_it_is_to_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    for (keep, n_left) in [(Duration::ZERO, 0), (2 * DAY, 2)] {
        let path = dir.path().join(format!("{n_left}"));
        let mut store = Store::open(JournalSettings { keep, ..settings(&path) }, &["a"]);
        let (a, b) = (store.add_sink("a", Start::Kept), store.add_sink("b", Start::Now));
        store.append(&onsets(2), now());
        for sink in [a, b] {
            assert_eq!(store.query(&Query::default()).len(), 2);
            store.take(sink, 10).iter().for_each(|record| store.acknowledge(sink, record.seq));
        }
        assert_eq!(store.query(&Query::default()).len(), n_left);
        assert_eq!(read(&path, &Query::default()).unwrap().len(), n_left, "another process sees the same");
        store.keep_alive(later(DAY));
        assert_eq!(store.query(&Query::default()).len(), n_left);
        store.keep_alive(later(3 * DAY));
        assert_eq!(store.query(&Query::default()), []);
    }
}

#[test]
fn events_are_found_by_time_label_and_source() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("journal"));
    store.add_sink("a", Start::Kept);
    let events = onsets(3);
    store.append(&events[..1], now());
    store.append(&events[1..], later(DAY / 2));
    let mut found = |query: Query| {
        store
            .query(&query)
            .into_iter()
            .map(|record| name(&Event::from_json(&record.payload).unwrap()))
            .collect::<Vec<_>>()
    };
    let all = Query::default();
    assert_eq!(
        found(Query { since: Some(noon() + SignedDuration::from_hours(1)), ..all.clone() }),
        expected(&events[1..])
    );
    assert_eq!(found(Query { limit: Some(1), ..all.clone() }), expected(&events[2..]));
    assert_eq!(found(Query { label: Some("bell".into()), source: Some("ear".into()), ..all.clone() }).len(), 3);
    assert!(found(Query { label: Some("dog".into()), ..all.clone() }).is_empty());
    assert!(found(Query { source: Some("elsewhere".into()), ..all }).is_empty());
}

#[test]
fn the_oldest_go_when_there_are_too_many_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let events = onsets(10);
    let len = events[0].to_json().len() as u64;
    let path = dir.path().join("journal");
    let mut store = Store::open(JournalSettings { max_bytes: 4 * len + len / 2, ..settings(&path) }, &["a"]);
    let a = store.add_sink("a", Start::Kept);
    let first = store.take(a, 1);
    assert!(first.is_empty());
    for event in &events {
        store.append(std::slice::from_ref(event), now());
    }
    let depth = store.depth(a);
    assert_eq!((depth.n_events, depth.n_dropped), (4, 6));
    assert_eq!(names(&store.take(a, 10)), expected(&events[6..]));
}

#[test]
fn a_sink_that_is_stuck_holds_nobody_up_and_costs_a_bounded_amount() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let n = 300;
    let events = onsets(n);
    let max_bytes = events[0].to_json().len() as u64 * 20;
    let mut store = Store::open(JournalSettings { max_bytes, ..settings(&path) }, &["a"]);
    let (a, stuck) = (store.add_sink("a", Start::Kept), store.add_sink("stuck", Start::Now));
    let mut taken = Vec::new();
    for event in &events {
        store.append(std::slice::from_ref(event), now());
        for record in store.take(a, 10) {
            store.acknowledge(a, record.seq);
            taken.push(record);
        }
        if taken.len() == 5 {
            store.take(stuck, 3);
        }
    }
    assert_eq!(names(&taken), expected(&events));
    assert!(store.query(&Query::default()).len() <= 20);
    let depth = store.depth(stuck);
    assert_eq!(depth.n_events + depth.n_dropped, n as u64);
    assert_eq!(store.depth(a), Depth::default());
    let next = store.take(stuck, 1000);
    assert_eq!(names(&next), expected(&events[n - next.len()..]));
}

#[test]
fn age_goes_by_uptime_whatever_is_done_to_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("journal"));
    let a = store.add_sink("a", Start::Kept);
    let events = onsets(4);
    store.append(&events[..1], Moment { wall: Timestamp::UNIX_EPOCH, ..later(Duration::ZERO) });
    // The clock is set, then set by forty days more.
    store.append(&events[1..2], later(DAY / 2));
    let jump = SignedDuration::from_hours(40 * 24);
    let jumped = |after| Moment { wall: later(after).wall + jump, ..later(after) };
    store.append(&events[2..3], jumped(DAY - Duration::from_secs(1)));
    assert_eq!(store.depth(a).n_events, 3);
    store.append(&events[3..], jumped(DAY + Duration::from_secs(1)));
    assert_eq!(names(&store.take(a, 10)), expected(&events[1..]));
    assert_eq!(store.depth(a).n_dropped, 1);
}

#[test]
fn after_a_restart_of_the_machine_age_goes_by_the_clock_if_that_was_set() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("journal"));
    let a = store.add_sink("a", Start::Kept);
    let events = onsets(3);
    store.append(&events[..1], Moment { wall: Timestamp::UNIX_EPOCH, ..now() });
    let restarted = |after| Moment { boot: 2, uptime: Duration::from_secs(5), ..later(after) };
    store.append(&events[1..2], restarted(2 * DAY));
    assert_eq!(store.depth(a).n_events, 2, "nobody knows how old the first one is");
    let again = Moment { boot: 3, ..restarted(4 * DAY) };
    store.append(&events[2..], again);
    // Order is kept, so it goes with the one after it.
    assert_eq!(names(&store.take(a, 10)), expected(&events[2..]));
}

#[test]
fn a_daemon_that_died_owes_its_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let [first, first_end] = event(1.0);
    let [second, _] = event(2.0);
    let mut store = open(&path);
    store.append(&[first, second.clone(), first_end], now());
    store.keep_alive(later(Duration::from_secs(30)));
    drop(store);

    let mut store = open(&path);
    let owed = store.interrupted();
    assert_eq!(owed.len(), 1);
    assert_eq!((owed[0].id, owed[0].phase, owed[0].duration_s), (second.id, Phase::Offset, Some(28.0)));
    store.append(&owed, now());
    assert!(store.interrupted().is_empty());
}

#[test]
fn a_place_that_cannot_be_used_is_named_and_events_wait_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, in_use, newer) = (dir.path().join("folder"), dir.path().join("in-use"), dir.path().join("newer"));
    std::fs::create_dir(&folder).unwrap();
    let _first = open(&in_use);
    drop(open(&newer));
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let below_a_file = newer.join("journal");
    let cases = [
        (&folder, "journal-is-folder", "is a folder"),
        (&in_use, "journal-locked", "another earwitness uses the journal"),
        (&newer, "journal-newer", "newer version of earwitness"),
        (&below_a_file, "journal-no-folder", "is a file where a folder belongs"),
    ];
    for (path, kind, words) in cases {
        let mut store = open(path);
        let a = store.add_sink("a", Start::Kept);
        let fault = store.fault().unwrap().clone();
        assert_eq!(fault.kind(), kind);
        assert!(
            fault.text().contains(words) && fault.text().contains(path.parent().unwrap().to_str().unwrap()),
            "{fault}"
        );
        let events = onsets(3);
        store.append(&events, now());
        assert_eq!(names(&store.take(a, 10)), expected(&events));
        if path != &in_use {
            assert_eq!(check(path).unwrap_err(), fault, "what a daemon would say, check says");
        }
    }
    let nowhere = Store::open(JournalSettings { place: JournalPlace::Nowhere, ..JournalSettings::in_memory() }, &[]);
    assert_eq!(nowhere.fault().unwrap().kind(), "journal-nowhere");
    assert_eq!((check(&dir.path().join("not/yet")), check(&in_use)), (Ok(()), Ok(())));
}

#[test]
fn a_file_that_could_not_be_opened_at_first_takes_its_part_later_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let events = onsets(8);
    let mut before = open(&path);
    let a = before.add_sink("a", Start::Kept);
    before.append(&events[..4], now());
    let records = before.take(a, 10);
    before.acknowledge(a, records[0].seq);

    // Another daemon, while the first one has the file.
    let mut store = open(&path);
    let (a, passing) = (store.add_sink("a", Start::Kept), store.add_sink("passing", Start::Now));
    store.append(&events[4..6], now());
    let records = store.take(a, 10);
    assert_eq!(names(&records), expected(&events[4..6]));
    assert_eq!(names(&store.take(passing, 10)), expected(&events[4..6]));
    store.acknowledge(a, records[0].seq);
    drop(before);
    store.retry_now(now());
    assert_eq!(store.fault(), None);
    store.append(&events[6..], now());
    // What was on the disk, then what is new; what was handed out already is not handed out again.
    // The second daemon ended the sounds that the first one left open.
    let all = names(&store.take(a, 100));
    assert_eq!(all[..3], expected(&events[1..4]));
    assert_eq!(all[all.len() - 2..], expected(&events[6..]));
    assert_eq!(all.len(), 3 + 4 + 2, "{all:#?}");
    let passed = names(&store.take(passing, 100));
    assert_eq!(passed[passed.len() - 2..], expected(&events[6..]));
    assert_eq!(passed.len(), 4 + 2);
    drop(store);
    let mut store = open(&path);
    let a = store.add_sink("a", Start::Kept);
    assert_eq!(store.take(a, 100).len(), 11, "only the first one was acknowledged before a gap");
}

#[test]
fn a_full_disk_holds_up_nothing_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("journal"));
    let a = store.add_sink("a", Start::Kept);
    let pages: i64 = store.database().connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.database().connection().pragma_update(None, "max_page_count", pages + 3).unwrap();
    let events = onsets(200);
    for event in &events {
        store.append(std::slice::from_ref(event), now());
    }
    let depth = store.depth(a);
    assert!(depth.n_in_memory > 0 && depth.n_in_memory < 200, "{depth:?}");
    assert_eq!((depth.n_events, depth.n_dropped), (200, 0));
    assert_eq!(store.fault().unwrap().kind(), "journal-disk-full");
    // There is room again.
    store.database().connection().pragma_update(None, "max_page_count", 1_000_000).unwrap();
    store.retry_now(now());
    assert_eq!((store.depth(a).n_in_memory, store.fault()), (0, None));
    assert_eq!(names(&store.take(a, 500)), expected(&events));
}

#[test]
fn memory_is_bounded_and_what_it_cannot_hold_is_counted() {
    let mut store = Store::open(JournalSettings::in_memory(), &["a"]);
    let (a, b) = (store.add_sink("a", Start::Kept), store.add_sink("b", Start::Now));
    let one = onsets(1);
    let batch = vec![one[0].clone(); QUEUE_EVENTS / 2];
    for _ in 0..3 {
        store.append(&batch, now());
        for record in store.take(a, QUEUE_EVENTS) {
            store.acknowledge(a, record.seq);
        }
    }
    assert_eq!(store.depth(a), Depth::default());
    let depth = store.depth(b);
    assert_eq!((depth.n_events, depth.n_dropped), (QUEUE_EVENTS as u64, QUEUE_EVENTS as u64 / 2));
    assert_eq!(store.take(b, 2 * QUEUE_EVENTS).len(), QUEUE_EVENTS);
}

#[test]
fn a_damaged_file_is_set_aside_and_what_can_be_read_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let events = onsets(400);
    let mut store = open(&path);
    let a = store.add_sink("a", Start::Kept);
    store.append(&events, now());
    store.take(a, 1).iter().for_each(|record| store.acknowledge(a, record.seq));
    drop(store);
    // Somewhere after the middle of the file a few pages are gone.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() * 3 / 5 / 4096 * 4096;
    bytes[at..at + 8192].fill(0xA5);
    std::fs::write(&path, &bytes).unwrap();

    let mut store = open(&path);
    let a = store.add_sink("a", Start::Kept);
    let kept = names(&store.take(a, 1000));
    assert!(kept.len() > 100 && kept.len() < 400, "{}", kept.len());
    let all = expected(&events);
    assert!(kept.iter().all(|payload| all.contains(payload)), "none is invented");
    let aside = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.path());
    let aside: Vec<_> = aside.filter(|path| path.to_string_lossy().contains("damaged")).collect();
    assert!(aside.iter().any(|path| std::fs::read(path).unwrap().len() == bytes.len()), "{aside:?}");
}

#[test]
fn a_file_that_is_no_journal_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let letter = "this is a letter to grandma, and long enough to be taken for a header of some kind of file.";
    std::fs::write(&path, letter.repeat(20)).unwrap();
    let mut store = open(&path);
    let a = store.add_sink("a", Start::Kept);
    store.append(&onsets(1), now());
    assert_eq!((store.take(a, 10).len(), store.fault()), (1, None));
}

#[test]
fn damage_at_run_time_is_mended_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let events = onsets(4);
    let mut store = open(&path);
    let a = store.add_sink("a", Start::Kept);
    store.append(&events[..2], now());
    let records = store.take(a, 10);
    assert_eq!(names(&records), expected(&events[..2]));
    // The disk forgets what it had.
    store.database().connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let len = std::fs::metadata(&path).unwrap().len() as usize;
    std::fs::write(&path, vec![0xA5; len]).unwrap();
    store.database().connection().execute_batch("PRAGMA cache_size = 0; PRAGMA shrink_memory").unwrap();
    store.append(&events[2..], now());
    store.retry_now(now());
    assert_eq!(names(&store.take(a, 10)), expected(&events[2..]));
    // What was handed out before can still be acknowledged.
    store.acknowledge(a, records[0].seq);
    assert_eq!(store.depth(a).n_events, 3);
}

#[test]
fn the_spool_of_an_earlier_version_becomes_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, path) = (dir.path().join("earwitness-ear.spool"), dir.path().join("ear.journal"));
    let events = onsets(3);
    let connection = rusqlite::Connection::open(&spool).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection
        .execute_batch(
            "CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, topic TEXT NOT NULL,
                payload TEXT NOT NULL);
             CREATE TABLE open (id TEXT PRIMARY KEY, alive_ms INTEGER NOT NULL, payload TEXT NOT NULL);",
        )
        .unwrap();
    for event in &events {
        let (at_ms, payload) = (noon().as_millisecond(), event.to_json());
        connection
            .execute(
                "INSERT INTO event (at_ms, topic, payload) VALUES (?1, 'x', ?2)",
                rusqlite::params![at_ms, payload],
            )
            .unwrap();
    }
    let (id, payload) = (events[2].id.to_string(), events[2].to_json());
    let alive_ms = noon().as_millisecond();
    connection.execute("INSERT INTO open VALUES (?1, ?2, ?3)", rusqlite::params![id, alive_ms, payload]).unwrap();
    drop(connection);

    let place = JournalPlace::File { file: path.clone(), before: Some(spool.clone()) };
    let mut store = Store::open(JournalSettings { place, ..settings(&path) }, &[MQTT, "a"]);
    let (mqtt, a) = (store.add_sink(MQTT, Start::Kept), store.add_sink("a", Start::Kept));
    assert_eq!(names(&store.take(mqtt, 10)), expected(&events));
    assert!(store.take(a, 10).is_empty(), "they were for the broker alone");
    assert_eq!(store.interrupted().len(), 1);
    assert!(!spool.exists());
}

/// Operations on a journal against plain lists.
mod model {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Append(usize),
        Take { sink: usize, n: usize },
        Acknowledge { sink: usize, at: usize },
        Restart,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1..4_usize).prop_map(Step::Append),
            (0..2_usize, 1..6_usize).prop_map(|(sink, n)| Step::Take { sink, n }),
            (0..2_usize, 0..8_usize).prop_map(|(sink, at)| Step::Acknowledge { sink, at }),
            Just(Step::Restart),
        ];
        proptest::collection::vec(step, 1..40)
    }

    /// What a sink should see.
    #[derive(Default)]
    struct Model {
        /// Not handed out in this life, in order; those that are done in an earlier one may come
        /// again.
        waiting: Vec<String>,
        out: Vec<Arc<Record>>,
        done: Vec<String>,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn nothing_is_lost_invented_or_out_of_order(steps in steps()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("journal");
            let start = || {
                let mut store = open(&path);
                for name in ["a", "b"] {
                    store.add_sink(name, Start::Kept);
                }
                store
            };
            let mut store = start();
            let mut models = [Model::default(), Model::default()];
            let mut all: Vec<String> = Vec::new();
            let mut n = 0.0;
            for step in steps {
                match step {
                    Step::Append(k) => {
                        let events: Vec<Event> = (0..k).map(|k| event(n + k as f64)[0].clone()).collect();
                        n += k as f64;
                        store.append(&events, now());
                        all.extend(expected(&events));
                        models.iter_mut().for_each(|model| model.waiting.extend(expected(&events)));
                    }
                    Step::Take { sink, n } => {
                        let records = store.take(sink, n);
                        let model = &mut models[sink];
                        let due: Vec<String> = model.waiting.drain(..n.min(model.waiting.len())).collect();
                        prop_assert_eq!(names(&records), due);
                        model.out.extend(records);
                    }
                    Step::Acknowledge { sink, at } if at < models[sink].out.len() => {
                        let record = models[sink].out.remove(at);
                        store.acknowledge(sink, record.seq);
                        models[sink].done.extend(names([&record]));
                    }
                    Step::Acknowledge { .. } => {}
                    Step::Restart => {
                        drop(store);
                        store = start();
                        for model in &mut models {
                            // All that is done before the first that is not.
                            let first = all.iter().position(|payload| !model.done.contains(payload));
                            model.waiting = all[first.unwrap_or(all.len())..].to_vec();
                            model.done = all[..first.unwrap_or(all.len())].to_vec();
                            model.out.clear();
                        }
                    }
                }
                for (sink, model) in models.iter().enumerate() {
                    let n_pending = model.waiting.len() + model.out.len();
                    prop_assert_eq!(store.depth(sink).n_events, n_pending as u64);
                }
            }
        }
    }
}
