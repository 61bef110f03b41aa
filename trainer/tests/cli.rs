//! Claims: a mistake in what the user wrote ends in one line that names the place, with exit code
//! 2; Ctrl-C saves.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Fixture, RECIPE};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

fn train() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
    command.env_remove("EARWITNESS_DATA");
    command
}

fn fit(fixture: &Fixture, extra: &[&str]) -> Output {
    let mut command = train();
    command.arg("fit").arg(&fixture.recipe_path).args(["--threads", "1", "--device", "cpu"]);
    command.arg("--out").arg(fixture.path().join("run")).arg("--cache").arg(fixture.path().join("cache"));
    command.args(extra).output().unwrap()
}

/// The one line of the error, and that the exit code is `code`.
fn message(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    let line = text.lines().last().unwrap().to_owned();
    assert!(line.starts_with("error: "), "{text}");
    line
}

fn with_recipe(change: impl Fn(&str) -> String) -> String {
    let fixture = Fixture::new();
    std::fs::write(&fixture.recipe_path, change(RECIPE)).unwrap();
    message(&fit(&fixture, &[]), 2)
}

#[test]
fn recipe_mistakes_name_file_line_and_key() {
    let line_of = |key: &str| RECIPE.lines().position(|l| l.starts_with(key)).unwrap() + 1;
    let unknown = with_recipe(|r| r.replace("dropout = 0.1", "dropuot = 0.1"));
    assert!(unknown.contains(&format!("tiny.toml:{}: unknown field `dropuot`", line_of("dropout"))), "{unknown}");
    let range = with_recipe(|r| r.replace("batch = 8", "batch = 1"));
    assert!(range.contains(&format!("tiny.toml:{}: batch", line_of("batch"))), "{range}");
    let stride = with_recipe(|r| r.replace("stride_t = 2, stride_f = 4", "stride_t = 1, stride_f = 4"));
    assert!(stride.contains("product of stride_t is 4, must be 8"), "{stride}");
    let crop = with_recipe(|r| r.replace("crop_frames = 80", "crop_frames = 10"));
    assert!(crop.contains("receptive field"), "{crop}");
    let kind = with_recipe(|r| r.replace("lr = 5e-3", "lr = \"fast\""));
    assert!(kind.contains(&format!("tiny.toml:{}:", line_of("lr"))), "{kind}");
    let missing = message(&train().args(["fit", "nowhere.toml"]).output().unwrap(), 2);
    assert!(missing.contains("nowhere.toml"), "{missing}");
}

#[test]
fn data_mistakes_name_the_table_and_the_line() {
    let fixture = Fixture::new();
    let table = std::fs::read_to_string(fixture.path().join("clips.csv")).unwrap();
    let with_table = |text: String| {
        std::fs::write(fixture.path().join("clips.csv"), text).unwrap();
        message(&fit(&fixture, &[]), 2)
    };
    let gone = with_table(format!("{table}gone.wav,dog,1,77\n"));
    assert!(gone.contains("clips.csv:42: file") && gone.contains("gone.wav does not exist"), "{gone}");
    let fold = with_table(table.replacen(",1,0", ",one,0", 1));
    assert!(fold.contains("clips.csv:2: fold"), "{fold}");
    let column = with_table(table.replace("source_id", "source"));
    assert!(column.contains("clips.csv:1: column \"source_id\""), "{column}");
    std::fs::write(fixture.path().join("clips.csv"), &table).unwrap();
    let absent = message(&fit(&fixture, &["--fold", "9"]), 2);
    assert!(absent.contains("fold 9 does not exist"), "{absent}");
    std::fs::write(fixture.path().join("dog-0.wav"), b"RIFF").unwrap();
    let broken = message(&fit(&fixture, &[]), 2);
    assert!(broken.contains("clips.csv:22: ") && broken.contains("dog-0.wav"), "{broken}");
}

#[test]
fn other_arguments_are_checked() {
    let fixture = Fixture::new();
    let threads = train().arg("fit").arg(&fixture.recipe_path).args(["--threads", "0"]).output().unwrap();
    assert!(message(&threads, 2).contains("--threads"));
    let export = |checkpoint: &Path| {
        let mut command = train();
        command.arg("export").arg("--checkpoint").arg(checkpoint).arg("--out").arg(fixture.path().join("model"));
        message(&command.output().unwrap(), 1)
    };
    assert!(export(&fixture.path().join("none.safetensors")).contains("none.safetensors"));
    assert!(export(&fixture.path().join("hum.wav")).contains("hum.wav: is not a checkpoint"));
    let summary = train().arg("summary").arg(fixture.path()).output().unwrap();
    assert!(message(&summary, 2).contains("no finished run"));
}

#[test]
fn a_stage_its_start_and_any_value_can_be_named() {
    let fixture = Fixture::new();
    let fit = |out: &str, extra: &[&str]| {
        let mut command = train();
        command.current_dir(fixture.path()).args(["fit", "tiny.toml", "--threads", "1", "--device", "cpu"]);
        command.args(["--cache", "cache", "--out", out, "--epochs", "1"]).args(extra).output().unwrap()
    };
    let done = |output: Output| assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    done(fit("first", &["--stage", "student"]));
    let checkpoint = "first/student/checkpoint.safetensors";
    assert!(fixture.path().join(checkpoint).is_file() && !fixture.path().join("first/result.json").exists());
    let again = message(&fit("first", &["--stage", "student"]), 2);
    assert!(again.contains("first/student: holds a training already"), "{again}");
    let stage = message(&fit("x", &["--stage", "other"]), 2);
    assert!(stage.contains("stage \"other\" does not exist; the recipe has student"), "{stage}");
    // What is finished is taken, whatever was asked for the first time.
    done(fit("first", &["--resume"]));
    assert!(fixture.path().join("first/result.json").is_file());

    done(fit("second", &["--init", checkpoint, "--set", "train.save_every=1", "--set", "augment.mixup=0.0"]));
    let absent = message(&fit("x", &["--init", "nowhere.safetensors"]), 1);
    assert!(absent.contains("nowhere.safetensors"), "{absent}");
    let unknown = message(&fit("x", &["--set", "train.colour=1"]), 2);
    assert!(unknown.contains("tiny.toml, as changed by --set and --without: unknown field `colour`"), "{unknown}");
}

#[test]
fn an_interrupt_saves_and_a_resume_finishes() {
    let fixture = Fixture::new();
    let checkpoint = fixture.path().join("run/student/checkpoint.safetensors");
    let mut command = train();
    command.arg("fit").arg(&fixture.recipe_path).args([
        "--threads",
        "1",
        "--device",
        "cpu",
        "--fold",
        "1",
        "--epochs",
        "4000",
    ]);
    command.arg("--out").arg(fixture.path().join("run")).arg("--cache").arg(fixture.path().join("cache"));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while !checkpoint.exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "no checkpoint appeared");
        assert!(child.try_wait().unwrap().is_none(), "ended before the interrupt");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(message(&output, 1).contains("continue with --resume"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("16000 steps on CPU, 1 threads"), "{text}");

    let again = command.args(["--resume", "--stop-after", "1"]).stderr(Stdio::piped()).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("continuing at step"), "{again:?}");
}

#[test]
fn cross_validation_trains_each_fold_once_and_summarises() {
    let fixture = Fixture::new();
    let run = || {
        let mut command = train();
        command.arg("crossval").arg(&fixture.recipe_path).args([
            "--threads",
            "1",
            "--device",
            "cpu",
            "--epochs",
            "1",
            "--resume",
            "--json",
        ]);
        command
            .arg("--folds")
            .arg("source")
            .arg("--out")
            .arg(fixture.path().join("runs"))
            .arg("--cache")
            .arg(fixture.path().join("cache"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let first = run();
    let row = first["rows"].as_array().unwrap().iter().find(|r| r["measure"] == "clips top1_own_labels").unwrap();
    assert_eq!(row["by_fold"].as_object().unwrap().len(), 5);
    assert_eq!(row["folds"], "source");
    let trained = checkpoints(&fixture.path().join("runs"));
    assert_eq!(trained.len(), 5);
    // Rounded: a parsed decimal may differ in its last bit.
    let nll = |summary: &serde_json::Value| format!("{:.9}", summary["rows"][1]["mean"].as_f64().unwrap());
    assert_eq!(nll(&run()), nll(&first));
    assert_eq!(checkpoints(&fixture.path().join("runs")), trained, "finished folds are not trained again");
}

/// The checkpoints below a folder, and when each was written.
fn checkpoints(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(checkpoints(&path));
        } else if path.extension().is_some_and(|extension| extension == "safetensors") {
            found.insert(path, entry.metadata().unwrap().modified().unwrap());
        }
    }
    found
}
