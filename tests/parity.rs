//! Claim: the log-mel frames are librosa's. The vectors and the script that made them are in
//! `golden/`.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use edge_frontend::{FrontendConfig, MelNorm, MelScale, log_mel};
use ndarray::Array2;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

fn input() -> Vec<f32> {
    let mut reader = hound::WavReader::open(golden("log_mel_input.wav")).unwrap();
    reader.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32768.0).collect()
}

/// Absolute error in the log: at most 1e-4 for 99.9 % of the values and 1e-3 for all.
fn assert_parity(config: &FrontendConfig, samples: &[f32], vector: &str) {
    let expected: Array2<f32> = ndarray_npy::read_npy(golden(vector)).unwrap();
    let frames = log_mel(config, samples).unwrap();
    assert_eq!(expected.dim(), (config.n_frames(samples.len()), config.n_mels), "{vector}");
    assert_eq!(frames.len(), expected.len());
    let mut errors: Vec<f32> = frames.iter().zip(&expected).map(|(a, b)| (a - b).abs()).collect();
    errors.sort_by(f32::total_cmp);
    let (p999, max) = (errors[errors.len() * 999 / 1000], errors[errors.len() - 1]);
    println!("{vector}: error {:.1e} in the median, {p999:.1e} at 99.9 %, {max:.1e} at most", errors[errors.len() / 2]);
    assert!(p999 <= 1e-4, "{vector}: {p999}");
    assert!(max <= 1e-3, "{vector}: {max}");
}

#[test]
fn the_students_frames_equal_librosas() {
    assert_parity(&FrontendConfig::student(), &input(), "log_mel_student.npy");
}

#[test]
fn the_epic_sounds_frames_equal_librosas() {
    assert_parity(&FrontendConfig::epic_sounds(), &input()[..47_975], "log_mel_epic_sounds.npy");
}

#[test]
fn slaney_frames_equal_librosas() {
    let config = FrontendConfig {
        win_length: 800,
        hop_length: 320,
        n_mels: 40,
        f_min_hz: 0.0,
        mel_scale: MelScale::Slaney,
        mel_norm: MelNorm::Slaney,
        log_offset: 1e-5,
        centre_padding: true,
        ..FrontendConfig::student()
    };
    assert_parity(&config, &input(), "log_mel_slaney.npy");
}
