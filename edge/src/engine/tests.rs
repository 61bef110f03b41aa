use std::fs;
use std::path::{Path, PathBuf};

use edge_frontend::{Activation, Manifest, NetworkKind};
use edge_int8::Kernel;
use tract_onnx::prelude::{Tensor, TypedModel, tvec};
use tract_onnx::tract_core::internal::IntoRunnable;

use super::network::Network;
use super::*;
use crate::error::{Error, ErrorKind};
use crate::model::Model;

fn tiny_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny")
}

fn tiny() -> Model {
    Model::load(&tiny_dir()).unwrap()
}

fn tiny_window() -> Model {
    Model::load(&tiny_dir().with_file_name("tiny_window")).unwrap()
}

/// The same network with an input of three axes and without its softmax.
fn rank3() -> Model {
    let mut model = tiny_window();
    model.manifest.files.f32.path = "rank3.onnx".to_string();
    model.manifest.network.activation = Activation::Softmax;
    model
}

/// Log-mel frames between silence and loud noise, `(n_frames, n_mels)`.
fn frames(n_frames: usize, n_mels: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    (0..n_frames * n_mels).map(|_| next() * 20.0 - 14.0).collect()
}

/// Everything that the engine yields for `frames`, `(n_out, n_classes)`; what is missing from the
/// last pulse is filled with `filling`.
fn stream(engine: &mut dyn Engine, frames: &[f32], filling: f32) -> Vec<f32> {
    let mut outputs = Vec::new();
    let mut logits = vec![0.0; engine.n_classes()];
    for pulse in frames.chunks(engine.pulse_frames() * engine.n_mels()) {
        let mut pulse = pulse.to_vec();
        pulse.resize(engine.pulse_frames() * engine.n_mels(), filling);
        if engine.push(&pulse, &mut logits).unwrap() {
            outputs.extend_from_slice(&logits);
        }
    }
    outputs
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn pulsed_equals_batch_bit_for_bit_and_the_last_pulses_tail_does_not_leak() {
    let model = tiny();
    for precision in [Precision::F32, Precision::Int8] {
        let batch = BatchEngine::load(&model, precision).unwrap();
        let mut engine = StreamEngine::load(&model, precision).unwrap();
        let (n_classes, field, pulse) = (engine.n_classes(), engine.receptive_field_frames(), engine.pulse_frames());
        for n_frames in [1, field - 1, field, 64, 100, 101, 107, 999] {
            let frames = frames(n_frames, engine.n_mels());
            let expected = batch.run(&frames).unwrap();
            assert_eq!(expected.len() / n_classes, if n_frames < field { 0 } else { (n_frames - field) / pulse + 1 });
            let streamed = stream(&mut engine, &frames, f32::NAN);
            assert!(streamed.len() >= expected.len());
            assert_eq!(bits(&streamed[..expected.len()]), bits(&expected), "{precision}, {n_frames} frames");
            engine.reset().unwrap();
        }
    }
}

#[test]
fn sliding_patches_equal_patches_computed_by_themselves_bit_for_bit_at_any_hop() {
    for precision in [Precision::F32, Precision::Int8] {
        for pulse_frames in [1, 7, 8, 20, 39, 40, 41, 100] {
            let mut model = tiny_window();
            model.manifest.network = model.manifest.network.with_pulse(pulse_frames);
            let batch = BatchEngine::load(&model, precision).unwrap();
            let mut engine = WindowEngine::load(&model, precision).unwrap();
            let (n_classes, field) = (engine.n_classes(), engine.receptive_field_frames());
            assert_eq!(engine.output_delay(), field.div_ceil(pulse_frames) - 1);
            for n_frames in [1, field - 1, field, 99, 100, 333] {
                let frames = frames(n_frames, engine.n_mels());
                let expected = batch.run(&frames).unwrap();
                let n_out = if n_frames < field { 0 } else { (n_frames - field) / pulse_frames + 1 };
                assert_eq!(expected.len() / n_classes, n_out);
                let streamed = stream(&mut engine, &frames, f32::NAN);
                assert!(streamed.len() >= expected.len());
                let same = bits(&streamed[..expected.len()]) == bits(&expected);
                assert!(same, "{precision}, {n_frames} frames, hop {pulse_frames}");
                engine.reset().unwrap();
            }
        }
    }
}

#[test]
fn posteriors_are_handed_on_as_their_logarithms() {
    let frames = frames(40, 64);
    let [own_softmax, logits] = [tiny_window(), rank3()]
        .map(|model| WindowEngine::load(&model, Precision::F32).unwrap().clip_logits(&frames).unwrap());
    let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
    for (logarithm, logit) in own_softmax.iter().zip(&logits) {
        let posterior = logit.exp() / sum;
        assert!((logarithm - posterior.ln()).abs() < 1e-4 * posterior.ln().abs() + 1e-6, "{own_softmax:?} {logits:?}");
    }
    // A posterior of 0, which single precision makes of far distant logits, has no logarithm.
    let loud = WindowEngine::load(&tiny_window(), Precision::F32).unwrap().clip_logits(&[1e4; 40 * 64]).unwrap();
    assert!(loud.iter().all(|logit| logit.is_finite()) && loud.contains(&f32::MIN_POSITIVE.ln()), "{loud:?}");
}

#[test]
fn a_reset_forgets_the_stream() {
    let engines: [Box<dyn Engine>; 2] = [
        Box::new(StreamEngine::load(&tiny(), Precision::F32).unwrap()),
        Box::new(WindowEngine::load(&tiny_window(), Precision::F32).unwrap()),
    ];
    for mut engine in engines {
        let frames = frames(80, engine.n_mels());
        let first = stream(engine.as_mut(), &frames, 0.0);
        assert_eq!(first.len(), (10 - engine.output_delay()) * engine.n_classes());
        assert_ne!(bits(&stream(engine.as_mut(), &frames, 0.0)), bits(&first));
        engine.reset().unwrap();
        assert_eq!(bits(&stream(engine.as_mut(), &frames, 0.0)), bits(&first));
    }
}

#[test]
fn int8_is_close_to_f32() {
    let frames = frames(400, 64);
    let [f32, int8] = [Precision::F32, Precision::Int8]
        .map(|precision| stream(&mut StreamEngine::load(&tiny(), precision).unwrap(), &frames, 0.0));
    let worst = f32.iter().zip(&int8).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let largest = f32.iter().copied().map(f32::abs).fold(0.0, f32::max);
    assert!(worst > 0.0 && worst < 0.05 * largest, "{worst} of {largest}");
}

/// Logits of the shipped network, run over a whole clip, `[1, n_classes, T', 1]`.
fn home_logits(network: TypedModel) -> Vec<f32> {
    let n_frames = 344;
    let input = Tensor::from_shape(&[1, 1, n_frames, 64], &frames(n_frames, 64)).unwrap();
    let outputs = network.into_optimized().unwrap().into_runnable().unwrap().run(tvec!(input.into())).unwrap();
    outputs[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

#[test]
fn the_shipped_8_bit_network_is_convolved_here_as_by_the_library() {
    let model = Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/home")).unwrap();
    let network = Network::read(&model, Precision::Int8).unwrap();
    let library = home_logits(network.typed.clone());
    for kernel in Kernel::available() {
        let (own, is_convolved) = int8::convolve(network.typed.clone(), kernel).unwrap();
        assert!(is_convolved);
        let own = home_logits(own);
        assert_eq!(own.len(), library.len());
        let differences = own.iter().zip(&library).filter(|(own, library)| own != library).count();
        assert_eq!(differences, 0, "{}, of {}", kernel.as_str(), own.len());
    }
    // In single precision there is nothing to replace.
    let network = Network::read(&model, Precision::F32).unwrap();
    assert!(!int8::convolve(network.typed, Kernel::best()).unwrap().1);
}

#[test]
fn auto_takes_one_of_the_files_and_int8_has_to_exist_when_asked_for() {
    for (mut model, field) in [(tiny(), 15), (tiny_window(), 40)] {
        let auto = load_engine(&model, PrecisionChoice::Auto).unwrap();
        assert_eq!(auto.receptive_field_frames(), field);
        // Not a matter of time where the 8-bit convolutions are known to be faster.
        let is_stream = model.manifest.network.kind == NetworkKind::Stream;
        let is_known = is_stream && Kernel::best().beats_single_precision();
        assert!(!is_known || auto.precision() == Precision::Int8);
        assert_eq!(load_engine(&model, PrecisionChoice::Int8).unwrap().precision(), Precision::Int8);
        model.manifest.files.int8 = None;
        assert_eq!(load_engine(&model, PrecisionChoice::Auto).unwrap().precision(), Precision::F32);
        let error = load_engine(&model, PrecisionChoice::Int8).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.to_string().contains("files.int8"), "{error}");
    }
}

#[test]
fn another_stream_begins_at_its_beginning_and_disturbs_nobody() {
    let frames = frames(300, 64);
    let engines: [Box<dyn Engine>; 2] = [
        Box::new(StreamEngine::load(&tiny(), Precision::F32).unwrap()),
        Box::new(WindowEngine::load(&tiny_window(), Precision::F32).unwrap()),
    ];
    for mut first in engines {
        let expected = stream(first.as_mut(), &frames, 0.0);
        first.reset().unwrap();
        let (head, tail) = frames.split_at(20 * first.pulse_frames() * 64);
        let mut outputs = stream(first.as_mut(), head, 0.0);
        let mut other = first.another().unwrap();
        assert_eq!(bits(&stream(other.as_mut(), &frames, 0.0)), bits(&expected));
        outputs.extend(stream(first.as_mut(), tail, 0.0));
        assert_eq!(bits(&outputs), bits(&expected));
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let mut engine = StreamEngine::load(&tiny(), Precision::F32).unwrap();
    assert!(engine.push(&[0.0; 63], &mut [0.0; 3]).is_err());
    assert!(engine.push(&[0.0; 512], &mut [0.0; 2]).is_err());
    let mut engine = WindowEngine::load(&tiny_window(), Precision::F32).unwrap();
    assert!(engine.push(&[0.0; 63], &mut [0.0; 3]).is_err());
    assert!(engine.push(&[0.0; 512], &mut [0.0; 2]).is_err());
    assert!(engine.clip_logits(&[0.0; 65]).is_err() && engine.clip_logits(&[]).is_err());
    assert!(BatchEngine::load(&tiny(), Precision::F32).unwrap().run(&[0.0; 65]).is_err());
}

#[test]
fn what_the_network_does_not_keep_of_the_manifest_is_named() {
    type Spoil = fn(&mut Manifest);
    let cases: [(&str, Spoil); 5] = [
        ("labels: expected 4 classes, actual 3 classes", |m| m.labels.push("dog".into())),
        ("frontend.n_mels: expected 32, actual 64", |m| m.frontend.n_mels = 32),
        ("network.receptive_field_frames: expected 16, actual 15", |m| m.network.receptive_field_frames = 16),
        ("network.pulse_frames: expected 4, actual 8", |m| m.network.pulse_frames = 4),
        ("network.output_delay: expected 2, actual 1", |m| m.network.output_delay = 2),
    ];
    for (expected, spoil) in cases {
        let mut model = tiny();
        spoil(&mut model.manifest);
        let error = StreamEngine::load(&model, Precision::F32).err().unwrap();
        assert!(matches!(error, Error::ModelField { .. }), "{error}");
        assert!(error.to_string().ends_with(&format!("model.onnx: {expected}")), "{error}");
    }
}

#[test]
fn what_a_patch_does_not_keep_of_the_manifest_is_named() {
    type Spoil = fn(&mut Manifest);
    type Make = fn() -> Model;
    let cases: [(Make, &str, Spoil); 8] = [
        (tiny_window, "labels: expected 4 classes, actual 3 classes", |m| m.labels.push("dog".into())),
        (tiny_window, "frontend.n_mels: expected 32, actual 64", |m| m.frontend.n_mels = 32),
        (tiny_window, "network.receptive_field_frames: expected 41, actual 40", |m| {
            m.network.receptive_field_frames = 41;
        }),
        (rank3, "network.receptive_field_frames: expected 39, actual 40", |m| m.network.receptive_field_frames = 39),
        (rank3, "labels: expected 2 classes, actual 3 classes", |m| m.labels.truncate(2)),
        (rank3, "network.activation: expected posteriors, which add up to 1, actual for silence, outputs from ", |m| {
            m.network.activation = Activation::Posterior;
        }),
        (tiny, "output: expected f32 [1, n_classes], actual ", |m| {
            m.network.kind = NetworkKind::Window;
            m.network.receptive_field_frames = 40;
        }),
        (tiny_window, "network.receptive_field_frames: expected 15, actual 40", |m| {
            m.network.receptive_field_frames = 15
        }),
    ];
    for (model, expected, spoil) in cases {
        let mut model = model();
        spoil(&mut model.manifest);
        let error = WindowEngine::load(&model, Precision::F32).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.to_string().contains(&format!(".onnx: {expected}")), "{error}");
        assert!(BatchEngine::load(&model, Precision::F32).is_err());
    }
    // A streaming network is a network of whole patches, too, of the length that gives one output.
    let mut model = tiny();
    model.manifest.network.kind = NetworkKind::Window;
    assert_eq!(WindowEngine::load(&model, Precision::F32).unwrap().clip_logits(&[0.0; 15 * 64]).unwrap().len(), 3);
}

#[test]
fn damaged_networks_are_errors() {
    damaged(tiny(), |model| StreamEngine::load(model, Precision::F32).err());
    damaged(tiny_window(), |model| WindowEngine::load(model, Precision::F32).err());
}

fn damaged(mut model: Model, load: impl Fn(&Model) -> Option<Error>) {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(model.dir.join("model.onnx")).unwrap();
    model.dir = dir.path().to_path_buf();
    let load = |bytes: &[u8]| {
        fs::write(dir.path().join("model.onnx"), bytes).unwrap();
        load(&model)
    };
    assert!(load(&whole).is_none());
    for n_bytes in (0..whole.len()).step_by(97) {
        // The protobuf of the last few bytes holds versions only: cut off, the rest may still be a
        // whole network.
        if let Some(error) = load(&whole[..n_bytes]) {
            assert_eq!(error.kind(), ErrorKind::Model);
            let message = error.to_string();
            assert!(message.contains("model.onnx: ") && !message.contains('\n'), "{message}");
        } else {
            assert!(n_bytes + 64 > whole.len(), "{n_bytes} of {} bytes were accepted", whole.len());
        }
    }
    assert!(load(b"not a network").is_some());
}

#[test]
fn weights_in_another_file_are_found_wherever_they_are() {
    use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, StringStringEntryProto, TensorProto, tensor_proto};
    let place = StringStringEntryProto { key: "location".into(), value: "weights.bin".into() };
    let external = TensorProto {
        data_location: Some(tensor_proto::DataLocation::External as i32),
        external_data: vec![place],
        ..Default::default()
    };
    let node = |attribute: AttributeProto| NodeProto { attribute: vec![attribute], ..Default::default() };
    let graph = |node: NodeProto| GraphProto { node: vec![node], ..Default::default() };
    let plain = GraphProto { initializer: vec![TensorProto::default()], ..Default::default() };
    assert_eq!(super::network::outside(&plain), None);
    let initialized = GraphProto { initializer: vec![external.clone()], ..Default::default() };
    let constant = graph(node(AttributeProto { t: Some(external), ..Default::default() }));
    let branch = graph(node(AttributeProto { g: Some(constant.clone()), ..Default::default() }));
    for graph in [initialized, constant, branch] {
        assert_eq!(super::network::outside(&graph).as_deref(), Some("weights.bin"));
    }
}

#[test]
fn networks_that_take_samples_are_told_from_those_that_take_frames() {
    use tract_onnx::prelude::{DatumExt as _, InferenceFact, InferenceModel};
    let refused = |name: &str, fact: InferenceFact| {
        let mut network = InferenceModel::default();
        network.add_source(name, fact).unwrap();
        let checker = super::network::Checker { path: Path::new("m.onnx") };
        checker.takes_frames(&network).err().map(|error| error.to_string())
    };
    for (name, shape) in
        [("waveform", vec![16_000_usize]), ("x", vec![15_600]), ("x", vec![1, 16_000]), ("x", vec![1, 1, 48_000])]
    {
        let reason = refused(name, f32::fact(&shape).into()).unwrap();
        assert!(reason.contains("m.onnx: this network takes a waveform"), "{reason}");
    }
    for shape in [vec![1_usize, 1, 96, 64], vec![96, 64], vec![1, 1, 1000, 128]] {
        assert_eq!(refused("log_mel", f32::fact(&shape).into()), None, "{shape:?}");
    }
}
