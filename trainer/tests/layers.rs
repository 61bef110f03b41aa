//! Claims: networks with skip paths, squeeze-and-excitation, maximum pooling and other hops are exported as they are: streamed is
//! batch bit for bit, both are what libtorch computes; and mistakes in their recipes are told.

#![allow(clippy::unwrap_used)]

mod common;

use common::RECIPE;
use std::path::Path;
use tch::{Device, Tensor};
use trainer::nets::student::Student;
use trainer::ship::export::{Agreement, ExportOptions, export};
use trainer::tools::search::space::Space;
use trainer::train::checkpoint::{Finished, Header};
use trainer::train::recipe::{FoldMode, Recipe};
use trainer::train::training::Training;

const LABELS: [&str; 5] = ["blender", "chopping", "dog", "water-flowing", "background"];

/// The fixture's recipe with other layers, `pool` before them.
fn with_layers(pool: &str, layers: &str) -> String {
    let (before, rest) = RECIPE.split_once("layers = [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    format!("{before}{pool}\nlayers = [{layers}]\n{after}")
}

fn exported(text: &str) -> (tempfile::TempDir, Agreement) {
    export_untrained(Recipe::parse(text, Path::new("layers.toml")).unwrap(), LABELS.map(str::to_owned).to_vec())
}

/// A checkpoint of a network with random weights and statistics, as if it had been trained; its export.
fn export_untrained(recipe: Recipe, labels: Vec<String>) -> (tempfile::TempDir, Agreement) {
    let folder = tempfile::tempdir().unwrap();
    let (n_mels, n_teacher) = (recipe.frontend.n_mels, recipe.n_teacher());
    let mut student = Student::new(&recipe.network, n_mels, labels.len(), n_teacher, 3, Device::Cpu).unwrap();
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
    let header = Header { recipe, labels, fold: None, folds: FoldMode::Official, step: 1, n_steps: 1 };
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let finished = Finished { student, int8: None };
    Training::start(header, Device::Cpu).unwrap().save(&checkpoint, Some(&finished)).unwrap();
    let report = export(&checkpoint, &folder.path().join("model"), &ExportOptions::default()).unwrap();
    assert!(report.agreement.n_frames > 25, "{report:?}");
    (folder, report.agreement)
}

const FRONT: &str = "
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 12, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },";

/// Skip paths of each kind of kernel, at each rate of frames.
const RESIDUAL: &str = "
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 8, kernel_t = 3, kernel_f = 3, residual = true },
    { channels = 12, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },
    { channels = 12, kernel_t = 4, kernel_f = 3, residual = true },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 4 },
    { channels = 16, kernel_t = 2, kernel_f = 3, residual = true },
    { channels = 16, kernel_t = 3, kernel_f = 1, residual = true },
    { channels = 16, kernel_t = 1, kernel_f = 3, residual = true },";

/// Gates at each rate of frames, one of a single channel, one below a skip path.
const SQUEEZED: &str = "
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2, squeeze = 2 },
    { channels = 12, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2, squeeze = 1 },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 4, squeeze = 4 },
    { channels = 16, kernel_t = 3, kernel_f = 3, squeeze = 16, residual = true },
    { channels = 96, kernel_t = 1, kernel_f = 3, pad_f = 0, squeeze = 24 },";

/// What a processor's kernels may differ in their last bit: with AVX-512 of 2023 and later tract takes another one for the single columns
/// of gates in a pulse than in a clip.
const LAST_BIT: f64 = 1e-6;

fn assert_equal(what: &str, agreement: Agreement) {
    assert_eq!(agreement.streamed_to_batch, 0.0, "{what}: streamed is not batch bit for bit: {agreement:?}");
    assert!(agreement.batch <= 1e-4 && agreement.streamed <= 1e-4, "{what}: {agreement:?}");
}

#[test]
fn every_kind_of_layer_streams_as_batch_bit_for_bit_and_as_in_torch() {
    for (layers_name, layers) in [("plain", FRONT), ("residual", RESIDUAL), ("squeeze", SQUEEZED)] {
        for pool in ["", "pool = \"mean\"", "pool = \"max\""] {
            let (_folder, agreement) = exported(&with_layers(pool, layers));
            let what = format!("{layers_name} {pool}");
            match layers_name {
                "squeeze" => assert!(f64::from(agreement.streamed_to_batch) <= LAST_BIT, "{what}: {agreement:?}"),
                _ => assert_equal(&what, agreement),
            }
        }
    }
}

#[test]
fn every_network_of_the_shipped_space_streams_as_batch_bit_for_bit() {
    let space = Space::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/search.toml")).unwrap();
    let base = space.base().unwrap().0;
    let labels: Vec<String> = (0..30).map(|i| format!("sound-{i}")).chain(["background".to_owned()]).collect();
    for candidate in space.candidates(&base, labels.len()).unwrap() {
        let (_folder, agreement) = export_untrained(candidate.recipe, labels.clone());
        assert_equal(&candidate.name, agreement);
    }
}

#[test]
fn a_pulse_is_80_ms_at_any_hop() {
    // 16 ms: 5 frames; 20 ms: 4; 5 ms: 16.
    for (hop_length, strides, pulse_frames) in [(384, [5, 1, 1], 5), (480, [2, 2, 1], 4), (120, [4, 2, 2], 16)] {
        let mut text = with_layers("", RESIDUAL).replace("crop_frames = 80", "crop_frames = 200");
        text = text.replace("hop_length = 240", &format!("hop_length = {hop_length}"));
        let strided = ["kernel_t = 4, kernel_f = 5", "kernel_t = 3, kernel_f = 3", "kernel_t = 3, kernel_f = 3"];
        let mut from = 0;
        for (kernel, stride) in strided.into_iter().zip(strides) {
            let old = format!("{kernel}, stride_t = 2");
            let at = from + text[from..].find(&old).unwrap();
            text.replace_range(at..at + old.len(), &format!("{kernel}, stride_t = {stride}"));
            from = at + old.len();
        }
        let (folder, agreement) = exported(&text);
        assert_equal(&format!("hop of {hop_length} samples"), agreement);
        let manifest = edge::model::Model::load(&folder.path().join("model")).unwrap().manifest;
        assert_eq!(manifest.network.pulse_frames, pulse_frames);
        let period_s = edge::decide::Rules::new(&manifest, &manifest.decision).frame_period_s;
        assert!((period_s - 0.08).abs() < 1e-9, "{period_s}");
    }
}

#[test]
fn options_change_the_network_only_where_they_are_on() {
    let tensors = |text: &str| {
        let recipe = Recipe::parse(text, Path::new("layers.toml")).unwrap();
        let student = Student::new(&recipe.network, 64, 5, 0, 3, Device::Cpu).unwrap();
        let values: Vec<(String, Tensor)> =
            student.params().iter().map(|p| (p.name.clone(), p.value.detach())).collect();
        (serde_json::to_string(&recipe.network).unwrap(), values)
    };
    let (plain, plain_values) = tensors(&with_layers("", FRONT));
    for word in ["residual", "squeeze", "pool"] {
        assert!(!plain.contains(word), "a header without the option has no word of it: {plain}");
    }
    let off = with_layers("pool = \"mean\"", &FRONT.replace(" }", ", residual = false, squeeze = 0 }"));
    let (off, off_values) = tensors(&off);
    assert_eq!(off, plain);
    assert_eq!(plain_values.len(), 3 * 5 + 2);
    assert!(off_values.iter().zip(&plain_values).all(|(a, b)| a.0 == b.0 && a.1 == b.1));
    // Of the same seed: what comes before the option is drawn alike.
    let (on, on_values) =
        tensors(&with_layers("", &FRONT.replacen("stride_f = 2 }", "stride_f = 2, squeeze = 3 }", 1)));
    assert!(on.contains("\"squeeze\":3"), "{on}");
    assert_eq!(on_values.len(), plain_values.len() + 4);
    assert!(on_values[0].1 == plain_values[0].1);
}

#[test]
fn mistakes_name_the_layer() {
    let message = |text: &str| Recipe::parse(text, Path::new("layers.toml")).unwrap_err().to_string();
    let with = |from: &str, to: &str| message(&with_layers("", &RESIDUAL.replacen(from, to, 1)));
    let strided = with("stride_t = 2, stride_f = 2 }", "stride_t = 2, stride_f = 2, residual = true }");
    assert!(strided.contains("layer 1: residual needs strides of 1"), "{strided}");
    let channels = with("channels = 8, kernel_t = 3", "channels = 9, kernel_t = 3");
    assert!(
        channels.contains("layer 2: residual needs an output like its input of 8 channels and 32 bands"),
        "{channels}"
    );
    assert!(channels.contains("it has 9 and 32"), "{channels}");
    let bands = with("kernel_t = 3, kernel_f = 3, residual", "kernel_t = 3, kernel_f = 3, pad_f = 0, residual");
    assert!(bands.contains("it has 8 and 30"), "{bands}");
    let hop = message(&with_layers("", FRONT).replace("hop_length = 240", "hop_length = 360"));
    assert!(
        hop.contains("hop_length: an answer is due every 80 ms, which is no whole number of frames of 15 ms"),
        "{hop}"
    );
    let stride = message(&with_layers("", FRONT).replace("hop_length = 240", "hop_length = 480"));
    assert!(
        stride.contains("product of stride_t is 8, must be 4: an answer every 80 ms at a hop of 20 ms"),
        "{stride}"
    );
    let pool = message(&with_layers("pool = \"median\"", FRONT));
    assert!(pool.contains("layers.toml:") && pool.contains("median"), "{pool}");
}
