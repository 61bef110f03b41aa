//! The network against an independent one in PyTorch (`tests/reference/slowfast.py`), through
//! checkpoints as its authors write them. All weights and running statistics are random, so that
//! none can be wrong or unused unnoticed.

#![allow(clippy::unwrap_used)]

mod common;

use common::python;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use trainer::nets::Precision;
use trainer::nets::slowfast::{Named, Norms, Pass, SlowFast, SlowFastConfig};

const N_CLASSES: usize = 5;
/// Views of one position; of two in time; of two in frequency.
const SHAPES: [&str; 3] = ["400", "404", "400x160"];

fn network(width_per_group: usize, depth: usize) -> SlowFast {
    // As the scripts do: sums in another order would let some ReLUs fall on the other side of 0,
    // and gradients with them.
    tch::set_num_threads(1);
    let config = SlowFastConfig { width_per_group, depth, ..Default::default() };
    SlowFast::new(&config, N_CLASSES, 9, Device::Cpu).unwrap()
}

fn make(out: &Path, arguments: &str) -> BTreeMap<String, Tensor> {
    python::run("make_checkpoint.py", out, &arguments.split_whitespace().collect::<Vec<_>>())
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

fn agrees(width: usize, depth: usize) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = format!("--width {width} --depth {depth} --frames 400 404 400x160 --files plain module legacy");
    let reference = make(folder.path(), &arguments);
    for file in ["plain", "module", "legacy"] {
        let mut network = network(width, depth);
        let loaded = network.load(&folder.path().join(format!("{file}.pyth"))).unwrap();
        assert_eq!(loaded.warnings, [""; 0], "{file}");
        for shape in SHAPES {
            let x = &reference[&format!("input/{shape}")];
            let (logits, posteriors) =
                (network.logits(x, Precision::F32).unwrap(), network.posteriors(x, Precision::F32).unwrap());
            let of_logits = difference(&logits, &reference[&format!("logits/{shape}")]);
            let of_posteriors = difference(&posteriors, &reference[&format!("posteriors/{shape}")]);
            println!(
                "width {width} depth {depth} {file} {shape}: logits {of_logits:.1e}, posteriors {of_posteriors:.1e}"
            );
            assert!(of_logits < 1e-4, "{file}, {shape}: logits differ by {of_logits}");
            assert!(of_posteriors < 1e-4, "{file}, {shape}: posteriors differ by {of_posteriors}");
            // The mean over positions is that of posteriors.
            let of_mean = difference(&logits.softmax(-1, Kind::Float), &posteriors);
            assert_eq!(of_mean > 1e-4, shape != "400", "{shape}: {of_mean}");
        }
    }
}

#[test]
fn depth_50_computes_what_the_reference_does() {
    agrees(16, 50);
}

#[test]
fn depth_101_computes_what_the_reference_does() {
    agrees(8, 101);
}

#[test]
fn the_head_needs_the_same_positions_in_both_pathways() {
    let network = network(8, 50);
    let positions = |n_frames: i64, n_mels: i64| {
        let x = Tensor::zeros([1, 1, n_frames, n_mels], (Kind::Float, Device::Cpu));
        network.posteriors(&x, Precision::F32).map(|p| p.size()).map_err(|e| e.to_string())
    };
    assert_eq!(positions(404, 128), Ok(vec![1, N_CLASSES as i64]));
    let message = "views of 520 frames leave the slow pathway 9 positions and the fast one 31";
    assert_eq!(positions(520, 128), Err(message.to_owned()));
    for (n_frames, n_mels) in [(396, 128), (402, 128), (400, 127)] {
        assert!(positions(n_frames, n_mels).unwrap_err().contains("expected (B, 1, 400, 128)"));
    }
}

#[test]
fn what_a_checkpoint_has_too_much_or_too_little_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let reference = make(folder.path(), "--files plain other_head missing unexpected");
    let [mut whole, mut skipped, fresh] = [(); 3].map(|()| network(8, 50));
    whole.load(&folder.path().join("plain.pyth")).unwrap();

    // A head for other classes is skipped, and said to be.
    let loaded = skipped.load(&folder.path().join("other_head.pyth")).unwrap();
    let expected = [
        "head.projection.weight: shape [8, 288], expected [5, 288]; starts from fresh weights",
        "head.projection.bias: shape [8], expected [5]; starts from fresh weights",
    ];
    assert_eq!(loaded.warnings, expected);
    for tensor in skipped.tensors() {
        let from = if tensor.role.is_head() { &fresh } else { &whole };
        assert!(tensor.value.equal(from.tensor(&tensor.name).unwrap()), "{}", tensor.name);
    }
    assert_eq!(skipped.logits(&reference["input/400"], Precision::F32).unwrap().size(), [2, N_CLASSES as i64]);

    // Missing and unexpected names are errors that list them.
    let message = |file: &str, mut network: SlowFast| {
        let path = folder.path().join(file);
        let message = network.load(&path).unwrap_err().to_string();
        message.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    };
    assert_eq!(
        message("missing.pyth", network(8, 50)),
        "holds another network: missing (2): s3_fuse.bn.bias, s4.pathway0_res1.branch2.b.weight"
    );
    assert_eq!(
        message("unexpected.pyth", network(8, 50)),
        "holds another network: unexpected (1): s9.pathway0_stem.conv.weight"
    );
    // 17 blocks more in each pathway, of 3 convolutions and 3 norms each.
    let deeper = message("plain.pyth", network(8, 101));
    assert!(
        deeper.starts_with("holds another network: missing (510): s4.pathway0_res6.branch2.a.weight, "),
        "{deeper}"
    );
    assert_eq!(
        message("plain.pyth", network(16, 50)),
        "tensor \"s1.pathway0_stem.conv.weight\" has the shape [8, 1, 1, 7], expected [16, 1, 1, 7]"
    );
}

#[test]
fn every_parameter_is_exercised() {
    let folder = tempfile::tempdir().unwrap();
    let reference = make(folder.path(), "--width 16 --files plain --gradients all first");
    let file = folder.path().join("plain.pyth");
    for (name, norms) in [("all", Norms::Train), ("first", Norms::TrainFirst)] {
        learns_alike(&reference, &file, name, norms);
    }
    let mut network = network(16, 50);
    network.load(&file).unwrap();
    let x = reference["input/400"].narrow(0, 0, 1);
    let before = network.logits(&x, Precision::F32).unwrap();
    let statistics = |t: &Named| !t.role.is_trainable();
    for i in 0..network.tensors().len() {
        let Some(tensor) = network.tensors_mut().get_mut(i).filter(|t| statistics(t)) else { continue };
        let value = tensor.value.copy();
        tensor.value.copy_(&(&value * 1.1 + 0.05));
        let after = network.logits(&x, Precision::F32).unwrap();
        let tensor = &mut network.tensors_mut()[i];
        assert!(difference(&before, &after) > 1e-6, "{}", tensor.name);
        tensor.value.copy_(&value);
    }
}

/// Gradients, loss and running statistics of a batch in training: the reference's, and none of them
/// nothing.
fn learns_alike(reference: &BTreeMap<String, Tensor>, file: &Path, name: &str, norms: Norms) {
    let get = |part: &str| &reference[&format!("{name}/{part}")];
    let mut network = network(16, 50);
    network.load(file).unwrap();
    for tensor in network.tensors_mut().iter_mut().filter(|t| t.role.is_trainable()) {
        tensor.value = tensor.value.set_requires_grad(true);
    }
    let pass = Pass { norms, ..Pass::evaluation(Precision::F32) };
    let logits = network.classify(&network.features(get("input"), &pass).unwrap()).unwrap();
    assert!(difference(&logits.detach(), get("logits")) < 1e-4);
    let loss = logits.cross_entropy_for_logits(&get("targets").to_kind(Kind::Int64));
    assert!(difference(&loss.detach(), get("loss")) < 1e-4);
    loss.backward();
    let mut worst = 0f64;
    for tensor in network.tensors() {
        let (actual, expected) = if tensor.role.is_trainable() {
            (tensor.value.grad(), get(&format!("gradient/{}", tensor.name)))
        } else {
            (tensor.value.shallow_clone(), get(&format!("updated/{}", tensor.name)))
        };
        let size = expected.norm().double_value(&[]);
        assert!(size > 1e-6, "{name}: {}: gradient or statistic of size {size}", tensor.name);
        let relative = (actual - expected).norm().double_value(&[]) / size;
        worst = worst.max(relative);
        assert!(relative < 1e-3, "{name}: {}: differs by {relative} of its size {size}", tensor.name);
    }
    println!("norms {name}: gradients and statistics differ by {worst:.1e} of their size at most");
}
