//! Claim: the daemon reports what it hears as JSON lines and nothing else, and ends cleanly
//! whatever ends it.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::binary::{PATIENCE, Process, earwitness_bin};
use tests::tiny::{self, Sound, events, names};

/// Half a minute of sounds: long enough to be interrupted, short enough to be read as fast as
/// possible.
const SCENE: &[(Sound, f64)] = &[
    (Sound::Silence, 1.0),
    (Sound::Tone, 2.0),
    (Sound::Silence, 2.0),
    (Sound::Noise, 2.0),
    (Sound::Silence, 2.0),
    (Sound::Tone, 20.0),
    (Sound::Silence, 1.0),
];

/// A tone that is certain to go on for as long as a test looks at it.
const LONG_TONE: &[(Sound, f64)] = &[(Sound::Silence, 1.0), (Sound::Tone, 300.0)];

/// In single precision: `auto` times both files, and on a busy machine two runs may choose
/// differently.
fn run(source: &str) -> Command {
    let mut command = Command::new(earwitness_bin());
    command.args(["run", "--precision", "f32", "--source", source, "--model"]).arg(tiny::model());
    command
}

fn scene(dir: &Path) -> String {
    recording(dir, SCENE)
}

fn recording(dir: &Path, sounds: &[(Sound, f64)]) -> String {
    let path = dir.join("scene.wav");
    tiny::write_wav(&path, sounds);
    format!("file:{}", path.display())
}

fn seconds(event: &Value, field: &str) -> f64 {
    event[field].as_f64().unwrap_or(f64::NAN)
}

/// Runs the scene as fast as possible.
fn fast_events() -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let output = Process::start(run(&scene(dir.path())).arg("--fast")).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    events(&output.stdout)
}

#[test]
fn a_recording_gives_its_events_with_their_times() {
    let events = fast_events();
    let expected = ["tone onset", "tone offset", "noise onset", "noise offset", "tone onset", "tone offset"];
    assert_eq!(names(&events), expected);
    let truth = [(1.0, 3.0), (5.0, 7.0), (9.0, 29.0)];
    for (pair, (t_onset_s, t_offset_s)) in events.chunks(2).zip(truth) {
        assert_eq!(pair[0]["id"], pair[1]["id"]);
        assert_eq!((&pair[0]["offset"], &pair[0]["duration_s"]), (&Value::Null, &Value::Null));
        // Two frames of logits, 160 ms.
        assert!((seconds(&pair[1], "t_onset_s") - t_onset_s).abs() <= 0.16, "{pair:#?}");
        assert!((seconds(&pair[1], "t_offset_s") - t_offset_s).abs() <= 0.16, "{pair:#?}");
        let duration_s = seconds(&pair[1], "t_offset_s") - seconds(&pair[1], "t_onset_s");
        assert!((seconds(&pair[1], "duration_s") - duration_s).abs() < 1e-6);
    }
}

#[test]
fn standard_input_gives_the_same_events_as_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.raw");
    let bytes: Vec<u8> = tiny::samples(SCENE).iter().flat_map(|sample| sample.to_le_bytes()).collect();
    std::fs::write(&path, bytes).unwrap();
    let output = run("stdin")
        .args(["--rate", "24000", "--format", "s16le", "--channels", "1"])
        .stdin(File::open(&path).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect();
    let timeless = |mut event: Value| {
        for field in ["id", "onset", "offset"] {
            event[field] = Value::Null;
        }
        event
    };
    let from_stdin: Vec<Value> = events(&lines).into_iter().map(timeless).collect();
    let from_file: Vec<Value> = fast_events().into_iter().map(timeless).collect();
    assert_eq!(from_stdin, from_file);
}

#[test]
fn signals_close_open_events_and_end_cleanly() {
    for signal in ["INT", "TERM"] {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start(&mut run(&recording(dir.path(), LONG_TONE)));
        process.wait_until("the first onset", PATIENCE, |process| !process.stdout().is_empty());
        process.signal(signal);
        let output = process.finish(PATIENCE);
        assert_eq!(output.status.code(), Some(0), "{signal}: {output:#?}");
        let events = events(&output.stdout);
        assert_eq!(names(&events), ["tone onset", "tone offset"], "{signal}");
        assert_eq!(events[0]["id"], events[1]["id"]);
        assert!(seconds(&events[1], "t_offset_s") < 300.0, "{signal}: the tone was cut short: {events:#?}");
    }
}

#[test]
fn a_file_plays_in_real_time_unless_it_is_to_be_fast() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("short.wav");
    tiny::write_wav(&path, &[(Sound::Silence, 0.5), (Sound::Tone, 1.5)]);
    let mut command = run(&format!("file:{}", path.display()));
    let begin = Instant::now();
    let output = Process::start(&mut command).finish(PATIENCE);
    assert!(output.status.success());
    assert!(begin.elapsed() >= Duration::from_millis(1900), "{:?}", begin.elapsed());
    assert_eq!(names(&events(&output.stdout)), ["tone onset", "tone offset"]);
}

#[test]
fn a_reader_that_has_had_enough_ends_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let sounds = [(Sound::Silence, 1.0), (Sound::Tone, 2.0), (Sound::Silence, 300.0)];
    let mut child = run(&recording(dir.path(), &sounds))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(names(&events(&[line])), ["tone onset"]);
    // The pipe is closed now; the tone's offset is the line that notices, long before the recording
    // ends.
    let begin = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
}

#[test]
fn a_configuration_file_is_obeyed_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    let source = scene(dir.path());
    let config = dir.path().join("earwitness.toml");
    let text = format!(
        "name = \"kitchen-pi\"\n[source]\ninput = \"{source}\"\nfast = true\n[model]\ndir = \"{}\"\nprecision = \"int8\"\n\
         [decide.classes.tone]\nmin_duration_ms = 5000\n",
        tiny::model().display()
    );
    std::fs::write(&config, text).unwrap();
    let earwitness = |command: &str| {
        Process::start(Command::new(earwitness_bin()).arg(command).arg("--config").arg(&config)).finish(PATIENCE)
    };
    let output = earwitness("run");
    let events = events(&output.stdout);
    assert_eq!(names(&events), ["noise onset", "noise offset", "tone onset", "tone offset"], "{output:#?}");
    assert!(events.iter().all(|event| event["device"] == "kitchen-pi" && event["model"] == "tiny-1.0.0"));

    let output = earwitness("check");
    assert!(output.status.success(), "{output:#?}");
    let text = output.stdout.join("\n");
    for part in ["kitchen-pi", "scene.wav, as fast as possible", "tiny-1.0.0", "int8", "0.4  240 ms  5040 ms  3600 s"] {
        assert!(text.contains(part), "{part:?} is missing from\n{text}");
    }
}

#[test]
fn the_bench_reports_its_figures() {
    let output = Process::start(Command::new(earwitness_bin()).args(["bench", "--json", "--model"]).arg(tiny::model()));
    let output = output.finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    let report = &events(&output.stdout)[0];
    for field in [
        "us_per_pulse_median",
        "us_per_pulse_p99",
        "front_end_us_per_pulse_median",
        "network_us_per_pulse_median",
        "decide_us_per_pulse_median",
        "pulse_ms",
        "real_time_factor",
        "peak_rss_mb",
        "start_ms",
    ] {
        assert!(seconds(report, field) > 0.0, "{field}: {report}");
    }
    // Of every pulse each stage is a part, so its median cannot be above the whole's; both are
    // rounded.
    for part in ["front_end_us_per_pulse_median", "network_us_per_pulse_median", "decide_us_per_pulse_median"] {
        assert!(seconds(report, part) <= seconds(report, "us_per_pulse_median") + 0.1, "{part}: {report}");
    }
    assert!(["f32", "int8"].contains(&report["precision"].as_str().unwrap()), "{report}");
    assert!(report["board"].as_str().unwrap().ends_with(std::env::consts::ARCH), "{report}");
    assert_eq!(report["model"], "tiny 1.0.0");
}

#[test]
fn the_bench_ends_with_a_line_for_the_table_of_boards() {
    let output = Process::start(Command::new(earwitness_bin()).args(["bench", "--model"]).arg(tiny::model()));
    let output = output.finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    // As many columns as the table has.
    let readme = std::fs::read_to_string(tests::binary::workspace().join("README.md")).unwrap();
    let head = readme.lines().find(|line| line.starts_with("| board |")).unwrap();
    let n_columns = |line: &str| line.matches('|').count();
    let last = output.stdout.last().unwrap();
    assert_eq!(n_columns(last), n_columns(head), "{last}");
    assert!(last.contains("MB | measured by `earwitness bench`: tiny 1.0.0, "), "{last}");
}

#[test]
fn a_closed_terminal_ends_a_daemon_without_a_configuration_file() {
    let dir = tempfile::tempdir().unwrap();
    let heard = |daemon: &Process| !daemon.stdout().is_empty();
    // The tests themselves may have been started with nohup.
    let (mut command, program) = (Command::new("env"), run(&recording(dir.path(), LONG_TONE)));
    command.arg("--default-signal=HUP").arg(program.get_program()).args(program.get_args());
    let mut daemon = Process::start(&mut command);
    daemon.wait_until("the first event", PATIENCE, heard);
    daemon.signal("HUP");
    let output = daemon.finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(names(&events(&output.stdout)), ["tone onset", "tone offset"], "{output:#?}");

    // Where whoever started it wants it to live on, it does.
    let mut command = Command::new("sh");
    let daemon = run(&scene(dir.path()));
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(daemon.get_program()).args(daemon.get_args());
    let mut daemon = Process::start(&mut command);
    daemon.wait_until("the first event", PATIENCE, heard);
    daemon.signal("HUP");
    let n_events = daemon.stdout().len();
    daemon.wait_until("another event", PATIENCE, |daemon| daemon.stdout().len() > n_events);
    daemon.signal("TERM");
    assert!(daemon.finish(PATIENCE).status.success());
}
