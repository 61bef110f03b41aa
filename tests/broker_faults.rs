//! Claim: what home brokers do to a client, certificates, limits, access control, clashes, is
//! survived, named once, and loses no event. Needs the Debian packages mosquitto and openssl.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rumqttc::{Client, Event, Incoming, MqttOptions, QoS};
use tests::binary::{PATIENCE, Process};
use tests::broker::{self, Broker, Received, Subscriber, free_port};
use tests::daemon;
use tests::proxy::Proxy;
use tests::tiny::Sound;

const SECOND: Duration = Duration::from_secs(1);
const ANYBODY: &str = "allow_anonymous true\nmax_queued_messages 0";
const EVENT: &str = "earwitness/ear/event";

/// Two sounds, and minutes in which nothing happens.
const SOUNDS: &[(Sound, f64)] =
    &[(Sound::Silence, 0.6), (Sound::Tone, 0.6), (Sound::Silence, 0.6), (Sound::Noise, 0.6), (Sound::Silence, 200.0)];

/// `earwitness run` on `sounds` with lines for the section `[mqtt]`.
fn run(dir: &Path, name: &str, sounds: &[(Sound, f64)], mqtt: &str) -> Command {
    daemon::hear(dir, name, sounds, false, &format!("[mqtt]\n{mqtt}\n[journal]\nfile = \"journal\""))
}

fn url(port: u16) -> String {
    format!("url = \"mqtt://127.0.0.1:{port}\"")
}

fn lines_with(daemon: &Process, words: &str) -> usize {
    daemon.stderr().iter().filter(|line| line.contains(words)).count()
}

fn wait_for_log(daemon: &mut Process, words: &str) {
    daemon.wait_until(words, PATIENCE, |daemon| lines_with(daemon, words) > 0);
}

/// Waits for the four events of [`SOUNDS`].
fn wait_for_events(daemon: &mut Process, subscriber: &Subscriber) {
    daemon.wait_until("the sounds", PATIENCE, |daemon| daemon.stdout().len() == 4);
    // At least once, the first time in order.
    subscriber.wait_until("the events", |subscriber| subscriber.distinct(EVENT).len() >= 4);
    assert_eq!(subscriber.distinct(EVENT), daemon.stdout());
}

fn openssl(dir: &Path, args: &str) {
    broker::openssl(dir, &args.split(' ').collect::<Vec<_>>());
}

/// Certificates as people make them, each its own authority, with the key in `NAME.key`.
fn certificates(dir: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let usual = format!("req -x509 {key} -days 30 -subj /CN=localhost");
    openssl(dir, &format!("{usual} -keyout usual.key -out usual.pem"));
    openssl(dir, &format!("{usual} -keyout name.key -out name.pem -addext basicConstraints=critical,CA:FALSE"));
    openssl(dir, &format!("req -new {key} -keyout expired.key -out expired.csr -subj /CN=localhost"));
    fs::write(dir.join("extensions"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(dir, "x509 -req -in expired.csr -signkey expired.key -days -1 -extfile extensions -out expired.pem");
    openssl(dir, "x509 -req -in expired.csr -signkey expired.key -days 30 -out version1.pem");
    fs::copy(dir.join("expired.key"), dir.join("version1.key")).unwrap();
    openssl(dir, "x509 -in usual.pem -outform DER -out usual.der");
    let pem = fs::read(dir.join("usual.pem")).unwrap();
    fs::write(dir.join("bom.pem"), [b"\xEF\xBB\xBF", &pem[..]].concat()).unwrap();
}

fn tls_broker(dir: &Path, certificate: &str) -> (Broker, u16) {
    let tls_port = free_port();
    let lines = format!(
        "{ANYBODY}\nlistener {tls_port} 127.0.0.1\n{ANYBODY}\ncertfile {0}/{certificate}.pem\nkeyfile {0}/{certificate}.key",
        dir.display()
    );
    (Broker::start(dir, free_port(), &lines), tls_port)
}

#[test]
fn a_certificate_that_is_pinned_is_trusted_whatever_else_it_says() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    for (certificate, ca_file) in [
        ("usual", "usual.pem"),
        ("usual", "usual.der"),
        ("usual", "bom.pem"),
        ("name", "name.pem"),
        ("expired", "expired.pem"),
    ] {
        let (_broker, port) = tls_broker(dir.path(), certificate);
        let mqtt = format!("url = \"mqtts://127.0.0.1:{port}\"\nca_file = \"{ca_file}\"");
        let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &mqtt));
        daemon.wait_until("the connection", PATIENCE, |daemon| lines_with(daemon, ": connected to ") > 0);
        assert_eq!(lines_with(&daemon, "WARN"), 0, "{ca_file}: {:#?}", daemon.stderr());
        let trusted = daemon.stderr().into_iter().find(|line| line.contains("and is trusted, although "));
        assert!(trusted.as_ref().is_some_and(|line| !line.contains('(') || line.contains("(CA:TRUE)")), "{trusted:?}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_one_sentence_with_the_remedy_once() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let sign = "x509 -req -in expired.csr -CA usual.pem -CAkey usual.key -CAcreateserial -extfile extensions";
    openssl(dir.path(), &format!("{sign} -days -1 -out signed.pem"));
    openssl(dir.path(), &format!("{sign} -days 2 -out valid.pem"));
    for key in ["signed.key", "valid.key"] {
        fs::copy(dir.path().join("expired.key"), dir.path().join(key)).unwrap();
    }
    let cases = [
        ("usual", "name.pem", "shows an authority's certificate (CA:TRUE) as its own: copy the broker's certificate"),
        ("valid", "name.pem", "signed by no authority that this device trusts"),
        ("signed", "usual.pem", "has expired: renew it, or set this machine's clock"),
        ("version1", "version1.pem", "of X.509 version 1"),
    ];
    for (certificate, ca_file, words) in cases {
        let (_broker, port) = tls_broker(dir.path(), certificate);
        let mqtt = format!("url = \"mqtts://127.0.0.1:{port}\"\nca_file = \"{ca_file}\"");
        let mut command = run(dir.path(), "ear", SOUNDS, &mqtt);
        let mut daemon = Process::start(command.env("EARWITNESS_LOG", "warn,edge=debug"));
        daemon.wait_until("three attempts", PATIENCE, |daemon| lines_with(daemon, "still not connected") >= 2);
        assert_eq!(lines_with(&daemon, "WARN"), 1, "{:#?}", daemon.stderr());
        assert!(lines_with(&daemon, words) >= 3, "{certificate}: {:#?}", daemon.stderr());
    }
    let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    for (text, words) in [
        ("", "no certificate in it"),
        ("-----BEGIN PRIVATE KEY-----\n", "private key"),
        (cut, "the line -----END CERTIFICATE----- is missing"),
    ] {
        fs::write(dir.path().join("bad.pem"), text).unwrap();
        let mqtt = "url = \"mqtts://127.0.0.1:1\"\nca_file = \"bad.pem\"";
        let output = Process::start(&mut run(dir.path(), "ear", SOUNDS, mqtt)).finish(PATIENCE);
        let text = output.stderr.join("\n");
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("mqtt.ca_file") && text.contains("bad.pem") && text.contains(words), "{text}");
    }
}

#[test]
fn a_port_for_the_other_kind_of_connection_and_a_client_id_that_is_refused_are_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let (broker, tls_port) = tls_broker(dir.path(), "usual");
    for (url, words) in [
        (
            broker.url().replace("mqtt://", "mqtts://"),
            "has closed the connection: the port may not speak TLS: try mqtt://",
        ),
        (format!("mqtt://127.0.0.1:{tls_port}"), "has closed the connection: the port may want TLS: try mqtts://"),
    ] {
        let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &format!("url = \"{url}\"")));
        wait_for_log(&mut daemon, words);
    }
    let port = free_port();
    let _broker = Broker::start(dir.path(), port, "allow_anonymous true\nclientid_prefixes other-");
    let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &url(port)));
    wait_for_log(&mut daemon, "client id");
    let keys = "url = \"mqtts://127.0.0.1:1\"\ncert_file = \"usual.pem\"\nkey_file = \"name.key\"";
    let output = Process::start(&mut run(dir.path(), "ear", SOUNDS, keys)).finish(PATIENCE);
    let text = output.stderr.join("\n");
    assert!(text.contains("mqtt.cert_file") && text.contains("name.key does not belong to this certificate"), "{text}");
}

#[test]
fn a_broker_that_takes_no_long_messages_gets_the_events_and_the_long_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), &format!("{ANYBODY}\nmax_packet_size 450"));
    let subscriber = Subscriber::start(broker.port, None);
    let mqtt = format!("{}\nhome_assistant = true", url(broker.port));
    let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &mqtt));
    wait_for_events(&mut daemon, &subscriber);
    wait_for_log(&mut daemon, "disconnects when it receives a retained message of");
    wait_for_log(&mut daemon, "everything for Home Assistant's discovery is left out for an hour");
    let named = daemon.stderr().into_iter().find(|line| line.contains("disconnects when it receives")).unwrap();
    assert!(named.contains("on homeassistant/"), "{named}");
    // What is short is there.
    subscriber.wait_until("the state", |subscriber| {
        subscriber.payloads("earwitness/ear/state/noise").last().is_some_and(|last| last == "OFF")
    });
    assert!(lines_with(&daemon, "WARN") <= 4, "{:#?}", daemon.stderr());
    daemon.signal("TERM");
    assert!(daemon.finish(PATIENCE).status.success());
    subscriber.wait_until("the farewell", |subscriber| {
        subscriber.payloads("earwitness/ear/status").last().is_some_and(|last| last == "offline")
    });
}

#[test]
fn a_broker_that_ends_the_connection_at_a_forbidden_topic_gets_the_events() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("acl"), "topic readwrite #\ntopic deny earwitness/ear/state/#\n").unwrap();
    // Without a queue, mosquitto 2.0 hangs up on what it denies.
    let lines = format!("{ANYBODY}\nacl_file {}/acl", dir.path().display());
    let broker = Broker::start(dir.path(), free_port(), &lines);
    let subscriber = Subscriber::start(broker.port, None);
    let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &url(broker.port)));
    wait_for_events(&mut daemon, &subscriber);
    wait_for_log(&mut daemon, "on earwitness/ear/state/");
}

#[test]
fn a_broker_that_retains_nothing_gets_the_events() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), &format!("{ANYBODY}\nretain_available false"));
    let subscriber = Subscriber::start(broker.port, None);
    let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &url(broker.port)));
    wait_for_log(&mut daemon, "refuses a last will that is retained");
    wait_for_events(&mut daemon, &subscriber);
}

#[test]
fn a_proxy_before_a_broker_that_is_being_started_costs_no_last_will() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let proxy = Proxy::start(broker.port);
    proxy.close_next(2);
    let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &url(proxy.port)));
    wait_for_log(&mut daemon, "connecting once more, with a last will that is retained");
    wait_for_events(&mut daemon, &subscriber);
    let status = "earwitness/ear/status";
    let online = |subscriber: &Subscriber| subscriber.payloads(status).iter().filter(|said| *said == "online").count();
    subscriber.wait_until("the second connection", |subscriber| online(subscriber) >= 2);
    assert!(!subscriber.payloads(status).contains(&"offline".to_string()), "nobody was told that it was gone");
    daemon.signal("KILL");
    subscriber.wait_until("the last will", |subscriber| subscriber.payloads(status).last().unwrap() == "offline");
    let kept = retained(broker.port).into_iter().find(|message| message.topic == status);
    assert_eq!(kept.unwrap().payload, "offline");
}

#[test]
fn a_network_that_flaps_leaves_the_log_quiet_and_two_clients_with_one_id_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let proxy = Proxy::start(broker.port);
    let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &url(proxy.port)));
    let online = |subscriber: &Subscriber| {
        subscriber.payloads("earwitness/ear/status").iter().filter(|status| *status == "online").count()
    };
    let named = "another client seems to use the id \"earwitness-ear\"";
    let (mut n_seen, mut n_cuts) = (0, 0);
    // An end counts for that where nothing is on its way, which on a busy machine is not sure.
    while n_cuts < 5 || n_cuts < 10 && lines_with(&daemon, named) == 0 {
        subscriber.wait_until("the connection", |subscriber| online(subscriber) > n_seen);
        n_seen = online(&subscriber);
        thread::sleep(SECOND / 4);
        proxy.cut();
        n_cuts += 1;
    }
    wait_for_log(&mut daemon, named);
    // Five ends or more, of two kinds: what was reported is not reported again before a minute is
    // over.
    assert!(lines_with(&daemon, "WARN") <= 2, "{:#?}", daemon.stderr());
    assert!(lines_with(&daemon, "INFO edge::publish::mqtt") <= 4, "{:#?}", daemon.stderr());
    wait_for_events(&mut daemon, &subscriber);
}

#[test]
fn an_ipv6_address_is_an_address() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let Ok(listener) = std::net::TcpListener::bind(("::1", port)) else {
        panic!("this machine has no IPv6 on its loopback interface, which this test needs")
    };
    drop(listener);
    certificates(dir.path());
    let lines = format!(
        "{ANYBODY}\nlistener {port} ::1\n{ANYBODY}\ncertfile {0}/usual.pem\nkeyfile {0}/usual.key",
        dir.path().display()
    );
    let _broker = Broker::start(dir.path(), free_port(), &lines);
    let mqtt = format!("url = \"MQTTS://[::1]:{port}\"\nca_file = \"usual.pem\"");
    let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &mqtt));
    wait_for_log(&mut daemon, ": connected to mqtt broker [::1]:");
}

#[test]
fn a_name_that_nobody_knows_is_said_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, "url = \"mqtt://no-such-broker.local\""));
    wait_for_log(
        &mut daemon,
        "there is no address for the name no-such-broker.local: names in .local need multicast DNS",
    );
}

/// Publishes retained messages.
fn retain(port: u16, messages: &[(&str, &str)]) {
    let (client, mut connection) = Client::new(MqttOptions::new("earlier", "127.0.0.1", port), 64);
    for (topic, payload) in messages {
        client.publish(*topic, QoS::AtLeastOnce, true, *payload).unwrap();
    }
    let is_acknowledged = |event: &Event| matches!(event, Event::Incoming(Incoming::PubAck(_)));
    let acknowledged = connection.iter().map(Result::unwrap).filter(is_acknowledged);
    assert_eq!(acknowledged.take(messages.len()).count(), messages.len());
}

/// What the broker has retained.
fn retained(port: u16) -> Vec<Received> {
    let late = Subscriber::start(port, Some("late"));
    late.catch_up();
    late.received().into_iter().filter(|message| message.retained).collect()
}

#[test]
fn what_an_earlier_configuration_has_retained_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    // An earlier version has left a label that the model does not have any more, and it was ON.
    // Others' topics stay.
    let config = r#"{"name": "Blender"}"#;
    let left = [
        ("earwitness/ear/state/blender", "ON"),
        ("homeassistant/binary_sensor/earwitness_ear/blender/config", config),
        ("earwitness/neighbour/state/blender", "ON"),
        ("homeassistant/binary_sensor/earwitness_ear2/blender/config", config),
    ];
    retain(broker.port, &left);
    let mqtt = format!("{}\nhome_assistant = true", url(broker.port));
    let subscriber = Subscriber::start(broker.port, None);
    let daemon = Process::start(&mut run(dir.path(), "ear", &[(Sound::Silence, 0.6), (Sound::Tone, 300.0)], &mqtt));
    let is_cleared = |topic: &'static str| {
        move |subscriber: &Subscriber| subscriber.payloads(topic).last().is_some_and(|last| last.is_empty())
    };
    subscriber.wait_until("the state", is_cleared(left[0].0));
    subscriber.wait_until("the entity", is_cleared(left[1].0));
    subscriber.wait_until("ON", |subscriber| {
        subscriber.payloads("earwitness/ear/state/tone").last().is_some_and(|last| last == "ON")
    });
    daemon.signal("KILL");
    drop(daemon);

    // The daemon has another name, and announces nothing to Home Assistant any more.
    let mut daemon = Process::start(&mut run(dir.path(), "nose", &[(Sound::Silence, 300.0)], &url(broker.port)));
    wait_for_log(&mut daemon, ": connected to ");
    subscriber.wait_until("the old state", is_cleared("earwitness/ear/state/tone"));
    subscriber.wait_until("the old level", is_cleared("homeassistant/sensor/earwitness_ear/level/config"));
    daemon.wait_until("quiet", PATIENCE, |_| {
        let mut topics: Vec<String> = retained(broker.port).into_iter().map(|message| message.topic).collect();
        topics.sort();
        topics
            == [
                "earwitness/neighbour/state/blender",
                "earwitness/nose/state/noise",
                "earwitness/nose/state/tone",
                "earwitness/nose/status",
                "homeassistant/binary_sensor/earwitness_ear2/blender/config",
            ]
    });
}

#[test]
fn home_assistant_is_heard_where_it_speaks_whatever_the_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), ANYBODY);
    let subscriber = Subscriber::start(broker.port, None);
    let mqtt = format!("{}\nhome_assistant = true\nhome_assistant_prefix = \"ha/discovery\"", url(broker.port));
    let _daemon = Process::start(&mut run(dir.path(), "ear", &[(Sound::Silence, 300.0)], &mqtt));
    let topic = "ha/discovery/binary_sensor/earwitness_ear/tone/config";
    for (birth, n) in [("", 1), ("homeassistant/status", 2), ("ha/discovery/status", 3)] {
        if !birth.is_empty() {
            retain(broker.port, &[(birth, "online")]);
        }
        subscriber.wait_until("the announcement", |subscriber| subscriber.payloads(topic).len() >= n);
    }
    let config: serde_json::Value = serde_json::from_str(&subscriber.payloads(topic)[0]).unwrap();
    assert_eq!(config["default_entity_id"], "binary_sensor.earwitness_ear_tone");
}

#[test]
fn a_broker_that_acknowledges_what_it_does_not_pass_on_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("acl"), "topic read #\n").unwrap();
    let lines = format!("allow_anonymous true\nacl_file {}/acl", dir.path().display());
    let broker = Broker::start(dir.path(), free_port(), &lines);
    let mut daemon = Process::start(&mut run(dir.path(), "ear", SOUNDS, &url(broker.port)));
    wait_for_log(
        &mut daemon,
        "earwitness/ear/status does not come back: its access control (ACL) may forbid writing there",
    );
    // Where it may, there is nothing to say.
    let other = tempfile::tempdir().unwrap();
    let broker = Broker::start(other.path(), free_port(), ANYBODY);
    let mut daemon = Process::start(&mut run(other.path(), "ear", SOUNDS, &url(broker.port)));
    wait_for_log(&mut daemon, ": connected to ");
    // It looks every ten seconds.
    thread::sleep(12 * SECOND);
    assert_eq!(lines_with(&daemon, "WARN"), 0, "{:#?}", daemon.stderr());
}
