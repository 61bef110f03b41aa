//! Claims: a training learns, an interrupted one continues bit for bit, and what is exported
//! computes what was trained.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Fixture, STAGE};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Tensor};
use trainer::Error;
use trainer::chain::FitOptions;
use trainer::chain::fit::{fit, fit_stage};
use trainer::data::folds::FoldMode;
use trainer::data::{Clip, Corpus, Places};
use trainer::ship::export::ExportOptions;
use trainer::train::checkpoint::Checkpoint;
use trainer::train::recipe::{Init, Recipe, Stage};
use trainer::train::student::finished_student;
use trainer::train::student::student_of;

fn options(fixture: &Fixture, recipe: Recipe, out: &str) -> FitOptions {
    common::options(fixture.path(), recipe, out)
}

fn places(fixture: &Fixture) -> Places {
    common::places(fixture.path())
}

fn tensors(run: &FitOptions) -> BTreeMap<String, Vec<u8>> {
    let bytes = |t: &Tensor| {
        let mut bytes = vec![0u8; t.numel() * t.kind().elt_size_in_bytes()];
        t.copy_data_u8(&mut bytes, t.numel());
        bytes
    };
    let checkpoint = Tensor::read_safetensors(run.checkpoint(STAGE)).unwrap();
    checkpoint.iter().map(|(name, t)| (name.clone(), bytes(t))).collect()
}

fn metrics(run: &FitOptions, kind: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.stage_folder(STAGE).join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    lines.filter(|v| v["kind"] == kind).collect()
}

#[test]
fn a_resumed_training_continues_bit_for_bit() {
    let fixture = Fixture::new();
    let mut recipe = fixture.recipe();
    recipe.stages[0].epochs = 3;
    let straight = options(&fixture, recipe.clone(), "straight");
    fit(&straight).unwrap();

    let mut broken = FitOptions { stop_after: Some(5), ..options(&fixture, recipe, "broken") };
    assert!(matches!(fit(&broken), Err(Error::Interrupted)));
    assert!(matches!(fit(&broken), Err(Error::Usage(_))), "an existing run needs --resume");
    broken.resume = true;
    broken.stop_after = Some(9);
    assert!(matches!(fit(&broken), Err(Error::Interrupted)));
    broken.stop_after = None;
    fit(&broken).unwrap();

    let (a, b) = (tensors(&straight), tensors(&broken));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, value) in &a {
        assert!(value == &b[name], "{name} differs");
    }
    let result = |run: &Path| std::fs::read_to_string(run.join("result.json")).unwrap();
    assert_eq!(result(&straight.out), result(&broken.out));
    let epochs: Vec<u64> = metrics(&broken, "train").iter().map(|m| m["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [1, 2, 3]);
}

#[test]
fn a_stage_starts_from_an_earlier_one() {
    let fixture = Fixture::new();
    let mut recipe = fixture.recipe();
    recipe.stages[0].epochs = 1;
    // A step so small that nothing but the running statistics of batch norms moves.
    let second = Stage {
        name: "second".to_owned(),
        init: Init::Stage(STAGE.to_owned()),
        lr: 1e-12,
        warmup_steps: 0,
        ..recipe.stages[0].clone()
    };
    recipe.stages.push(second);
    let options = options(&fixture, recipe, "run");
    let early = fit_stage(&options, "second").unwrap_err().to_string();
    assert!(early.contains("run/student/checkpoint.safetensors"), "{early}");
    fit(&options).unwrap();
    let finished = |stage: &str| finished_student(&Checkpoint::load(&options.checkpoint(stage)).unwrap(), Device::Cpu);
    let (first, second) = (finished(STAGE).unwrap(), finished("second").unwrap());
    let is_statistic = |name: &str| name.ends_with("mean") || name.ends_with("variance");
    for param in first.params().iter().filter(|p| !is_statistic(&p.name)) {
        let difference = (&param.value - second.param(&param.name).unwrap()).abs().max().double_value(&[]);
        assert!(difference < 1e-6, "{}: {difference}", param.name);
    }
    assert!(options.out.join("model/model.onnx").is_file());
}

#[test]
fn another_recipe_does_not_resume() {
    let fixture = Fixture::new();
    let mut recipe = fixture.recipe();
    let first = FitOptions { stop_after: Some(1), ..options(&fixture, recipe.clone(), "run") };
    assert!(matches!(fit(&first), Err(Error::Interrupted)));
    recipe.stages[0].lr *= 2.0;
    let error = fit(&FitOptions { resume: true, ..options(&fixture, recipe, "run") }).unwrap_err();
    assert!(error.to_string().contains("another recipe"), "{error}");
}

#[test]
fn the_loss_falls_and_the_export_agrees() {
    let fixture = Fixture::new();
    // With few clips, the last epoch's loss is 0.84 to 0.94 of the first one's, by the seed.
    let options = options(&fixture, Recipe { seed: 6, ..fixture.recipe() }, "run");
    let result = fit(&options).unwrap();
    let losses: Vec<f64> = metrics(&options, "train").iter().map(|m| m["loss"].as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 12);
    assert!(losses[11] < 0.85 * losses[0], "{losses:?}");
    assert_eq!(metrics(&options, "evaluation").len(), 1);
    let evaluation = result.evaluation.unwrap();
    assert_eq!(evaluation.sets["clips"].n, 8);
    assert!(evaluation.sets["clips"].top1_own_labels > 0.5, "{evaluation:?}");
    assert_eq!(evaluation.background.unwrap().n_windows, 1);

    let out = fixture.path().join("model");
    let report = trainer::ship::export::export(&options.checkpoint(STAGE), &out, &ExportOptions::default()).unwrap();
    assert!(report.agreement.n_frames > 30, "{report:?}");
    let model = edge::model::Model::load(&out).unwrap();
    assert_eq!(model.manifest.labels, ["blender", "chopping", "dog", "water-flowing", "background"]);
    assert_eq!(model.manifest.frontend, options.recipe.frontend);
    for (file, n_columns) in [("log_mel.npy", 64), ("logits.npy", 5)] {
        let golden = Tensor::read_npy(out.join("golden").join(file)).unwrap();
        assert_eq!(golden.size()[1], n_columns, "{file}");
    }
}

#[test]
fn an_unfinished_training_is_not_exported() {
    let fixture = Fixture::new();
    let options = FitOptions { stop_after: Some(2), ..options(&fixture, fixture.recipe(), "run") };
    assert!(matches!(fit(&options), Err(Error::Interrupted)));
    let (checkpoint, out) = (options.checkpoint(STAGE), fixture.path().join("model"));
    let error = trainer::ship::export::export(&checkpoint, &out, &ExportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("not finished: step 2 of 48"), "{error}");
}

#[test]
fn a_tampered_network_fails_verification() {
    let fixture = Fixture::new();
    let mut recipe = fixture.recipe();
    recipe.stages[0].epochs = 1;
    let options = options(&fixture, recipe, "run");
    fit(&options).unwrap();
    // The same run with one weight changed must not pass as the same network.
    let (checkpoint, out) = (options.checkpoint(STAGE), fixture.path().join("model"));
    trainer::ship::export::export(&checkpoint, &out, &ExportOptions::default()).unwrap();
    let other = student_of(&Checkpoint::load(&checkpoint).unwrap(), "model/", Device::Cpu).unwrap();
    let frames = vec![0.3; 64 * 200];
    let error = trainer::ship::export::verify(&out, &other, &[0, 1, 2, 3, 4], &frames).unwrap_err();
    assert!(error.to_string().contains("a logit differs by"), "{error}");
}

#[test]
fn features_are_the_front_ends_and_survive_the_cache() {
    let fixture = Fixture::new();
    let (recipe, places) = (fixture.recipe(), places(&fixture));
    let load = |recipe: &Recipe| {
        let corpus = Corpus::load(&recipe.contents(), &places, FoldMode::Official).unwrap();
        ["dog-3.wav", "hum.wav"].map(|file| {
            let clip = corpus.clips.iter().chain(&corpus.negatives).find(|clip| clip.file == file).unwrap();
            clip.frames.all().unwrap().into_owned()
        })
    };
    let expected = ["dog-3.wav", "hum.wav"].map(|file| {
        let audio = edge::audio::decode_file(&fixture.path().join(file)).unwrap();
        let samples = edge_frontend::resample(audio.sample_rate, recipe.frontend.sample_rate, &audio.samples).unwrap();
        edge_frontend::log_mel(&recipe.frontend, &samples).unwrap()
    });
    assert_eq!(load(&recipe), expected);
    assert_eq!(load(&recipe), expected, "from the cache");
    let entries = || std::fs::read_dir(&places.cache).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(entries().len(), 41, "one per recording");
    entries().iter().for_each(|entry| std::fs::write(entry, b"damaged").unwrap());
    assert_eq!(load(&recipe), expected, "a damaged entry is made again");
    let frontend = edge_frontend::FrontendConfig { n_mels: 32, ..recipe.frontend.clone() };
    let other = load(&Recipe { frontend, ..recipe });
    assert_eq!(other.map(|values| values.len()), expected.map(|values| values.len() / 2));
    assert_eq!(entries().len(), 82, "another front end has entries of its own");
}

#[test]
fn source_folds_keep_sources_together_and_official_ones_are_the_tables() {
    let fixture = Fixture::new();
    let recipe = fixture.recipe();
    let corpus = Corpus::load(&recipe.contents(), &places(&fixture), FoldMode::Source).unwrap();
    let mut fold_of = BTreeMap::new();
    for clip in &corpus.clips {
        assert_eq!(*fold_of.entry(clip.source.clone()).or_insert(clip.fold()), clip.fold());
    }
    assert_eq!(corpus.folds(), [1, 2, 3, 4, 5]);
    let official = Corpus::load(&recipe.contents(), &places(&fixture), FoldMode::Official).unwrap();
    let shared =
        official.clips.iter().any(|a| official.clips.iter().any(|b| a.source == b.source && a.fold() != b.fold()));
    assert!(shared, "the table's own folds share sources, so that the difference shows");

    let n_frames = |clip: &Clip| clip.frames.n_frames();
    let n_negative: usize = official.negatives.iter().map(n_frames).sum();
    let split = official.split(Some(2)).unwrap();
    assert_eq!((split.train.len(), split.held_out.len()), (32, 8));
    let n_split: usize = split.negatives.iter().chain(&split.held_out_negatives).map(n_frames).sum();
    assert_eq!(n_split, n_negative, "background is divided in time");
}
