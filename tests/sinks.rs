//! Claim: a sink that is slow, full or gone holds up nobody, and what that costs is said as it is.
//! Needs the Debian package mosquitto.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::binary::{PATIENCE, Process, earwitness_bin};
use tests::broker::{Broker, Subscriber, free_port};
use tests::daemon;
use tests::proxy::Proxy;
use tests::tiny::{self, Sound, TONE_AND_NOISE, tones};

const ANYBODY: &str = "allow_anonymous true\nmax_queued_messages 0\n";
const EVENT: &str = "earwitness/ear/event";

/// `earwitness run` on `sounds`, with further lines of configuration.
fn run(dir: &Path, sounds: &[(Sound, f64)], fast: bool, more: &str) -> Command {
    daemon::hear(dir, "ear", sounds, fast, more)
}

fn mqtt(port: u16) -> String {
    format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nhealth_s = 1\n[journal]\nfile = \"ear.journal\"")
}

#[test]
fn a_full_standard_output_is_an_error_and_the_broker_gets_everything_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let output = run(dir.path(), TONE_AND_NOISE, true, "").stdout(full()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("earwitness: standard output: No space left on device"), "{text}");

    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    // And nowhere to say it.
    let status =
        run(dir.path(), TONE_AND_NOISE, false, &mqtt(broker.port)).stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    subscriber.wait_until("the events", |subscriber| subscriber.payloads(EVENT).len() == 4);
}

#[test]
fn what_cannot_be_said_is_no_panic() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let model = tiny::model();
    let model = model.to_str().unwrap();
    let cases: [(&[&str], i32); 4] = [
        (&["run", "--model", model, "--source", "file:/no/such.wav"], 1),
        (&["run", "--config", "/no/such.toml"], 2),
        (&["classify", "--model", model, "/no/such.wav"], 1),
        (&["run", "--mqtt", "mqtt://u:geheim@a"], 2),
    ];
    for (args, code) in cases {
        let args = |command: &mut Command| command.args(args).env("RUST_BACKTRACE", "0").stdin(Stdio::null()).status();
        let status = args(Command::new(earwitness_bin()).stdout(full()).stderr(full())).unwrap();
        assert_eq!(status.code(), Some(code), "a full disk");
        let closed = "exec \"$@\" >&- 2>&-";
        let status = args(Command::new("sh").args(["-c", closed, "sh"]).arg(earwitness_bin())).unwrap();
        assert_eq!(status.code(), Some(code), "closed");
    }
}

#[test]
fn a_reader_that_is_stuck_holds_up_neither_the_broker_nor_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let n_events = 1_600;
    let mut command = daemon::listen(dir.path(), "ear", &mqtt(broker.port));
    // Nobody reads the pipe, which holds some hundred lines.
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    daemon::tell(&mut input, &[&tones(n_events / 2)[..], &[(Sound::Silence, 2.0)]].concat());
    subscriber.wait_until("all events", |subscriber| subscriber.payloads(EVENT).len() >= n_events);
    drop(input);
    let status = child.wait().unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(status.success(), "{text}");
    let mut lines = String::new();
    child.stdout.take().unwrap().read_to_string(&mut lines).unwrap();
    let n_lines = lines.lines().count();
    assert!(n_lines < n_events, "{n_lines}");
    // The line that was being written is neither read nor written.
    let said =
        text.lines().find(|line| line.contains("the program that reads the event lines has stopped reading")).unwrap();
    let n_said: usize = said.split(": ").last().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(n_said + n_lines >= n_events && n_said + n_lines <= n_events + 2, "{n_said} and {n_lines}");
}

#[test]
fn a_recording_waits_for_its_only_reader_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let n_events = 1_600;
    let mut command = run(dir.path(), &tones(n_events / 2), true, "");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = String::new();
    child.stdout.take().unwrap().read_to_string(&mut lines).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(lines.lines().count(), n_events);
}

#[test]
fn a_broker_that_acknowledges_nothing_at_the_end_takes_no_time_from_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let proxy = Proxy::start(broker.port);
    let subscriber = Subscriber::start(broker.port, None);
    let sounds = [(Sound::Silence, 1.0), (Sound::Tone, 300.0)];
    let mut daemon = Process::start(&mut run(dir.path(), &sounds, false, &mqtt(proxy.port)));
    daemon.wait_until("the onset", PATIENCE, |daemon| daemon.stdout().len() == 1);
    subscriber.wait_until("the onset", |subscriber| subscriber.payloads(EVENT).len() == 1);
    // The acknowledgement of the onset may still be on its way back.
    proxy.swallow_sent();
    daemon.signal("TERM");
    let output = daemon.finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(output.stdout.len(), 2, "{output:#?}");
    let said = |words: &str| output.stderr.iter().any(|line| line.contains(words));
    assert!(said("1 events are kept for the next start") && !said("not written"), "{output:#?}");
}

#[test]
fn a_second_daemon_on_one_journal_listens_and_says_why_it_keeps_events_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let mut first = Process::start(&mut run(dir.path(), &[(Sound::Silence, 300.0)], false, &mqtt(broker.port)));
    first.wait_until("the first", PATIENCE, |first| first.stderr().iter().any(|line| line.contains("listening")));
    let other = tempfile::tempdir().unwrap();
    let journal = dir.path().join("ear.journal");
    let config = mqtt(broker.port).replace("ear.journal", journal.to_str().unwrap());
    let config = config.replace("health_s", "client_id = \"second\"\nhealth_s");
    let output = Process::start(&mut run(other.path(), TONE_AND_NOISE, false, &config)).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(output.stdout.len(), 4);
    subscriber.wait_until("the events", |subscriber| subscriber.payloads(EVENT) == output.stdout);
    let faults: Vec<_> = output.stderr.iter().filter(|line| line.contains("ERROR")).collect();
    assert!(faults.len() == 1 && faults[0].contains("another earwitness uses the journal"), "{output:#?}");
}

#[test]
fn without_a_place_for_the_journal_the_daemon_listens_and_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    fs::create_dir(dir.path().join("ear.journal")).unwrap();
    let url = format!("[mqtt]\nurl = \"{}\"\n", broker.url());
    let folder = format!("{url}[journal]\nfile = \"ear.journal\"");
    for (config, words) in [(folder, "is a folder where the journal's file belongs"), (url, "has no home folder")] {
        let n_before = subscriber.payloads(EVENT).len();
        let output = Process::start(run(dir.path(), TONE_AND_NOISE, false, &config).env_clear()).finish(PATIENCE);
        assert!(output.status.success(), "{output:#?}");
        let faults: Vec<_> = output.stderr.iter().filter(|line| line.contains("ERROR")).collect();
        assert!(faults.len() == 1 && faults[0].contains(words), "{output:#?}");
        subscriber.wait_until("the events", |subscriber| subscriber.payloads(EVENT).len() == n_before + 4);
        assert_eq!(subscriber.payloads(EVENT)[n_before..], output.stdout);
    }
}
