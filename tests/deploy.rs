//! Claim: the files in `deploy/` work as they are: a broker that takes them admits devices by their
//! certificates, holds each to its own topics, and forwards to a central one. Only addresses, ports
//! and folders are replaced. Needs the Debian packages mosquitto, mosquitto-clients and openssl.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use tests::binary::{PATIENCE, Process, earwitness_bin, workspace};
use tests::broker::{free_port, program};
use tests::tiny::{self, Sound};

const SHORT: &[(Sound, f64)] =
    &[(Sound::Silence, 1.0), (Sound::Tone, 1.0), (Sound::Silence, 1.0), (Sound::Noise, 1.0), (Sound::Silence, 1.0)];

/// The text of a file in `deploy/` with each of `changes` made, all of which it has to have a place
/// for.
fn example(file: &str, changes: &[(&str, &str)]) -> String {
    let path = workspace().join("deploy").join(file);
    let mut text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (from, to) in changes {
        assert!(text.contains(from), "{} does not have {from:?}", path.display());
        text = text.replace(from, to);
    }
    text
}

/// Makes `dir/certificates` by the script in `deploy/`.
fn certify(dir: &Path, names: &[&str]) {
    let script = workspace().join("deploy/make-certificates.sh");
    let output = Command::new(script).arg(dir.join("certificates")).arg("localhost,127.0.0.1").args(names).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The broker of `deploy/mosquitto` with its files in `dir`, and with `more` lines.
fn broker(dir: &Path, port: u16, more: &str) -> Process {
    let (config, data) = (dir.join("mosquitto.conf"), dir.join("data"));
    fs::create_dir_all(&data).unwrap();
    let text = example(
        "mosquitto/mosquitto.conf",
        &[
            ("listener 8883", &format!("listener {port} 127.0.0.1")),
            ("/mosquitto/config/", &format!("{}/", dir.display())),
            ("/mosquitto/data/", &format!("{}/", data.display())),
        ],
    );
    // The folder is the tester's, whoever that is.
    fs::write(&config, format!("user root\n{text}\n{more}\n")).unwrap();
    fs::write(dir.join("acl"), example("mosquitto/acl", &[])).unwrap();
    let mut broker = Process::start(Command::new(program("mosquitto", "mosquitto")).arg("-c").arg(&config));
    broker.wait_until("mosquitto listens", PATIENCE, |_| TcpStream::connect(("127.0.0.1", port)).is_ok());
    broker
}

/// mosquitto's own client `tool` for the broker on `port`, with the certificate of `user`.
fn client(tool: &str, dir: &Path, port: u16, user: &str) -> Command {
    let certificates = dir.join("certificates");
    // Every line when it is written, also into a pipe.
    let mut command = Command::new(program("stdbuf", "coreutils"));
    command.arg("-oL").arg(program(tool, "mosquitto-clients"));
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1"]);
    command.arg("--cafile").arg(certificates.join("ca.pem"));
    command.arg("--cert").arg(certificates.join(format!("{user}.pem")));
    command.arg("--key").arg(certificates.join(format!("{user}.key")));
    command
}

/// A reader that takes down `topic payload` lines of everything that `user` may hear under
/// `topics`.
fn reader(dir: &Path, port: u16, user: &str, topics: &[&str]) -> Process {
    let mut command = client("mosquitto_sub", dir, port, user);
    topics.iter().for_each(|topic| {
        command.args(["-t", topic]);
    });
    let mut reader = Process::start(command.args(["-d", "-F", "%t %p"]));
    reader.wait_until("the subscription", PATIENCE, |reader| {
        reader.stdout().iter().any(|line| line.starts_with("Subscribed"))
    });
    reader
}

/// The payloads that have come on `topic`.
fn payloads(reader: &Process, topic: &str) -> Vec<String> {
    let begin = format!("{topic} ");
    reader.stdout().iter().filter_map(|line| line.strip_prefix(&begin).map(str::to_string)).collect()
}

fn publish(dir: &Path, port: u16, user: &str, topic: &str, payload: &str) {
    let status = client("mosquitto_pub", dir, port, user).args(["-t", topic, "-m", payload]).status();
    assert!(status.unwrap().success(), "{user} cannot publish");
}

/// The daemon with the configuration in `deploy/`, as the device `certificate` that calls itself
/// `name`.
fn daemon(dir: &Path, port: u16, certificate: &str, name: &str) -> Command {
    let config = dir.join(format!("{certificate}-as-{name}.toml"));
    let text = example(
        "earwitness.toml",
        &[
            ("mqtt.home.example:8883", &format!("127.0.0.1:{port}")),
            ("certificates/kitchen-pi", &format!("certificates/{certificate}")),
            ("name = \"kitchen-pi\"", &format!("name = \"{name}\"")),
        ],
    );
    let more = format!(
        "[journal]\nfile = \"{certificate}-as-{name}.journal\"\n[source]\ninput = \"file:sounds.wav\"\n[model]\ndir = \"{}\"\n",
        tiny::model().display()
    );
    fs::write(&config, format!("{text}{more}")).unwrap();
    tiny::write_wav(&dir.join("sounds.wav"), SHORT);
    let mut command = Command::new(earwitness_bin());
    command.arg("run").arg("--config").arg(config);
    command
}

#[test]
fn a_device_reports_by_its_certificate_and_under_its_own_name_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, port) = (dir.path(), free_port());
    certify(dir, &["kitchen-pi", "cellar-pi", "homeassistant", "telegraf"]);
    let _broker = broker(dir, port, "");
    let mut home_assistant = reader(dir, port, "homeassistant", &["earwitness/#", "homeassistant/#"]);

    // In real time: the broker has most of it before the end, which waits for two seconds.
    let output = Process::start(&mut daemon(dir, port, "kitchen-pi", "kitchen-pi")).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(output.stdout.len(), 4, "{output:#?}");
    home_assistant.wait_until("the farewell", PATIENCE, |reader| {
        payloads(reader, "earwitness/kitchen-pi/status").last().is_some_and(|last| last == "offline")
    });
    assert_eq!(payloads(&home_assistant, "earwitness/kitchen-pi/event"), output.stdout);
    assert_eq!(payloads(&home_assistant, "earwitness/kitchen-pi/state/tone").last().unwrap(), "OFF");
    assert_eq!(payloads(&home_assistant, "homeassistant/binary_sensor/earwitness_kitchen-pi/tone/config").len(), 1);

    // Another device that says it is the kitchen's is not heard, by the daemon or otherwise. What
    // comes after it is.
    let heard =
        |reader: &Process| reader.stdout().iter().filter(|line| line.starts_with("earwitness/kitchen-pi/")).count();
    let before = heard(&home_assistant);
    let mut liar = Process::start(&mut daemon(dir, port, "cellar-pi", "kitchen-pi"));
    liar.wait_until("its first events", PATIENCE, |liar| liar.stdout().len() >= 2);
    publish(dir, port, "cellar-pi", "earwitness/kitchen-pi/event", "a lie");
    publish(dir, port, "telegraf", "earwitness/kitchen-pi/event", "another");
    publish(dir, port, "cellar-pi", "earwitness/cellar-pi/event", "true");
    home_assistant
        .wait_until("what is allowed", PATIENCE, |reader| payloads(reader, "earwitness/cellar-pi/event") == ["true"]);
    drop(liar);
    publish(dir, port, "cellar-pi", "earwitness/cellar-pi/event", "the end");
    home_assistant.wait_until("the last", PATIENCE, |reader| payloads(reader, "earwitness/cellar-pi/event").len() == 2);
    assert_eq!(heard(&home_assistant), before, "{:#?}", home_assistant.stdout());

    // A device does not hear the others; a reader does.
    let late = reader(dir, port, "cellar-pi", &["earwitness/#"]);
    let mut telegraf = reader(dir, port, "telegraf", &["earwitness/#"]);
    telegraf.wait_until("what is retained", PATIENCE, |reader| {
        payloads(reader, "earwitness/kitchen-pi/status") == ["offline"]
    });
    assert_eq!(heard(&late), 0, "{:#?}", late.stdout());
}

#[test]
fn nobody_gets_in_without_a_certificate_of_the_authority() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, port) = (dir.path(), free_port());
    certify(dir, &["kitchen-pi"]);
    let foreign = dir.join("foreign");
    certify(&foreign, &["kitchen-pi"]);
    let _broker = broker(dir, port, "");
    publish(dir, port, "kitchen-pi", "earwitness/kitchen-pi/event", "{}");

    let trust = dir.join("certificates/ca.pem");
    let connect = |more: &mut dyn FnMut(&mut Command)| {
        let mut command = Command::new(program("mosquitto_pub", "mosquitto-clients"));
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "earwitness/kitchen-pi/event"]);
        command.args(["-m", "{}"]).arg("--cafile").arg(&trust);
        more(&mut command);
        command.output().unwrap()
    };
    let without = connect(&mut |_| {});
    assert!(!without.status.success(), "a client without a certificate was let in");
    let other = connect(&mut |command| {
        command.arg("--cert").arg(foreign.join("certificates/kitchen-pi.pem"));
        command.arg("--key").arg(foreign.join("certificates/kitchen-pi.key"));
    });
    assert!(!other.status.success(), "a client with another authority's certificate was let in");
}

#[test]
fn a_site_hands_on_to_the_central_broker() {
    let (central_dir, site_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (central_dir, site_dir) = (central_dir.path(), site_dir.path());
    let (central_port, site_port) = (free_port(), free_port());
    certify(central_dir, &["berlin", "telegraf"]);
    certify(site_dir, &["kitchen-pi"]);
    // What the centre gives to the site.
    for (from, to) in [("ca.pem", "central-ca.pem"), ("berlin.pem", "berlin.pem"), ("berlin.key", "berlin.key")] {
        fs::copy(central_dir.join("certificates").join(from), site_dir.join("certificates").join(to)).unwrap();
    }
    let central = broker(central_dir, central_port, "");
    let mut telegraf = reader(central_dir, central_port, "telegraf", &["#"]);
    let bridge = example(
        "mosquitto/bridge.conf",
        &[
            ("central.example.org:8883", &format!("127.0.0.1:{central_port}")),
            ("/mosquitto/config/", &format!("{}/", site_dir.display())),
            // Not that long in a test.
            ("restart_timeout 5 120", "restart_timeout 1"),
        ],
    );
    let _site = broker(site_dir, site_port, &bridge);
    telegraf.wait_until("the bridge", PATIENCE, |reader| {
        payloads(reader, "sites/berlin/bridge").last().is_some_and(|last| last == "1")
    });
    let output = Process::start(&mut daemon(site_dir, site_port, "kitchen-pi", "kitchen-pi")).finish(PATIENCE);
    assert_eq!(output.stdout.len(), 4, "{output:#?}");
    telegraf.wait_until("the events", PATIENCE, |reader| {
        payloads(reader, "sites/berlin/kitchen-pi/event").len() == output.stdout.len()
    });
    assert_eq!(payloads(&telegraf, "sites/berlin/kitchen-pi/event"), output.stdout);

    // What is said while the centre is away arrives when it is back.
    drop(telegraf);
    drop(central);
    // Retained, so that it does not matter who is there first.
    let meanwhile = client("mosquitto_pub", site_dir, site_port, "kitchen-pi")
        .args(["-r", "-t", "earwitness/kitchen-pi/status", "-m", "meanwhile"])
        .status();
    assert!(meanwhile.unwrap().success());
    let _central = broker(central_dir, central_port, "");
    let mut telegraf = reader(central_dir, central_port, "telegraf", &["#"]);
    telegraf.wait_until("what was said meanwhile", PATIENCE, |reader| {
        payloads(reader, "sites/berlin/kitchen-pi/status").last().is_some_and(|last| last == "meanwhile")
    });
}
