//! Claim: an event that the daemon has reported reaches the broker, at least once and in order,
//! whatever dies meanwhile: the broker in good order or not, the network without a word, the daemon
//! a hundred times, the disk. Needs the Debian package mosquitto.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::binary::{PATIENCE, Process, earwitness_bin};
use tests::broker::{Broker, Subscriber, distinct, free_port};
use tests::daemon;
use tests::proxy::Proxy;
use tests::tiny::{self, Sound, tones};

const ANYBODY: &str = "allow_anonymous true\nmax_queued_messages 0\n";
const EVENT: &str = "earwitness/ear/event";

/// A daemon's folder: its recording, its configuration and its spool.
struct Ear {
    dir: PathBuf,
}

impl Ear {
    /// Listens to `n_tones` short tones, one after another, and reports to the broker on `port`.
    fn new(dir: &Path, port: u16, n_tones: usize) -> Self {
        tiny::write_wav(&dir.join("tones.wav"), &tones(n_tones));
        let text = format!(
            "name = \"ear\"\n[source]\ninput = \"file:tones.wav\"\nfast = true\n[model]\ndir = \"{}\"\nprecision = \"f32\"\n\
             [mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nkeep_alive_s = 5\nhealth_s = 1\n[journal]\nfile = \"state/ear.journal\"\n",
            tiny::model().display()
        );
        fs::write(dir.join("ear.toml"), text).unwrap();
        Ear { dir: dir.to_path_buf() }
    }

    /// From now on there is silence, for ten minutes of real time.
    fn hear_nothing(&self) {
        self.hear_slowly(&[(Sound::Silence, 600.0)]);
    }

    /// From now on it hears these, in real time.
    fn hear_slowly(&self, sounds: &[(Sound, f64)]) {
        tiny::write_wav(&self.dir.join("tones.wav"), sounds);
        let config = fs::read_to_string(self.dir.join("ear.toml")).unwrap();
        fs::write(self.dir.join("ear.toml"), config.replace("fast = true", "fast = false")).unwrap();
    }

    fn start(&self) -> Process {
        Process::start(&mut daemon::run(&self.dir.join("ear.toml")))
    }

    /// Runs to the end of the recording, and returns what was reported.
    fn run(&self) -> Vec<String> {
        let output = self.start().finish(PATIENCE);
        assert!(output.status.success(), "{output:#?}");
        output.stdout
    }

    fn journal(&self) -> PathBuf {
        self.dir.join("state/ear.journal")
    }
}

/// The events on the topic so far, each once.
fn once(subscriber: &Subscriber) -> Vec<String> {
    subscriber.distinct(EVENT)
}

/// Waits until everything that was `reported` has come, and compares.
fn assert_all_arrive(subscriber: &Subscriber, reported: &[String]) {
    let deadline = Instant::now() + PATIENCE;
    while once(subscriber).len() < reported.len() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    let arrived = once(subscriber);
    assert_eq!(arrived.len(), reported.len(), "some are missing, or invented");
    assert_eq!(arrived, reported, "the order is another");
}

/// The phases by event id.
fn phases(payloads: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut phases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for payload in payloads {
        let event: Value = serde_json::from_str(payload).unwrap_or_else(|error| panic!("{error}: {payload}"));
        let text = |key: &str| event[key].as_str().unwrap().to_string();
        phases.entry(text("id")).or_default().push(text("phase"));
    }
    phases
}

#[test]
fn thousands_of_events_wait_for_a_broker_that_is_away_also_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let ear = Ear::new(dir.path(), port, 1_000);
    let mut reported = ear.run();
    assert_eq!(reported.len(), 2_000);
    reported.extend(ear.run());
    // The broker comes back, and the daemon has nothing new to say for a while.
    let broker = Broker::start(dir.path(), port, ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    ear.hear_nothing();
    let daemon = ear.start();
    assert_all_arrive(&subscriber, &reported);
    daemon.signal("TERM");
    assert!(daemon.finish(PATIENCE).status.success());
}

#[test]
fn a_broker_that_is_killed_in_mid_stream_gets_it_all_once_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let ear = Ear::new(dir.path(), port, 1_500);
    let reported = ear.run();
    // A session that the broker knows from its disk, also after it was killed: what comes before
    // the subscriber is back, waits.
    let broker = Broker::start(dir.path(), port, ANYBODY);
    drop(Subscriber::start(port, Some("listener")));
    broker.stop();

    ear.hear_nothing();
    let daemon = ear.start();
    let mut arrived = Vec::new();
    for life in 1..=8 {
        let broker = Broker::start(dir.path(), port, ANYBODY);
        let subscriber = Subscriber::start(port, Some("listener"));
        let before: HashSet<String> = arrived.iter().cloned().collect();
        let n_left = reported.len() - before.len();
        let n_more = if life < 8 { n_left.min(200) } else { n_left };
        let n_new = |subscriber: &Subscriber| once(subscriber).iter().filter(|event| !before.contains(*event)).count();
        subscriber.wait_until("more events", |subscriber| n_new(subscriber) >= n_more);
        // What the broker has for a subscriber that reads slowly is in its memory alone, and dies
        // with it: acknowledged and lost, which is its fault and not looked for here. So the daemon
        // pauses until all of that has been read.
        daemon.signal("STOP");
        subscriber.wait_for_quiet(EVENT);
        // Then it finds acknowledgements that it had not read, and sends what nobody will
        // acknowledge.
        broker.signal("STOP");
        daemon.signal("CONT");
        thread::sleep(Duration::from_millis(200));
        // Killed, not stopped.
        drop(broker);
        subscriber.wait_for_end();
        arrived.extend(subscriber.payloads(EVENT));
    }
    daemon.signal("TERM");
    assert!(daemon.finish(PATIENCE).status.success());
    assert_eq!(distinct(&arrived), reported);
}

/// Runs the daemon until its spool is empty; returns what it reported itself.
fn drain(ear: &Ear, port: u16) -> Vec<String> {
    ear.hear_nothing();
    let subscriber = Subscriber::start(port, Some("drain"));
    let daemon = ear.start();
    subscriber.wait_until("an empty spool", |subscriber| {
        subscriber.payloads("earwitness/ear/health").last().is_some_and(|json| json.contains("\"spool_events\":0"))
    });
    daemon.signal("TERM");
    daemon.finish(PATIENCE).stdout
}

#[test]
fn a_daemon_that_is_killed_a_hundred_times_loses_nothing_and_leaves_nothing_open() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _broker = Broker::start(dir.path(), port, ANYBODY);
    let subscriber = Subscriber::start(port, None);
    let ear = Ear::new(dir.path(), port, 3_000);
    let mut reported = Vec::new();
    // When it dies is chance, from a generator that repeats: while it starts, while it reports, in
    // a write to the disk. Every other one has reported something by then, however slow its start
    // is.
    let mut state = 1_u64;
    for life in 0..100 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut daemon = ear.start();
        if life % 2 == 1 {
            daemon.wait_until("an event", PATIENCE, |daemon| !daemon.stdout().is_empty());
        }
        thread::sleep(Duration::from_millis(20 + (state >> 33) % 230));
        daemon.signal("KILL");
        reported.extend(daemon.finish(PATIENCE).stdout);
    }
    assert!(reported.len() > 100, "only {} events in a hundred lives", reported.len());
    reported.extend(drain(&ear, port));
    subscriber.catch_up();
    let arrived = once(&subscriber);
    let known: HashSet<&String> = arrived.iter().collect();
    let missing: Vec<_> = reported.iter().filter(|event| !known.contains(event)).collect();
    assert!(missing.is_empty(), "{} of {} are missing, the first is {}", missing.len(), reported.len(), missing[0]);
    // What was kept and not yet reported when it died arrives as well; of all of it every onset has
    // its offset, and nothing else.
    let open: Vec<_> = phases(&arrived).into_iter().filter(|(_, phases)| phases != &["onset", "offset"]).collect();
    assert!(open.is_empty(), "{open:?}");
    let last = subscriber.payloads("earwitness/ear/state/tone");
    assert_eq!(last.last().map(String::as_str), Some("OFF"));
}

#[test]
fn a_network_that_drops_everything_without_a_word_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let proxy = Proxy::start(broker.port);
    let ear = Ear::new(dir.path(), proxy.port, 1);
    ear.hear_slowly(&tones(25));
    let mut daemon = ear.start();
    subscriber.wait_until("the first event", |subscriber| !once(subscriber).is_empty());
    proxy.swallow(true);
    daemon.wait_until("the loss of the connection", PATIENCE, |daemon| {
        daemon.stderr().iter().any(|line| line.contains("not connected"))
    });
    proxy.swallow(false);
    let output = daemon.finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    let mut reported = output.stdout;
    assert_eq!(reported.len(), 50);
    // The end may have come before the connection was back.
    reported.extend(drain(&ear, broker.port));
    assert_all_arrive(&subscriber, &reported);
}

#[test]
fn a_full_disk_is_said_and_everything_arrives_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let ear = Ear::new(dir.path(), broker.port, 1);
    ear.hear_slowly(&tones(20));
    // The shell's limit on the size of a file, in blocks of 512 bytes, stands for a disk that fills
    // up.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 120; exec \"$@\"", "sh"]).arg(earwitness_bin());
    let mut daemon = Process::start(limited.arg("run").arg("--config").arg(dir.path().join("ear.toml")));
    subscriber.wait_until("the first event", |subscriber| !once(subscriber).is_empty());
    broker.signal("STOP");
    daemon.wait_until("the full disk", PATIENCE, |daemon| {
        daemon.stderr().iter().any(|line| line.contains("ERROR") && line.contains("of the journal"))
    });
    broker.signal("CONT");
    let output = daemon.finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(output.stdout.len(), 40);
    let mut reported = output.stdout;
    reported.extend(drain(&ear, broker.port));
    assert_all_arrive(&subscriber, &reported);
}

#[test]
fn a_spool_that_is_damaged_between_two_starts_is_set_aside_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let ear = Ear::new(dir.path(), port, 100);
    let first = ear.run();
    let mut bytes = fs::read(ear.journal()).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 5_000].fill(0);
    fs::write(ear.journal(), bytes).unwrap();
    let broker = Broker::start(dir.path(), port, ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let output = ear.start().finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    let said = output.stderr.iter().find(|line| line.contains("the journal is damaged"));
    assert!(
        said.is_some_and(|line| line.contains("a new one is begun with the events that could be read, ")),
        "{:#?}",
        output.stderr
    );
    drain(&ear, port);
    subscriber.catch_up();
    let arrived = once(&subscriber);
    let rescued = arrived.iter().filter(|event| first.contains(event)).count();
    assert!(rescued > 20, "{rescued} of {}", first.len());
    assert!(output.stdout.iter().all(|event| arrived.contains(event)));
    assert!(arrived.iter().all(|event| first.contains(event) || output.stdout.contains(event)), "none is invented");
}
