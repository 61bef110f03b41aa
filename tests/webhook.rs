//! Claim: events reach a real HTTP server at least once and in order, whatever the server and the
//! daemon go through meanwhile, and a server that is away holds up nobody.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::binary::{Output, Process};
use tests::daemon;
use tests::http::{Behaviour, Request, Server};
use tests::tiny::{Sound, TONE_AND_NOISE, events, names, tones};

const SECOND: Duration = Duration::from_secs(1);
const OK: Behaviour = Behaviour::Answer(200, "");

/// `earwitness run` on `sounds`, with further lines of configuration.
fn run(dir: &Path, sounds: &[(Sound, f64)], fast: bool, config: &str) -> Command {
    daemon::hear(dir, "ear", sounds, fast, &format!("[journal]\nfile = \"ear.journal\"\n{config}"))
}

fn finish(command: &mut Command) -> Output {
    let output = Process::start(command).finish(20 * SECOND);
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
        let sounds: Vec<_> = TONE_AND_NOISE.iter().copied().chain([(Sound::Silence, 60.0)]).collect();
        let mut daemon = Process::start(&mut run(&home, &sounds, false, &config));
        daemon.wait_until("all events and the fault", 20 * SECOND, |daemon| {
            let faults =
                daemon.stderr().iter().filter(|line| line.contains("WARN") && line.contains("trying again")).count();
            daemon.stdout().len() == 4 && faults == 1
        });
        assert!(server.taken().is_empty());
        server.set(OK);
        server.wait_until("the events", |server| server.taken().len() >= 4);
        assert_eq!(bodies(&server.taken()), daemon.stdout(), "{behaviour:?}");
        daemon.wait_until("the recovery", 10 * SECOND, |daemon| {
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
    let server = Server::start(Behaviour::Answer(400, ""));
    let config = format!("[[webhook]]\nurl = \"{}\"", server.url("/hook"));
    let sounds: Vec<_> = TONE_AND_NOISE.iter().copied().chain([(Sound::Silence, 60.0)]).collect();
    let mut daemon = Process::start(&mut run(dir.path(), &sounds, false, &config));
    daemon.wait_until("the refusal", 30 * SECOND, |daemon| {
        daemon.stderr().iter().any(|line| line.contains("an event tone is left out, it was refused"))
    });
    server.set(OK);
    server.wait_until("the others", |server| server.taken().len() == 3);
    daemon.wait_until("all events", 10 * SECOND, |daemon| daemon.stdout().len() == 4);
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
        daemon.wait_until("some events", 20 * SECOND, |daemon| daemon.stdout().len() > 20 * (round + 1));
        daemon.signal("KILL");
        printed.extend(daemon.finish(5 * SECOND).stdout);
        server.set(if round % 2 == 0 { OK } else { Behaviour::Hang });
    }
    server.set(OK);
    let daemon = Process::start(&mut run(dir.path(), &[(Sound::Silence, 60.0)], false, &config));
    let has = |server: &Server| {
        let mut taken = bodies(&server.taken());
        taken.dedup();
        printed.iter().all(|line| taken.contains(line))
    };
    server.wait_until("everything that was printed", has);
    daemon.signal("TERM");
    assert!(daemon.finish(10 * SECOND).status.success());
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
        ("[[webhook]]\nurl = \"http://a\"\nlabels = [\"tune\"]", "tune"),
    ];
    for (config, words) in cases {
        let output = Process::start(&mut run(dir.path(), TONE_AND_NOISE, true, config)).finish(20 * SECOND);
        let text = output.stderr.join("\n");
        assert_eq!(output.status.code(), Some(2), "{config}: {text}");
        assert!(text.contains(words), "{config}: {text}");
    }
}
