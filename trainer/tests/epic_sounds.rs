//! Claim: with data in the form of EPIC-SOUNDS, the whole way works by the commands: train,
//! predict, fuse, evaluate, submit.

#![allow(clippy::unwrap_used)]

use hdf5_metno::File;
use sounds::Sound;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// Classes, with the challenge's `background` last.
const SOUNDS: [(Sound, &str); 3] =
    [(Sound::Blender, "blender"), (Sound::WaterFlowing, "water"), (Sound::RoomNoise, "background")];
const RATE: u32 = 24_000;

const RECIPE: &str = r#"
name = "tiny-epic"
data_root = "."

[[data]]
name = "epic"
kind = "epic_sounds"
train = "train.csv"
validation = "validation.csv"
audio = "audio.hdf5"

[network]
kind = "slowfast"
width_per_group = 8

[[stage]]
name = "first"
epochs = 2
lr = 0.02
batch = 6
weight = 0.5

[[stage]]
name = "second"
init = "stage:first"
epochs = 1
lr = 0.01
loss = { kind = "focal" }
frozen = "backbone"
batch_norm = "frozen"
batch = 6
weight = 0.5
"#;

/// The same data for the small network: the challenge's background is the model's.
const STUDENT: &str = r#"
name = "tiny-student"
data_root = "."
background = "background"

[[data]]
name = "epic"
kind = "epic_sounds"
train = "train.csv"
validation = "validation.csv"
audio = "audio.hdf5"
n_classes = 3

[network]
kind = "student"
layers = [
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 12, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 4 },
]

[train]
crop_frames = 60

[[stage]]
name = "student"
epochs = 2
batch = 6
method = "adamw"
lr = 5e-3
"#;

/// Two videos of twelve sounds each, one shorter and one longer than a view after the other, and
/// annotations of them.
fn write_data(folder: &Path) {
    let file = File::create(folder.join("audio.hdf5")).unwrap();
    for (video, table) in [("P01_01", "train.csv"), ("P02_02", "validation.csv")] {
        let head = "annotation_id,participant_id,video_id,start_timestamp,stop_timestamp,start_sample,stop_sample";
        let mut text = format!("{head},description,class,class_id\n");
        let mut samples: Vec<f32> = Vec::new();
        for i in 0..12u64 {
            let (sound, class) = SOUNDS[i as usize % 3];
            let seconds = if i % 2 == 0 { 0.9 } else { 2.6 };
            let start = samples.len() as u64 * 1000 / u64::from(RATE);
            samples.extend(sounds::render(sound, RATE, seconds, i));
            let stop = samples.len() as u64 * 1000 / u64::from(RATE);
            let time = |ms: u64| format!("00:00:{:02}.{:03}", ms / 1000, ms % 1000);
            let (start, stop, id) = (time(start), time(stop), i % 3);
            writeln!(text, "{video}_{i},P01,{video},{start},{stop},0,0,a {class},{class},{id}").unwrap();
        }
        std::fs::write(folder.join(table), text).unwrap();
        file.new_dataset_builder().with_data(&samples).create(video).unwrap();
    }
    std::fs::write(folder.join("tiny.toml"), RECIPE).unwrap();
}

fn train(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_earwitness-train"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env_remove("EARWITNESS_DATA")
        .output()
        .unwrap()
}

fn done(folder: &Path, arguments: &str) -> String {
    let output = train(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A file that one test has open for writing would be inherited, with its lock, by the commands of
/// the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn from_annotated_videos_to_a_submission() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    done(folder, "fit tiny.toml --device cpu --out run");
    let own = std::fs::read(folder.join("run/second/scores.npz")).unwrap();
    assert!(!own.is_empty());

    for stage in ["first", "second"] {
        let files = "--recipe tiny.toml --audio audio.hdf5 --annotations validation.csv";
        done(folder, &format!("predict {files} --checkpoint run/{stage}/checkpoint.safetensors --out {stage}.npz"));
    }
    done(folder, "fuse --scores first.npz second.npz --weights 0.5 0.5 --out fused.npz");
    let evaluate = |scores: &str, more: &str| -> serde_json::Value {
        let arguments = format!("evaluate --scores {scores} --annotations validation.csv --json {more}");
        serde_json::from_str(&done(folder, &arguments)).unwrap()
    };
    let mine = evaluate("fused.npz", "");
    assert_eq!(mine["n"], 12);
    let theirs = evaluate("run/fused/scores.npz", "");
    assert!((mine["map"].as_f64().unwrap() - theirs["map"].as_f64().unwrap()).abs() < 1e-6);
    let redacted = evaluate("fused.npz", "--redact-background");
    assert_eq!((redacted["n"].as_u64(), redacted["n_redacted"].as_u64()), (Some(8), Some(4)));

    done(folder, "submit --scores fused.npz --out test.zip");
    let file = std::fs::File::open(folder.join("test.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let submission: serde_json::Value = serde_json::from_reader(archive.by_name("test.json").unwrap()).unwrap();
    assert_eq!(submission["challenge"], "audio_based_interaction_recognition");
    let row = &submission["results"]["P02_02_3"]["interaction"];
    let sum: f64 = (0..44).map(|class| row[class.to_string()].as_f64().unwrap()).sum();
    assert!((sum - 5.0).abs() < 1e-4, "{row}");
}

#[test]
fn a_student_is_trained_on_annotated_videos() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    std::fs::write(folder.join("student.toml"), STUDENT).unwrap();
    done(folder, "fit student.toml --device cpu --threads 1 --out run --cache cache");
    let result = std::fs::read(folder.join("run/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_slice(&result).unwrap();
    assert_eq!(result["evaluation"]["sets"]["epic"]["n"], 12, "the validation table is held out: {result}");
    let model = edge::model::Model::load(&folder.join("run/model")).unwrap();
    assert_eq!(model.manifest.labels, ["blender", "water", "background"]);
    assert_eq!(model.manifest.background.as_deref(), Some("background"));
}

#[test]
fn what_is_wrong_with_the_data_is_named() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    let message = |arguments: &str, code: i32| {
        let output = train(folder, arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        text.lines().last().unwrap().to_owned()
    };
    assert!(message("fit tiny.toml --fold 2 --out a", 2).contains("--fold"));
    let table = std::fs::read_to_string(folder.join("train.csv")).unwrap();
    let line = |n: usize, from: &str, to: &str| -> String {
        let change = |(i, l): (usize, &str)| if i == n { l.replace(from, to) } else { l.to_owned() };
        table.lines().enumerate().map(change).map(|l| l + "\n").collect()
    };
    std::fs::write(folder.join("train.csv"), line(3, ",P01_01,", ",P99_01,")).unwrap();
    let video = message("fit tiny.toml --out b", 2);
    assert!(video.contains("train.csv:4") && video.contains("P99_01"), "{video}");
    std::fs::write(folder.join("train.csv"), &table).unwrap();

    let whole = std::fs::read(folder.join("audio.hdf5")).unwrap();
    std::fs::write(folder.join("audio.hdf5"), &whole[..whole.len() / 2]).unwrap();
    let audio = message("fit tiny.toml --out c", 2);
    assert!(audio.contains("audio.hdf5"), "{audio}");

    std::fs::write(folder.join("cut.pyth"), b"PK\x03\x04 and no more").unwrap();
    let recipe = RECIPE.replacen("name = \"first\"", "name = \"first\"\ninit = \"file:cut.pyth\"", 1);
    std::fs::write(folder.join("tiny.toml"), recipe).unwrap();
    std::fs::write(folder.join("audio.hdf5"), &whole).unwrap();
    let checkpoint = message("fit tiny.toml --out d", 1);
    assert!(checkpoint.contains("cut.pyth"), "{checkpoint}");
}
