//! Claims: a training with `[quantize]` leaves an 8-bit network; it says what the single-precision
//! one says; tract computes of the file what onnxruntime computes, within one quantization step;
//! and it streams bit for bit.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Fixture, STAGE, python};
use edge::engine::{BatchEngine, Precision};
use edge::model::Model;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};
use tract_onnx::prelude::*;
use trainer::chain::FitOptions;
use trainer::chain::fit::fit;
use trainer::chain::student::MODEL;
use trainer::ship::export::{ExportOptions, export, verify_int8};
use trainer::ship::quantize::Quantized;
use trainer::train::checkpoint::Checkpoint;
use trainer::train::recipe::{Calibration, Quantize, Recipe, Subset};
use trainer::train::student::student_of;

fn train(fixture: &Fixture, recipe: Recipe, out: &str) -> FitOptions {
    let options = common::options(fixture.path(), recipe, out);
    fit(&options).unwrap();
    options
}

/// Output of the last convolution, by tract, in single precision.
fn features(file: &Path, log_mel: &Tensor) -> Vec<f32> {
    let shape: Vec<usize> = [1, 1].into_iter().chain(log_mel.size().iter().map(|&n| n as usize)).collect();
    let values = Vec::<f32>::try_from(&log_mel.contiguous().view([-1])).unwrap();
    let mut model = tract_onnx::onnx().model_for_path(file).unwrap();
    model.select_outputs_by_name(["features"]).unwrap();
    let model = model.with_input_fact(0, f32::fact(&shape).into()).unwrap().into_optimized().unwrap();
    let input = tract_onnx::prelude::Tensor::from_shape(&shape, &values).unwrap();
    let outputs = model.into_runnable().unwrap().run(tvec!(input.into())).unwrap();
    outputs[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

fn agrees_with_onnxruntime(folder: &Path) {
    let out = tempfile::tempdir().unwrap();
    let (file, golden) = (folder.join("model.int8.onnx"), folder.join("golden/log_mel.npy"));
    let reference = python::run("run_int8.py", out.path(), &[file.to_str().unwrap(), golden.to_str().unwrap()]);
    let values = |name: &str| Vec::<f32>::try_from(&reference[name].view([-1])).unwrap();
    let (step, expected) = (values("step")[0], values("features"));
    let actual = features(&file, &Tensor::read_npy(&golden).unwrap());
    assert_eq!(actual.len(), expected.len());
    let steps: Vec<i32> = actual.iter().zip(&expected).map(|(a, e)| ((a - e).abs() / step).round() as i32).collect();
    let n_equal = steps.iter().filter(|&&s| s == 0).count();
    println!("{}: {n_equal} of {} features equal", folder.display(), steps.len());
    assert!(steps.iter().all(|&s| s <= 1), "{}: {:?} steps", folder.display(), steps.iter().max());
    assert!(expected.iter().any(|&v| v > 10.0 * step), "features that say nothing");

    let model = Model::load(folder).unwrap();
    let log_mel = Vec::<f32>::try_from(&Tensor::read_npy(&golden).unwrap().contiguous().view([-1])).unwrap();
    let logits = BatchEngine::load(&model, Precision::Int8).unwrap().run(&log_mel).unwrap();
    // [1, C, T', 1] there, (T', C) here.
    let (n_classes, theirs) = (model.manifest.labels.len(), values("logits"));
    let n_out = theirs.len() / n_classes;
    for (at, value) in logits.iter().enumerate() {
        let other = theirs[(at % n_classes) * n_out + at / n_classes];
        assert!((value - other).abs() < 0.05, "logit {at}: {value} and {other}");
    }
}

#[test]
fn the_8_bit_network_says_what_the_other_says_and_what_onnxruntime_says() {
    let fixture = Fixture::new();
    let mut recipe = fixture.recipe();
    recipe.quantize = Some(Quantize { steps: 40, calibration_batches: 2, ..Quantize::default() });
    let options = train(&fixture, recipe, "run");
    let folder = options.out.join(MODEL);
    agrees_with_onnxruntime(&folder);

    let result = std::fs::read_to_string(options.out.join("result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let top1 = |network: &str| result[network]["sets"]["clips"]["top1_own_labels"].as_f64().unwrap();
    assert!((top1("evaluation") - top1("int8")).abs() <= 0.13, "one of eight clips: {result}");

    // A kernel that is not the one that was trained does not pass.
    let checkpoint = Checkpoint::load(&options.checkpoint(STAGE)).unwrap();
    let student = student_of(&checkpoint, "final/", Device::Cpu).unwrap();
    let network = Quantized::from_tensors(&student, checkpoint.values(), "int8/", checkpoint.path()).unwrap();
    let frames = Vec::<f32>::try_from(&Tensor::randn([200 * 64], (tch::Kind::Float, Device::Cpu))).unwrap();
    let classes: Vec<usize> = (0..5).collect();
    verify_int8(&folder, &network, &classes, &frames).unwrap();
    let other = fixture.path().join("other");
    let mut recipe = fixture.recipe();
    (recipe.seed, recipe.stages[0].epochs) = (6, 1);
    recipe.quantize = Some(Quantize { steps: 0, calibration: Calibration::Percentile, ..Quantize::default() });
    let options = train(&fixture, recipe, other.to_str().unwrap());
    let error = verify_int8(&options.out.join(MODEL), &network, &classes, &frames).unwrap_err();
    assert!(error.to_string().contains("differ from fake quantization"), "{error}");
}

#[test]
fn a_subset_says_what_the_whole_model_says_among_its_labels() {
    let fixture = Fixture::new();
    let mut recipe = fixture.recipe();
    recipe.stages[0].epochs = 1;
    recipe.quantize = Some(Quantize { steps: 0, calibration_batches: 1, ..Quantize::default() });
    let mut settings = trainer::ship::export::default_export();
    let labels = ["dog", "blender"].map(str::to_owned).to_vec();
    settings.subsets = vec![Subset { name: "two".to_owned(), labels }];
    recipe.export = Some(settings);
    let options = train(&fixture, recipe, "run");
    let (checkpoint, out) = (options.checkpoint(STAGE), fixture.path().join("two"));
    let subset = |name| export(&checkpoint, &out, &ExportOptions { subset: Some(name), ..ExportOptions::default() });
    subset("two").unwrap();
    let (whole, part) = (Model::load(&options.out.join(MODEL)).unwrap(), Model::load(&out).unwrap());
    assert_eq!(part.manifest.labels, ["blender", "dog", "background"]);
    assert_eq!(part.manifest.name, "two");
    let frames: Vec<f32> = (0..150 * 64).map(|i| (i as f32 * 0.37).sin()).collect();
    for precision in [Precision::F32, Precision::Int8] {
        let run = |model: &Model| BatchEngine::load(model, precision).unwrap().run(&frames).unwrap();
        let (all, some) = (run(&whole), run(&part));
        for (row, few) in all.chunks_exact(5).zip(some.chunks_exact(3)) {
            for (at, value) in [0, 2, 4].into_iter().zip(few) {
                assert!((row[at] - value).abs() < 1e-5, "{precision}: {row:?} {few:?}");
            }
        }
    }
    let error = subset("three").unwrap_err().to_string();
    assert!(error.contains("expected one of") && error.contains("two"), "{error}");
}

#[test]
fn shipped_8_bit_networks_agree_with_onnxruntime() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let folders: Vec<PathBuf> = std::fs::read_dir(models).unwrap().map(|entry| entry.unwrap().path()).collect();
    let with_int8: Vec<&PathBuf> = folders.iter().filter(|f| f.join("model.int8.onnx").exists()).collect();
    assert!(with_int8.iter().any(|folder| folder.ends_with("home")), "{folders:?}");
    with_int8.into_iter().for_each(|folder| agrees_with_onnxruntime(folder));
}
