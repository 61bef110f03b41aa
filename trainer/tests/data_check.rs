//! Claim: `data check` opens every data set and checkpoint of a recipe without training, and names
//! everything that is wrong.

#![allow(clippy::unwrap_used)]

mod common;

use common::write_wav;
use hdf5_metno::File;
use serde_json::Value;
use sounds::Sound;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

const RATE: u32 = 24_000;

const STUDENT: &str = r#"
name = "student"
data_root = "."
background = "background"

[[data]]
name = "clips"
csv = "clips.csv"
audio = "clips"

[[data]]
name = "epic"
kind = "epic_sounds"
train = "train.csv"
validation = "validation.csv"
uncategorised = "uncategorised.csv"
audio = "audio.hdf5"
n_classes = 3
least_gap_s = 0.5

[network]
kind = "student"
layers = [{ channels = 8, kernel_t = 8, kernel_f = 5, stride_t = 8, stride_f = 4 }]

[teacher]
weights = "mn04.pt"
loss_weight = 1.0

[[distill.fused]]
recipe = "teacher.toml"
set = "epic"

[[stage]]
name = "student"
epochs = 1
lr = 1e-3
method = "adamw"
"#;

const TEACHER: &str = r#"
name = "teacher"
data_root = "."

[[data]]
name = "epic"
kind = "epic_sounds"
train = "train.csv"
validation = "validation.csv"
audio = "audio.hdf5"
n_classes = 3

[network]
kind = "slowfast"
width_per_group = 8

[[stage]]
name = "first"
init = "file:start.pyth"
epochs = 1
lr = 1e-3
"#;

/// Four clips of two classes in two folds; two videos of 10 s with two segments of 1 s each, and
/// one uncategorised segment.
fn write_data(folder: &Path) {
    std::fs::create_dir(folder.join("clips")).unwrap();
    let mut table = "file,label,fold,source_id\n".to_owned();
    for (i, (sound, label)) in [(Sound::Blender, "blender"), (Sound::Dog, "dog")].into_iter().enumerate() {
        for fold in 1..=2 {
            let file = format!("{label}-{fold}.wav");
            write_wav(&folder.join("clips").join(&file), RATE, &sounds::render(sound, RATE, 1.0, fold));
            writeln!(table, "{file},{label},{fold},s{i}{fold}").unwrap();
        }
    }
    std::fs::write(folder.join("clips.csv"), table).unwrap();
    let audio = File::create(folder.join("audio.hdf5")).unwrap();
    let head = "annotation_id,participant_id,video_id,start_timestamp,stop_timestamp";
    for (video, table) in [("P01_01", "train.csv"), ("P02_02", "validation.csv")] {
        let samples = sounds::render(Sound::RoomNoise, RATE, 10.0, 1);
        audio.new_dataset_builder().with_data(&samples).create(video).unwrap();
        let mut text = format!("{head},class,class_id\n");
        for (i, class) in ["water", "cut"].into_iter().enumerate() {
            let (start, stop) = (4 * i, 4 * i + 1);
            writeln!(text, "{video}_{i},P01,{video},00:00:0{start}.000,00:00:0{stop}.000,{class},{i}").unwrap();
        }
        std::fs::write(folder.join(table), text).unwrap();
    }
    let rows = "u0,P01,P01_01,00:00:02.000,00:00:03.000\n";
    std::fs::write(folder.join("uncategorised.csv"), format!("{head}\n{rows}")).unwrap();
    for (name, content) in [("student.toml", STUDENT), ("teacher.toml", TEACHER), ("mn04.pt", "x"), ("start.pyth", "x")]
    {
        std::fs::write(folder.join(name), content).unwrap();
    }
}

fn check(folder: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_earwitness-train"))
        .args(["data", "check", "student.toml"])
        .args(options)
        .current_dir(folder)
        .env_remove("EARWITNESS_DATA")
        .output()
        .unwrap()
}

fn document(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A file that one test has open for writing would be inherited, with its lock, by the commands of
/// the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn what_is_there() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    let output = check(folder, &["--json"]);
    let found = document(&output);
    assert_eq!(output.status.code(), Some(0), "{found}");
    assert_eq!((&found["ok"], &found["problems"]), (&Value::Bool(true), &Value::Array(Vec::new())));
    let student = &found["recipes"][0];
    let clips = &student["sets"][0]["parts"][0];
    assert_eq!((clips["segments"].as_u64(), clips["folds"].to_string()), (Some(4), "[1,2]".to_owned()));
    assert!((clips["hours"].as_f64().unwrap() - 4.0 / 3600.0).abs() < 1e-5);
    let epic = &student["sets"][1];
    let names: Vec<&str> = epic["parts"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["train", "validation", "uncategorised", "between segments"]);
    let segments: Vec<u64> =
        epic["parts"].as_array().unwrap().iter().map(|p| p["segments"].as_u64().unwrap()).collect();
    // Of the training video 1-2, 3-4 and 5-10 s are marked by no table, of the other 1-4 and 5-10
    // s.
    assert_eq!(segments, [2, 2, 1, 5]);
    assert!((epic["parts"][3]["hours"].as_f64().unwrap() - 15.0 / 3600.0).abs() < 1e-6);
    assert_eq!(epic["parts"][0]["without_segment"][0], "class 2");
    assert_eq!(student["checkpoints"][0]["found"], true);
    let teacher = &found["recipes"][1];
    assert_eq!((teacher["name"].as_str(), &teacher["checkpoints"][0]["found"]), (Some("teacher"), &Value::Bool(true)));

    let text = check(folder, &[]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("between segments") && text.contains("no segment of class 2"), "{text}");
    assert!(!folder.join("runs").exists());
}

#[test]
fn all_problems_at_once() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    for file in ["mn04.pt", "start.pyth", "uncategorised.csv", "clips/dog-2.wav"] {
        std::fs::remove_file(folder.join(file)).unwrap();
    }
    std::fs::write(folder.join("clips/dog-1.wav"), b"no sound").unwrap();
    let table = std::fs::read_to_string(folder.join("train.csv")).unwrap();
    std::fs::write(folder.join("train.csv"), table.replace("P01_01,00:00:04", "P09_09,00:00:04")).unwrap();
    let output = check(folder, &["--json"]);
    assert_eq!(output.status.code(), Some(2));
    let found = document(&output);
    let problems: Vec<&str> = found["problems"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    let parts = [
        "clips.csv:4: ",
        "clips.csv:5: file ",
        "uncategorised.csv: does not exist: it is `uncategorised` of data set \"epic\"",
        "train.csv:3: video_id: ",
        "mn04.pt does not exist",
        "start.pyth does not exist",
    ];
    for part in parts {
        assert!(
            problems.iter().any(|problem| problem.contains(part) && problem.contains("; ")),
            "{part}: {problems:#?}"
        );
    }
    // The training table is the student's and the teacher's: what is wrong with it is listed once.
    assert_eq!(problems.len(), parts.len(), "{problems:#?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: 6 problems"));

    std::fs::write(folder.join("teacher.toml"), TEACHER.replace("kind = \"slowfast\"", "kind = \"other\"")).unwrap();
    let found = document(&check(folder, &["--json"]));
    let of_teacher = |p: &Value| p.as_str().unwrap().contains("[[distill.fused]] recipe");
    assert!(found["problems"].as_array().unwrap().iter().any(of_teacher), "{found}");
    let elsewhere = check(folder, &["--data-root", "nowhere"]);
    assert_eq!(elsewhere.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&elsewhere.stdout).contains("nowhere/clips.csv: does not exist"));
}
