//! Claims: a stage continues bit for bit, leaves alone what is frozen, and a run's files say what
//! its networks say.

#![allow(clippy::unwrap_used)]

mod common;

use common::Fixture;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tch::{Device, Tensor};
use trainer::Error;
use trainer::chain::FitOptions;
use trainer::chain::crossval::crossval;
use trainer::chain::fit::{fit, fit_stage};
use trainer::judge::scores::{Scores, fuse};
use trainer::judge::summary::FitResult;
use trainer::nets::slowfast::SlowFast;
use trainer::train::checkpoint::Checkpoint;
use trainer::train::recipe::Recipe;
use trainer::train::slowfast::slowfast_of;

/// The narrowest network and short views: a step takes some milliseconds.
const RECIPE: &str = r#"
name = "tiny-slowfast"
seed = 3
data_root = "."
average = ["decay", "frozen", "focal"]

[[data]]
name = "clips"
csv = "clips.csv"
audio = "."

[network]
kind = "slowfast"
width_per_group = 8
n_frames = 80

[train]
view_seconds = 0.4
views = 3
train_views = 2

[augment]
gain_db = 6.0
time_warp = 3
n_freq_masks = 2
freq_mask = 10
n_time_masks = 2
time_mask = 6
mixup = 0.3
cutmix = 0.3

[[stage]]
name = "baseline"
epochs = 4
coarse_epochs = 2
lr = 0.01
warmup_epochs = 1
method = "adamw"
weight_decay = 0.01
batch = 8
dropout = 0.2
drop_path = 0.2
weight = 0.1

[[stage]]
name = "decay"
init = "stage:baseline"
epochs = 2
lr = 0.01
steps = [0, 1]
factors = [1, 0.5]
loss = { kind = "smoothed", smoothing = 0.06 }
batch_norm = "frozen"
batch = 8
dropout = 0.5
weight = 0.4

[[stage]]
name = "frozen"
init = "stage:baseline"
epochs = 2
lr = 0.01
loss = { kind = "smoothed", form = "report" }
frozen = "backbone"
batch = 8
dropout = 0.5
weight = 0.25

[[stage]]
name = "focal"
init = "stage:baseline"
epochs = 2
lr = 0.01
loss = { kind = "focal" }
frozen = "backbone"
batch = 8
dropout = 0.5
weight = 0.25
"#;

fn recipe() -> Recipe {
    Recipe::parse(RECIPE, Path::new("tiny.toml")).unwrap()
}

fn options(fixture: &Fixture, out: &str) -> FitOptions {
    common::options(fixture.path(), recipe(), out)
}

fn tensors(options: &FitOptions, stage: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = |t: &Tensor| {
        let mut bytes = vec![0u8; t.numel() * t.kind().elt_size_in_bytes()];
        t.copy_data_u8(&mut bytes, t.numel());
        bytes
    };
    Tensor::read_safetensors(options.checkpoint(stage))
        .unwrap()
        .iter()
        .map(|(name, t)| (name.clone(), bytes(t)))
        .collect()
}

#[test]
fn an_interrupted_run_continues_bit_for_bit() {
    let fixture = Fixture::new();
    let straight = options(&fixture, "straight");
    fit(&straight).unwrap();

    // Interrupted twice in the first stage and, by the same count, once in each later one.
    let mut broken = FitOptions { stop_after: Some(3), ..options(&fixture, "broken") };
    assert!(matches!(fit(&broken), Err(Error::Interrupted)));
    assert!(matches!(fit(&broken), Err(Error::Usage(_))), "an existing run needs --resume");
    broken.resume = true;
    for stop_after in [7, 5, 5, 5] {
        broken.stop_after = Some(stop_after);
        let _ = fit(&broken);
    }
    broken.stop_after = None;
    fit(&broken).unwrap();
    for stage in ["baseline", "decay", "frozen", "focal", "average"] {
        let (a, b) = (tensors(&straight, stage), tensors(&broken, stage));
        assert!(a.keys().eq(b.keys()));
        for (name, value) in &a {
            assert!(value == &b[name], "{stage}: {name} differs");
        }
    }
    let result = |o: &FitOptions| std::fs::read_to_string(o.out.join("result.json")).unwrap();
    assert_eq!(result(&straight), result(&broken));
    let metrics = std::fs::read_to_string(broken.out.join("baseline/metrics.jsonl")).unwrap();
    let epochs: Vec<u64> = metrics
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["epoch"].as_u64().unwrap())
        .collect();
    assert_eq!(epochs, [1, 2, 3, 4]);

    let mut other = FitOptions { resume: true, ..options(&fixture, "straight") };
    other.recipe.stages[0].lr *= 2.0;
    assert!(fit(&other).unwrap_err().to_string().contains("another recipe"));
}

#[test]
fn frozen_parts_stay_and_the_rest_learns() {
    let fixture = Fixture::new();
    let options = options(&fixture, "run");
    assert!(fit_stage(&options, "decay").unwrap_err().to_string().contains("baseline"), "needs its first stage");
    fit(&options).unwrap();
    let base = tensors(&options, "baseline");
    let changed = |stage: &str| -> Vec<String> {
        let now = tensors(&options, stage);
        base.keys().filter(|k| k.starts_with("model/") && base[*k] != now[*k]).cloned().collect()
    };
    for stage in ["frozen", "focal"] {
        assert_eq!(changed(stage), ["model/head.projection.bias", "model/head.projection.weight"], "{stage}");
    }
    let first = ["s1.pathway0_stem.bn", "s1.pathway1_stem.bn", "s1_fuse.bn"];
    let decay = changed("decay");
    for name in base.keys().filter(|k| k.starts_with("model/")) {
        let is_norm = name.contains("bn.") || name.contains("_bn");
        let fitted = !is_norm || first.iter().any(|f| name.contains(f));
        // A kernel before a batch norm that is zero throughout gets no gradient, but decays.
        assert_eq!(decay.contains(name), fitted, "{name}");
    }
}

#[test]
fn scores_are_sums_over_views_and_fuse_by_id() {
    let fixture = Fixture::new();
    let options = options(&fixture, "run");
    let result = fit(&options).unwrap();
    let read = |stage: &str, file: &str| Scores::read(&options.out.join(stage).join(file)).unwrap();
    let stages = ["baseline", "decay", "frozen", "focal"];
    let sets: Vec<Scores> = stages.iter().map(|s| read(s, "scores.npz")).collect();
    for set in &sets {
        assert_eq!((set.len(), set.n_classes, set.n_views), (8, 4, 1));
        for row in set.scores.chunks_exact(4) {
            assert!((row.iter().sum::<f32>() - 3.0).abs() < 1e-5, "{row:?}");
        }
    }
    let fused = fuse(&sets, &[0.1, 0.4, 0.25, 0.25]).unwrap();
    assert_eq!(fused.scores, read("fused", "scores.npz").scores);
    let names: Vec<&str> = result.models.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["baseline", "decay", "frozen", "focal", "average", "fused"]);
    let (logits, others) = (read("focal", "logits.npz"), read("focal", "train-logits.npz"));
    assert_eq!((logits.len(), logits.n_views, others.len(), others.n_views), (8, 3, 32, 2));
    // The posteriors of the logits, summed, are the scores.
    let at = logits.annotation_id.iter().position(|id| *id == sets[3].annotation_id[0]).unwrap();
    let summed = Tensor::from_slice(&logits.scores[at * 12..][..12])
        .view([3, 4])
        .softmax(1, tch::Kind::Float)
        .sum_dim_intlist([0i64].as_slice(), false, tch::Kind::Float);
    let difference = (summed - Tensor::from_slice(&sets[3].scores[..4])).abs().max().double_value(&[]);
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn the_weights_average_is_the_mean() {
    let fixture = Fixture::new();
    let options = options(&fixture, "run");
    fit(&options).unwrap();
    let network = |stage: &str| -> SlowFast {
        let checkpoint = Checkpoint::load(&options.checkpoint(stage)).unwrap();
        checkpoint.finished().unwrap();
        slowfast_of(&checkpoint, Device::Cpu).unwrap()
    };
    let parts = ["decay", "frozen", "focal"].map(network);
    let average = network("average");
    for tensor in average.tensors() {
        let mean: Tensor = parts.iter().map(|p| p.tensor(&tensor.name).unwrap() / 3.0).sum();
        let difference = (&mean - &tensor.value).abs().max().double_value(&[]);
        assert!(difference < 1e-6 * mean.abs().max().double_value(&[]).max(1.0), "{}", tensor.name);
    }
}

#[test]
fn a_checkpoint_of_other_classes_starts_a_stage_but_for_its_head() {
    let fixture = Fixture::new();
    let first = options(&fixture, "first");
    fit_stage(&first, "baseline").unwrap();
    let table = std::fs::read_to_string(fixture.path().join("clips.csv")).unwrap();
    let fewer: String = table.lines().filter(|l| !l.contains("dog")).map(|l| format!("{l}\n")).collect();
    std::fs::write(fixture.path().join("fewer.csv"), fewer).unwrap();
    let text = RECIPE.replace("clips.csv", "fewer.csv").replacen(
        "epochs = 4",
        "epochs = 4\ninit = \"file:first/baseline/checkpoint.safetensors\"",
        1,
    );
    let mut second = options(&fixture, "second");
    second.recipe = Recipe::parse(&text, Path::new("fewer.toml")).unwrap();
    second.stop_after = Some(0);
    second.recipe.stages[0].lr = 1e-12;
    assert!(matches!(fit_stage(&second, "baseline"), Err(Error::Interrupted)));
    let (a, b) = (tensors(&first, "baseline"), tensors(&second, "baseline"));
    let kernel = "model/s5.pathway0_res2.branch2.a.weight";
    let head = "model/head.projection.weight";
    assert!(a[kernel].len() == b[kernel].len() && a[head].len() == b[head].len() / 3 * 4);
    let values = |bytes: &[u8]| bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let (a, b): (Vec<f32>, Vec<f32>) = (values(&a[kernel]), values(&b[kernel]));
    assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-6));
}

#[test]
fn folds_are_summarised_with_weights_found_on_the_others() {
    let fixture = Fixture::new();
    let mut all = options(&fixture, "unused");
    all.fold = None;
    for stage in &mut all.recipe.stages {
        stage.epochs = 1;
    }
    let base = fixture.path().join("folds");
    let summary = crossval(&all, &base, Some(&[1, 2])).unwrap();
    let top1: Vec<_> = summary.rows.iter().filter(|row| row.measure.ends_with(" top1")).collect();
    let models: Vec<&str> = top1.iter().map(|row| row.measure.trim_end_matches(" top1")).collect();
    assert_eq!(models, ["baseline", "decay", "frozen", "focal", "average", "fused", "fused, searched"]);
    assert!(summary.rows.iter().all(|row| row.by_fold.len() == 2));
    assert!(summary.rows.iter().any(|row| row.measure == "fused mAP"));
    assert_eq!(summary.notes.len(), 2, "{:?}", summary.notes);
    for (note, fold) in summary.notes.iter().zip([1, 2]) {
        let weights = note.strip_prefix(&format!("weights found without fold {fold}: ")).unwrap();
        assert_eq!(weights.split(' ').filter(|weight| weight.parse::<f64>().is_ok()).count(), 4, "{note}");
    }
    let result = std::fs::read_to_string(base.join("official-2/result.json")).unwrap();
    let fold: FitResult = serde_json::from_str(&result).unwrap();
    assert_eq!((fold.models[5].measures.n, fold.models[5].name.as_str()), (8, "fused"));
    assert_eq!(top1[5].by_fold[&2], fold.models[5].measures.top1);
    assert!(summary.table().contains("fused, searched"));
    all.resume = true;
    assert_eq!(crossval(&all, &base, Some(&[1, 2])).unwrap(), summary);
}

#[test]
fn a_killed_training_continues_bit_for_bit() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path().join("stages.toml"), RECIPE).unwrap();
    let fit = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
        command.current_dir(fixture.path()).env_remove("EARWITNESS_DATA");
        command.args(["fit", "stages.toml", "--fold", "1", "--stage", "baseline", "--threads", "1", "--device", "cpu"]);
        command.args(["--resume", "--cache", "cache", "--out", out]);
        command.stderr(Stdio::null());
        command
    };
    assert!(fit("straight").status().unwrap().success());
    // Killed as soon as there is something to go on from, wherever the training is by then; then
    // twice more.
    let checkpoint = fixture.path().join("broken/baseline/checkpoint.safetensors");
    for pause in [0, 40, 90] {
        let mut child = fit("broken").spawn().unwrap();
        while !checkpoint.exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(pause));
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(fit("broken").status().unwrap().success());
    let run = |name: &str| tensors(&options(&fixture, name), "baseline");
    let (a, b) = (run("straight"), run("broken"));
    assert!(a.keys().eq(b.keys()));
    assert!(a.iter().all(|(name, value)| *value == b[name]));
}

#[test]
fn the_commands_agree_with_the_run() {
    let fixture = Fixture::new();
    let options = options(&fixture, "run");
    fit(&options).unwrap();
    let path = |name: &str| fixture.path().join(name).display().to_string();
    std::fs::write(fixture.path().join("stages.toml"), RECIPE).unwrap();
    let train = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_earwitness-train")).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}");
        String::from_utf8(output.stdout).unwrap()
    };
    let predict = |checkpoint: &str, out: &str| {
        train(&[
            "predict",
            "--recipe",
            &path("stages.toml"),
            "--checkpoint",
            &path(checkpoint),
            "--audio",
            &path("."),
            "--annotations",
            &path("clips.csv"),
            "--device",
            "cpu",
            "--out",
            &path(out),
        ]);
        Scores::read(Path::new(&path(out))).unwrap()
    };
    let own = Scores::read(&options.out.join("focal/scores.npz")).unwrap();
    let all = predict("run/focal/checkpoint.safetensors", "all.npz");
    assert_eq!(all.len(), 40);
    for (id, row) in own.annotation_id.iter().zip(own.scores.chunks_exact(4)) {
        let at = all.annotation_id.iter().position(|other| other == id).unwrap();
        let difference = row.iter().zip(&all.scores[at * 4..][..4]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-4, "{id}: {difference}");
    }
    train(&[
        "average",
        "--checkpoint",
        &path("run/decay/checkpoint.safetensors"),
        &path("run/frozen/checkpoint.safetensors"),
        &path("run/focal/checkpoint.safetensors"),
        "--out",
        &path("mean.safetensors"),
    ]);
    let mean = predict("mean.safetensors", "mean.npz");
    let kept = predict("run/average/checkpoint.safetensors", "average.npz");
    assert!(mean.scores.iter().zip(&kept.scores).all(|(a, b)| (a - b).abs() < 1e-5));

    let report = train(&["evaluate", "--scores", &path("all.npz"), "--annotations", &path("clips.csv"), "--json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&report).unwrap()["top1"].as_f64().is_some(), "{report}");
}
