//! Disks and files that fail, and files of earlier versions.

use super::*;

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

/// From now on the disk has room for this many further pages.
fn fill_disk(store: &Store, n_pages: i64) {
    let database = store.database().connection();
    let n_used: i64 = database.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    database.pragma_update(None, "max_page_count", n_used + n_pages).unwrap();
}

fn make_room(store: &Store) {
    store.database().connection().pragma_update(None, "max_page_count", 1_000_000).unwrap();
}

#[test]
fn a_full_disk_holds_up_nothing_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("journal"));
    let a = store.add_sink("a", Start::Kept);
    fill_disk(&store, 3);
    let events = onsets(200);
    for event in &events {
        store.append(std::slice::from_ref(event), now());
    }
    let depth = store.depth(a);
    assert!(depth.n_in_memory > 0 && depth.n_in_memory < 200, "{depth:?}");
    assert_eq!((depth.n_events, depth.n_dropped), (200, 0));
    assert_eq!(store.fault().unwrap().kind(), "journal-disk-full");
    // There is room again.
    make_room(&store);
    store.retry_now(now());
    assert_eq!((store.depth(a).n_in_memory, store.fault()), (0, None));
    assert_eq!(names(&store.take(a, 500)), expected(&events));
}

#[test]
fn a_sound_that_ends_while_the_disk_is_full_ends_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut store = open(&path);
    let a = store.add_sink("a", Start::Kept);
    let [onset, offset] = event(1.0);
    store.append(&[onset], now());
    fill_disk(&store, 0);
    let others = onsets(100);
    store.append(&others, now());
    store.append(&[offset], now());
    assert!(store.depth(a).n_in_memory > 0);
    // The sink has it before the disk does.
    let records: Vec<_> = [store.take(a, 500), store.take(a, 500)].concat();
    assert_eq!(records.len(), 102);
    records.iter().for_each(|record| store.acknowledge(a, record.seq));
    assert_eq!((store.depth(a).n_events, store.depth(a).n_in_memory), (0, 0));
    make_room(&store);
    store.retry_now(now());
    drop(store);
    let mut store = open(&path);
    let a = store.add_sink("a", Start::Kept);
    assert!(store.take(a, 500).is_empty(), "every record was acknowledged");
    assert_eq!(store.interrupted().len(), others.len(), "the ended sound is not open any more");
}

#[test]
fn what_overflows_memory_takes_nothing_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("journal"));
    let a = store.add_sink("a", Start::Kept);
    let events = onsets(5);
    store.append(&events, now());
    fill_disk(&store, 0);
    let records = store.take(a, 5);
    store.append(&onsets(QUEUE_EVENTS + 100), now());
    assert!(store.depth(a).n_dropped > 0);
    assert!(records.iter().all(|record| store.is_kept(a, record.seq)));
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
fn files_of_other_programs_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (letter, other) = (dir.path().join("letter"), dir.path().join("other.db"));
    std::fs::write(&letter, "this is a letter to grandma, and no database at all").unwrap();
    let database = rusqlite::Connection::open(&other).unwrap();
    database.execute_batch("CREATE TABLE states (id INTEGER PRIMARY KEY); PRAGMA user_version = 41;").unwrap();
    drop(database);
    for path in [letter, other] {
        let before = std::fs::read(&path).unwrap();
        let mut store = open(&path);
        let a = store.add_sink("a", Start::Kept);
        store.append(&onsets(1), now());
        assert_eq!(store.take(a, 10).len(), 1, "the event waits in memory");
        assert_eq!(store.fault().unwrap().kind(), "journal-foreign");
        assert_eq!(check(&path).unwrap_err().kind(), "journal-foreign");
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    // An empty one is free, and has no events to show.
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(check(&empty), Ok(()));
    assert_eq!(read(&empty, &Query::default()).unwrap_err().kind(), "journal-foreign");
    assert_eq!(open(&empty).fault(), None);
}

#[test]
fn a_file_whose_beginning_is_empty_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    std::fs::write(&path, [0; 8192]).unwrap();
    let mut store = open(&path);
    let a = store.add_sink("a", Start::Kept);
    store.append(&onsets(1), now());
    assert_eq!((store.take(a, 10).len(), store.fault()), (1, None));
}

#[test]
fn a_file_that_is_deleted_or_replaced_under_the_daemon_loses_nothing() {
    for replaced in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let old = dir.path().join("old");
        if replaced {
            let mut store = open(&old);
            store.add_sink("a", Start::Kept);
            store.append(&onsets(30), now());
        }
        let events = onsets(8);
        let mut store = open(&path);
        let a = store.add_sink("a", Start::Kept);
        store.append(&events[..5], now());
        let records = store.take(a, 3);
        store.acknowledge(a, records[0].seq);
        for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
            if entry.file_name().to_str().unwrap().starts_with("journal") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        if replaced {
            std::fs::rename(&old, &path).unwrap();
        }
        store.append(&events[5..], now());
        assert_eq!((store.fault(), store.depth(a).n_in_memory), (None, 0));
        // The second and the third are out, and are not handed out again.
        assert_eq!(names(&store.take(a, 100)), expected(&events[3..]));
        drop(store);
        let mut store = open(&path);
        let a = store.add_sink("a", Start::Kept);
        assert_eq!(names(&store.take(a, 100)), expected(&events[1..]), "all but the one that was acknowledged");
        assert!(!store.database().is_displaced());
    }
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
