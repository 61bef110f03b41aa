//! Claim: the daemon is a good service: it tells systemd when it is up and alive, takes another
//! configuration while it runs, listens to several sources at once, appears in Home Assistant by
//! itself and gives its figures to Prometheus. Needs the Debian package mosquitto.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rumqttc::{Client, MqttOptions, QoS};
use serde_json::Value;
use tests::binary::{PATIENCE, Process};
use tests::broker::{Broker, Subscriber, free_port};
use tests::tiny::{self, Sound};

const SECOND: Duration = Duration::from_secs(1);
const ANYBODY: &str = "allow_anonymous true";

/// Writes a configuration and the recording `sounds.wav` of `sounds`, for a daemon in `dir`.
fn configure(dir: &Path, sounds: &[(Sound, f64)], config: &str) {
    tiny::write_wav(&dir.join("sounds.wav"), sounds);
    write_config(dir, config);
}

fn write_config(dir: &Path, config: &str) {
    let text = format!("name = \"ear\"\n{config}\n[model]\ndir = \"{}\"\n", tiny::model().display());
    fs::write(dir.join("ear.toml"), text).unwrap();
}

fn daemon(dir: &Path) -> Command {
    tests::daemon::run(&dir.join("ear.toml"))
}

/// Tones of a second with a second between them.
fn tones(n: usize) -> Vec<(Sound, f64)> {
    (0..n).flat_map(|_| [(Sound::Silence, 1.0), (Sound::Tone, 1.0)]).collect()
}

const FILE: &str = "[source]\ninput = \"file:sounds.wav\"\n";

/// What systemd would hear until `until` holds of it all.
fn told(socket: &UnixDatagram, what: &str, until: impl Fn(&[String]) -> bool) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    socket.set_read_timeout(Some(SECOND)).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while !until(&all) {
        assert!(Instant::now() < deadline, "waited for {what}, was told {all:?}");
        if let Ok(n) = socket.recv(&mut buffer) {
            all.extend(String::from_utf8_lossy(&buffer[..n]).lines().map(str::to_string));
        }
    }
    all
}

#[test]
fn systemd_is_told_when_it_is_up_and_that_it_lives_until_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), &[(Sound::Silence, 300.0)], FILE);
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    let mut command = daemon(dir.path());
    // systemd's own variables.
    let daemon = Process::start(
        command
            .env("NOTIFY_SOCKET", dir.path().join("notify"))
            .env("WATCHDOG_USEC", "600000")
            .env_remove("WATCHDOG_PID"),
    );
    let n_fed = |all: &[String]| all.iter().filter(|line| *line == "WATCHDOG=1").count();
    let all = told(&socket, "three feedings", |all| n_fed(all) >= 3);
    assert_eq!(all[0], "READY=1");
    assert!(all.contains(&"STATUS=listening".to_string()), "{all:?}");

    // Another configuration is announced as it should be (systemd's Type=notify-reload).
    daemon.signal("HUP");
    let all = told(&socket, "the reload", |all| all.contains(&"READY=1".to_string()));
    assert!(all.iter().any(|line| line == "RELOADING=1"), "{all:?}");
    assert!(all.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{all:?}");

    daemon.signal("TERM");
    told(&socket, "the end", |all| all.contains(&"STOPPING=1".to_string()));
    assert!(daemon.finish(PATIENCE).status.success());
}

#[test]
fn another_configuration_is_taken_between_two_pulses_and_a_bad_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let mqtt = format!("[mqtt]\nurl = \"{}\"\nspool.file = \"spool\"\n", broker.url());
    configure(dir.path(), &tones(150), &format!("{FILE}{mqtt}"));
    let mut process = Process::start(&mut daemon(dir.path()));
    process.wait_until("a tone", PATIENCE, |process| process.stdout().len() >= 2);
    let said = |process: &Process, what: &str| process.stderr().iter().filter(|line| line.contains(what)).count();

    write_config(dir.path(), &format!("{FILE}{mqtt}[decide]\nthreshold_on = 7\n"));
    process.signal("HUP");
    process.wait_until("the refusal", PATIENCE, |process| said(process, "refused, and the old one stays") == 1);
    let n_before = process.stdout().len();
    process.wait_until("another tone", PATIENCE, |process| process.stdout().len() >= n_before + 2);

    write_config(dir.path(), &format!("{FILE}{mqtt}health_s = 7\n[decide]\ndeny = [\"tone\"]\n"));
    process.signal("HUP");
    process.wait_until("the reload", PATIENCE, |process| said(process, " read again") == 1);
    assert_eq!(said(&process, "needs a restart"), 1, "{:#?}", process.stderr());
    // An event that was open has been closed; what is not reported has no state.
    subscriber.wait_until("no state", |subscriber| {
        subscriber.payloads("earwitness/ear/state/tone").last().is_some_and(String::is_empty)
    });
    // One that began a moment before may still be on its way, with its end.
    std::thread::sleep(SECOND);
    process.wait_until("its end", PATIENCE, |process| {
        process.stdout().last().is_some_and(|last| last.contains("\"phase\":\"offset\""))
    });
    let lines = process.stdout();
    std::thread::sleep(3 * SECOND);
    assert_eq!(process.stdout().len(), lines.len(), "a tone would have been heard");

    write_config(dir.path(), &format!("{FILE}{mqtt}"));
    process.signal("HUP");
    process.wait_until("a tone again", PATIENCE, |process| process.stdout().len() >= lines.len() + 2);
    subscriber.wait_until("its state", |subscriber| {
        let states = subscriber.payloads("earwitness/ear/state/tone");
        states.rsplit(String::is_empty).next().is_some_and(|states| states.iter().any(|state| state == "ON"))
    });
}

#[test]
fn several_sources_have_pipelines_and_topics_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    tiny::write_wav(
        &dir.path().join("noise.wav"),
        &[(Sound::Silence, 3.0), (Sound::Noise, 1.0), (Sound::Silence, 1.0)],
    );
    let sources = "[[sources]]\nname = \"kitchen\"\ninput = \"file:sounds.wav\"\nfast = true\n\
                   [[sources]]\nname = \"cellar\"\ninput = \"file:noise.wav\"\n";
    let mqtt = format!("[mqtt]\nurl = \"{}\"\nhealth_s = 1\nspool.file = \"spool\"\n", broker.url());
    configure(dir.path(), &tones(1), &format!("{sources}{mqtt}"));
    let output = Process::start(&mut daemon(dir.path())).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    let of = |device: &str| {
        let device = format!("\"device\":\"{device}\"");
        output.stdout.iter().filter(|line| line.contains(&device)).cloned().collect::<Vec<_>>()
    };
    assert!(of("kitchen").iter().all(|line| line.contains("\"label\":\"tone\"")) && of("kitchen").len() == 2);
    assert!(of("cellar").iter().all(|line| line.contains("\"label\":\"noise\"")) && of("cellar").len() == 2);
    subscriber.wait_until("the farewell", |subscriber| {
        ["ear", "kitchen", "cellar"].iter().all(|device| {
            subscriber.payloads(&format!("earwitness/{device}/status")).last().is_some_and(|last| last == "offline")
        })
    });
    for device in ["kitchen", "cellar"] {
        assert_eq!(subscriber.payloads(&format!("earwitness/{device}/event")), of(device));
        assert!(!subscriber.payloads(&format!("earwitness/{device}/health")).is_empty());
    }
    assert_eq!(subscriber.payloads("earwitness/cellar/state/noise"), ["OFF", "ON", "OFF"]);
}

#[test]
fn home_assistant_is_told_at_once_and_again_when_it_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let mqtt = format!(
        "[decide]\ndeny = [\"noise\"]\n[mqtt]\nurl = \"{}\"\nhome_assistant = true\nspool.file = \"spool\"\n",
        broker.url()
    );
    configure(dir.path(), &[(Sound::Silence, 300.0)], &format!("{FILE}{mqtt}"));
    let _process = Process::start(&mut daemon(dir.path()));
    let tone = "homeassistant/binary_sensor/earwitness_ear/tone/config";
    subscriber.wait_until("discovery", |subscriber| subscriber.payloads(tone).len() == 1);
    let config: Value = serde_json::from_str(&subscriber.payloads(tone)[0]).unwrap();
    assert_eq!(config["state_topic"], "earwitness/ear/state/tone");
    subscriber.wait_until("the state", |subscriber| subscriber.payloads("earwitness/ear/state/tone") == ["OFF"]);
    subscriber.wait_until("the label that is not reported is taken away", |subscriber| {
        subscriber.payloads("homeassistant/binary_sensor/earwitness_ear/noise/config") == [""]
    });

    // Home Assistant was restarted, and says so.
    let (client, mut connection) = Client::new(MqttOptions::new("homeassistant", "127.0.0.1", broker.port), 10);
    client.publish("homeassistant/status", QoS::AtLeastOnce, false, "online").unwrap();
    std::thread::spawn(move || connection.iter().take_while(Result::is_ok).count());
    subscriber.wait_until("discovery once more", |subscriber| subscriber.payloads(tone).len() == 2);
    subscriber.wait_until("the states once more", |subscriber| {
        subscriber.payloads("earwitness/ear/state/tone").len() == 2
            && subscriber.payloads("earwitness/ear/status").len() == 2
    });
}

#[test]
fn prometheus_gets_figures_only_where_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    configure(dir.path(), &tones(150), &format!("{FILE}[metrics]\nport = {port}\n"));
    let mut process = Process::start(&mut daemon(dir.path()));
    process.wait_until("a tone and the metrics", PATIENCE, |process| {
        process.stdout().len() >= 2 && process.stderr().iter().any(|line| line.contains("metrics at http://"))
    });
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let value = |name: &str| -> f64 {
        let line = answer.lines().find(|line| line.starts_with(&format!("{name}{{device=\"ear\"}} ")));
        line.unwrap_or_else(|| panic!("no {name} in {answer}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("earwitness_pulses_total") > 10.0 && value("earwitness_hears") == 1.0);
    assert!(value("earwitness_us_per_pulse") > 0.0 && value("earwitness_last_frame_age_s") < 5.0);
}
