//! Claim: every model that ships yields what it yielded when it was exported: log-mel frames to
//! 1e-3, logits of both precisions to 1e-2, on every platform; and the streamed logits equal the
//! batch ones.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use edge::audio::decode_file;
use edge::engine::{BatchEngine, Precision, PrecisionChoice, load_engine};
use edge::model::Model;
use edge_frontend::log_mel;
use ndarray::Array2;

fn shipped() -> Vec<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let mut dirs: Vec<_> = std::fs::read_dir(models).unwrap().map(|entry| entry.unwrap().path()).collect();
    dirs.retain(|path| path.join("manifest.toml").exists());
    dirs.sort();
    dirs
}

/// The model in `dir`, whose network is put together in a folder of its own where the repository
/// has none; none if CED-tiny is not at hand, which it must be in CI.
fn whole(dir: &Path) -> Option<(Model, Option<tempfile::TempDir>)> {
    if !dir.join("head.safetensors").exists() {
        return Some((Model::load(dir).unwrap(), None));
    }
    let ced = assemble::ced::place();
    if !ced.exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing: `make ced` brings it", ced.display());
        eprintln!("{} is missing: {} is not replayed; `make ced` brings it", ced.display(), dir.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for file in ["manifest.toml", "head.safetensors"] {
        std::fs::copy(dir.join(file), folder.path().join(file)).unwrap();
    }
    assemble::folder::assemble(folder.path(), &ced).unwrap();
    Some((Model::load(folder.path()).unwrap(), Some(folder)))
}

fn largest_difference(actual: &[f32], expected: &Array2<f32>) -> f32 {
    assert_eq!(actual.len(), expected.len());
    actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_default_model_ships() {
    assert!(shipped().iter().any(|dir| dir.ends_with("home")), "{:?}", shipped());
}

#[test]
fn shipped_models_replay_their_golden_files() {
    for dir in shipped() {
        let Some((model, _folder)) = whole(&dir) else { continue };
        let golden = dir.join("golden");
        let audio = decode_file(&golden.join("clip.wav")).unwrap();
        assert_eq!(audio.sample_rate, model.manifest.frontend.sample_rate);

        let frames = log_mel(&model.manifest.frontend, &audio.samples).unwrap();
        let expected: Array2<f32> = ndarray_npy::read_npy(golden.join("log_mel.npy")).unwrap();
        let difference = largest_difference(&frames, &expected);
        assert!(difference <= 1e-3, "{}: log-mel differs by {difference}", dir.display());

        let logits = BatchEngine::load(&model, Precision::F32).unwrap().run(&frames).unwrap();
        let expected: Array2<f32> = ndarray_npy::read_npy(golden.join("logits.npy")).unwrap();
        let difference = largest_difference(&logits, &expected);
        assert!(difference <= 1e-2, "{}: logits differ by {difference}", dir.display());

        // A network of somebody else's is in single precision.
        let int8 = model.network_file(Precision::Int8).is_some();
        assert!(int8 || dir.join("head.safetensors").exists(), "{}: no 8-bit network", dir.display());
        if int8 {
            // From the golden frames: otherwise a value half way between two steps would be rounded
            // as the platform's last digit has it.
            let frames_8: Array2<f32> = ndarray_npy::read_npy(golden.join("log_mel.npy")).unwrap();
            let logits_8 =
                BatchEngine::load(&model, Precision::Int8).unwrap().run(frames_8.as_slice().unwrap()).unwrap();
            let expected: Array2<f32> = ndarray_npy::read_npy(golden.join("logits.int8.npy")).unwrap();
            let difference = largest_difference(&logits_8, &expected);
            assert!(difference <= 1e-2, "{}: 8-bit logits differ by {difference}", dir.display());
        }

        let mut engine = load_engine(&model, PrecisionChoice::F32).unwrap();
        let (n_classes, n_mels) = (engine.n_classes(), engine.n_mels());
        let mut streamed = Vec::new();
        for pulse in frames.chunks_exact(engine.pulse_frames() * n_mels) {
            let mut row = vec![0.0; n_classes];
            if engine.push(pulse, &mut row).unwrap() {
                streamed.extend(row);
            }
        }
        assert!(streamed.len() >= n_classes);
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&streamed), bits(&logits[..streamed.len()]), "{}", dir.display());
    }
}
