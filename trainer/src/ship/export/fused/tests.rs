use super::*;
use crate::common::random::{Purpose, rng_for, uniform};
use crate::nets::slowfast::{Role, SlowFastConfig};
use edge::audio::Audio;
use edge::classify::RecordingClassifier;
use edge::engine::{PrecisionChoice, load_engine};
use edge::model::Model;
use tch::{Device, Tensor};

fn config() -> SlowFastConfig {
    SlowFastConfig { width_per_group: 8, ..Default::default() }
}

/// Frames `(n_frames, 128)` as loud as those of sounds.
fn frames(seed: u64, n_frames: usize) -> Vec<f32> {
    let mut rng = rng_for(seed, Purpose::Mix, 0);
    (0..n_frames * 128).map(|_| uniform(&mut rng, -9.0, -1.0)).collect()
}

/// A network in which everything counts and that is sure of nothing: fresh weights leave the last
/// norm of each block at zero, and all running statistics at those of no data.
fn network(seed: u64, n_classes: usize) -> SlowFast {
    let mut network = SlowFast::new(&config(), n_classes, seed, Device::Cpu).unwrap();
    for (i, tensor) in network.tensors_mut().iter_mut().enumerate() {
        let (low, high) = match tensor.role {
            Role::NormWeight => (0.5, 1.0),
            Role::NormVariance => (0.5, 1.5),
            Role::NormBias | Role::NormMean => (-0.5, 0.5),
            Role::HeadWeight => (-1.0, 1.0),
            Role::Kernel | Role::HeadBias => continue,
        };
        let mut rng = rng_for(seed, Purpose::Weights, i as u64);
        let values: Vec<f32> = (0..tensor.value.numel()).map(|_| uniform(&mut rng, low, high)).collect();
        let value = Tensor::from_slice(&values).view(&tensor.value.size()[..]);
        tch::no_grad(|| tensor.value.copy_(&value));
    }
    let x = Tensor::from_slice(&frames(seed, 400)).view([1, 1, 400, 128]);
    let logits = network.logits(&x, crate::nets::Precision::F32).unwrap();
    let scale = logits.abs().max();
    for tensor in network.tensors_mut().iter_mut().filter(|t| t.role.is_head()) {
        let value = &tensor.value / &scale;
        tch::no_grad(|| tensor.value.copy_(&value));
    }
    network
}

/// The same backbone with another head.
fn with_other_head(network: &SlowFast, by: f64) -> SlowFast {
    let mut other = network.frozen_copy().unwrap();
    for tensor in other.tensors_mut().iter_mut().filter(|t| t.role.is_head()) {
        let value = &tensor.value * by;
        tch::no_grad(|| tensor.value.copy_(&value));
    }
    other
}

fn member(network: &SlowFast, weight: f64) -> Member<'_> {
    Member { network, weight, min_max: false }
}

fn labels(n: usize) -> Vec<String> {
    let special = ["ceramic / wood collision", BACKGROUND];
    (0..n).map(|i| special.get(i).map_or_else(|| format!("sound-{i}"), |&label| label.to_owned())).collect()
}

fn fuse(members: &[Member], out: &Path) -> Result<FusedReport> {
    let (labels, frontend, settings) =
        (labels(members[0].network.n_classes()), FrontendConfig::epic_sounds(), super::super::default_export());
    let fusion = Fusion {
        name: "fused",
        members,
        labels: &labels,
        frontend: &frontend,
        hop_frames: 40,
        settings: &settings,
        metrics: BTreeMap::from([("kitchen20_official_top1".to_owned(), 0.85)]),
    };
    export_fused(&fusion, out)
}

#[test]
fn a_shared_backbone_is_computed_once_and_the_daemons_code_agrees_with_libtorch() {
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (network(1, 5), network(2, 5));
    let (second, third) = (with_other_head(&first, -0.7), with_other_head(&first, 2.0));
    let report = |members: &[Member]| fuse(members, folder.path()).unwrap();
    let alone = report(&[member(&first, 1.0)]);
    let pair = report(&[member(&first, 0.6), member(&second, 0.4)]);
    let all = report(&[member(&first, 0.1), member(&other, 0.4), member(&second, 0.25), member(&third, 0.25)]);
    assert_eq!([alone, pair, all].map(|r| (r.n_models, r.n_backbones)), [(1, 1), (2, 1), (4, 2)]);
    let n_head = (config().n_features() + 1) * 5;
    assert_eq!(pair.n_params - alone.n_params, n_head);
    assert_eq!(all.n_params, 2 * alone.n_params + 2 * n_head);
    assert!((all.mmac_per_patch / alone.mmac_per_patch - 2.0).abs() < 1e-3, "{all:?}");
    assert!(all.n_bytes < 2 * alone.n_bytes + 20_000, "{all:?}");
    for report in [alone, pair, all] {
        assert_eq!(report.agreement.n_patches, 9, "three sounds of 1.2 s at a hop of 200 ms");
        assert!(report.agreement.largest <= super::super::TOLERANCE, "{report:?}");
    }

    let model = Model::load(folder.path()).unwrap();
    let network = &model.manifest.network;
    assert_eq!((network.kind, network.activation), (NetworkKind::Window, Activation::Posterior));
    assert_eq!((network.receptive_field_frames, network.pulse_frames, network.output_delay), (400, 40, 9));
    assert_eq!(model.manifest.background.as_deref(), Some(BACKGROUND));
    assert_eq!(model.manifest.labels[0], "ceramic-wood collision");
}

#[test]
fn classifying_a_clip_is_the_weighted_sum_of_the_networks_views() {
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (network(3, 4), network(4, 4));
    fuse(&[member(&first, 1.0), member(&other, 3.0)], folder.path()).unwrap();
    let model = Model::load(folder.path()).unwrap();
    let frontend = model.manifest.frontend.clone();
    let engine = load_engine(&model, PrecisionChoice::F32).unwrap();
    let mut classifier = RecordingClassifier::new(model, engine).unwrap();
    // A clip of half a second, and a view as the recipe cuts it.
    for n_samples in [12_000, 47_975] {
        let samples: Vec<f32> = (0..n_samples).map(|n| (n as f32 * 0.11).sin() * (n % 977) as f32 / 977.0).collect();
        let frames = edge_frontend::log_mel(&frontend, &samples).unwrap();
        let n_frames = frames.len() / frontend.n_mels;
        let mut view = frames.clone();
        (n_frames..400).for_each(|_| view.extend_from_slice(&frames[(n_frames - 1) * frontend.n_mels..]));
        let x = Tensor::from_slice(&view).view([1, 1, 400, 128]);
        let say = |network: &SlowFast| network.posteriors(&x, crate::nets::Precision::F32).unwrap();
        let expected = Vec::<f32>::try_from(((say(&first) + say(&other) * 3.0) / 4.0).view([-1])).unwrap();
        let actual = classifier.classify(&Audio { sample_rate: 24_000, samples, n_channels: 1 }).unwrap();
        let worst = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{n_samples} samples: {actual:?} {expected:?}");
        let largest = expected.iter().copied().fold(0.0, f32::max);
        assert!(largest < 0.95, "so sure that nothing would show: {expected:?}");
    }
}

#[test]
fn scaled_patches_are_scaled_in_the_graph() {
    let folder = tempfile::tempdir().unwrap();
    let network = network(5, 3);
    let scaled = Member { min_max: true, ..member(&network, 1.0) };
    let both = fuse(&[member(&network, 1.0), scaled], folder.path()).unwrap();
    assert_eq!(both.n_backbones, 2, "the same backbone sees another input");
    let one = fuse(&[scaled, scaled], folder.path()).unwrap();
    assert_eq!(one.n_backbones, 1);
    assert_eq!(both.n_params - one.n_params, one.n_params - 2 * (config().n_features() + 1) * 3);
}

#[test]
fn another_network_is_not_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (network(6, 3), network(7, 3));
    fuse(&[member(&first, 1.0)], folder.path()).unwrap();
    let error = verify_fused(folder.path(), &[member(&other, 1.0)], &frames(1, 440)).unwrap_err();
    assert!(error.to_string().contains("a posterior differs by"), "{error}");
}

#[test]
fn networks_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (network(8, 3), network(9, 4));
    let short = SlowFast::new(&SlowFastConfig { n_frames: 208, ..config() }, 3, 0, Device::Cpu).unwrap();
    let refusal = |members: &[Member]| fuse(members, folder.path()).unwrap_err();
    for (weight, part) in [(0.0, "weight 0"), (-1.0, "weight -1"), (f64::NAN, "weight NaN")] {
        let error = refusal(&[member(&first, 1.0), member(&first, weight)]);
        assert!(
            error.kind() == crate::error::ErrorKind::Usage && error.to_string().contains(&format!("network 2: {part}")),
            "{error}"
        );
    }
    let classes = refusal(&[member(&first, 1.0), member(&other, 1.0)]).to_string();
    assert!(classes.contains("network 2: has 4 classes, there are 3 labels"), "{classes}");
    let frames = refusal(&[member(&first, 1.0), member(&short, 1.0)]).to_string();
    assert!(frames.contains("network 2: takes 208 frames of 128 bands, expected 400 of 128"), "{frames}");
}
