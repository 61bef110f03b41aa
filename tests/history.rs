//! Claim: `earwitness events` shows what the journal has, whether a daemon writes to it or not, as
//! a table, as JSON and as CSV; and what cannot be shown is said in one sentence.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use edge::decide::{Phase, Transition};
use edge::event::{Event, EventBuilder};
use edge::journal::{Journal, JournalPlace, JournalSettings};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tests::binary::{Output, PATIENCE, Process, earwitness_bin};
use tests::commands::contains;

/// A journal of a daemon that keeps what it has reported.
fn journal(file: &Path) -> Journal {
    let place = JournalPlace::File { file: file.to_path_buf(), before: None };
    let keep = Duration::from_secs(30 * 86_400);
    Journal::open(JournalSettings { place, max_bytes: 1_000_000, max_age: keep, keep }, &[])
}

/// Onset and offset of a sound that began some minutes ago and lasted for some seconds.
fn sound(source: &str, label: &str, minutes_ago: i64, seconds: f64) -> [Event; 2] {
    let onset = Timestamp::now() - SignedDuration::from_mins(minutes_ago);
    let mut builder = EventBuilder::new(source, "test-1.0.0", &[label.to_string()]);
    let wall = |t_s: f64| onset + SignedDuration::from_secs_f64(t_s);
    [(Phase::Onset, None), (Phase::Offset, Some(seconds))].map(|(phase, t_offset_s)| {
        let transition = Transition { class_id: 0, phase, t_onset_s: 0.0, t_offset_s, score: 0.5, peak_score: 0.75 };
        builder.build(&transition, wall)
    })
}

/// A bell an hour ago, water ten minutes ago that still runs, a dog in the cellar three days ago.
/// Returns when the bell began.
fn fill(journal: &Journal) -> Timestamp {
    let [bell, bell_end] = sound("kitchen", "bell", 60, 2.5);
    let [water, _] = sound("kitchen", "water, hot", 10, 0.0);
    let [dog, dog_end] = sound("cellar", "dog", 3 * 1440, 65.0);
    let onset = bell.onset;
    journal.append(&[dog, dog_end]);
    journal.append(&[bell, bell_end, water]);
    onset
}

/// A home of its own, so that no journal is found by chance.
fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(earwitness_bin());
    command.arg("events").args(args).env("HOME", home).env("TZ", "Europe/Berlin").env("LANG", "C.UTF-8");
    command.env_remove("XDG_STATE_HOME").env_remove("STATE_DIRECTORY").env_remove("LC_ALL").current_dir("/");
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    Process::start(&mut command(home, args)).finish(PATIENCE)
}

fn shown(home: &Path, args: &[&str]) -> String {
    let output = run(home, args);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{args:?}: {output:#?}");
    output.stdout.join("\n")
}

fn refused(home: &Path, args: &[&str]) -> String {
    let output = run(home, args);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}: {output:#?}");
    assert_eq!(output.stderr.len(), 1, "{args:?}: {output:#?}");
    output.stderr[0].clone()
}

fn in_folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ear.journal");
    (dir, file)
}

#[test]
fn what_was_heard_is_shown_while_the_daemon_writes_and_after_it() {
    let (dir, file) = in_folder();
    let path = file.to_str().unwrap();
    let journal = journal(&file);
    let bell = fill(&journal);
    let table = shown(dir.path(), &["--journal", path]);
    let lines: Vec<&str> = table.lines().collect();
    contains(lines[0], &["time", "label", "source", "lasted", "peak"]);
    contains(lines[1], &["bell", "kitchen", "2.5 s", "0.75"]);
    contains(lines[2], &["water, hot", "kitchen", "no end yet"]);
    assert!(!table.contains("dog"), "{table}");
    contains(&table, &["by hour", "0     3     6", "2 events since ", path]);
    assert!(table.contains('█'), "{table}");
    let column = |line: &str| line.find("kitchen");
    assert!(column(lines[1]).is_some() && column(lines[1]) == column(lines[2]), "{table}");

    let local = bell.in_tz("Europe/Berlin").unwrap().strftime("%Y-%m-%d %H:").to_string();
    contains(lines[1], &[&local]);

    // What comes now is seen at once, and a closed journal says the same.
    let [cup, cup_end] = sound("kitchen", "cup", 1, 1.0);
    journal.append(&[cup, cup_end]);
    assert!(shown(dir.path(), &["--journal", path]).contains("3 events since "));
    drop(journal);
    assert!(shown(dir.path(), &["--journal", path]).contains("3 events since "));
}

#[test]
fn programs_get_json_and_csv() {
    let (dir, file) = in_folder();
    fill(&journal(&file));
    let path = file.to_str().unwrap();
    let document: Value =
        serde_json::from_str(&shown(dir.path(), &["--journal", path, "--since", "all", "--json"])).unwrap();
    let events = document["events"].as_array().unwrap();
    let field = |name: &str| events.iter().map(|event| event[name].clone()).collect::<Vec<_>>();
    assert_eq!(field("label"), ["dog", "bell", "water, hot"]);
    assert_eq!(field("phase"), ["offset", "offset", "onset"]);
    assert_eq!(field("duration_s"), [Value::from(65.0), Value::from(2.5), Value::Null]);
    assert_eq!((&document["since"], &document["journal"]), (&Value::Null, &Value::from(path)));
    let n: u64 = document["by_hour"].as_array().unwrap().iter().map(|hour| hour["n"].as_u64().unwrap()).sum();
    assert_eq!(n, 3, "{document}");

    let output = command(dir.path(), &["--journal", path, "--csv"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!((lines.len(), lines[3]), (4, ""), "{text}");
    assert_eq!(lines[0], "id,device,model,label,onset,offset,duration_s,score,peak_score");
    assert!(lines[2].contains(",kitchen,test-1.0.0,\"water, hot\",2") && lines[2].ends_with("Z,,,0.5,0.75"), "{text}");
}

#[test]
fn events_are_chosen_by_time_label_and_source() {
    let (dir, file) = in_folder();
    fill(&journal(&file));
    let labels = |args: &[&str]| {
        let args = [&["--journal", file.to_str().unwrap(), "--json"], args].concat();
        let document: Value = serde_json::from_str(&shown(dir.path(), &args)).unwrap();
        let events = document["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["label"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(labels(&["--since", "30min"]), ["water, hot"]);
    assert_eq!(labels(&["--since", "7d", "--until", "30min"]), ["dog", "bell"]);
    assert_eq!(labels(&["--since", "all", "--label", "dog"]), ["dog"]);
    assert_eq!(labels(&["--label", "dog"]), Vec::<String>::new());
    assert_eq!(labels(&["--since", "all", "--source", "kitchen"]), ["bell", "water, hot"]);
}

#[test]
fn a_time_zone_that_does_not_exist_is_named() {
    let (dir, file) = in_folder();
    fill(&journal(&file));
    let mut command = command(dir.path(), &["--journal", file.to_str().unwrap()]);
    let output = Process::start(command.env("TZ", "Mars/Phobos")).finish(PATIENCE);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 1), "{output:#?}");
    contains(&output.stderr[0], &["TZ is \"Mars/Phobos\", which is not a time zone: times are in UTC"]);
}

#[test]
fn bad_input_is_said_in_one_sentence() {
    let (dir, file) = in_folder();
    fill(&journal(&file));
    let path = file.to_str().unwrap();
    let refused = |args: &[&str]| refused(dir.path(), args);
    contains(
        &refused(&["--journal", path, "--label", "dgo"]),
        &["no label is called \"dgo\"", "did you mean \"dog\"?"],
    );
    contains(
        &refused(&["--journal", path, "--source", "kichen"]),
        &["no source is called \"kichen\"", "did you mean \"kitchen\"?", "it has cellar, kitchen"],
    );
    contains(&refused(&["--journal", path, "--since", "soon"]), &["--since: expected", "24h", "actual \"soon\""]);
    contains(&refused(&["--journal", path, "--since", "1h", "--until", "2h"]), &["--until: ", "is not after --since"]);
    contains(&refused(&["--journal", "/nowhere/ear.journal"]), &["no journal at /nowhere/ear.journal", "keep_days"]);
    contains(&refused(&["--journal", "/"]), &["/ is a folder"]);

    let text = dir.path().join("text");
    fs::write(&text, "no journal\n".repeat(100)).unwrap();
    contains(&refused(&["--journal", text.to_str().unwrap()]), &["is not a journal of earwitness"]);
    fs::write(&text, "").unwrap();
    contains(&refused(&["--journal", text.to_str().unwrap()]), &["is not a journal of earwitness"]);
    let config = dir.path().join("c.toml");
    fs::write(&config, "name = \"elsewhere\"\n").unwrap();
    let said = refused(&["--config", config.to_str().unwrap()]);
    contains(&said, &["/.local/state/earwitness/elsewhere.journal or at /var/lib/earwitness/elsewhere.journal"]);
}

#[test]
fn an_empty_journal_and_an_empty_span_are_no_errors() {
    let (dir, file) = in_folder();
    let path = file.to_str().unwrap();
    let daemon = journal(&file);
    let said = shown(dir.path(), &["--journal", path]);
    assert_eq!(said.lines().count(), 1);
    contains(&said, &["is empty", "keep_days"]);
    fill(&daemon);
    let said = shown(dir.path(), &["--journal", path, "--label", "dog"]);
    assert_eq!(said.lines().count(), 1);
    contains(&said, &["No such event since "]);
}

#[test]
fn the_journal_is_found_by_itself_if_there_is_only_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(".local/state/earwitness");
    fs::create_dir_all(&folder).unwrap();
    fill(&journal(&folder.join("ear.journal")));
    assert!(shown(dir.path(), &[]).contains("2 events since "));
    // The name in a configuration decides where there are several.
    fill(&journal(&folder.join("other.journal")));
    contains(&refused(dir.path(), &[]), &["there are several journals", "ear.journal, ", "other.journal"]);
    let config = dir.path().join("c.toml");
    fs::write(&config, "name = \"other\"\n").unwrap();
    assert!(shown(dir.path(), &["--config", config.to_str().unwrap()]).contains("other.journal"));
}

/// A user who may read the journal but not write beside it, and one who may not even read.
#[test]
fn a_journal_that_may_only_be_read_is_read() {
    let (dir, file) = in_folder();
    drop({
        let journal = journal(&file);
        fill(&journal);
        journal
    });
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let as_other = |args: &[&str]| {
        let mut command = command(dir.path(), args);
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            // The program itself may lie where only root may look.
            let program = dir.path().join("earwitness");
            // By another process: this one's threads would hand an open file on to their children.
            let copied = Command::new("cp").arg(earwitness_bin()).arg(&program).status().unwrap();
            assert!(copied.success());
            let mut other = Command::new(&program);
            other.args(command.get_args()).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            other.uid(65_534).gid(65_534).current_dir("/");
            command = other;
        }
        Process::start(&mut command).finish(PATIENCE)
    };
    let path = file.to_str().unwrap();
    mode(dir.path(), 0o755);
    mode(&file, 0o444);
    as_other(&[]);
    mode(dir.path(), 0o555);
    let output = as_other(&["--journal", path]);
    assert!(output.stdout.join("\n").contains("2 events since "), "{output:#?}");
    mode(&file, 0);
    let output = as_other(&["--journal", path]);
    assert_eq!(output.status.code(), Some(2), "{output:#?}");
    contains(&output.stderr.join("\n"), &["this user may not read the journal", "sudo -u earwitness"]);
    mode(dir.path(), 0o755);
}
