//! Claim: events reach a real HTTP server at least once and in order, whatever the server and the
//! daemon go through meanwhile, and a server that is away holds up nobody. Needs the Debian
//! packages openssl and python3.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use tests::binary::{Output, PATIENCE, Process, earwitness_bin};
use tests::broker::openssl;
use tests::daemon;
use tests::http::{Behaviour, Request, Server};
use tests::tiny::{Sound, TONE_AND_NOISE, events, names, tones};

const OK: Behaviour = Behaviour::Answer(200, "");

/// `earwitness run` on `sounds`, with further lines of configuration.
fn run(dir: &Path, sounds: &[(Sound, f64)], fast: bool, config: &str) -> Command {
    daemon::hear(dir, "ear", sounds, fast, &format!("[journal]\nfile = \"ear.journal\"\n{config}"))
}

fn finish(command: &mut Command) -> Output {
    let output = Process::start(command).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    output
}

fn bodies(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| request.body.clone()).collect()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

#[test]
fn events_are_posted_as_they_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(OK);
    let config = format!("[[webhook]]\nurl = \"{}\"", server.url("/hook?key=geheim"));
    let output = finish(&mut run(dir.path(), TONE_AND_NOISE, true, &config));
    assert_eq!(output.stdout.len(), 4);
    assert_eq!(bodies(&server.taken()), output.stdout);
    let request = &server.taken()[0];
    assert_eq!(
        (request.line.as_str(), header(request, "content-type")),
        ("POST /hook?key=geheim", Some("application/json"))
    );
    assert!(
        output.stderr.iter().all(|line| !line.contains("geheim")),
        "the address is in the log: {:#?}",
        output.stderr
    );
}

#[test]
fn templates_labels_and_phases_make_a_message_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(OK);
    let config = format!(
        "[[webhook]]\nurl = \"{0}\"\nlabels = [\"tone\"]\nphases = [\"onset\"]\n\
         headers = {{ Title = \"{{{{device}}}}\", Authorization = \"Bearer x\" }}\ntemplate = \"{{{{label}}}} heard\"\n\
         [[webhook]]\nurl = \"{0}\"\nphases = [\"offset\"]\ntemplate = '{{\"content\": \"{{{{label}}}} is over\"}}'",
        server.url("/topic")
    );
    let output = finish(&mut run(dir.path(), TONE_AND_NOISE, true, &config));
    assert_eq!(output.stdout.len(), 4);
    let taken = server.taken();
    let mut texts = bodies(&taken);
    texts.sort();
    assert_eq!(texts, ["tone heard", "{\"content\": \"noise is over\"}", "{\"content\": \"tone is over\"}"]);
    let plain = taken.iter().find(|request| request.body == "tone heard").unwrap();
    assert_eq!((header(plain, "title"), header(plain, "authorization")), (Some("ear"), Some("Bearer x")));
    assert_eq!(header(plain, "content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn a_server_that_fails_gets_all_events_in_order_once_it_works() {
    let dir = tempfile::tempdir().unwrap();
    for behaviour in
        [Behaviour::Answer(500, ""), Behaviour::Answer(429, "Retry-After: 1\r\n"), Behaviour::HangUp, Behaviour::Babble]
    {
        let home = dir.path().join(format!("{behaviour:?}").replace(|c: char| !c.is_alphanumeric(), ""));
        fs::create_dir(&home).unwrap();
        let server = Server::start(behaviour.clone());
        let config = format!("[[webhook]]\nurl = \"{}\"", server.url("/hook"));
        let sounds: Vec<_> = TONE_AND_NOISE.iter().copied().chain([(Sound::Silence, 300.0)]).collect();
        let mut daemon = Process::start(&mut run(&home, &sounds, false, &config));
        daemon.wait_until("all events and the fault", PATIENCE, |daemon| {
            let faults =
                daemon.stderr().iter().filter(|line| line.contains("WARN") && line.contains("trying again")).count();
            daemon.stdout().len() == 4 && faults == 1
        });
        assert!(server.taken().is_empty());
        server.set(OK);
        server.wait_until("the events", |server| server.taken().len() >= 4);
        assert_eq!(bodies(&server.taken()), daemon.stdout(), "{behaviour:?}");
        daemon.wait_until("the recovery", PATIENCE, |daemon| {
            daemon.stderr().iter().any(|line| line.contains("accepts events again"))
        });
    }
}

#[test]
fn a_server_that_is_away_or_hangs_holds_up_nobody_and_gets_its_events_from_the_next_daemon() {
    for hangs in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(if hangs { Behaviour::Hang } else { Behaviour::HangUp });
        let config = format!("[[webhook]]\nurl = \"{}\"", server.url("/hook"));
        // It ends although its server does not answer; standard output has everything.
        let output = finish(&mut run(dir.path(), TONE_AND_NOISE, true, &config));
        assert_eq!(names(&events(&output.stdout)), ["tone onset", "tone offset", "noise onset", "noise offset"]);
        assert!(output.stderr.iter().any(|line| line.contains("4 events are kept for the next start")), "{output:#?}");
        server.set(OK);
        let again = finish(&mut run(dir.path(), &[(Sound::Silence, 2.0)], true, &config));
        assert_eq!(bodies(&server.taken()), output.stdout);
        assert!(again.stdout.is_empty(), "what was printed is not printed again");
    }
}

#[test]
fn an_event_that_is_refused_does_not_keep_the_others_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::RefuseFirst);
    let config = format!("[[webhook]]\nurl = \"{}\"", server.url("/hook"));
    let sounds: Vec<_> = TONE_AND_NOISE.iter().copied().chain([(Sound::Silence, 300.0)]).collect();
    let mut daemon = Process::start(&mut run(dir.path(), &sounds, false, &config));
    daemon.wait_until("the refusal", PATIENCE, |daemon| {
        daemon
            .stderr()
            .iter()
            .any(|line| line.contains("an event of \"tone\" is left out because it was refused, 1 so far"))
    });
    server.wait_until("the others", |server| server.taken().len() == 3);
    daemon.wait_until("all events", PATIENCE, |daemon| daemon.stdout().len() == 4);
    assert_eq!(bodies(&server.taken()), daemon.stdout()[1..]);
}

#[test]
fn a_daemon_that_is_killed_posts_everything_that_it_has_printed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::Hang);
    let config = format!("[[webhook]]\nurl = \"{}\"", server.url("/hook"));
    let mut printed = Vec::new();
    for round in 0..5 {
        let mut daemon = Process::start(&mut run(dir.path(), &tones(200), true, &config));
        daemon.wait_until("some events", PATIENCE, |daemon| daemon.stdout().len() > 20 * (round + 1));
        daemon.signal("KILL");
        printed.extend(daemon.finish(PATIENCE).stdout);
        server.set(if round % 2 == 0 { OK } else { Behaviour::Hang });
    }
    server.set(OK);
    let daemon = Process::start(&mut run(dir.path(), &[(Sound::Silence, 300.0)], false, &config));
    let has = |server: &Server| {
        let mut taken = bodies(&server.taken());
        taken.dedup();
        printed.iter().all(|line| taken.contains(line))
    };
    server.wait_until("everything that was printed", has);
    daemon.signal("TERM");
    assert!(daemon.finish(PATIENCE).status.success());
}

/// A private authority in `ca.pem`, a certificate for 127.0.0.1 that it has signed in
/// `signed.pem`, and one of nobody else's in `usual.pem`, for another name, as people make them.
fn certificates(dir: &Path) {
    let run = |args: &str| openssl(dir, &args.split(' ').collect::<Vec<_>>());
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    run(&format!("req -x509 {key} -days 30 -subj /CN=home -keyout ca.key -out ca.pem"));
    run(&format!("req -x509 {key} -days 30 -subj /CN=localhost -keyout usual.key -out usual.pem"));
    run(&format!("req -new {key} -keyout signed.key -out signed.csr -subj /CN=server"));
    fs::write(dir.join("extensions"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    run(
        "x509 -req -in signed.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out signed.pem",
    );
}

/// TLS in front of `server`, and its port.
fn tls_front(dir: &Path, certificate: &str, server: &Server) -> (Process, String) {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls_front.py"));
    command.args([dir.join(format!("{certificate}.pem")), dir.join(format!("{certificate}.key"))]);
    let mut front = Process::start(command.arg(server.port.to_string()));
    front.wait_until("the port", PATIENCE, |front| !front.stdout().is_empty());
    let port = front.stdout()[0].clone();
    (front, port)
}

#[test]
fn a_server_of_ones_own_is_trusted_by_its_authority_or_by_its_own_certificate() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let home = |at: usize| {
        let home = dir.path().join(at.to_string());
        fs::create_dir(&home).unwrap();
        home
    };
    let trusted = [("signed", "ca.pem"), ("signed", "signed.pem"), ("usual", "usual.pem")];
    for (at, (certificate, ca_file)) in trusted.into_iter().enumerate() {
        let server = Server::start(OK);
        let (_front, port) = tls_front(dir.path(), certificate, &server);
        let config = format!("[[webhook]]\nurl = \"https://127.0.0.1:{port}/hook\"\nca_file = \"../{ca_file}\"");
        let output = finish(&mut run(&home(at), TONE_AND_NOISE, true, &config));
        assert_eq!(bodies(&server.taken()), output.stdout, "{certificate}: {:#?}", output.stderr);
    }
    for (at, more) in ["", "ca_file = \"../ca.pem\"\n"].into_iter().enumerate() {
        let server = Server::start(OK);
        let (_front, port) = tls_front(dir.path(), "usual", &server);
        let config = format!("[[webhook]]\nurl = \"https://127.0.0.1:{port}/hook\"\n{more}");
        let output = finish(&mut run(&home(10 + at), TONE_AND_NOISE, true, &config));
        assert!(server.taken().is_empty() && output.stdout.len() == 4);
        let said = output.stderr.iter().filter(|line| line.contains("is not trusted") && line.contains("with ca_file"));
        assert_eq!(said.count(), 1, "{more}: {:#?}", output.stderr);
    }
}

#[test]
fn what_is_wrong_with_a_webhook_is_said_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("[[webhook]]\nurl = \"ftp://a\"", "ear.toml:11: webhook.url: expected http://HOST"),
        (
            "[[webhook]]\nurl = \"http://a\"\ntemplate = \"{{lable}}\"",
            "ear.toml:12: webhook.template: an event has no field",
        ),
        (
            "[[webhook]]\nurl = \"http://a\"\nphases = [\"begin\"]",
            "ear.toml:12: webhook.phases: unknown variant `begin`",
        ),
        ("[[webhook]]\nurl = \"http://a\"\nheaders = { \"a b\" = \"c\" }", "ear.toml:12: webhook.headers"),
        ("[[webhook]]\nlabels = [\"tone\"]", "webhook"),
        (
            "[[webhook]]\nurl = \"http://a\"\nca_file = \"ear.toml\"",
            "ear.toml:12: webhook.ca_file: a certificate is given but http://a/.. is not encrypted",
        ),
        (
            "[[webhook]]\nurl = \"http://a\"\n[[webhook]]\nurl = \"https://a\"\nca_file = \"ear.toml\"",
            "ear.toml: no certificate in it",
        ),
        ("[[webhook]]\nurl = \"https://a\"\nca_file = \"none.pem\"", "ear.toml:12: webhook.ca_file: "),
        ("[[webhook]]\nurl = \"http://a\"\nlabels = [\"tune\"]", "tune"),
    ];
    for (config, words) in cases {
        let output = Process::start(&mut run(dir.path(), TONE_AND_NOISE, true, config)).finish(PATIENCE);
        let text = output.stderr.join("\n");
        assert_eq!(output.status.code(), Some(2), "{config}: {text}");
        assert!(text.contains(words), "{config}: {text}");
    }
}

#[test]
fn the_doctor_asks_every_server_posts_nothing_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let answers = [(200, ""), (405, "Allow: POST\r\n"), (404, ""), (405, "Allow: GET, HEAD\r\n"), (401, "")];
    let mut servers: Vec<Server> =
        answers.into_iter().map(|(status, headers)| Server::start(Behaviour::Answer(status, headers))).collect();
    servers.push(Server::start(Behaviour::Answer(301, "Location: https://elsewhere.example/geheim\r\n")));
    servers.push(Server::start(Behaviour::Answer(304, "")));
    servers.push(Server::start(Behaviour::HangUp));
    servers.push(Server::start(Behaviour::Babble));
    let mut config: String = servers
        .iter()
        .map(|server| {
            let url = server.url("/geheim");
            format!("[[webhook]]\nurl = \"{url}\"\nheaders = {{ Authorization = \"Bearer x\", Title = \"{{{{label}}}}\" }}\n")
        })
        .collect();
    let closed = tests::broker::free_port();
    config += &format!("[[webhook]]\nurl = \"http://127.0.0.1:{closed}/geheim\"\n");
    config += "[[webhook]]\nurl = \"http://no-such-name.invalid/geheim\"\n";
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    config += &format!("[[webhook]]\nurl = \"https://{}/geheim\"\n", plain.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = stream.read(&mut [0; 2048]).and_then(|_| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let encrypted = Server::start(OK);
    let (_signed, signed) = tls_front(dir.path(), "signed", &encrypted);
    config += &format!("[[webhook]]\nurl = \"https://127.0.0.1:{signed}/geheim\"\nca_file = \"ca.pem\"\n");
    let (_usual, usual) = tls_front(dir.path(), "usual", &encrypted);
    config += &format!("[[webhook]]\nurl = \"https://127.0.0.1:{usual}/geheim\"\n");

    let _ = run(dir.path(), &[(Sound::Tone, 5.0)], true, &config);
    let file = dir.path().join("ear.toml");
    let mut doctor = Command::new(earwitness_bin());
    let output = Process::start(doctor.args(["doctor", "--json", "--config"]).arg(file)).finish(PATIENCE);
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    let document: serde_json::Value = serde_json::from_str(&output.stdout.join("\n")).unwrap();
    let text = document.to_string();
    assert!(!text.contains("geheim") && !text.contains("Bearer"), "{text}");
    let of = |name: &str| -> Vec<(String, String)> {
        let checks = document["checks"].as_array().unwrap().iter().filter(|check| check["check"] == name);
        checks
            .map(|check| (check["state"].as_str().unwrap().into(), format!("{} {}", check["text"], check["advice"])))
            .collect()
    };
    let expected = [
        ("ok", "answers an OPTIONS request with 200; no event was posted"),
        ("ok", "answers an OPTIONS request with 405; no event was posted"),
        ("warning", "answers 404 Not Found: is the address right?"),
        ("warning", "accepts GET, HEAD but not POST: is the address right?"),
        ("warning", "answers 401 Unauthorized: are the headers right that authorise the request?"),
        ("warning", "the address is now https://elsewhere.example/..; set url to it"),
        ("warning", "answers 304 Not Modified, which is no answer to a request to take an event"),
        ("problem", "closes the connection without an answer"),
        ("problem", "answers, but not as a web server does\" [\"is url the address of a web server"),
        ("problem", "connection refused\" [\"is the server running, and is the port in url right?"),
        ("problem", "there is no address for http://no-such-name.invalid"),
        ("problem", "does not speak TLS: write http:// in place of https://"),
        ("ok", "answers an OPTIONS request with 200; no event was posted"),
        ("problem", "is not trusted"),
    ];
    let found = of("webhook");
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((state, words), (expected_state, expected_words)) in found.iter().zip(expected) {
        assert!(state == expected_state && words.contains(expected_words), "{expected_words:?}: {state}: {words}");
    }
    // Both servers show their certificates, the one that is trusted and the other one.
    let certificates = of("certificate");
    for words in [format!("of https://127.0.0.1:{signed}/.. expires on "), format!("of https://127.0.0.1:{usual}/.. ")]
    {
        assert!(certificates.iter().any(|(_, said)| said.contains(&words)), "{words}: {certificates:#?}");
    }
    for server in servers.iter().chain([&encrypted]) {
        let requests = server.requests();
        assert!(requests.iter().all(|request| request.line == "OPTIONS /geheim"), "{requests:#?}");
    }
    assert_eq!(header(&servers[0].requests()[0], "authorization"), Some("Bearer x"));
}
