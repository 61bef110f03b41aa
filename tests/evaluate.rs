//! Claim: `earwitness evaluate` says how well the daemon's own events agree with the truth, as a
//! table, as JSON and as drawings, and refuses what it cannot measure in one clear line.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::binary::{Output, PATIENCE, Process, earwitness_bin, model_dir};
use tests::tiny::{self, Sound};

/// With the shipped model, or the one that `args` name.
fn evaluate(args: &[&str]) -> Output {
    let mut command = Command::new(earwitness_bin());
    command.arg("evaluate").args(args).env("EARWITNESS_LOG", "off").current_dir("/");
    if !args.contains(&"--model") {
        command.arg("--model").arg(model_dir());
    }
    Process::start(&mut command).finish(PATIENCE)
}

fn succeed(args: &[&str]) -> Vec<String> {
    let output = evaluate(args);
    assert!(output.status.success(), "{args:?}: {output:#?}");
    output.stdout
}

fn document(args: &[&str]) -> Value {
    let lines = succeed(&[args, &["--json"]].concat());
    assert_eq!(lines.len(), 1, "one document");
    serde_json::from_str(&lines[0]).unwrap()
}

/// The only line on standard error, without the program's name; nothing may be on standard output.
fn refusal(code: i32, args: &[&str]) -> String {
    let output = evaluate(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:#?}");
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 1), "{args:?}: {output:#?}");
    output.stderr[0].strip_prefix("earwitness: ").unwrap_or_else(|| panic!("{output:#?}")).to_string()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Two demo scenes with their truth.
fn scenes() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for seed in [1, 2] {
        let file = |extension: &str| dir.path().join(format!("scene{seed}.{extension}"));
        sounds::demo_scene(seed).write(&file("wav"), &file("csv")).unwrap();
    }
    dir
}

/// What `earwitness run` reports of a recording.
fn events_of_the_daemon(path: &Path) -> usize {
    let mut command = Command::new(earwitness_bin());
    command.args(["run", "--fast", "--precision", "f32", "--source", &format!("file:{}", path.display()), "--model"]);
    let output = Process::start(command.arg(model_dir())).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    tiny::events(&output.stdout).iter().filter(|event| event["phase"] == "offset").count()
}

#[test]
fn the_figures_are_of_the_daemons_own_events() {
    let dir = scenes();
    let document = document(&["--audio", text(dir.path()), "--precision", "f32"]);
    assert_eq!(document["precision"], "f32");
    assert!(document["model"].as_str().unwrap().starts_with("home-"));
    let recordings = document["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 2);
    for (recording, seed) in recordings.iter().zip([1, 2]) {
        let wav = dir.path().join(format!("scene{seed}.wav"));
        assert_eq!((&recording["audio"], &recording["n_sounds"]), (&text(&wav).into(), &8.into()));
        assert_eq!(recording["n_detections"], events_of_the_daemon(&wav), "of {}", wav.display());
    }
    let count = |field: &str| document[field].as_u64().unwrap();
    let of_classes = |field: &str| -> u64 {
        document["classes"].as_array().unwrap().iter().map(|class| class[field].as_u64().unwrap()).sum()
    };
    assert_eq!(count("n_sounds"), 16);
    assert_eq!((of_classes("n_sounds"), of_classes("n_detections")), (16, count("n_detections")));
    let [event, segment] = ["event", "segment"].map(|kind| &document[kind]);
    assert_eq!(event["tp"].as_u64().unwrap() + event["fn"].as_u64().unwrap(), 16);
    assert_eq!(event["tp"].as_u64().unwrap() + event["fp"].as_u64().unwrap(), count("n_detections"));
    let shares = [
        &document["found"]["share"],
        &event["f1_micro"],
        &event["f1_macro"],
        &segment["f1_micro"],
        &segment["f1_macro"],
        &document["psds"]["scenario_1"],
        &document["psds"]["scenario_2"],
        &document["tiou_map"]["average"],
    ];
    assert!(shares.iter().all(|share| share.as_f64().is_some_and(|share| share > 0.0 && share <= 1.0)), "{document}");
    assert!(document["found"]["share"].as_f64().unwrap() >= 0.5);
    let late_s = ["median_s", "p95_s"].map(|field| document["latency"][field].as_f64().unwrap());
    assert!(late_s[0] > 0.1 && late_s[0] <= late_s[1] && late_s[1] < 5.0, "{late_s:?}");
    let alarms = &document["false_alarms"];
    let hours = document["duration_s"].as_f64().unwrap() / 3600.0;
    assert!((alarms["per_hour"].as_f64().unwrap() - alarms["n"].as_f64().unwrap() / hours).abs() < 1e-6);
    assert_eq!(document["tiou_map"]["map"].as_array().unwrap().len(), 5);
    let points = document["operating_points"].as_array().unwrap();
    assert_eq!(points.len(), 50);
    assert!(points[0]["false_alarms"]["n"].as_u64() > points[49]["false_alarms"]["n"].as_u64());
}

#[test]
fn people_read_a_table() {
    let dir = scenes();
    let file = |name: &str| text(&dir.path().join(name)).to_string();
    let files = ["scene1.wav", "scene2.wav", "scene1.csv", "scene2.csv"].map(file);
    let args = ["--audio", &files[0], &files[1], "--truth", &files[2], &files[3]];
    let lines = succeed(&args);
    assert!(lines[0].starts_with("home-") && lines[0].ends_with(" on 2 recordings, 112 s"), "{lines:#?}");
    for name in ["events", "found", "false alarms", "latency", "event F1", "segment F1", "PSDS", "mAP"] {
        assert!(lines.iter().any(|line| line.starts_with(name)), "{name} is missing from {lines:#?}");
    }
    let header = lines.iter().position(|line| line.starts_with("class ")).unwrap();
    let table = &lines[header..];
    let labels: BTreeSet<&str> = table[1..].iter().map(|line| line.split_whitespace().next().unwrap()).collect();
    let truth = sounds::demo_scene(1).truth;
    assert!(truth.iter().all(|sound| labels.contains(sound.label.as_str())), "{labels:?}");
    assert!(table.iter().all(|line| line.chars().count() == table[0].chars().count()), "columns line up: {table:#?}");
}

#[test]
fn drawings_are_made_of_everything() {
    let dir = scenes();
    let plots = dir.path().join("plots");
    let output = evaluate(&["--audio", text(dir.path()), "--plot", text(&plots)]);
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(output.stderr, [format!("5 drawings in {}", plots.display())]);
    let names =
        ["confusion", "detection-error", "precision-recall", "timeline-01-scene1-000", "timeline-02-scene2-000"];
    let mut found: Vec<PathBuf> = fs::read_dir(&plots).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert_eq!(found, names.map(|name| plots.join(format!("{name}.svg"))));
    for path in found {
        let svg = fs::read_to_string(&path).unwrap();
        assert!(svg.len() < 200_000, "{} has {} bytes", path.display(), svg.len());
        let drawing = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(drawing.root_element().tag_name().name(), "svg");
        assert!(
            drawing.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text"))).count() > 5
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf,"), "{}", path.display());
    }
}

/// A recording of the tiny model's sounds and a truth of the given lines.
fn tiny_recording(lines: &str) -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (wav, csv) = (dir.path().join("a.wav"), dir.path().join("a.csv"));
    let parts =
        [(Sound::Silence, 2.0), (Sound::Tone, 2.0), (Sound::Silence, 2.0), (Sound::Noise, 2.0), (Sound::Silence, 2.0)];
    tiny::write_wav(&wav, &parts);
    fs::write(&csv, format!("onset_s,offset_s,label\n{lines}")).unwrap();
    (dir, wav, csv)
}

#[test]
fn a_recording_without_sounds_has_false_alarms_only() {
    let (_dir, wav, _) = tiny_recording("");
    let model = tiny::model();
    let args = ["--audio", text(&wav), "--model", text(&model)];
    let document = document(&args);
    assert_eq!((&document["n_sounds"], &document["n_detections"]), (&0.into(), &2.into()));
    assert_eq!(document["false_alarms"], serde_json::json!({ "n": 2, "per_hour": 720.0 }));
    assert!(
        [&document["psds"]["scenario_1"], &document["tiou_map"], &document["found"]["share"]]
            .iter()
            .all(|v| v.is_null())
    );
    let lines = succeed(&args);
    assert!(
        lines.iter().any(|line| line == "false alarms  720.0 per hour (2 events that overlap no sound of their class)")
    );
    assert!(!lines.iter().any(|line| line.starts_with("PSDS") || line.starts_with("latency")), "{lines:#?}");
}

#[test]
fn unknown_labels_are_listed_or_left_out() {
    let (_dir, wav, _) = tiny_recording("2,4,tone\n5,5.5,kettle\n6,8,noise\n8,9,bell\n");
    let model = tiny::model();
    let args = ["--audio", text(&wav), "--model", text(&model)];
    let message = refusal(2, &args);
    assert!(message.ends_with("a.csv:3: label: the model tiny has no label \"bell\", \"kettle\""), "{message}");
    let document = document(&[&args[..], &["--ignore-unknown"]].concat());
    assert_eq!(document["unknown"], serde_json::json!({ "bell": 1, "kettle": 1 }));
    assert_eq!(
        (&document["event"]["tp"], &document["event"]["fp"], &document["event"]["fn"]),
        (&2.into(), &0.into(), &0.into())
    );
}

#[test]
fn the_configuration_of_the_daemon_holds() {
    let (dir, wav, _) = tiny_recording("2,4,tone\n6,8,noise\n");
    let config = dir.path().join("c.toml");
    fs::write(&config, format!("[model]\ndir = {:?}\n[decide]\ndeny = [\"noise\"]\n", tiny::model())).unwrap();
    let mut command = Command::new(earwitness_bin());
    command.args(["evaluate", "--json", "--audio", text(&wav), "--config", text(&config)]).current_dir("/");
    let output = Process::start(&mut command).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    let document: Value = serde_json::from_str(&output.stdout[0]).unwrap();
    // What is not to be reported is neither detected nor missed.
    assert_eq!((&document["model"], &document["n_sounds"]), (&"tiny-1.0.0".into(), &1.into()));
    assert_eq!((&document["n_detections"], &document["event"]["f1_micro"]), (&1.into(), &1.0.into()));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let (dir, wav, csv) = tiny_recording("2,4,tone\n");
    let model = tiny::model();
    let refusal = |code: i32, args: &[&str]| refusal(code, &[args, &["--model", text(&model)]].concat());
    let truths = [
        (
            "onset_s,label\n1,tone\n",
            "a.csv:1: offset_s: column is missing; there is \"onset_s,label\": a file of truth begins with the line \
             onset_s,offset_s,label and has lines such as 1.5,3.25,dog",
        ),
        ("onset_s,offset_s,label\n1,2,tone\n4,3,tone\n", "a.csv:3: offset_s: expected above onset_s (4), actual 3"),
        (
            "onset_s,offset_s,label\n1,two,tone\n",
            "a.csv:2: offset_s: expected seconds from the recording's start, actual \"two\"",
        ),
        ("onset_s,offset_s,label\n20,21,tone\n", "a.csv: onset_s: a sound begins at 20 s, the recording ends at 10 s"),
    ];
    for (truth, end) in truths {
        fs::write(&csv, truth).unwrap();
        let message = refusal(2, &["--audio", text(&wav)]);
        assert!(message.ends_with(end), "{end:?} is not the end of {message:?}");
    }
    let missing = dir.path().join("b.wav");
    for more in [&["--truth", text(&csv)][..], &[]] {
        let message = refusal(2, &[&["--audio", text(&missing)], more].concat());
        assert_eq!(message, format!("--audio: there is no {}", missing.display()));
    }
    let message = refusal(2, &["--audio", text(&wav), "--truth", "/no/such.csv"]);
    assert!(message.starts_with("/no/such.csv: No such file"), "{message}");
    fs::remove_file(&csv).unwrap();
    for audio in [wav.as_path(), dir.path()] {
        let message = refusal(2, &["--audio", text(audio)]);
        let expected = format!("--truth: not given, and there is no {} for {}", csv.display(), wav.display());
        assert_eq!(message, expected);
    }
    let message = refusal(2, &["--audio", text(&wav), "--truth", "a.csv", "b.csv"]);
    assert_eq!(message, "--truth: expected one file per recording, 1 in all, actual 2");
    assert_eq!(evaluate(&["--truth", text(&csv)]).status.code(), Some(2), "audio is missing");
}

#[test]
fn a_broken_recording_is_named_and_the_others_are_measured() {
    let (dir, wav, csv) = tiny_recording("2,4,tone\n");
    for (name, bytes) in [("broken.wav", "no sound"), ("._a.wav", "of another disk"), ("call.amr", "#!AMR\n")] {
        fs::write(dir.path().join(name), bytes.repeat(50)).unwrap();
    }
    fs::copy(&csv, dir.path().join("broken.csv")).unwrap();
    let output = evaluate(&["--json", "--audio", text(dir.path()), "--model", text(&tiny::model())]);
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    let document: Value = serde_json::from_str(&output.stdout[0]).unwrap();
    assert_eq!(document["recordings"][0]["audio"], text(&wav));
    assert_eq!((document["recordings"].as_array().unwrap().len(), &document["event"]["tp"]), (1, &1.into()));
    let skipped: Vec<&str> =
        document["skipped"].as_array().unwrap().iter().map(|one| one["audio"].as_str().unwrap()).collect();
    assert_eq!(skipped, ["call.amr", "broken.wav"].map(|name| text(dir.path()).to_string() + "/" + name));
    let named = |name: &str| output.stderr.iter().any(|line| line.contains(name) && line.contains("is left out"));
    assert!(named("call.amr") && named("broken.wav"), "{output:#?}");
}
