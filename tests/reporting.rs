//! Claim: what the configuration keeps back is not reported, neither on standard output nor over
//! MQTT, and everything else is. Needs the Debian package mosquitto.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tests::binary::{Output, PATIENCE, Process, earwitness_bin};
use tests::broker::{Broker, Subscriber, free_port};
use tests::tiny::{self, Sound, events, names};

const TONE: [&str; 2] = ["tone onset", "tone offset"];
const NOISE: [&str; 2] = ["noise onset", "noise offset"];
const STATE: &str = "earwitness/ear/state/tone";

/// A tone of -13.5 dBFS and noise of -15.2 dBFS.
const SCENE: &[(Sound, f64)] =
    &[(Sound::Silence, 1.0), (Sound::Tone, 1.0), (Sound::Silence, 1.0), (Sound::Noise, 1.0), (Sound::Silence, 1.0)];

/// `earwitness COMMAND` with a configuration that plays `sounds` to the model that is set by hand.
fn earwitness(command: &str, dir: &Path, sounds: &[(Sound, f64)], config: &str) -> Command {
    let (wav, file) = (dir.join("sounds.wav"), dir.join("earwitness.toml"));
    tiny::write_wav(&wav, sounds);
    // Each has its own spool, where it has a broker: the usual one belongs to one daemon at a time.
    let config = config.replace("[mqtt]", "[mqtt]\nspool.file = \"spool\"");
    let text = format!(
        "name = \"ear\"\n[source]\ninput = \"file:{}\"\n[model]\ndir = \"{}\"\n{config}\n",
        wav.display(),
        tiny::model().display()
    );
    fs::write(&file, text).unwrap();
    let mut process = Command::new(earwitness_bin());
    process.arg(command).arg("--config").arg(file);
    process
}

fn finish(command: &mut Command) -> Output {
    let output = Process::start(command).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    output
}

/// The events of the scene as fast as possible, `tone onset` and so on.
fn run(config: &str, options: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    names(&events(&finish(earwitness("run", dir.path(), SCENE, config).arg("--fast").args(options)).stdout))
}

fn check(config: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    finish(&mut earwitness("check", dir.path(), SCENE, config)).stdout.join("\n")
}

/// A range of quiet hours in UTC, from and to this many minutes from now.
fn range(from: i64, to: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 / 60;
    let time = |minute: i64| format!("{:02}:{:02}", minute.rem_euclid(1440) / 60, minute.rem_euclid(60));
    format!("[quiet_hours]\ntime_zone = \"UTC\"\nranges = [\"{}-{}\"]\n", time(now + from), time(now + to))
}

#[test]
fn labels_are_allowed_and_denied_in_the_file_and_by_options() {
    assert_eq!(run("", &[]), [TONE, NOISE].concat());
    assert_eq!(run("[decide]\nallow = [\"tone\"]", &[]), TONE);
    assert_eq!(run("[decide]\ndeny = [\"tone\"]", &[]), NOISE);
    assert_eq!(run("", &["--allow", "noise"]), NOISE);
    assert_eq!(run("[decide]\nallow = [\"tone\"]", &["--allow", "tone,noise"]), [TONE, NOISE].concat());
    assert!(check("[decide]\ndeny = [\"tone\"]").contains("labels     1 of 2 are reported: noise\n"));
    assert!(check("").contains("labels     all 2 are reported\n"));
}

#[test]
fn what_is_quieter_than_the_gate_is_not_reported() {
    assert_eq!(run("[decide]\nlevel_gate_dbfs = -16", &[]), [TONE, NOISE].concat());
    assert_eq!(run("[decide]\nlevel_gate_dbfs = -14.5", &[]), TONE);
    assert!(run("[decide]\nlevel_gate_dbfs = -12", &[]).is_empty());
    assert!(check("[decide]\nlevel_gate_dbfs = -12").contains("level      no event begins in sound below -12 dBFS\n"));
}

#[test]
fn what_begins_in_quiet_hours_is_not_reported() {
    let now = range(-60, 60);
    assert!(run(&now, &[]).is_empty());
    assert_eq!(run(&range(60, 120), &[]), [TONE, NOISE].concat());
    assert_eq!(run(&format!("{now}except = [\"noise\"]"), &[]), NOISE);
    assert_eq!(run(&format!("{now}labels = [\"noise\"]"), &[]), TONE);
    assert_eq!(run(&format!("{now}[decide.classes.tone]\nquiet_hours = []"), &[]), TONE);
    assert_eq!(run("[decide.classes.noise]\nquiet_hours = [\"00:00-24:00\"]", &[]), TONE);

    let text = check(&format!("{now}except = [\"noise\"]"));
    assert!(text.contains(" in UTC: events of tone that begin then are not reported; now, until "), "{text}");
    assert!(check(&range(60, 120)).contains("events of any label that begin then are not reported; next from "));
    assert!(check("").contains("quiet      never\n"));
}

#[test]
fn check_has_a_table_of_labels_that_differ() {
    let text = check("[decide.classes.tone]\nwindow_ms = 800\nthreshold_on = 0.75\nmax_duration_ms = 60000");
    let row = |label: &str| {
        let line = text.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("{label}: {text}"));
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(row("  "), ["window", "on", "off", "gap", "least", "most", "pause"]);
    assert_eq!(row("noise"), ["noise", "400 ms", "0.6", "0.4", "240 ms", "160 ms", "3600 s", "0 ms"]);
    assert_eq!(row("tone"), ["tone", "800 ms", "0.75", "0.4", "240 ms", "160 ms", "60 s", "0 ms"]);
    assert!(!check("").contains("window "), "nothing differs");
}

#[test]
fn quiet_hours_are_counted_in_the_health_message_and_change_no_state() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), "allow_anonymous true");
    let subscriber = Subscriber::start(broker.port, None);
    let config = format!("[mqtt]\nurl = \"{}\"\nhealth_s = 1\n{}except = [\"noise\"]", broker.url(), range(-60, 60));
    let output = finish(&mut earwitness("run", dir.path(), SCENE, &config));
    assert_eq!(names(&events(&output.stdout)), NOISE);

    subscriber.wait_until("the farewell", |s| {
        s.payloads("earwitness/ear/status").last().is_some_and(|last| last == "offline")
    });
    assert_eq!(subscriber.payloads("earwitness/ear/event"), output.stdout);
    assert_eq!(subscriber.payloads(STATE), ["OFF"]);
    assert_eq!(subscriber.payloads("earwitness/ear/state/noise"), ["OFF", "ON", "OFF"]);
    let health: Vec<Value> = events(&subscriber.payloads("earwitness/ear/health"));
    assert_eq!(health.last().unwrap()["n_suppressed"], 1, "{health:?}");
    assert!(
        output.stderr.iter().any(|line| line.contains(" 1 events in quiet hours were not reported")),
        "{output:#?}"
    );
}

#[test]
fn a_label_that_is_denied_leaves_no_state_behind() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), "allow_anonymous true");
    let subscriber = Subscriber::start(broker.port, None);
    let mqtt = format!("[mqtt]\nurl = \"{}\"\n", broker.url());
    let sounds = [(Sound::Silence, 3.0), (Sound::Tone, 300.0)];
    let process = Process::start(&mut earwitness("run", dir.path(), &sounds, &mqtt));
    subscriber.wait_until("the state", |s| s.payloads(STATE).last().is_some_and(|last| last == "ON"));
    process.signal("KILL");
    subscriber.wait_until("the last will", |s| s.payloads("earwitness/ear/status") == ["online", "offline"]);

    // In real time: the broker has everything before the end, which waits for two seconds.
    finish(earwitness("run", dir.path(), SCENE, &mqtt).args(["--deny", "tone"]));
    subscriber.wait_until("the farewell", |s| s.payloads("earwitness/ear/status").len() == 4);
    assert_eq!(subscriber.payloads(STATE), ["OFF", "ON", ""], "an empty message takes away what is kept");
    let late = Subscriber::start(broker.port, Some("late"));
    late.wait_until("the kept messages", |late| late.received().len() == 2);
    assert_eq!(late.payloads("earwitness/ear/state/noise"), ["OFF"]);
    assert_eq!(late.payloads("earwitness/ear/status"), ["offline"]);
}
