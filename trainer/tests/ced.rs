//! Claims: CED-tiny hears here what onnxruntime computes of the same file as it is written, in
//! waves of all lengths that it takes; a batch is heard as its waves are one by one; in bfloat16 it
//! hears nearly the same. The file is the one of `make ced`; in CI (`CI` is set) its absence fails.

#![allow(clippy::unwrap_used)]

mod common;

use common::python;
use sounds::Sound;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};
use trainer::nets::teacher::audioset::{class_index, class_names};
use trainer::nets::teacher::ced::{Ced, EMBEDDING_WIDTH, MAX_STEPS, N_TAGS, SAMPLE_RATE, n_steps, place};

/// Largest difference from onnxruntime.
const TOLERANCE: f64 = 1e-3;

fn file() -> Option<PathBuf> {
    let path = place();
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing: `make ced` brings it", path.display());
    eprintln!("{} is missing: CED-tiny is not checked; `make ced` brings it", path.display());
    None
}

/// A wave `(1, n_samples)` with a sound, and room noise behind it.
fn wave(sound: Sound, seconds: f32, seed: u64) -> Tensor {
    let noise = sounds::render(Sound::RoomNoise, SAMPLE_RATE, seconds, seed + 100);
    let samples: Vec<f32> =
        sounds::render(sound, SAMPLE_RATE, seconds, seed).iter().zip(noise).map(|(s, n)| s + 0.1 * n).collect();
    Tensor::from_slice(&samples).view([1, -1])
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// Least cosine of the rows of two tensors.
fn least_cosine(a: &Tensor, b: &Tensor) -> f64 {
    Tensor::cosine_similarity(a, b, -1, 1e-8).min().double_value(&[])
}

#[test]
fn it_hears_what_onnxruntime_hears() {
    let Some(path) = file() else { return };
    let ced = Ced::load(&path).unwrap();
    let out = tempfile::tempdir().unwrap();
    let silence = Tensor::zeros([1, 16_000], (Kind::Float, Device::Cpu));
    let waves = [
        wave(Sound::Dog, 0.5, 1),
        wave(Sound::Blender, 1.0, 2),
        wave(Sound::Rain, 3.3, 3),
        wave(Sound::Babble, 9.6, 4),
        wave(Sound::Melody, 10.08, 5),
        Tensor::cat(&[silence, wave(Sound::Dog, 1.5, 6)], 1),
    ];
    let files: Vec<PathBuf> = (0..waves.len()).map(|i| out.path().join(format!("{i}.npy"))).collect();
    waves.iter().zip(&files).for_each(|(wave, file)| wave.write_npy(file).unwrap());
    let arguments: Vec<&str> = [&path].into_iter().chain(&files).map(|path| path.to_str().unwrap()).collect();
    let reference = python::run("run_ced.py", out.path(), &arguments);
    for (i, wave) in waves.iter().enumerate() {
        let value = |name: &str| &reference[&format!("{name}.{i}")];
        let steps = n_steps(wave.size()[1] as usize) as i64;
        let (log_mel, tokens, tags) = (ced.log_mel(wave).unwrap(), ced.tokens(wave).unwrap(), ced.tags(wave).unwrap());
        let heard = ced.hear(wave).unwrap();
        assert_eq!(heard.embeddings.size(), [1, steps, EMBEDDING_WIDTH as i64]);
        assert_eq!(heard.posteriors.size(), [1, steps, N_TAGS as i64]);
        let by_bands = value("tokens").view([1, 4, steps, EMBEDDING_WIDTH as i64]);
        let embeddings = by_bands.mean_dim([1i64].as_slice(), false, Kind::Float);
        let apart = [
            difference(&log_mel, &value("log_mel").transpose(1, 2)),
            difference(&tokens, &by_bands),
            difference(&heard.embeddings, &embeddings),
            difference(&tags, value("tags")),
        ];
        let loudest = tags.argmax(-1, false).int64_value(&[0]) as usize;
        let name = class_names().nth(loudest).unwrap();
        println!("{} samples, {name}: log-mel, tokens, embeddings, tags differ by {apart:?}", wave.size()[1]);
        assert!(apart.iter().all(|&d| d < TOLERANCE), "wave {i}: {apart:?}");
    }
    // What a dog is.
    let tags = ced.tags(&waves[5]).unwrap();
    assert!(tags.double_value(&[0, class_index("Dog").unwrap() as i64]) > 0.3, "{tags}");
}

#[test]
fn a_batch_is_heard_wave_by_wave_and_in_half_precision_nearly_so() {
    let Some(path) = file() else { return };
    let ced = Ced::load(&path).unwrap();
    let waves: Vec<Tensor> = [Sound::Dog, Sound::Rain, Sound::Babble].iter().map(|&s| wave(s, 2.0, 7)).collect();
    let batch = Tensor::cat(&waves, 0);
    let heard = ced.hear(&batch).unwrap();
    for (i, wave) in waves.iter().enumerate() {
        let alone = ced.hear(wave).unwrap();
        assert!(difference(&heard.embeddings.narrow(0, i as i64, 1), &alone.embeddings) < 1e-4);
        assert!(difference(&heard.posteriors.narrow(0, i as i64, 1), &alone.posteriors) < 1e-4);
    }
    let half = ced.to(Device::Cpu, Kind::BFloat16).unwrap().hear(&batch).unwrap();
    assert_eq!(half.embeddings.kind(), Kind::Float);
    let cosine = least_cosine(&half.embeddings, &heard.embeddings);
    assert!(cosine > 0.99, "cosine {cosine}");
}

#[test]
fn waves_that_it_cannot_hear_are_refused() {
    let Some(path) = file() else { return };
    let ced = Ced::load(&path).unwrap();
    for n_samples in [0, 2000, 16_000 * 11] {
        let message = ced.hear(&Tensor::zeros([1, n_samples], (Kind::Float, Device::Cpu))).unwrap_err().to_string();
        assert!(message.contains(&format!("1 to {MAX_STEPS} steps")), "{message}");
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let Some(path) = file() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = folder.path().join("ced-tiny.onnx");
    std::fs::write(&damaged, &bytes).unwrap();
    let message = Ced::load(&damaged).unwrap_err().to_string();
    assert!(message.contains("damaged") && message.contains("make ced"), "{message}");
}
