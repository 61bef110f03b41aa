//! Claim: a model of whole patches (`kind = "window"`) works with every command that takes a model,
//! at the hop that is asked for.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use edge::audio::decode_file;
use edge::decide::{Average, clip_posteriors};
use edge::engine::{BatchEngine, Precision};
use edge::model::Model;
use edge_frontend::{Activation, log_mel};
use serde_json::Value;
use tests::binary::{Output, PATIENCE, Process, earwitness_bin};
use tests::tiny::{self, Sound, events, names};

const SCENE: &[(Sound, f64)] =
    &[(Sound::Silence, 1.5), (Sound::Tone, 2.0), (Sound::Silence, 2.0), (Sound::Noise, 2.0), (Sound::Silence, 2.0)];

fn earwitness(command: &str, args: &[&str]) -> Output {
    let mut process = Command::new(earwitness_bin());
    process.arg(command).args(args).env("EARWITNESS_LOG", "warn");
    let output = Process::start(&mut process).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    output
}

fn model() -> String {
    tiny::window_model().display().to_string()
}

fn seconds(event: &Value, field: &str) -> f64 {
    event[field].as_f64().unwrap_or(f64::NAN)
}

#[test]
fn run_reports_events_with_their_times_at_any_hop_and_precision() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.wav");
    tiny::write_wav(&path, SCENE);
    let source = format!("file:{}", path.display());
    for (hop_ms, precision) in [(None, "f32"), (None, "int8"), (Some("40"), "f32"), (Some("150"), "auto")] {
        let model = model();
        let mut args = vec!["--fast", "--source", &source, "--model", &model, "--precision", precision];
        args.extend(hop_ms.iter().flat_map(|hop_ms| ["--hop-ms", hop_ms]));
        let events = events(&earwitness("run", &args).stdout);
        assert_eq!(names(&events), ["tone onset", "tone offset", "noise onset", "noise offset"], "{args:?}");
        for (pair, (t_onset_s, t_offset_s)) in events.chunks(2).zip([(1.5, 3.5), (5.5, 7.5)]) {
            // Half a patch: any patch that holds some of the sound may speak for it.
            assert!((seconds(&pair[1], "t_onset_s") - t_onset_s).abs() <= 0.2, "{args:?}: {pair:#?}");
            assert!((seconds(&pair[1], "t_offset_s") - t_offset_s).abs() <= 0.2, "{args:?}: {pair:#?}");
            assert_eq!(pair[0]["model"], "tiny_window-1.0.0");
        }
    }
}

#[test]
fn a_hop_of_the_configuration_is_obeyed_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("earwitness.toml");
    let check = |hop: &str| {
        std::fs::write(&config, format!("[model]\ndir = \"{}\"\n{hop}", model())).unwrap();
        earwitness("check", &["--config", config.to_str().unwrap()]).stdout.join("\n")
    };
    assert!(check("").contains("a patch of 400 ms every 80 ms\n"));
    assert!(check("hop_ms = 200\n").contains("a patch of 400 ms every 200 ms\n"));
    assert!(
        check("hop_ms = 500\n").contains("a patch of 400 ms every 500 ms; sound between two patches is not recognised")
    );
}

/// The posteriors of all classes, by label.
fn classify(path: &Path, hop_ms: &str) -> Value {
    let args = ["--json", "--precision", "f32", "--hop-ms", hop_ms, "--model", &model(), path.to_str().unwrap()];
    let top = events(&earwitness("classify", &args).stdout)[0]["top"].clone();
    let scores = top.as_array().unwrap().iter();
    scores.map(|guess| (guess["label"].as_str().unwrap().to_string(), guess["score"].clone())).collect()
}

#[test]
fn classify_averages_patches_over_the_whole_clip() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.wav");
    // A tone at the very end, which no evenly spaced patch reaches.
    tiny::write_wav(&path, &[(Sound::Silence, 0.8), (Sound::Tone, 0.39)]);
    let model = Model::load(&tiny::window_model()).unwrap().with_hop_ms(400.0).unwrap();
    let samples = decode_file(&path).unwrap().samples;
    let frames = log_mel(&model.manifest.frontend, &samples).unwrap();
    let n_mels = model.manifest.frontend.n_mels;
    let batch = BatchEngine::load(&model, Precision::F32).unwrap();
    let mut logits = batch.run(&frames).unwrap();
    assert_eq!(logits.len(), 2 * 3, "two patches from the start");
    logits.extend(batch.run(&frames[frames.len() - 40 * n_mels..]).unwrap());
    let expected = clip_posteriors(Activation::Posterior, Average::Posteriors, 1.0, 3, &logits);
    let scores = classify(&path, "400");
    for (label, expected) in model.manifest.labels.iter().zip(&expected) {
        assert!((scores[label].as_f64().unwrap() - f64::from(*expected)).abs() < 1e-6, "{scores} {expected}");
    }
    assert!((0.2..0.5).contains(&expected[2]), "one patch of three is a tone: {expected:?}");
}

#[test]
fn classify_fills_a_short_clip_up_with_its_last_frame() {
    let dir = tempfile::tempdir().unwrap();
    for sound in [Sound::Tone, Sound::Noise] {
        let path = dir.path().join("clip.wav");
        // 40 ms: with silence after it, nine tenths of the patch would be silent.
        tiny::write_wav(&path, &[(sound, 0.04)]);
        let label = if sound == Sound::Tone { "tone" } else { "noise" };
        let scores = classify(&path, "80");
        assert!(scores[label].as_f64().unwrap() > 0.9, "{sound:?}: {scores}");
    }
}

#[test]
fn bench_counts_a_hop_as_a_pulse() {
    for (hop_ms, pulse_ms) in [(None, 80.0), (Some("400"), 400.0)] {
        let model = model();
        let mut args = vec!["--json", "--model", &model];
        args.extend(hop_ms.iter().flat_map(|hop_ms| ["--hop-ms", hop_ms]));
        let report = events(&earwitness("bench", &args).stdout).remove(0);
        assert_eq!(report["pulse_ms"], pulse_ms);
        let us = report["us_per_pulse_median"].as_f64().unwrap();
        let factor = report["real_time_factor"].as_f64().unwrap();
        assert!(us > 0.0 && (factor - us / 1e3 / pulse_ms).abs() < 1e-5, "{report}");
    }
}
