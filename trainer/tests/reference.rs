//! Claims that need the project's data: the real folds, and the teacher against its authors' network.
//!
//! The data lies beside the repository, in `../shared`, and in no package of it. Where it is absent these tests say so and check
//! what generated sounds can show; in CI (`CI` is set) its absence fails.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};
use trainer::chain::fit::{CHECKPOINT, fit};
use trainer::data::Corpus;
use trainer::data::csv::{Row, read_table};
use trainer::data::folds::by_source;
use trainer::nets::teacher::mn04::{self, Mn04};
use trainer::nets::teacher::{EMBEDDING_WIDTH, Listener, Statistics};
use trainer::ship::export::ExportOptions;
use trainer::train::augment::Batcher;
use trainer::train::checkpoint::Checkpoint;
use trainer::train::recipe::{Augment, Distill, FoldMode, Teacher};

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
    recipe.augment = Augment {
        gain_db: 0.0,
        stretch: 0.0,
        mel_shift: 0.0,
        eq_db: 0.0,
        surround: 0.0,
        mixup: 0.0,
        noise: 0.0,
        negatives: 0.0,
        time_mask: 0,
        n_freq_masks: 0,
        ..Augment::default()
    };
    let corpus = Corpus::load(&recipe, &common::places(fixture.path()), FoldMode::Official).unwrap();
    let (labels, split) = (corpus.labels.clone(), corpus.split(None, 64).unwrap());
    let names: Vec<(usize, String)> = split.train.iter().map(|c| (c.label, c.name.clone())).collect();
    let batcher = Batcher::new(&recipe, labels.len(), Some(4), EMBEDDING_WIDTH, split.train, split.negatives);
    let batch = batcher.batch(0);
    assert_eq!(batch.heard, (0..8).collect::<Vec<i64>>());
    let plain = Statistics { mean: vec![0.0; EMBEDDING_WIDTH], std: vec![1.0; EMBEDDING_WIDTH] };
    let listener = Listener::load(&weights, &plain, Device::Cpu).unwrap();
    let heard = listener.hear(&batch.heard_power, 8).unwrap();
    // The clips are of 1.2 s, a crop of 0.8 s: near to what the teacher says of the whole clip, nearest among all clips' of the class
    // or, with noise alike in all, at least nearer than to any other class.
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
    recipe.train.epochs = 2;
    let weights = folder.canonicalize().unwrap().join("mn04_as_mAP_432.pt");
    recipe.teacher = Some(Teacher { online: 0.5, ..teacher(weights) });
    recipe.distill = Some(Distill::default());
    let options = common::options(fixture.path(), recipe, "run");
    let out = options.out.clone();
    fit(&options).unwrap();
    let line = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let teacher_loss =
        serde_json::from_str::<serde_json::Value>(line.lines().next().unwrap()).unwrap()["teacher_loss"].as_f64();
    assert!((0.1..2.0).contains(&teacher_loss.unwrap()), "{line}");

    let checkpoint = Checkpoint::load(&out.join(CHECKPOINT)).unwrap();
    let (before, after) = (checkpoint.averaged(Device::Cpu).unwrap(), checkpoint.finished(Device::Cpu).unwrap());
    for param in before.params() {
        let same = param.value.equal(after.param(&param.name).unwrap());
        assert_eq!(same, !param.name.starts_with("head."), "{}: only the head changes", param.name);
    }
    trainer::ship::export::export(&out.join(CHECKPOINT), &fixture.path().join("model"), &ExportOptions::default())
        .unwrap();
}
