//! Claim: events reach a real MQTT broker as they are reported on standard output, whatever the
//! broker and the connection go through meanwhile. Needs the Debian packages mosquitto and openssl.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::binary::{PATIENCE, Process};
use tests::broker::{Broker, Received, Subscriber, free_port, openssl, program};
use tests::daemon;
use tests::tiny::{Sound, TONE_AND_NOISE};

const EVENT: &str = "earwitness/ear/event";
const STATUS: &str = "earwitness/ear/status";
const TONE: &str = "earwitness/ear/state/tone";
const ANYBODY: &str = "allow_anonymous true";

/// A tone, and minutes in which nothing ends.
const LONG: &[(Sound, f64)] = &[(Sound::Silence, 0.6), (Sound::Tone, 0.6), (Sound::Silence, 300.0)];

/// `earwitness run` on `sounds` with lines for the section `[mqtt]`.
fn run(dir: &Path, sounds: &[(Sound, f64)], mqtt: &str) -> Command {
    daemon::hear(dir, "ear", sounds, false, &sections(mqtt))
}

fn sections(mqtt: &str) -> String {
    format!("[mqtt]\n{mqtt}\n[journal]\nfile = \"ear.journal\"")
}

fn has_said(process: &Process, words: &[&str]) -> bool {
    process.stderr().iter().any(|line| words.iter().all(|word| line.contains(word)))
}

fn url(port: u16) -> String {
    format!("url = \"mqtt://127.0.0.1:{port}\"")
}

#[test]
fn events_arrive_as_published() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    // In real time: the broker has most of it before the end, which waits for two seconds.
    let output = Process::start(&mut run(dir.path(), TONE_AND_NOISE, &url(broker.port))).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(output.stdout.len(), 4, "{output:#?}");

    subscriber.wait_until("the farewell", |subscriber| {
        subscriber.payloads(STATUS).last().is_some_and(|last| last == "offline")
    });
    assert_eq!(subscriber.payloads(EVENT), output.stdout);
    assert_eq!(subscriber.payloads(STATUS), ["online", "offline"]);
    assert_eq!(subscriber.payloads(TONE).last().unwrap(), "OFF");
    let received = subscriber.received();
    assert!(received.iter().all(|message| message.qos == 1 && !message.retained), "{received:#?}");

    // Who comes later finds the states, and no event.
    let late = Subscriber::start(broker.port, Some("late"));
    late.wait_until("the kept messages", |late| late.received().len() == 3);
    let kept =
        |topic: &str, payload: &str| Received { topic: topic.into(), payload: payload.into(), qos: 1, retained: true };
    for message in [kept(STATUS, "offline"), kept(TONE, "OFF"), kept("earwitness/ear/state/noise", "OFF")] {
        assert!(late.received().contains(&message), "{message:?} is not among {:#?}", late.received());
    }
}

#[test]
fn states_follow_the_events_and_the_last_will_speaks_for_the_dead() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let mut process =
        Process::start(&mut run(dir.path(), &[(Sound::Silence, 3.0), (Sound::Tone, 300.0)], &url(broker.port)));
    process.wait_until("the onset", PATIENCE, |process| !process.stdout().is_empty());
    subscriber.wait_until("the state", |subscriber| subscriber.payloads(TONE).last().is_some_and(|last| last == "ON"));
    assert_eq!(subscriber.payloads(TONE), ["OFF", "ON"]);
    assert_eq!(subscriber.payloads(STATUS), ["online"]);
    process.signal("KILL");
    subscriber.wait_until("the last will", |subscriber| subscriber.payloads(STATUS) == ["online", "offline"]);
}

#[test]
fn a_terminated_daemon_ends_its_events_before_it_says_goodbye() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let mut process =
        Process::start(&mut run(dir.path(), &[(Sound::Silence, 1.0), (Sound::Tone, 300.0)], &url(broker.port)));
    process.wait_until("the onset", PATIENCE, |process| !process.stdout().is_empty());
    subscriber.wait_until("the onset", |subscriber| subscriber.payloads(EVENT).len() == 1);
    process.signal("TERM");
    let output = process.finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    subscriber.wait_until("the farewell", |subscriber| subscriber.payloads(STATUS) == ["online", "offline"]);
    assert_eq!(subscriber.payloads(EVENT), output.stdout);
    let topics: Vec<String> = subscriber.received().into_iter().map(|message| message.topic).collect();
    let last = |topic: &str| topics.iter().rposition(|other| other == topic).unwrap();
    assert!(last(EVENT) < last(STATUS) && last(TONE) < last(STATUS), "{topics:?}");
}

#[test]
fn a_broker_that_is_away_gets_the_events_of_the_meantime() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    // A session keeps for the subscriber what comes before it is there again.
    let broker = Broker::start(dir.path(), port, ANYBODY);
    drop(Subscriber::start(port, Some("listener")));
    broker.stop();

    let mut command = daemon::listen(dir.path(), "ear", &sections(&url(port)));
    let (mut process, mut input) = Process::start_with_input(&mut command);
    let tone = [(Sound::Silence, 1.0), (Sound::Tone, 0.6), (Sound::Silence, 2.0)];
    daemon::tell(&mut input, &tone);
    process.wait_until("the first tone and the refusal", PATIENCE, |process| {
        process.stdout().len() == 2 && has_said(process, &["WARN", "not connected", "refused"])
    });

    let broker = Broker::start(dir.path(), port, ANYBODY);
    let subscriber = Subscriber::start(port, Some("listener"));
    subscriber.wait_until("the events of the meantime", |subscriber| subscriber.distinct(EVENT).len() == 2);

    // What the subscriber gets until the broker is gone, the session need not keep.
    broker.stop();
    subscriber.wait_for_end();
    let mut delivered = subscriber.distinct(EVENT);
    daemon::tell(&mut input, &tone);
    process.wait_until("the second tone", PATIENCE, |process| process.stdout().len() == 4);
    let _broker = Broker::start(dir.path(), port, ANYBODY);
    let subscriber = Subscriber::start(port, Some("listener"));
    subscriber.wait_until("the last event", |subscriber| subscriber.payloads(EVENT).last() == process.stdout().last());
    // At least once, the first time in order.
    for event in subscriber.distinct(EVENT) {
        if !delivered.contains(&event) {
            delivered.push(event);
        }
    }
    assert_eq!(delivered, process.stdout());
    assert!(process.is_running());
}

#[test]
fn a_wrong_password_is_said_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = dir.path().join("passwords");
    let set_password = |password: &str| {
        let tool = program("mosquitto_passwd", "mosquitto");
        let status = Command::new(tool).arg("-b").arg("-c").arg(&passwords).args(["ear", password]).status();
        assert!(status.unwrap().success());
    };
    set_password("another");
    let broker = Broker::start(
        dir.path(),
        free_port(),
        &format!("allow_anonymous false\npassword_file {}", passwords.display()),
    );
    fs::write(dir.path().join("secret"), "right\n").unwrap();
    let login = format!("{}\nuser = \"ear\"\npassword_file = \"secret\"", url(broker.port));
    let mut process = Process::start(&mut run(dir.path(), LONG, &login));
    process.wait_until("the refusal", PATIENCE, |process| {
        has_said(process, &["WARN", "refuses the user name, the password or the client id"])
    });
    process.wait_until("the first tone", PATIENCE, |process| process.stdout().len() == 2);
    assert!(process.stderr().iter().all(|line| !line.contains("right")), "the password is in the log");

    set_password("right");
    broker.signal("HUP");
    let subscriber = Subscriber::start_as(broker.port, None, Some(("ear", "right")));
    process.wait_until("the connection", PATIENCE, |process| has_said(process, &[": connected to "]));
    // The subscriber may have come too late for the events; the states are kept for it.
    subscriber.wait_until("the state", |subscriber| !subscriber.payloads(TONE).is_empty());
}

/// A private authority in `dir`, with certificates for a broker on this machine and for a client.
fn make_authority(dir: &Path) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca = ["-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(dir, &[&["req"], &key[..], &ca[..]].concat());
    for (name, extension) in [("broker", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")] {
        fs::write(dir.join("extensions"), format!("{extension}\nbasicConstraints=CA:FALSE\n")).unwrap();
        let [key_file, request, pem] = ["key", "csr", "pem"].map(|end| format!("{name}.{end}"));
        let subject = format!("/CN={name}");
        openssl(dir, &[&["req"], &key[..], &["-subj", &subject, "-keyout", &key_file, "-out", &request]].concat());
        let sign = ["x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        openssl(dir, &[&sign[..], &["-extfile", "extensions", "-in", &request, "-out", &pem]].concat());
    }
}

#[test]
fn tls_with_a_private_authority_and_a_client_certificate() {
    let dir = tempfile::tempdir().unwrap();
    make_authority(dir.path());
    let (port, tls_port) = (free_port(), free_port());
    let listener = format!(
        "{ANYBODY}\nlistener {tls_port} 127.0.0.1\n{ANYBODY}\ncafile {0}/ca.pem\ncertfile {0}/broker.pem\nkeyfile {0}/broker.key\n\
         require_certificate true",
        dir.path().display()
    );
    let broker = Broker::start(dir.path(), port, &listener);
    let subscriber = Subscriber::start(broker.port, None);
    let tls = format!("url = \"mqtts://127.0.0.1:{tls_port}\"\nca_file = \"ca.pem\"\n");
    let client = "cert_file = \"client.pem\"\nkey_file = \"client.key\"\n";
    let output = Process::start(&mut run(dir.path(), TONE_AND_NOISE, &format!("{tls}{client}"))).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    subscriber.wait_until("the events", |subscriber| subscriber.payloads(EVENT).len() == 4);
    assert_eq!(subscriber.payloads(EVENT), output.stdout);

    // Another authority's broker is not trusted, and events go on to standard output.
    let other = tempfile::tempdir().unwrap();
    make_authority(other.path());
    let foreign =
        format!("url = \"mqtts://127.0.0.1:{tls_port}\"\nca_file = \"{}\"", other.path().join("ca.pem").display());
    let mut process = Process::start(&mut run(dir.path(), LONG, &foreign));
    process.wait_until("the distrust", PATIENCE, |process| has_said(process, &["WARN", "certificate"]));
    process.wait_until("the first tone", PATIENCE, |process| process.stdout().len() == 2);
}
