//! Claim: two hundred devices share one broker and lose nothing, also when it is restarted under
//! them. Each is the real daemon, with a sound of its own. Needs the Debian package mosquitto.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use tests::binary::Process;
use tests::broker::{Broker, Subscriber, free_port};
use tests::daemon;
use tests::tiny::{self, Sound};

const N_DEVICES: usize = 200;

/// They need more of the machine than it may have to spare.
const LONG: Duration = Duration::from_secs(600);

/// Different recordings.
const N_SOUNDS: usize = 20;

#[test]
fn two_hundred_devices_and_a_broker_that_is_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    // As deploy/ recommends for many devices: nothing is thrown away while a subscriber is behind.
    let config = "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n";
    let broker = Broker::start(dir.path(), port, config);
    let subscriber = Subscriber::start(port, Some("collector"));

    // Tones at different times, some before the broker goes, some while it is away, some after.
    // Then silence until all is over.
    for n in 0..N_SOUNDS {
        let delay_s = 1.0 + n as f64 * 0.4;
        let sounds = [
            (Sound::Silence, delay_s),
            (Sound::Tone, 1.0),
            (Sound::Silence, 4.0),
            (Sound::Tone, 1.0),
            (Sound::Silence, 120.0),
        ];
        tiny::write_wav(&dir.path().join(format!("{n}.wav")), &sounds);
    }
    let mut devices: Vec<Process> = (0..N_DEVICES)
        .map(|n| {
            let home = dir.path().join(n.to_string());
            fs::create_dir(&home).unwrap();
            let sounds = n % N_SOUNDS;
            let text = format!(
                "name = \"device-{n}\"\n[source]\ninput = \"file:../{sounds}.wav\"\n[model]\ndir = \"{}\"\nprecision = \"f32\"\n\
                 [mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nspool.file = \"spool\"\n",
                tiny::model().display()
            );
            fs::write(home.join("ear.toml"), text).unwrap();
            Process::start(&mut daemon::run(&home.join("ear.toml")))
        })
        .collect();

    subscriber.wait_until("the first events", |subscriber| events(subscriber).len() > N_DEVICES / 4);
    broker.stop();
    subscriber.wait_for_end();
    let mut arrived = events(&subscriber);
    drop(subscriber);
    thread::sleep(Duration::from_secs(3));
    let _broker = Broker::start(dir.path(), port, config);
    let subscriber = Subscriber::start(port, Some("collector"));

    let mut reported = HashSet::new();
    for device in &mut devices {
        device.wait_until("two tones", LONG, |device| device.stdout().len() == 4);
        reported.extend(device.stdout());
    }
    while arrived.len() < reported.len() && devices.iter_mut().all(Process::is_running) {
        thread::sleep(Duration::from_millis(50));
        arrived.extend(events(&subscriber));
    }
    for device in &mut devices {
        if device.is_running() {
            device.signal("TERM");
        }
    }
    for device in devices {
        let output = device.finish(LONG);
        assert!(output.status.success() && output.stdout.len() == 4, "{output:#?}");
    }

    // On a machine that is too busy for two hundred, a device may reach its end without a
    // connection. What it has not delivered by then it keeps for its next start.
    tiny::write_wav(&dir.path().join("silence.wav"), &[(Sound::Silence, 10.0)]);
    let silence = format!("file:{}", dir.path().join("silence.wav").display());
    let has_said_goodbye = |n: usize| {
        subscriber.payloads(&format!("earwitness/device-{n}/status")).last().is_some_and(|status| status == "offline")
    };
    let deadline = Instant::now() + LONG;
    loop {
        subscriber.catch_up();
        arrived.extend(events(&subscriber));
        let late: Vec<usize> = (0..N_DEVICES)
            .filter(|n| !has_said_goodbye(*n) || !of(*n, &reported).is_subset(&of(*n, &arrived)))
            .collect();
        if late.is_empty() || Instant::now() > deadline {
            assert_eq!(late, Vec::<usize>::new(), "some are lost");
            break;
        }
        let again = |n: &usize| {
            let config = dir.path().join(n.to_string()).join("ear.toml");
            Process::start(daemon::run(&config).args(["--source", &silence]))
        };
        for device in late.iter().map(again).collect::<Vec<_>>() {
            assert_eq!(device.finish(LONG).stdout, Vec::<String>::new());
        }
    }
    assert_eq!(reported.len(), 4 * N_DEVICES);
    assert!(arrived == reported, "some are invented");
}

/// Those of the device `n`.
fn of(n: usize, events: &HashSet<String>) -> HashSet<&String> {
    let device = format!("\"device\":\"device-{n}\"");
    events.iter().filter(|event| event.contains(&device)).collect()
}

/// The events of all devices so far, each once.
fn events(subscriber: &Subscriber) -> HashSet<String> {
    let all = subscriber.received().into_iter().filter(|message| message.topic.ends_with("/event"));
    all.map(|message| message.payload).collect()
}
