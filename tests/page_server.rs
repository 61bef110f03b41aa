//! Claim: the page is served to who may have it, and nobody who asks too much, too slowly or under
//! a false name gets anything or holds up recognition.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use edge::decide::{Phase, Transition};
use edge::event::{Event, EventBuilder};
use edge::journal::{Journal, JournalPlace, JournalSettings};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tests::binary::{PATIENCE, Process, earwitness_bin};
use tests::broker::free_port;
use tests::tiny;

const SECOND: Duration = Duration::from_secs(1);
/// A daemon in `dir` that hears tones, with a page, and where that is.
fn daemon(dir: &Path, more: &str) -> (Process, u16) {
    let port = free_port();
    let web = format!("[web]\nlisten = \"127.0.0.1:{port}\"\n{more}\n");
    let mut process = Process::start(&mut tests::daemon::hear(dir, "ear", &tiny::tones(300), false, &web));
    process.wait_until("the page", PATIENCE, |process| said(process, "page at http://"));
    (process, port)
}

fn said(process: &Process, what: &str) -> bool {
    process.stderr().iter().any(|line| line.contains(what))
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// All that comes for `request`, to which a `Connection: close` belongs.
fn raw(port: u16, request: &str) -> String {
    let mut stream = connect(port);
    // The answer may come before the request is whole, and the connection end with it.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn ask(port: u16, line: &str, headers: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    raw(port, &format!("{line} HTTP/1.1\r\nConnection: close\r\n{headers}{length}\r\n{body}"))
}

fn get(port: u16, path: &str) -> String {
    ask(port, &format!("GET {path}"), "Host: localhost\r\n", "")
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

fn json(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Recognition goes on: another event comes.
fn hears(process: &mut Process) {
    let n = process.stdout().len();
    process.wait_until("another event", PATIENCE, |process| process.stdout().len() > n);
}

#[test]
fn nothing_listens_unless_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(&mut tests::daemon::hear(dir.path(), "ear", &tiny::tones(20), false, ""));
    hears(&mut process);
    // The kernel's word (proc(5)): the sockets of the process, and those that listen.
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{}/fd", process.id()))
        .unwrap()
        .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
        .map(|link| link.display().to_string())
        .filter(|link| link.starts_with("socket:"))
        .collect();
    let listening = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/net/{table}")).unwrap()).concat();
    let inodes: Vec<&str> = listening
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(3) == Some(&"0A"))
        .map(|fields| fields[9])
        .collect();
    assert!(!inodes.iter().any(|inode| sockets.contains(&format!("socket:[{inode}]"))), "{sockets:?}");
}

#[test]
fn every_answer_forbids_what_the_page_does_not_need_and_unknown_paths_are_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, port) = daemon(dir.path(), "");
    for path in ["/", "/api/about", "/api/health", "/page.css", "/nothing"] {
        let answer = get(port, path).to_lowercase();
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
    }
    for path in ["/nothing", "/../../etc/passwd", "/api", "/api/events/1", "/index.html%00"] {
        let answer = get(port, path);
        assert_eq!(status(&answer), 404, "{answer}");
        assert!(answer.ends_with("There is nothing here: the page is at /\n"), "{answer}");
    }
    for (request, allowed) in [
        ("DELETE /api/events", "GET, HEAD"),
        ("POST /api/events", "GET, HEAD"),
        ("GET /api/thresholds", "POST"),
        ("PUT /api/clips/mark", "POST"),
    ] {
        let answer = ask(port, request, "Host: localhost\r\nContent-Type: application/json\r\n", "");
        assert_eq!(status(&answer), 405, "{request}: {answer}");
        assert!(answer.contains(&format!("\r\nallow: {allowed}\r\n")), "{request}: {answer}");
    }
    assert_eq!(status(&get(port, "/api/events?from=noon")), 400);
    assert_eq!(status(&get(port, "/api/preview?label=tone&on=2&off=1")), 400);
    assert_eq!(status(&raw(port, "\x16\x03\x01\x02\x00\x01 TLS?\r\n\r\n")), 400);
    // What the browser has already is not sent again.
    let tag = get(port, "/app.js").lines().find_map(|line| line.strip_prefix("etag: ").map(str::to_string)).unwrap();
    let again = ask(port, "GET /app.js", &format!("Host: localhost\r\nIf-None-Match: {tag}\r\n"), "");
    assert_eq!(status(&again), 304);
    hears(&mut process);
}

#[test]
fn another_name_and_another_site_get_nothing_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (_process, port) = daemon(dir.path(), "write = true\nhosts = [\"ear.example.org\"]");
    let config = dir.path().join("ear.toml");
    let before = fs::read_to_string(&config).unwrap();
    let answer = ask(port, "GET /", "Host: evil.example\r\n", "");
    assert_eq!(status(&answer), 421);
    assert!(answer.contains("not known by the name \"evil.example\""), "{answer}");
    assert_eq!(status(&ask(port, "GET /", "", "")), 421, "without a name");
    assert_eq!(status(&ask(port, "GET /", "Host: ear.example.org\r\n", "")), 200);

    let body = "{\"label\":\"tone\",\"on\":0.5,\"off\":0.25}";
    for headers in [
        "Host: localhost\r\nContent-Type: application/json\r\nOrigin: http://evil.example\r\n",
        "Host: localhost\r\nContent-Type: application/json\r\nSec-Fetch-Site: cross-site\r\n",
        "Host: localhost\r\nContent-Type: text/plain\r\n",
        "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nOrigin: null\r\n",
        "Host: evil.example\r\nContent-Type: application/json\r\nOrigin: http://evil.example\r\n",
    ] {
        let answer = ask(port, "POST /api/thresholds", headers, body);
        assert!([403, 421].contains(&status(&answer)), "{headers}: {answer}");
    }
    assert_eq!(fs::read_to_string(&config).unwrap(), before);
    let own = "Host: localhost\r\nContent-Type: application/json\r\nOrigin: http://localhost\r\n";
    for (body, words) in [
        ("{\"label\":\"bell\",\"on\":0.5,\"off\":0.25}", "no label"),
        ("{\"label\":\"tone\",\"on\":0.5,\"off\":0.75}", "must not exceed"),
        ("{\"label\":\"tone\"}", "not understood"),
        ("[", "not understood"),
    ] {
        let answer = ask(port, "POST /api/thresholds", own, body);
        assert!(status(&answer) == 400 && answer.contains(words), "{body}: {answer}");
    }
    assert_eq!(fs::read_to_string(&config).unwrap(), before);
    let answer = ask(port, "POST /api/thresholds", own, body);
    assert_eq!(status(&answer), 200, "{answer}");
    let after = fs::read_to_string(&config).unwrap();
    let added = "\n\n[decide.classes.tone]\nthreshold_on = 0.5\nthreshold_off = 0.25\n";
    assert_eq!(after.trim_end(), format!("{}{added}", before.trim_end()).trim_end());
}

#[test]
fn a_page_without_permission_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (_process, port) = daemon(dir.path(), "");
    let before = fs::read_to_string(dir.path().join("ear.toml")).unwrap();
    let own = "Host: localhost\r\nContent-Type: application/json\r\n";
    let answer = ask(port, "POST /api/thresholds", own, "{\"label\":\"tone\",\"on\":0.5,\"off\":0.25}");
    assert!(status(&answer) == 403 && answer.contains("may not change the configuration"), "{answer}");
    assert_eq!(fs::read_to_string(dir.path().join("ear.toml")).unwrap(), before);
}

#[test]
fn a_clip_is_known_by_the_id_of_its_event_and_by_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, port) = daemon(dir.path(), "[clips]\nfolder = \"clips\"\npost_roll_s = 0.2\n");
    process.wait_until("two events", PATIENCE, |process| process.stdout().len() >= 4);
    let deadline = Instant::now() + PATIENCE;
    let id = loop {
        let event = json(&get(port, "/api/events"))["events"][0].clone();
        if event["clip"] == true {
            break event["id"].as_str().unwrap().to_string();
        }
        assert!(Instant::now() < deadline, "there is no clip");
        std::thread::sleep(SECOND / 10);
    };
    let sound = get(port, &format!("/api/clips/{id}.flac"));
    assert!(status(&sound) == 200 && sound.contains("content-type: audio/flac"), "{}", &sound[..200]);
    assert!(sound.split_once("\r\n\r\n").unwrap().1.starts_with("fLaC"));
    // A part of it, as browsers ask for what they play.
    let part = |range: &str| {
        ask(port, &format!("GET /api/clips/{id}.flac"), &format!("Host: localhost\r\nRange: {range}\r\n"), "")
    };
    let answer = part("bytes=0-1").to_lowercase();
    assert_eq!(status(&answer), 206, "{answer}");
    assert!(answer.contains("content-range: bytes 0-1/") && answer.contains("content-length: 2\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nfl"), "{answer}");
    let answer = part("bytes=99999999-").to_lowercase();
    assert!(status(&answer) == 416 && answer.contains("content-range: bytes */"), "{answer}");
    for path in ["/api/clips/", "/api/clips/x.flac", "/api/clips/../ear.toml", "/api/clips/..%2Fear.toml"] {
        assert_eq!(status(&get(port, path)), 404, "{path}");
    }
    let own = "Host: localhost\r\nContent-Type: application/json\r\n";
    let answer = ask(port, "POST /api/clips/delete", own, &format!("{{\"id\":\"{id}\"}}"));
    assert!(status(&answer) == 403 && answer.contains("may not change clips"), "{answer}");
    assert_eq!(status(&get(port, &format!("/api/clips/{id}.flac"))), 200);
}

#[test]
fn beyond_this_machine_there_is_a_password_or_no_start() {
    let dir = tempfile::tempdir().unwrap();
    let open = format!("[web]\nlisten = \"0.0.0.0:{}\"\n", free_port());
    let mut command = tests::daemon::hear(dir.path(), "ear", &tiny::tones(1), false, &open);
    let refused = Process::start(&mut command).finish(PATIENCE);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(refused.stderr.len(), 1, "{:#?}", refused.stderr);
    assert!(refused.stderr[0].contains("web.listen: 0.0.0.0:"), "{:#?}", refused.stderr);
    assert!(refused.stderr[0].contains("for which a password is needed: set web.password"), "{:#?}", refused.stderr);

    fs::write(dir.path().join("password"), "correct horse\n").unwrap();
    let (_process, port) = daemon(dir.path(), "password_file = \"password\"");
    for path in ["/", "/api/live", "/app.js"] {
        let answer = get(port, path);
        assert_eq!(status(&answer), 401);
        assert!(answer.to_lowercase().contains("www-authenticate: basic realm=\"earwitness\""), "{answer}");
    }
    let with = |password: &str| {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("me:{password}"));
        status(&ask(port, "GET /", &format!("Host: localhost\r\nAuthorization: Basic {encoded}\r\n"), ""))
    };
    assert_eq!((with("wrong horse"), with(""), with("correct horse")), (401, 401, 200));
}

#[test]
fn an_address_that_is_not_there_yet_and_a_port_in_use_are_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    // As when the network comes later than the daemon.
    let absent = "[web]\nlisten = \"192.0.2.1:8420\"\npassword = \"12345678\"\n[metrics]\nport = 8421\naddress = \"192.0.2.1\"\n";
    let mut process = Process::start(&mut tests::daemon::hear(dir.path(), "ear", &tiny::tones(300), false, absent));
    process.wait_until("both words", PATIENCE, |process| {
        said(process, "the page cannot be served at 192.0.2.1:8420")
            && said(process, "metrics cannot be served at 192.0.2.1:8421")
    });
    hears(&mut process);
    let mut check = Command::new(earwitness_bin());
    let checked = Process::start(check.args(["check", "--config"]).arg(dir.path().join("ear.toml"))).finish(PATIENCE);
    assert!(checked.status.success(), "{checked:#?}");
    let absent =
        checked.stdout.iter().filter(|line| line.ends_with("; not now: 192.0.2.1 is not an address of this machine"));
    assert_eq!(absent.count(), 2, "{checked:#?}");

    let dir = tempfile::tempdir().unwrap();
    // Ports that no connection of this machine takes for its near end once they are free.
    let [page, metrics] = [free_port(), free_port()];
    let taken = [page, metrics].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let both = format!("[web]\nlisten = \"127.0.0.1:{page}\"\n[metrics]\nport = {metrics}\n");
    let mut process = Process::start(&mut tests::daemon::hear(dir.path(), "ear", &tiny::tones(300), false, &both));
    process.wait_until("both words", PATIENCE, |process| {
        said(process, "the page cannot be served at 127.0.0.1")
            && said(process, "metrics cannot be served at 127.0.0.1")
    });
    hears(&mut process);
    drop(taken);
    process.wait_until("both", PATIENCE, |process| {
        said(process, "page at http://") && said(process, "metrics at http://")
    });
    assert_eq!(status(&get(page, "/")), 200);
    assert_eq!(status(&get(metrics, "/metrics")), 200);
}

#[test]
fn what_is_too_long_or_too_slow_ends_in_a_word_or_in_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, port) = daemon(dir.path(), "write = true");
    let long = "x".repeat(100_000);
    assert_eq!(status(&get(port, &format!("/{long}"))), 431);
    assert_eq!(status(&ask(port, "GET /", &format!("Host: localhost\r\nX: {long}\r\n"), "")), 431);
    let json = "Host: localhost\r\nContent-Type: application/json\r\n";
    assert_eq!(status(&ask(port, "POST /api/thresholds", json, &long)), 413);
    // A head and a body that do not come to their end.
    let mut slow = [connect(port), connect(port)];
    slow[0].write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
    slow[1]
        .write_all(format!("POST /api/thresholds HTTP/1.1\r\n{json}Content-Length: 10\r\n\r\n{{").as_bytes())
        .unwrap();
    for mut stream in slow {
        let mut rest = Vec::new();
        // Ended by the other side, within the patience of the stream.
        match stream.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty() || String::from_utf8_lossy(&rest).contains(" 408 "), "{rest:?}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    hears(&mut process);
}

#[test]
fn a_thousand_idle_connections_are_bounded_and_go_away() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, port) = daemon(dir.path(), "");
    // Those that are let in stay; the others get a word at once.
    let idle: Vec<TcpStream> = (0..128).map(|_| connect(port)).collect();
    let mut n_refused = 0;
    for _ in 0..4 {
        // At the same time: those that take the places of idle ones that were ended are ended
        // themselves, without an answer, and together.
        for mut stream in (0..218).map(|_| connect(port)).collect::<Vec<_>>() {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            if let Some((head, words)) = answer.split_once("\r\n\r\n") {
                assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer:?}");
                assert!(head.ends_with(&format!("\r\nContent-Length: {}", words.len())), "{answer:?}");
                n_refused += 1;
            } else {
                assert_eq!(answer, "");
            }
        }
    }
    assert!(n_refused > 500, "{n_refused}");
    let n_open = fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count();
    assert!(n_open < 250, "{n_open} files are open");
    hears(&mut process);
    // The idle ones are ended, not the other way round.
    let deadline = Instant::now() + PATIENCE;
    while !get(port, "/").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < deadline, "there is no connection left");
        std::thread::sleep(SECOND / 2);
    }
    drop(idle);
}

#[test]
fn twenty_who_look_and_some_who_do_not_read_get_pulses_and_delay_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, port) = daemon(dir.path(), "");
    let open = |_| {
        let mut stream = connect(port);
        stream.write_all(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream
    };
    let deaf: Vec<TcpStream> = (0..10).map(open).collect();
    let mut viewers: Vec<_> = (0..20).map(open).map(BufReader::new).collect();
    let (mut n_pulses, mut n_events) = ([0; 20], [0; 20]);
    for (at, viewer) in viewers.iter_mut().enumerate() {
        for line in viewer.lines().map(Result::unwrap) {
            n_events[at] += usize::from(line.starts_with("data: {\"id\":"));
            if let Some(pulses) = line.strip_prefix("data: [") {
                let pulses: Value = serde_json::from_str(&format!("[{pulses}")).unwrap();
                let pulse = &pulses[0];
                // Eight frames of 64 bands in base64.
                assert_eq!(pulse["columns"].as_str().unwrap().len(), 512_usize.div_ceil(3) * 4, "{pulse}");
                n_pulses[at] += pulses.as_array().unwrap().len();
            }
            if n_pulses[at] >= 20 && n_events[at] >= 1 {
                break;
            }
        }
    }
    assert!(n_pulses.iter().all(|n| *n >= 20), "{n_pulses:?}");
    hears(&mut process);
    let report = &json(&get(port, "/api/health"))[0]["report"];
    assert!(report["n_dropped"] == 0 && report["n_gaps"] == 0, "{report}");
    drop((deaf, viewers));
    // Nothing is computed when nobody looks: the last viewer to leave closes the tap, and the next
    // finds it open.
    let mut again = BufReader::new(open(0));
    assert!(again.by_ref().lines().map(Result::unwrap).any(|line| line.starts_with("data: [")));
    process.signal("TERM");
    assert!(process.finish(PATIENCE).status.success());
}

#[test]
fn events_are_found_by_label_and_time_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, port) = daemon(dir.path(), "");
    process.wait_until("two events", PATIENCE, |process| process.stdout().len() >= 4);
    let events = json(&get(port, "/api/events"))["events"].clone();
    let first = &events[0];
    assert!(first["label"] == "tone" && first["source"] == "ear", "{events}");
    assert!(first["offset_ms"].as_i64() > first["onset_ms"].as_i64(), "an onset and its offset are one: {events}");
    let none = json(&get(port, "/api/events?label=noise"))["events"].clone();
    assert_eq!(none, Value::Array(Vec::new()));
    let past = json(&get(port, "/api/events?to=2020-01-01T00:00:00Z"))["events"].clone();
    assert_eq!(past, Value::Array(Vec::new()));

    let csv = get(port, "/api/events.csv?label=tone");
    // The page names the file, by the day of its reader: a name here would take precedence.
    assert!(csv.to_lowercase().contains("content-disposition: attachment\r\n"), "{csv}");
    let lines: Vec<&str> = csv.split_once("\r\n\r\n").unwrap().1.lines().collect();
    assert_eq!(lines[0], "id,device,model,label,onset,offset,duration_s,score,peak_score");
    let fields: Vec<&str> = lines[1].split(',').collect();
    assert_eq!((fields.len(), fields[1], fields[3]), (9, "ear", "tone"));
    assert_eq!(fields[0], first["id"].as_str().unwrap());
    // An event in the file of JSON is the one on standard output.
    let exported = json(&get(port, "/api/events.json"));
    let printed: Value = serde_json::from_str(&process.stdout()[1]).unwrap();
    assert_eq!(exported[0], printed);
}

#[test]
fn the_journal_is_the_history_where_it_keeps_events() {
    let dir = tempfile::tempdir().unwrap();
    let journal = "[journal]\nfile = \"journal\"\nkeep_days = 7\n";
    let first = {
        let (mut process, port) = daemon(dir.path(), journal);
        process.wait_until("an event", PATIENCE, |process| process.stdout().len() >= 2);
        let first = json(&get(port, "/api/events"))["events"][0].clone();
        process.signal("TERM");
        process.finish(PATIENCE);
        first
    };
    let (_process, port) = daemon(dir.path(), journal);
    let again = json(&get(port, "/api/events"))["events"][0].clone();
    assert_eq!((&again["id"], &again["onset_ms"]), (&first["id"], &first["onset_ms"]));
    assert_eq!(json(&get(port, "/api/about"))["keep_days"], 7);
}

#[test]
fn a_day_is_found_however_much_came_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = JournalPlace::File { file: dir.path().join("journal"), before: None };
    let keep = Duration::from_secs(7 * 86_400);
    let journal = Journal::open(JournalSettings { place, keep, ..JournalSettings::in_memory() }, &[]);
    let mut builder = EventBuilder::new("ear", "test-1.0.0", &["tone".to_string()]);
    let mut event = |onset: Timestamp| {
        let (phase, t_offset_s) = (Phase::Offset, Some(1.0));
        let transition = Transition { class_id: 0, phase, t_onset_s: 0.0, t_offset_s, score: 0.5, peak_score: 0.75 };
        builder.build(&transition, |t_s| onset + SignedDuration::from_secs_f64(t_s))
    };
    // To the millisecond, as events have it.
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap();
    let then = now - SignedDuration::from_hours(72);
    journal.append(&[event(then)]);
    // More than are read at once.
    let many: Vec<Event> = (0..40_001).map(|_| event(now - SignedDuration::from_hours(1))).collect();
    journal.append(&many);
    drop(journal);

    let (_process, port) = daemon(dir.path(), "[journal]\nfile = \"journal\"\nkeep_days = 7\n");
    let day = |from: Timestamp| format!("/api/events?from={from}&to={}", from + SignedDuration::from_hours(24));
    let found = json(&get(port, &day(then - SignedDuration::from_hours(12))))["events"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found[0]["onset_ms"], then.as_millisecond());
    assert_eq!(json(&get(port, &day(then + SignedDuration::from_hours(12))))["events"], Value::Array(Vec::new()));
}

#[test]
fn a_preview_is_what_the_daemon_reports_and_others_report_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, port) = daemon(dir.path(), "");
    process.wait_until("three events", PATIENCE, |process| process.stdout().len() >= 6);
    let preview = json(&get(port, "/api/preview?source=0&label=tone&on=1&off=1"));
    let reported = json(&get(port, "/api/events"))["events"].clone();
    let spans = preview["now"].as_array().unwrap();
    for (span, event) in spans.iter().zip(reported.as_array().unwrap()).take(2) {
        for (at, key) in ["onset_ms", "offset_ms"].into_iter().enumerate() {
            let off_ms = span[at].as_i64().unwrap() - event[key].as_i64().unwrap();
            assert!(off_ms.abs() <= 80, "{preview} {reported}");
        }
    }
    assert!(spans.len() >= 2);
    let n_then = preview["then"].as_array().unwrap().len();
    assert!(n_then < spans.len(), "a threshold of 1 is hardly ever reached: {preview}");
    assert!(preview["curve"].as_array().unwrap().len() > 20);
}
