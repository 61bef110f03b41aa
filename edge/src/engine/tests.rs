use std::fs;
use std::path::{Path, PathBuf};

use edge_frontend::Manifest;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::model::Model;

fn tiny_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny")
}

fn tiny() -> Model {
    Model::load(&tiny_dir()).unwrap()
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

/// Everything that the engine yields for `frames`, `(n_out, n_classes)`; what is missing from the last pulse is filled with
/// `filling`.
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
fn a_reset_forgets_the_stream() {
    let mut engine = StreamEngine::load(&tiny(), Precision::F32).unwrap();
    let frames = frames(80, engine.n_mels());
    let first = stream(&mut engine, &frames, 0.0);
    assert_eq!(first.len(), (10 - engine.output_delay()) * engine.n_classes());
    assert_ne!(bits(&stream(&mut engine, &frames, 0.0)), bits(&first));
    engine.reset().unwrap();
    assert_eq!(bits(&stream(&mut engine, &frames, 0.0)), bits(&first));
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

#[test]
fn auto_takes_one_of_the_files_and_int8_has_to_exist_when_asked_for() {
    let mut model = tiny();
    load_engine(&model, PrecisionChoice::Auto).unwrap();
    assert_eq!(load_engine(&model, PrecisionChoice::Int8).unwrap().precision(), Precision::Int8);
    model.manifest.files.int8 = None;
    assert_eq!(load_engine(&model, PrecisionChoice::Auto).unwrap().precision(), Precision::F32);
    let error = load_engine(&model, PrecisionChoice::Int8).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.to_string().contains("files.int8"), "{error}");
}

#[test]
fn wrong_lengths_are_errors() {
    let mut engine = StreamEngine::load(&tiny(), Precision::F32).unwrap();
    assert!(engine.push(&[0.0; 63], &mut [0.0; 3]).is_err());
    assert!(engine.push(&[0.0; 512], &mut [0.0; 2]).is_err());
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
fn damaged_networks_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(tiny_dir().join("model.onnx")).unwrap();
    let mut model = tiny();
    model.dir = dir.path().to_path_buf();
    let load = |bytes: &[u8]| {
        fs::write(dir.path().join("model.onnx"), bytes).unwrap();
        StreamEngine::load(&model, Precision::F32).err()
    };
    assert!(load(&whole).is_none());
    for n_bytes in (0..whole.len()).step_by(97) {
        // The protobuf of the last few bytes holds versions only: cut off, the rest may still be a whole network.
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
