//! The journal on real files, with real damage; a full disk is SQLite's own limit on pages, which
//! fails in the same way.

mod cost;
mod disk;
mod model;

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
    // The second began a second after noon and was written down half a day later.
    let until = |ms| Some(noon() + SignedDuration::from_millis(ms));
    assert_eq!(found(Query { until: until(1500), ..all.clone() }), expected(&events[..2]));
    assert_eq!(found(Query { until: until(1500), limit: Some(1), ..all.clone() }), expected(&events[1..2]));
    assert_eq!(found(Query { until: until(1000), ..all.clone() }), expected(&events[..1]));
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
fn a_clock_that_was_ahead_keeps_nothing_for_longer() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("journal"));
    let a = store.add_sink("a", Start::Kept);
    let events = onsets(3);
    let ahead = noon() + SignedDuration::from_hours(400 * 24);
    store.append(&events[..1], Moment { wall: ahead, ..now() });
    store.append(&events[1..2], Moment { boot: 2, ..now() });
    store.append(&events[2..], Moment { boot: 3, uptime: Duration::ZERO, ..later(3 * DAY) });
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
