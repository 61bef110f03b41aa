//! Clips from samples and events to files, and what can be done with these.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::recent_sound::Cut;
use super::*;
use crate::audio::decode_file;
use crate::event::{Event, Phase};

const RATE: u32 = 8000;

fn settings(folder: &Path) -> ClipSettings {
    ClipSettings {
        folder: folder.to_path_buf(),
        pre_roll: Duration::from_millis(500),
        post_roll: Duration::from_millis(250),
        max_length: Duration::from_secs(3),
        max_bytes: 1_000_000,
        max_age: Duration::from_secs(86_400),
    }
}

fn recent() -> Arc<RecentSound> {
    RecentSound::new("ear", &settings(Path::new("")), thread::current())
}

/// Sample number `n`, which is like no other near it.
fn value(n: u64) -> i16 {
    (n * 7 % 30_000) as i16
}

/// Samples `from..to` by their numbers.
fn sound(from: u64, to: u64) -> Vec<f32> {
    (from..to).map(|n| f32::from(value(n)) / 32_768.0).collect()
}

fn onset(t_onset_s: f64) -> Event {
    let event = crate::publish::tests::event("bell");
    Event { t_onset_s, ..event }
}

fn offset(onset: &Event, t_offset_s: f64) -> Event {
    Event { phase: Phase::Offset, t_offset_s: Some(t_offset_s), ..onset.clone() }
}

fn assert_is(cut: &Cut, from: u64, to: u64) {
    assert_eq!(cut.samples.len() as u64, to - from);
    assert!(cut.samples.iter().zip(from..to).all(|(sample, n)| *sample == value(n)));
    let onset_s = (cut.event.t_onset_s * f64::from(RATE) - from as f64) / f64::from(RATE);
    assert!((cut.onset_at_s - onset_s).abs() < 1e-9);
}

#[test]
fn a_clip_is_what_was_heard_around_its_event() {
    let recent = recent();
    // A session in the middle of the stream: at 10 s.
    recent.begin(RATE, 80_000);
    recent.push(&sound(80_000, 96_000), None);
    let bell = onset(11.0);
    recent.settle(Some(&bell));
    assert!(recent.take(false).is_none());
    recent.push(&sound(96_000, 100_000), None);
    recent.settle(Some(&offset(&bell, 12.5)));
    // What comes after the event is still to come.
    assert!(recent.take(false).is_none());
    recent.push(&sound(100_000, 102_001), None);
    assert_is(&recent.take(false).unwrap(), 84_000, 102_000);
    assert!(recent.take(true).is_none());
}

#[test]
fn a_long_sound_gives_the_longest_clip_and_one() {
    let recent = recent();
    recent.begin(RATE, 0);
    recent.push(&sound(0, 8000), None);
    let bell = onset(0.25);
    recent.settle(Some(&bell));
    for second in 1..60 {
        recent.push(&sound(second * 8000, (second + 1) * 8000), None);
        if second == 3 {
            assert_is(&recent.take(false).unwrap(), 0, 24_000);
        }
    }
    recent.settle(Some(&offset(&bell, 59.0)));
    assert!(recent.take(true).is_none());
}

#[test]
fn a_clip_ends_where_its_session_does_and_knows_what_is_missing() {
    let recent = recent();
    recent.begin(RATE, 0);
    recent.push(&sound(0, 8000), None);
    recent.gap(800);
    recent.push(&sound(8800, 9000), None);
    let bell = onset(0.75);
    recent.settle(Some(&bell));
    recent.end();
    // Its end is on the way.
    assert!(recent.take(false).is_none());
    recent.begin(RATE, 90_000);
    recent.push(&sound(90_000, 90_100), None);
    recent.settle(Some(&offset(&bell, 1.1)));
    let cut = recent.take(false).unwrap();
    assert_eq!((cut.samples.len(), cut.n_missing), (7000, 800));
    assert!(cut.samples[6000..6800].iter().all(|sample| *sample == 0) && cut.samples[6800] == value(8800));
    // The next event has nothing of the session before.
    recent.settle(Some(&onset(11.255)));
    assert_is(&recent.take(true).unwrap(), 90_000, 90_100);
}

#[test]
fn a_recording_waits_for_its_events_and_for_its_clips() {
    let recent = recent();
    recent.begin(RATE, 0);
    let stop = AtomicBool::new(false);
    recent.push(&sound(0, 8000), Some(&stop));
    let (is_settled, is_taken) = (AtomicBool::new(false), AtomicBool::new(false));
    recent.expect();
    thread::scope(|scope| {
        scope.spawn(|| {
            recent.push(&sound(8000, 16_000), Some(&stop));
            assert!(is_settled.load(Relaxed), "the recording went on before its event was settled");
            // More than a ring has room for.
            for second in 2..20 {
                recent.push(&sound(second * 8000, (second + 1) * 8000), Some(&stop));
            }
            assert!(is_taken.load(Relaxed), "the recording has overwritten a clip");
        });
        thread::sleep(Duration::from_millis(20));
        is_settled.store(true, Relaxed);
        recent.settle(Some(&onset(1.0)));
        let cut = loop {
            thread::sleep(Duration::from_millis(20));
            is_taken.store(true, Relaxed);
            if let Some(cut) = recent.take(false) {
                break cut;
            }
        };
        assert_is(&cut, 4000, 28_000);
    });
    // What is to stop does not wait.
    recent.expect();
    stop.store(true, Relaxed);
    recent.push(&sound(0, 8000), Some(&stop));
}

/// A second of a bell.
fn cut(event: Event) -> Cut {
    let samples = (0..u64::from(RATE)).map(value).collect();
    Cut { event, sample_rate: RATE, samples, n_missing: 0, onset_at_s: 0.5 }
}

/// An event of `label` that began `n` minutes after another one.
fn event(label: &str, n: i64) -> Event {
    let event = crate::publish::tests::event(label);
    Event { id: Uuid::now_v7(), onset: event.onset + SignedDuration::from_mins(n), ..event }
}

fn now() -> Timestamp {
    crate::publish::tests::event("bell").onset + SignedDuration::from_hours(1)
}

fn keep(folder: &ClipFolder, label: &str, n: i64) -> Uuid {
    let event = event(label, n);
    folder.keep(&cut(event.clone()), &settings(folder.path()), now()).unwrap();
    event.id
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_kept_clip_is_found_played_marked_and_deleted_and_is_for_its_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = ClipFolder::new(dir.path().join("a/clips"));
    assert_eq!(folder.list(&ClipQuery::default()).unwrap(), []);
    let (dog, bell) = (keep(&folder, "dog", 2), keep(&folder, "crying baby", 1));
    let clips = folder.list(&ClipQuery::default()).unwrap();
    assert_eq!(clips.iter().map(|clip| clip.facts.event.id).collect::<Vec<_>>(), [bell, dog]);
    let clip = &clips[0];
    let audio = decode_file(&clip.file).unwrap();
    assert_eq!((audio.sample_rate, clip.facts.length_s, clip.facts.onset_at_s), (RATE, 1.0, 0.5));
    assert!(audio.samples.iter().zip(0..).all(|(sample, n)| *sample == f32::from(value(n)) / 32_768.0));
    assert!(clip.file.file_name().unwrap().to_str().unwrap().starts_with("2027-01-15T08-01-00.000Z_crying_baby_"));
    assert_eq!((mode(folder.path()), mode(&clip.file), mode(&clip.file.with_extension("json"))), (0o700, 0o600, 0o600));

    let found =
        |query: ClipQuery| folder.list(&query).unwrap().iter().map(|clip| clip.facts.event.id).collect::<Vec<_>>();
    let all = ClipQuery::default();
    assert_eq!(found(ClipQuery { label: Some("dog".into()), ..all.clone() }), [dog]);
    assert_eq!(found(ClipQuery { source: Some("elsewhere".into()), ..all.clone() }), Vec::<Uuid>::new());
    assert_eq!(found(ClipQuery { since: Some(clips[1].facts.event.onset), ..all.clone() }), [dog]);
    assert_eq!(found(ClipQuery { until: Some(clips[1].facts.event.onset), ..all.clone() }), [bell]);
    assert_eq!(found(ClipQuery { limit: Some(1), ..all.clone() }), [dog]);

    folder.mark(dog, Some(Mark::Wrong("door".into()))).unwrap();
    assert_eq!(folder.clip(dog).unwrap().facts.label_said(), Some("door"));
    assert_eq!(mode(&folder.clip(dog).unwrap().file.with_extension("json")), 0o600);
    let error = folder.mark(dog, Some(Mark::Wrong("Crying_Baby".into()))).unwrap_err().to_string();
    assert!(error.contains("\"crying baby\" in another spelling"), "{error}");
    let error = folder.mark(dog, Some(Mark::Wrong("a/b".into()))).unwrap_err().to_string();
    assert!(error.contains("cannot be a label"), "{error}");
    assert_eq!(folder.mark(dog, None).unwrap().facts.mark, None);

    folder.delete(dog).unwrap();
    assert_eq!(found(all), [bell]);
    assert!(matches!(folder.delete(dog), Err(ClipError::Unknown(id)) if id == dog));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_oldest_go_first_and_nothing_that_is_no_clip() {
    let dir = tempfile::tempdir().unwrap();
    let folder = ClipFolder::new(dir.path());
    let foreign = ["song.flac", "2027-01-15T08-00-00.000Z_dog.flac", "notes.json"].map(|name| dir.path().join(name));
    foreign.iter().for_each(|path| fs::write(path, vec![0; 100_000]).unwrap());
    let first = keep(&folder, "dog", 0);
    let n_bytes = |folder: &ClipFolder| -> u64 {
        let files = folder.files().unwrap();
        files.iter().map(|(_, path)| fs::metadata(path).unwrap().len()).sum()
    };
    let one = n_bytes(&folder);
    let limit = ClipSettings { max_bytes: 3 * one + one / 2, ..settings(dir.path()) };
    let ids: Vec<Uuid> = (1..10)
        .map(|n| {
            let event = event("dog", n);
            let n_removed = folder.keep(&cut(event.clone()), &limit, now()).unwrap();
            assert_eq!(n_removed, u64::from(n > 2), "after {n}");
            assert!(n_bytes(&folder) <= limit.max_bytes);
            event.id
        })
        .collect();
    let left: Vec<Uuid> = folder.list(&ClipQuery::default()).unwrap().iter().map(|clip| clip.facts.event.id).collect();
    assert_eq!(left, ids[6..]);
    assert!(!left.contains(&first));
    // A day and 8 minutes after the first one.
    let later = now() + SignedDuration::from_mins(23 * 60 + 8) + SignedDuration::from_secs(1);
    assert_eq!(folder.make_room(&limit, 0, later).unwrap(), 2);
    // A clock that was not set says nothing of age.
    let unset = Event { onset: Timestamp::UNIX_EPOCH, ..event("dog", 0) };
    folder.keep(&cut(unset), &limit, later).unwrap();
    assert_eq!(folder.list(&ClipQuery::default()).unwrap().len(), 2);
    let small = ClipSettings { max_bytes: one / 2, ..limit };
    assert!(folder.keep(&cut(event("dog", 11)), &small, now()).is_err());
    assert!(foreign.iter().all(|path| path.exists()));
}

#[test]
fn what_was_left_unfinished_is_removed_and_what_is_damaged_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let folder = ClipFolder::new(dir.path());
    keep(&folder, "dog", 0);
    let clip = folder.list(&ClipQuery::default()).unwrap().remove(0);
    let name = clip.file.file_name().unwrap().to_str().unwrap();
    let unfinished = dir.path().join(format!(".{name}.part"));
    let foreign = dir.path().join(".song.flac.part");
    for path in [&unfinished, &foreign] {
        fs::write(path, "").unwrap();
    }
    folder.prepare().unwrap();
    assert!(!unfinished.exists() && foreign.exists());
    let bell = keep(&folder, "bell", 1);
    fs::write(clip.file.with_extension("json"), "{").unwrap();
    let left = folder.list(&ClipQuery::default()).unwrap();
    assert_eq!(left.iter().map(|clip| clip.facts.event.id).collect::<Vec<_>>(), [bell]);
    let error = folder.clip(clip.facts.event.id).unwrap_err().to_string();
    assert!(error.contains("EOF"), "{error}");
    // It can still be deleted.
    folder.delete(clip.facts.event.id).unwrap();
}

/// The files below a folder, sorted.
fn below(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for label in fs::read_dir(root).unwrap().map(|entry| entry.unwrap()) {
        for file in fs::read_dir(label.path()).unwrap().map(|entry| entry.unwrap().file_name()) {
            let id = file.to_str().unwrap().rsplit('_').next().unwrap().to_string();
            names.push(format!("{}/{id}", label.file_name().to_str().unwrap()));
        }
    }
    names.sort();
    names
}

#[test]
fn what_is_marked_becomes_a_folder_for_each_label() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, to) = (ClipFolder::new(dir.path().join("clips")), dir.path().join("sounds"));
    let ids: Vec<Uuid> = (0..4).map(|n| keep(&folder, "dog", n)).collect();
    assert_eq!(folder.export(&to).unwrap().wanting().len(), 1);
    folder.mark(ids[0], Some(Mark::Right)).unwrap();
    folder.mark(ids[1], Some(Mark::Wrong("door".into()))).unwrap();
    folder.mark(ids[2], Some(Mark::Wrong("background".into()))).unwrap();
    let exported = folder.export(&to).unwrap();
    let expected = |label: &str, id: Uuid| format!("{label}/{id}.flac");
    let mut files = vec![expected("background", ids[2]), expected("dog", ids[0]), expected("door", ids[1])];
    assert_eq!(below(&to), files);
    assert_eq!(exported.wanting().len(), 2, "{:?}", exported.wanting());
    let copy = fs::read_dir(to.join("dog")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read(&copy).unwrap(), fs::read(folder.clip(ids[0]).unwrap().file).unwrap());
    assert_eq!((mode(&to.join("dog")), mode(&copy)), (0o700, 0o600));

    // Another opinion moves a recording; a clip that is gone stays exported.
    folder.mark(ids[1], Some(Mark::Right)).unwrap();
    folder.delete(ids[0]).unwrap();
    let exported = folder.export(&to).unwrap();
    files[2] = expected("dog", ids[1]);
    assert!(!to.join("door").exists(), "the trainer takes no empty folder");
    files.sort();
    assert_eq!(below(&to), files);
    assert_eq!(exported.n_of_label["dog"], 2);

    fs::create_dir(to.join("Dog")).unwrap();
    let error = folder.export(&to).unwrap_err().to_string();
    assert!(error.contains("written in two ways"), "{error}");
}
