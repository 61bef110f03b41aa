//! Claims: a training learns, an interrupted one continues bit for bit, and what is exported computes what was trained.

#![allow(clippy::unwrap_used)]

mod common;

use common::Fixture;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};
use trainer::Error;
use trainer::chain::fit::{CHECKPOINT, FitOptions, fit};
use trainer::data::features::FeatureCache;
use trainer::data::{Corpus, Places};
use trainer::ship::export::ExportOptions;
use trainer::train::recipe::{FoldMode, Recipe};

fn options(fixture: &Fixture, recipe: Recipe, out: &str) -> FitOptions {
    common::options(fixture.path(), recipe, out)
}

fn places(fixture: &Fixture) -> Places {
    common::places(fixture.path())
}

fn tensors(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = |t: &Tensor| {
        let mut bytes = vec![0u8; t.numel() * t.kind().elt_size_in_bytes()];
        t.copy_data_u8(&mut bytes, t.numel());
        bytes
    };
    Tensor::read_safetensors(run.join(CHECKPOINT)).unwrap().iter().map(|(name, t)| (name.clone(), bytes(t))).collect()
}

fn metrics(run: &Path, kind: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    lines.filter(|v| v["kind"] == kind).collect()
}

#[test]
fn a_resumed_training_continues_bit_for_bit() {
    let fixture = Fixture::new();
    let mut recipe = fixture.recipe();
    recipe.train.epochs = 3;
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

    let (a, b) = (tensors(&straight.out), tensors(&broken.out));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, value) in &a {
        assert!(value == &b[name], "{name} differs");
    }
    let result = |run: &Path| std::fs::read_to_string(run.join("result.json")).unwrap();
    assert_eq!(result(&straight.out), result(&broken.out));
    let epochs: Vec<u64> = metrics(&broken.out, "train").iter().map(|m| m["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [1, 2, 3]);
}

#[test]
fn another_recipe_does_not_resume() {
    let fixture = Fixture::new();
    let mut recipe = fixture.recipe();
    let first = FitOptions { stop_after: Some(1), ..options(&fixture, recipe.clone(), "run") };
    assert!(matches!(fit(&first), Err(Error::Interrupted)));
    recipe.optim.lr *= 2.0;
    let error = fit(&FitOptions { resume: true, ..options(&fixture, recipe, "run") }).unwrap_err();
    assert!(error.to_string().contains("another recipe"), "{error}");
}

#[test]
fn the_loss_falls_and_the_export_agrees() {
    let fixture = Fixture::new();
    let options = options(&fixture, fixture.recipe(), "run");
    let result = fit(&options).unwrap();
    let losses: Vec<f64> = metrics(&options.out, "train").iter().map(|m| m["loss"].as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 12);
    assert!(losses[11] < 0.85 * losses[0], "{losses:?}");
    assert_eq!(metrics(&options.out, "evaluation").len(), 1);
    let evaluation = result.evaluation.unwrap();
    assert_eq!(evaluation.sets["clips"].n, 8);
    assert!(evaluation.sets["clips"].top1_own_labels > 0.5, "{evaluation:?}");
    assert_eq!(evaluation.background.unwrap().n_windows, 1);

    let out = fixture.path().join("model");
    let report = trainer::ship::export::export(&options.out.join(CHECKPOINT), &out, &ExportOptions::default()).unwrap();
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
    let (checkpoint, out) = (options.out.join(CHECKPOINT), fixture.path().join("model"));
    let error = trainer::ship::export::export(&checkpoint, &out, &ExportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("not finished: step 2 of 48"), "{error}");
}

#[test]
fn a_tampered_network_fails_verification() {
    let fixture = Fixture::new();
    let mut recipe = fixture.recipe();
    recipe.train.epochs = 1;
    let options = options(&fixture, recipe, "run");
    fit(&options).unwrap();
    // The same run with one weight changed must not pass as the same network.
    let (checkpoint, out) = (options.out.join(CHECKPOINT), fixture.path().join("model"));
    trainer::ship::export::export(&checkpoint, &out, &ExportOptions::default()).unwrap();
    let other = trainer::train::checkpoint::Checkpoint::load(&checkpoint).unwrap().model(Device::Cpu).unwrap();
    let frames = vec![0.3; 64 * 200];
    let error = trainer::ship::export::verify(&out, &other, &[0, 1, 2, 3, 4], &frames).unwrap_err();
    assert!(error.to_string().contains("a logit differs by"), "{error}");
}

#[test]
fn features_are_the_front_ends_and_survive_the_cache() {
    let fixture = Fixture::new();
    let (recipe, folder) = (fixture.recipe(), fixture.path().join("features"));
    let cache = FeatureCache::new(&folder, &recipe.frontend).unwrap();
    for file in ["dog-3.wav", "hum.wav"] {
        let path = fixture.path().join(file);
        let audio = edge::audio::decode_file(&path).unwrap();
        let samples = edge_frontend::resample(audio.sample_rate, recipe.frontend.sample_rate, &audio.samples).unwrap();
        let expected = edge_frontend::log_mel(&recipe.frontend, &samples).unwrap();
        assert_eq!(cache.load(&path).unwrap(), expected);
        assert_eq!(cache.load(&path).unwrap(), expected, "from the cache");
    }
    let entries: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(entries.len(), 2);
    let expected = cache.load(&fixture.path().join("dog-3.wav")).unwrap();
    entries.iter().for_each(|entry| std::fs::write(entry, b"damaged").unwrap());
    assert_eq!(cache.load(&fixture.path().join("dog-3.wav")).unwrap(), expected, "a damaged entry is made anew");
    let other = FeatureCache::new(&folder, &edge_frontend::FrontendConfig { n_mels: 32, ..recipe.frontend }).unwrap();
    assert_ne!(other.load(&fixture.path().join("dog-3.wav")).unwrap().len(), expected.len());
}

#[test]
fn source_folds_keep_sources_together_and_official_ones_are_the_tables() {
    let fixture = Fixture::new();
    let recipe = fixture.recipe();
    let corpus = Corpus::load(&recipe, &places(&fixture), FoldMode::Source).unwrap();
    let mut fold_of = BTreeMap::new();
    for clip in &corpus.clips {
        assert_eq!(*fold_of.entry(clip.source.clone()).or_insert(clip.fold), clip.fold);
    }
    assert_eq!(corpus.folds(), [1, 2, 3, 4, 5]);
    let official = Corpus::load(&recipe, &places(&fixture), FoldMode::Official).unwrap();
    let shared = official.clips.iter().any(|a| official.clips.iter().any(|b| a.source == b.source && a.fold != b.fold));
    assert!(shared, "the table's own folds share sources, so that the difference shows");

    let n_negative: usize = official.negatives.iter().map(|c| c.frames.len()).sum();
    let split = official.split(Some(2), 64).unwrap();
    assert_eq!((split.train.len(), split.held_out.len()), (32, 8));
    let n_split: usize = split.negatives.iter().chain(&split.held_out_negatives).map(|c| c.frames.len()).sum();
    assert_eq!(n_split, n_negative, "background is divided in time");
}
