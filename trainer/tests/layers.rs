//! Claims: networks of every kind of kernel, of odd widths and at other hops are exported as they
//! are: streamed is batch bit for bit, both are what libtorch computes; and mistakes in their
//! recipes are named.

#![allow(clippy::unwrap_used)]

mod common;

use common::RECIPE;
use edge_frontend::Activation;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use trainer::data::folds::FoldMode;
use trainer::nets::student::Student;
use trainer::ship::export::{Agreement, ExportOptions, ExportReport, export};
use trainer::ship::quantize::quantize;
use trainer::train::checkpoint::{CHECKPOINT, Header, save};
use trainer::train::recipe::{Quantize, Recipe};

const LABELS: [&str; 5] = ["blender", "chopping", "dog", "water-flowing", "background"];

/// The fixture's recipe with other layers.
fn with_layers(layers: &str) -> String {
    let (before, rest) = RECIPE.split_once("layers = [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    format!("{before}layers = [{layers}]\n{after}")
}

fn exported(text: &str) -> (tempfile::TempDir, ExportReport) {
    export_untrained(Recipe::parse(text, Path::new("layers.toml")).unwrap(), LABELS.map(str::to_owned).to_vec())
}

/// A checkpoint of a network with random weights and statistics, as if it had been trained; its
/// export, with its 8-bit form where the recipe has `[quantize]`.
fn export_untrained(recipe: Recipe, labels: Vec<String>) -> (tempfile::TempDir, ExportReport) {
    let folder = tempfile::tempdir().unwrap();
    let (config, n_mels) = (recipe.student().unwrap(), recipe.frontend.n_mels);
    let mut student = Student::new(config, n_mels, labels.len(), 0, 3, Device::Cpu).unwrap();
    tch::manual_seed(4);
    for param in student.params_mut() {
        let value = &param.value;
        let drawn = match param.name.rsplit('.').next().unwrap() {
            "variance" => value.rand_like() + 0.5,
            "mean" | "bias" => value.randn_like() * 0.3,
            "weight" if param.name.contains("bn") => value.rand_like() + 0.5,
            _ => continue,
        };
        tch::no_grad(|| param.value.copy_(&drawn));
    }
    let named = student.params().iter().map(|p| (format!("final/{}", p.name), p.value.shallow_clone()));
    let mut tensors: Vec<(String, Tensor)> = named.collect();
    if let Some(settings) = &recipe.quantize {
        let shape = [4, recipe.train.crop_frames as i64, n_mels as i64];
        let batch = |_| Ok(Tensor::randn(shape, (Kind::Float, Device::Cpu)));
        let (int8, _) = quantize(&student.frozen_copy().unwrap(), settings, batch, Device::Cpu).unwrap();
        tensors.extend(int8.tensors().unwrap().into_iter().map(|(name, value)| (format!("int8/{name}"), value)));
    }
    let stage = recipe.stages[0].name.clone();
    let (fold, folds) = (None, FoldMode::Official);
    let header = Header { recipe, stage, labels, fold, folds, step: 1, n_steps: 1, finished: true };
    let checkpoint = folder.path().join(CHECKPOINT);
    save(&checkpoint, &header, &tensors).unwrap();
    let report = export(&checkpoint, &folder.path().join("model"), &ExportOptions::default()).unwrap();
    assert!(report.agreement.n_frames > 15, "{report:?}");
    (folder, report)
}

const FRONT: &str = "
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 12, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },";

/// Each kind of kernel, at each rate of frames.
const KERNELS: &str = "
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 8, kernel_t = 3, kernel_f = 3 },
    { channels = 12, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },
    { channels = 12, kernel_t = 4, kernel_f = 3 },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 4 },
    { channels = 16, kernel_t = 2, kernel_f = 3 },
    { channels = 16, kernel_t = 3, kernel_f = 1 },
    { channels = 16, kernel_t = 1, kernel_f = 3 },";

/// Widths that are no multiple of a processor's vector.
const ODD: &str = "
    { channels = 7, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 11, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },
    { channels = 1, kernel_t = 1, kernel_f = 3 },
    { channels = 13, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 4 },
    { channels = 97, kernel_t = 1, kernel_f = 3, pad_f = 0 },";

/// Context by dilation: 2 s at a hop of 10 ms, in two bands to the end.
const CONTEXT: &str = "
    { channels = 16, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2, pad_f = 2 },
    { channels = 32, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2, pad_f = 1 },
    { channels = 64, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2, pad_f = 1 },
    { channels = 72, kernel_t = 3, kernel_f = 3, pad_f = 1 },
    { channels = 128, kernel_t = 3, kernel_f = 3, stride_f = 2, pad_f = 1 },
    { channels = 144, kernel_t = 3, kernel_f = 3, pad_f = 1 },
    { channels = 256, kernel_t = 1, kernel_f = 3, pad_f = 0 },
    { channels = 224, kernel_t = 3, kernel_f = 1, pad_f = 0, dilation_t = 2 },
    { channels = 224, kernel_t = 3, kernel_f = 1, pad_f = 0, dilation_t = 4 },
    { channels = 256, kernel_t = 3, kernel_f = 1, pad_f = 0, dilation_t = 4 },";

fn assert_equal(what: &str, agreement: Agreement) {
    assert_eq!(agreement.streamed_to_batch, 0.0, "{what}: streamed is not batch bit for bit: {agreement:?}");
    assert!(agreement.batch <= 1e-4 && agreement.streamed <= 1e-4, "{what}: {agreement:?}");
}

#[test]
fn every_kind_of_layer_streams_as_batch_bit_for_bit_and_as_in_torch() {
    for (what, layers) in [("plain", FRONT), ("kernels", KERNELS), ("odd", ODD)] {
        let (_folder, report) = exported(&with_layers(layers));
        assert_equal(what, report.agreement);
    }
}

#[test]
fn dilated_layers_stream_as_batch_bit_for_bit_in_both_precisions() {
    let text = with_layers(CONTEXT).replace("crop_frames = 80", "crop_frames = 300");
    let text =
        text.replace("kind = \"student\"\n", "kind = \"student\"\nactivation = \"sigmoid\"\nlookahead_ms = 320.0\n");
    let mut recipe = Recipe::parse(&text, Path::new("layers.toml")).unwrap();
    let slot = recipe.student().unwrap().slot(&recipe.frontend);
    recipe.quantize = Some(Quantize { steps: 0, calibration_batches: 1, ..Quantize::default() });
    let (folder, report) = export_untrained(recipe, LABELS.map(str::to_owned).to_vec());
    assert_equal("context", report.agreement);
    let int8 = report.int8_agreement.unwrap();
    assert_eq!(int8.streamed_to_batch, 0.0, "8 bits: {int8:?}");
    let manifest = edge::model::Model::load(&folder.path().join("model")).unwrap().manifest;
    assert_eq!((manifest.network.activation, manifest.network.lookahead_ms), (Activation::Sigmoid, Some(320.0)));
    assert_eq!(manifest.network.receptive_field_frames, 224);
    // The middle of the slot, in seconds from the middle of the first frame, as the daemon places
    // it.
    let rules = edge::decide::Rules::new(&manifest, &manifest.decision);
    let middle_s = rules.slot_offset_s + rules.frame_period_s / 2.0 - 0.0125;
    assert!((middle_s - slot * 0.01).abs() < 1e-9 && (slot - 192.25).abs() < 1e-9, "{middle_s} s, frame {slot}");
}

#[test]
fn a_pulse_is_80_ms_at_any_hop() {
    // 16 ms: 5 frames; 20 ms: 4; 5 ms: 16.
    for (hop_length, strides, pulse_frames) in [(384, [5, 1, 1], 5), (480, [2, 2, 1], 4), (120, [4, 2, 2], 16)] {
        let mut text = with_layers(KERNELS).replace("crop_frames = 80", "crop_frames = 200");
        text = text.replace("hop_length = 240", &format!("hop_length = {hop_length}"));
        let strided = ["kernel_t = 4, kernel_f = 5", "kernel_t = 3, kernel_f = 3", "kernel_t = 3, kernel_f = 3"];
        let mut from = 0;
        for (kernel, stride) in strided.into_iter().zip(strides) {
            let old = format!("{kernel}, stride_t = 2");
            let at = from + text[from..].find(&old).unwrap();
            text.replace_range(at..at + old.len(), &format!("{kernel}, stride_t = {stride}"));
            from = at + old.len();
        }
        let (folder, report) = exported(&text);
        assert_equal(&format!("hop of {hop_length} samples"), report.agreement);
        let manifest = edge::model::Model::load(&folder.path().join("model")).unwrap().manifest;
        assert_eq!(manifest.network.pulse_frames, pulse_frames);
        let period_s = edge::decide::Rules::new(&manifest, &manifest.decision).frame_period_s;
        assert!((period_s - 0.08).abs() < 1e-9, "{period_s}");
    }
}

#[test]
fn mistakes_name_the_key() {
    let message = |text: &str| Recipe::parse(text, Path::new("layers.toml")).unwrap_err().to_string();
    let hop = message(&with_layers(FRONT).replace("hop_length = 240", "hop_length = 360"));
    assert!(hop.contains("hop_length: an answer is due every 80 ms: not a whole number of frames of 15 ms"), "{hop}");
    let stride = message(&with_layers(FRONT).replace("hop_length = 240", "hop_length = 480"));
    let with = |line: &str| {
        message(&with_layers(FRONT).replace("kind = \"student\"\n", &format!("kind = \"student\"\n{line}\n")))
    };
    let posterior = with("activation = \"posterior\"");
    assert!(posterior.contains("activation: must be \"softmax\" or \"sigmoid\""), "{posterior}");
    let ahead = with("lookahead_ms = 1000.0");
    assert!(ahead.contains("lookahead_ms: must be from 0 to 175, the receptive field"), "{ahead}");
    let dilation = message(&with_layers(FRONT).replace("kernel_t = 4,", "kernel_t = 4, dilation_t = 0,"));
    assert!(dilation.contains("layer 1: sizes must be at least 1"), "{dilation}");
    assert!(
        stride.contains("product of stride_t is 8, must be 4: an answer every 80 ms at a hop of 20 ms"),
        "{stride}"
    );
}
