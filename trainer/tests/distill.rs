//! Claims: a student learns what its teachers say rather than what the labels say where the recipe
//! wants it so; teachers that are missing or of other classes are errors; the command does the
//! whole way; an interrupted training continues bit for bit.

#![allow(clippy::unwrap_used)]

mod common;

use common::{CLIPS_A_CLASS, Fixture, SOUNDS, STAGE};
use std::path::Path;
use std::process::Command;
use tch::Device;
use trainer::Error;
use trainer::chain::FitOptions;
use trainer::chain::fit::fit;
use trainer::judge::scores::Scores;
use trainer::judge::summary::FitResult;
use trainer::train::checkpoint::Checkpoint;
use trainer::train::recipe::{Distill, Recipe, ScoreFile, ScoreKind};
use trainer::train::student::finished_student;

fn options(fixture: &Fixture, recipe: Recipe, out: &str) -> FitOptions {
    common::options(fixture.path(), recipe, out)
}

/// Scores of all clips, in which each class, in alphabetical order, is taken for the one that
/// `says` gives.
fn write_scores(path: &Path, n_classes: usize, says: impl Fn(usize) -> usize, name: impl Fn(&str, u64) -> String) {
    let mut labels: Vec<String> = SOUNDS.iter().map(ToString::to_string).collect();
    labels.sort();
    let clips = labels.iter().enumerate().flat_map(|(class, l)| (0..CLIPS_A_CLASS).map(move |i| (class, l, i)));
    let (ids, logits): (Vec<String>, Vec<Vec<f32>>) = clips
        .map(|(class, label, i)| {
            let logits = (0..n_classes).map(|k| if k == says(class) { 8.0 } else { 0.0 }).collect();
            (name(label, i), logits)
        })
        .unzip();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    Scores::new(path, ids, 1, n_classes, logits.concat()).unwrap().write(path).unwrap();
}

fn with_scores(fixture: &Fixture, soft_weight: f64) -> Recipe {
    let mut recipe = fixture.recipe();
    let file = ScoreFile {
        set: "clips".to_owned(),
        path: "teacher/{fold}/scores.npz".into(),
        weight: 1.0,
        kind: ScoreKind::Logits,
    };
    recipe.distill = Some(Distill { soft_weight, classifier: 0.0, scores: vec![file], ..Distill::default() });
    recipe
}

fn top1(result: &FitResult) -> f64 {
    result.evaluation.as_ref().unwrap().sets["clips"].top1_own_labels
}

#[test]
fn a_student_believes_its_teacher_as_far_as_the_recipe_says() {
    let fixture = Fixture::new();
    let path = fixture.path().join("teacher/official-1/scores.npz");
    // A teacher that takes every sound for the next one.
    write_scores(&path, 4, |class| (class + 1) % 4, |label, i| format!("{label}-{i}"));
    let labels_only = fit(&options(&fixture, with_scores(&fixture, 0.0), "labels")).unwrap();
    let teacher_only = fit(&options(&fixture, with_scores(&fixture, 1.0), "teacher-only")).unwrap();
    assert!(top1(&labels_only) > 0.5, "{labels_only:?}");
    assert!(top1(&teacher_only) < 0.25, "{teacher_only:?}");
}

#[test]
fn teachers_that_are_missing_or_of_other_classes_are_named() {
    let fixture = Fixture::new();
    let message = || fit(&options(&fixture, with_scores(&fixture, 0.5), "run")).unwrap_err().to_string();
    assert!(message().contains("teacher/official-1/scores.npz"), "{}", message());
    let path = fixture.path().join("teacher/official-1/scores.npz");
    write_scores(&path, 3, |_| 0, |label, i| format!("{label}-{i}"));
    assert!(message().contains("clips: expected 4 classes, actual 3"), "{}", message());
    write_scores(&path, 4, |class| class, |label, i| format!("other-{label}-{i}"));
    assert!(message().contains("knows no clip of clips"), "{}", message());
}

#[test]
fn a_training_with_all_losses_continues_bit_for_bit() {
    let fixture = Fixture::new();
    let path = fixture.path().join("teacher/official-1/scores.npz");
    write_scores(&path, 4, |class| class, |label, i| format!("{label}-{i}"));
    let mut recipe = with_scores(&fixture, 0.5);
    recipe.stages[0].epochs = 2;
    let straight = options(&fixture, recipe.clone(), "straight");
    fit(&straight).unwrap();
    let mut broken = FitOptions { stop_after: Some(3), ..options(&fixture, recipe, "broken") };
    assert!(matches!(fit(&broken), Err(Error::Interrupted)));
    (broken.resume, broken.stop_after) = (true, None);
    fit(&broken).unwrap();
    let weights =
        |run: &FitOptions| finished_student(&Checkpoint::load(&run.checkpoint(STAGE)).unwrap(), Device::Cpu).unwrap();
    for (a, b) in weights(&straight).params().iter().zip(weights(&broken).params()) {
        assert!(a.value.equal(&b.value), "{} differs", a.name);
    }
}

#[test]
fn the_command_goes_the_whole_way() {
    let fixture = Fixture::new();
    let recipe = std::fs::read_to_string(&fixture.recipe_path).unwrap();
    let more = r#"
[distill]
classifier = 0.0
[[distill.scores]]
set = "clips"
path = "teacher/{fold}/scores.npz"
weight = 1.0

[quantize]
steps = 4
calibration_batches = 1

[export]
version = "0.3.0"
decision = { window_ms = 400, threshold_on = 0.6, threshold_off = 0.3, min_duration_ms = 160, min_gap_ms = 400, cooldown_ms = 0 }
data = { training = "generated sounds", licence = "MIT" }
[[export.subsets]]
name = "animals"
labels = ["dog"]
"#;
    std::fs::write(&fixture.recipe_path, recipe + more).unwrap();
    let distill = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
        command.env_remove("EARWITNESS_DATA").current_dir(fixture.path());
        command.args(["distill", "tiny.toml", "--epochs", "2", "--threads", "1", "--device", "cpu", "--crossval"]);
        command.args(["--out", "runs", "--cache", "cache", "--export", "models"]).output().unwrap()
    };
    let missing = distill();
    let text = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(1), "{text}");
    assert!(text.contains("teacher/official-1/scores.npz"), "{text}");
    for run in ["official-1", "official-2", "official-3", "official-4", "official-5", "all"] {
        let path = fixture.path().join("teacher").join(run).join("scores.npz");
        write_scores(&path, 4, |class| class, |label, i| format!("{label}-{i}"));
    }
    let done = distill();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let table = String::from_utf8(done.stdout).unwrap();
    assert!(table.contains("clips top1_own_labels int8"), "{table}");
    let load = |name: &str| edge::model::Model::load(&fixture.path().join("models").join(name)).unwrap();
    let (whole, subset) = (load("tiny"), load("animals"));
    assert_eq!(subset.manifest.labels, ["dog", "background"]);
    for model in [&whole, &subset] {
        assert!(model.manifest.files.int8.is_some());
        assert!(model.manifest.metrics.contains_key("clips_official_top1_int8"), "{:?}", model.manifest.metrics);
        assert!(model.manifest.decision.classes["dog"].threshold_on.is_some(), "{:?}", model.manifest.decision);
        assert!(!model.manifest.decision.classes.contains_key("background"));
    }
    // Finished folds are taken as they are.
    let before = std::fs::metadata(fixture.path().join("runs/official-2/result.json")).unwrap().modified().unwrap();
    assert!(distill().status.success());
    let after = std::fs::metadata(fixture.path().join("runs/official-2/result.json")).unwrap().modified().unwrap();
    assert_eq!(before, after);
}
