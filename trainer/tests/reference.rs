//! Claims that need the project's data: the real folds, and the teacher against its authors'
//! network.
//!
//! The data lies beside the repository, in `../shared`, and in no package of it. Where it is absent
//! these tests say so and check what generated sounds can show; in CI (`CI` is set) its absence
//! fails.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};
use trainer::chain::fit::fit;
use trainer::data::csv::{Row, read_table};
use trainer::data::folds::{FoldMode, by_source};
use trainer::data::{Clip, Corpus};
use trainer::nets::teacher::mn04::{self, Mn04};
use trainer::nets::teacher::{EMBEDDING_WIDTH, Listener, Statistics, Teacher, Tutor};
use trainer::ship::export::ExportOptions;
use trainer::train::checkpoint::Checkpoint;
use trainer::train::recipe::{Augment, Distill};
use trainer::train::student::batcher::{Batcher, Hearing, Settings};
use trainer::train::student::teach::{Taught, ask_mn04};
use trainer::train::student::{Bands, student_of};

fn shared(what: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(what);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    eprintln!("{} is missing: checked with generated sounds only", path.display());
    None
}

fn class_of(rows: &[Row]) -> Vec<(usize, String)> {
    let mut labels: Vec<&str> = rows.iter().map(|r| r.label.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();
    rows.iter().map(|r| (labels.iter().position(|l| *l == r.label).unwrap(), r.source.clone())).collect()
}

#[test]
fn source_folds_of_the_real_tables_are_clean_and_even() {
    let fixture = common::Fixture::new();
    let mut tables = vec![(fixture.path().to_owned(), "clips.csv", 4)];
    for (set, n_classes) in [("kitchen20", 20), ("esc10", 10)] {
        let csv = if set == "esc10" { "esc10.csv" } else { "kitchen20.csv" };
        tables.extend(shared(&format!("data/{set}")).map(|folder| (folder, csv, n_classes)));
    }
    for (folder, csv, n_classes) in tables {
        let rows = read_table(&folder.join(csv), &folder, false).unwrap();
        let clips = class_of(&rows);
        assert_eq!(clips.iter().map(|c| c.0 + 1).max(), Some(n_classes), "{csv}");
        let folds = by_source(&clips);
        let mut fold_of = BTreeMap::new();
        for ((_, source), fold) in clips.iter().zip(&folds) {
            assert_eq!(*fold_of.entry(source).or_insert(*fold), *fold, "{csv}: source {source}");
        }
        let even = rows.len() as f64 / 5.0;
        for fold in 1..=5 {
            let n = folds.iter().filter(|&&f| f == fold).count() as f64;
            assert!((0.7..1.3).contains(&(n / even)), "{csv}: fold {fold} has {n} of {} clips", rows.len());
        }
    }
}

#[test]
fn the_teacher_computes_what_its_authors_network_does() {
    let Some(folder) = shared("pretrained") else { return };
    let network = Mn04::load(&folder.join("mn04_as_mAP_432.pt")).unwrap();
    let golden: BTreeMap<String, Tensor> =
        Tensor::read_npz(folder.join("mn04_golden.npz")).unwrap().into_iter().collect();
    let find = |name: &str| golden.iter().find(|(k, _)| k.trim_end_matches(".npy") == name).map(|(_, v)| v).unwrap();
    let waves = find("waveform").to_kind(tch::Kind::Float).unsqueeze(0);
    let embedding = network.embed(&waves).unwrap().squeeze_dim(0);
    let difference = (embedding - find("embedding")).abs().max().double_value(&[]);
    assert!(difference < 2e-5, "embedding differs by {difference}");
    // The front end by itself, which hears the crops of a training.
    let log_mel = ((mn04::mel_power(&waves).unwrap().squeeze_dim(0) + 1e-5f64).log() + 4.5f64) / 5.0f64;
    let difference = (log_mel.tr() - find("logmel")).abs().max().double_value(&[]);
    assert!(difference < 1e-3, "log-mel differs by {difference}");
}

#[test]
fn the_teacher_hears_what_the_student_hears() {
    let Some(folder) = shared("pretrained") else { return };
    let fixture = common::Fixture::new();
    let mut recipe = fixture.recipe();
    let weights = folder.canonicalize().unwrap().join("mn04_as_mAP_432.pt");
    recipe.teacher = Some(Teacher { online: 1.0, ..teacher(weights.clone()) });
    // Nothing done to the crops, so that they are known.
    recipe.stages[0].augment = Some(Augment::default());
    let (places, frontend) = (common::places(fixture.path()), &recipe.frontend);
    let corpus = Corpus::load(&recipe.contents(), &places, FoldMode::Official).unwrap();
    let (n_classes, background, split) = (corpus.labels.len(), corpus.background, corpus.split(None).unwrap());
    let names: Vec<(usize, String)> = split.train.iter().map(|c| (c.label, c.id.clone())).collect();
    let hop_seconds = frontend.hop_seconds();
    let tutor = Tutor::load(recipe.teacher.as_ref(), hop_seconds, &places.data_root, &places.cache).unwrap().unwrap();
    let ask = |clips: Vec<Clip>, embeddings: bool| {
        let mut taught: Vec<Taught> = clips.into_iter().map(Taught::of).collect();
        ask_mn04(&tutor, &mut taught, embeddings, frontend).unwrap();
        taught
    };
    let (train, negatives) = (ask(split.train, true), ask(split.negatives, false));
    let hearing = Some(Hearing { bands: Bands::mn04(frontend), share: 1.0, masked: false });
    let settings = Settings { n_classes, background, with_embeddings: true, hearing };
    let (stage, seed) = (&recipe.stages[0], recipe.stage_seed(0));
    let batch = Batcher::new(&recipe, stage, seed, settings, train, negatives).unwrap().batch(0).unwrap();
    let given = batch.heard.unwrap();
    assert_eq!(given.items, (0..8).collect::<Vec<i64>>());
    assert_eq!(batch.embeddings.unwrap().mask, [1.0; 8]);
    let plain = Statistics { mean: vec![0.0; EMBEDDING_WIDTH], std: vec![1.0; EMBEDDING_WIDTH] };
    let listener = Listener::load(&weights, &plain, Device::Cpu).unwrap();
    let heard = listener.hear(&given.power, 8).unwrap();
    // The clips are of 1.2 s, a crop of 0.8 s: near to what the teacher says of the whole clip,
    // nearest among all clips' of the class or, with noise alike in all, at least nearer than to
    // any other class.
    let network = Mn04::load(&weights).unwrap();
    let whole = |name: &str| {
        let audio = edge::audio::decode_file(&fixture.path().join(format!("{name}.wav"))).unwrap();
        let samples = edge_frontend::resample(audio.sample_rate, mn04::SAMPLE_RATE, &audio.samples).unwrap();
        network.embed(&Tensor::from_slice(&samples).unsqueeze(0)).unwrap()
    };
    let all: Vec<(usize, Tensor)> = names.iter().map(|(label, name)| (*label, whole(name))).collect();
    for item in 0..8 {
        let label = (0..5).find(|&c| batch.targets[item * 5 + c] == 1.0).unwrap();
        let crop = heard.get(item as i64).unsqueeze(0);
        let similarity = |other: &Tensor| Tensor::cosine_similarity(&crop, other, 1, 1e-8).double_value(&[0]);
        let best = |own: bool| {
            all.iter().filter(|(l, _)| (*l == label) == own).map(|(_, e)| similarity(e)).fold(-1.0, f64::max)
        };
        // Well apart on any machine: the first figure is 0.80 for one of them.
        assert!(best(true) > 0.75 && best(true) > best(false) + 0.1, "item {item}: {} and {}", best(true), best(false));
    }
}

fn teacher(weights: PathBuf) -> Teacher {
    Teacher {
        weights,
        loss_weight: 10.0,
        window_s: 1.0,
        hop_s: 0.5,
        probe_share: 1.0,
        probe_c: 0.001,
        background_offset: 1.0,
        online: 0.0,
    }
}

#[test]
fn a_taught_student_gets_the_teachers_classifier_and_exports() {
    let Some(folder) = shared("pretrained") else { return };
    let fixture = common::Fixture::new();
    let mut recipe = fixture.recipe();
    recipe.stages[0].epochs = 2;
    let weights = folder.canonicalize().unwrap().join("mn04_as_mAP_432.pt");
    recipe.teacher = Some(Teacher { online: 0.5, ..teacher(weights) });
    recipe.distill = Some(Distill { classifier: 1.0, ..Distill::default() });
    let options = common::options(fixture.path(), recipe, "run");
    fit(&options).unwrap();
    let line = std::fs::read_to_string(options.stage_folder(common::STAGE).join("metrics.jsonl")).unwrap();
    let teacher_loss =
        serde_json::from_str::<serde_json::Value>(line.lines().next().unwrap()).unwrap()["teacher_loss"].as_f64();
    assert!((0.1..2.0).contains(&teacher_loss.unwrap()), "{line}");

    let path = options.checkpoint(common::STAGE);
    let checkpoint = Checkpoint::load(&path).unwrap();
    checkpoint.finished().unwrap();
    let [before, after] = ["ema/", "final/"].map(|part| student_of(&checkpoint, part, Device::Cpu).unwrap());
    for param in before.params() {
        let same = param.value.equal(after.param(&param.name).unwrap());
        assert_eq!(same, !param.name.starts_with("head."), "{}: only the head changes", param.name);
    }
    trainer::ship::export::export(&path, &fixture.path().join("model"), &ExportOptions::default()).unwrap();
}
