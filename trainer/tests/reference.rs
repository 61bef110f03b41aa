//! Claims that need the project's data: the real folds, and the teacher against its authors' network.
//!
//! The data lies beside the repository, in `../shared`, and in no package of it. Where it is absent these tests say so and check
//! what generated sounds can show; in CI (`CI` is set) its absence fails.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::{Device, Tensor};
use trainer::checkpoint::Checkpoint;
use trainer::data::csv::{Row, read_table};
use trainer::data::folds::by_source;
use trainer::export::ExportOptions;
use trainer::fit::{CHECKPOINT, FitOptions, fit};
use trainer::recipe::{FoldMode, Teacher};
use trainer::teacher::mn04::Mn04;

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
}

#[test]
fn a_taught_student_gets_the_teachers_classifier_and_exports() {
    let Some(folder) = shared("pretrained") else { return };
    let fixture = common::Fixture::new();
    let mut recipe = fixture.recipe();
    recipe.train.epochs = 2;
    recipe.teacher = Some(Teacher {
        weights: folder.canonicalize().unwrap().join("mn04_as_mAP_432.pt"),
        loss_weight: 10.0,
        window_s: 1.0,
        hop_s: 0.5,
        probe_share: 1.0,
        probe_c: 0.001,
        background_offset: 1.0,
        online: 0.5,
    });
    let out = fixture.path().join("run");
    let options = FitOptions {
        recipe,
        fold: Some(1),
        folds: FoldMode::Official,
        places: common::places(fixture.path()),
        out: out.clone(),
        resume: false,
        device: Device::Cpu,
        stop: Arc::new(AtomicBool::new(false)),
        stop_after: None,
    };
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
    trainer::export::export(&out.join(CHECKPOINT), &fixture.path().join("model"), &ExportOptions::default()).unwrap();
}
