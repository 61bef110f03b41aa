//! Clips of the fixtures' networks, whose answers are certain.

use std::path::Path;

use edge_frontend::{Activation, Network, log_mel};

use super::*;
use crate::engine::{BatchEngine, Precision, PrecisionChoice, load_engine};

fn fixture(name: &str) -> Model {
    Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)).unwrap()
}

fn tiny() -> Model {
    fixture("tiny")
}

fn tiny_window() -> Model {
    fixture("tiny_window")
}

fn classifier() -> RecordingClassifier {
    let model = tiny();
    let engine = load_engine(&model, PrecisionChoice::F32).unwrap();
    RecordingClassifier::new(model, engine).unwrap()
}

fn tone(sample_rate: u32, n_samples: usize) -> Vec<f32> {
    let step = 1000.0 * std::f64::consts::TAU / f64::from(sample_rate);
    (0..n_samples).map(|at| (0.3 * (at as f64 * step).sin()) as f32).collect()
}

fn audio(sample_rate: u32, samples: Vec<f32>) -> Audio {
    Audio { sample_rate, samples, n_channels: 1 }
}

#[test]
fn tones_and_silence_are_told_apart_at_any_rate() {
    let mut classifier = classifier();
    for sample_rate in [8_000, 24_000, 44_100, 48_000] {
        let posteriors = classifier.classify(&audio(sample_rate, tone(sample_rate, sample_rate as usize))).unwrap();
        assert!(posteriors[2] > 0.9, "{sample_rate} Hz: {posteriors:?}");
    }
    assert!(classifier.classify(&audio(24_000, vec![0.0; 24_000])).unwrap()[0] > 0.9);
}

#[test]
fn samples_that_are_not_numbers_spoil_no_clip() {
    let mut classifier = classifier();
    for sample_rate in [24_000, 44_100] {
        let mut samples = tone(sample_rate, sample_rate as usize);
        (samples[10_000], samples[10_001]) = (f32::INFINITY, f32::NAN);
        let posteriors = classifier.classify(&audio(sample_rate, samples)).unwrap();
        assert!(posteriors[2] > 0.9, "{sample_rate} Hz: {posteriors:?}");
    }
}

#[test]
fn short_clips_are_filled_up() {
    let mut classifier = classifier();
    for n_samples in [0, 1, 100, 3_000] {
        let posteriors = classifier.classify(&audio(24_000, tone(24_000, n_samples))).unwrap();
        assert!((posteriors.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{posteriors:?}");
    }
}

#[test]
fn a_clip_is_what_the_whole_network_makes_of_it() {
    let model = tiny();
    let samples = tone(24_000, 30_011);
    let frames = log_mel(&model.manifest.frontend, &samples).unwrap();
    let logits = BatchEngine::load(&model, Precision::F32).unwrap().run(&frames).unwrap();
    let posteriors = clip_posteriors(Activation::Softmax, Average::Logits, 1.0, 3, &logits);
    let mut classifier = classifier();
    // Twice: nothing of a clip may reach the next.
    for _ in 0..2 {
        assert_eq!(classifier.engine.clip_logits(&frames).unwrap(), logits);
        assert_eq!(classifier.classify(&audio(24_000, samples.clone())).unwrap(), posteriors);
    }
}

#[test]
fn silence_around_a_sound_does_not_count() {
    let mut classifier = classifier();
    let mut samples = vec![0.0; 24_000];
    samples.extend(tone(24_000, 24_000));
    samples.extend(vec![0.0; 4 * 24_000]);
    let padded = classifier.classify(&audio(24_000, samples.clone())).unwrap();
    assert!(padded[2] > 0.8, "a tone, whatever silence is around it: {padded:?}");
    // A tone 60 dB below another is silence beside it, and a sound where there is nothing else.
    let quiet: Vec<f32> = tone(24_000, 48_000).iter().map(|x| x * 1e-3).collect();
    let Manifest { frontend, network, .. } = &tiny().manifest;
    let outputs = |samples: &[f32]| loud_outputs(frontend, network, &log_mel(frontend, samples).unwrap());
    let (alone, beside) = (outputs(&quiet), outputs(&[quiet.clone(), tone(24_000, 24_000)].concat()));
    assert_eq!(alone, (0..alone.len()).collect::<Vec<_>>());
    assert!(beside.iter().all(|&at| at >= alone.len() - 1), "{beside:?} of {}", alone.len());
    assert!(outputs(&[]).is_empty());
}

#[test]
fn around_a_clip_of_a_network_with_look_ahead_is_silence_and_each_pulse_of_it_has_an_output() {
    let Manifest { frontend, network, .. } = tiny().manifest;
    assert_eq!(surrounded(&frontend, &network, &[1.0; 64]), vec![1.0; 64]);
    assert_eq!(frames_of_output(&frontend, &network), 0..network.receptive_field_frames);
    let network = Network { receptive_field_frames: 224, lookahead_ms: Some(320.0), ..network };
    // The middle of the slot is frame 192.25, see the manifest's test; that of frames 189 to
    // 196 is 192.5.
    assert_eq!(frames_of_output(&frontend, &network), 189..197);
    for (n_frames, n_outputs) in [(0, 1), (3, 1), (8, 1), (11, 1), (12, 2), (16, 2), (100, 13), (163, 20), (164, 21)] {
        let frames = vec![2.0; n_frames * 64];
        let input = surrounded(&frontend, &network, &frames);
        assert_eq!((input.len() / 64 - 224) / 8 + 1, n_outputs, "{n_frames} frames");
        let sounds = |frame: usize| input.get(frame * 64).is_some_and(|&v| v == 2.0);
        let n_sounding = (0..input.len() / 64).filter(|&frame| sounds(frame)).count();
        assert_eq!((n_sounding, sounds(188), sounds(189)), (n_frames, false, n_frames > 0));
        // All of a clip that sounds throughout counts, whatever silence is around it.
        assert_eq!(loud_outputs(&frontend, &network, &input).len(), n_outputs);
    }
    // Output j stands for the clip's frames 8 j to 8 j + 7.
    let mut frames = vec![frontend.silence(); 80 * 64];
    frames[24 * 64..40 * 64].fill(2.0);
    assert_eq!(loud_outputs(&frontend, &network, &surrounded(&frontend, &network, &frames)), [3, 4]);
    // What an output at the end of its field cannot hear is left out.
    let network = Network { lookahead_ms: Some(0.0), ..network };
    assert_eq!(frames_of_output(&frontend, &network), 221..224);
    let input = surrounded(&frontend, &network, &[2.0; 16 * 64]);
    assert_eq!(input.len(), 232 * 64);
    assert_eq!(loud_outputs(&frontend, &network, &input), [0, 1]);
}

#[test]
fn a_clip_of_a_network_with_look_ahead_is_the_mean_of_its_pulses() {
    let mut model = tiny();
    model.manifest.network.lookahead_ms = Some(40.0);
    let samples = tone(24_000, 30_011);
    let frames = log_mel(&model.manifest.frontend, &samples).unwrap();
    let input = surrounded(&model.manifest.frontend, &model.manifest.network, &frames);
    let logits = BatchEngine::load(&model, Precision::F32).unwrap().run(&input).unwrap();
    assert_eq!(logits.len() / 3, (frames.len() / 64 + 4) / 8);
    let posteriors = clip_posteriors(Activation::Softmax, Average::Logits, 1.0, 3, &logits);
    let engine = load_engine(&model, PrecisionChoice::F32).unwrap();
    let mut classifier = RecordingClassifier::new(model, engine).unwrap();
    assert_eq!(classifier.classify(&audio(24_000, samples)).unwrap(), posteriors);
    assert!(posteriors[2] > 0.9, "{posteriors:?}");
    // Nothing at all is silence.
    assert!(classifier.classify(&audio(24_000, Vec::new())).unwrap()[0] > 0.9);
}

#[test]
fn patches_of_a_short_clip_end_in_its_last_frame_and_the_last_patch_of_a_long_one_ends_with_it() {
    let model = tiny_window();
    let (frontend, network) = (model.manifest.frontend.clone(), model.manifest.network.clone());
    let (n_mels, field, hop) = (frontend.n_mels, network.receptive_field_frames, network.pulse_frames);
    let batch = BatchEngine::load(&model, Precision::F32).unwrap();
    let engine = load_engine(&model, PrecisionChoice::F32).unwrap();
    let mut classifier = RecordingClassifier::new(model, engine).unwrap();
    let frames_of = |n_frames: usize| {
        let samples = tone(24_000, frontend.win_length + (n_frames - 1) * frontend.hop_length + 7);
        let frames = log_mel(&frontend, &samples).unwrap();
        assert_eq!(frames.len(), n_frames * n_mels);
        (samples, frames)
    };
    let mean = |logits: &[f32]| clip_posteriors(Activation::Posterior, Average::Posteriors, 1.0, 3, logits);

    for n_frames in [1, field - 1] {
        let (samples, mut frames) = frames_of(n_frames);
        let last = frames[frames.len() - n_mels..].to_vec();
        (n_frames..field).for_each(|_| frames.extend_from_slice(&last));
        let expected = mean(&batch.run(&frames).unwrap());
        assert_eq!(classifier.classify(&audio(24_000, samples)).unwrap(), expected, "{n_frames} frames");
    }
    for n_more in [0, hop - 1, 3 * hop, 3 * hop + 1] {
        let (samples, frames) = frames_of(field + n_more);
        let mut logits = batch.run(&frames).unwrap();
        assert_eq!(logits.len() / 3, n_more / hop + 1);
        if n_more % hop != 0 {
            logits.extend(batch.run(&frames[n_more * n_mels..]).unwrap());
        }
        assert_eq!(classifier.classify(&audio(24_000, samples)).unwrap(), mean(&logits), "{n_more} frames more");
    }
    // Less than a frame is one.
    let posteriors = classifier.classify(&audio(24_000, vec![0.0; 10])).unwrap();
    assert!((posteriors.iter().sum::<f32>() - 1.0).abs() < 1e-5 && posteriors[0] > 0.9, "{posteriors:?}");
}

#[test]
fn a_long_recording_is_what_the_whole_of_it_is_and_takes_no_memory_for_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.wav");
    // 100 s: twice as many outputs as are computed at once, and some.
    let mut samples = tone(24_000, 700_000);
    samples.resize(1_100_000, 0.0);
    samples.extend(tone(24_000, 1_300_007));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
    for (name, lookahead_ms) in [("tiny", None), ("tiny", Some(40.0)), ("tiny_window", None)] {
        let mut model = fixture(name);
        model.manifest.network.lookahead_ms = lookahead_ms;
        let Manifest { frontend, network, .. } = model.manifest.clone();
        let frames = log_mel(&frontend, &samples).unwrap();
        let input = surrounded(&frontend, &network, &frames);
        let mut logits = BatchEngine::load(&model, Precision::F32).unwrap().run(&input).unwrap();
        let last = frames.len() / frontend.n_mels - network.receptive_field_frames;
        if name == "tiny_window" {
            if !last.is_multiple_of(network.pulse_frames) {
                let batch = BatchEngine::load(&model, Precision::F32).unwrap();
                logits.extend(batch.run(&frames[last * frontend.n_mels..]).unwrap());
            }
        } else {
            let loud = loud_outputs(&frontend, &network, &input);
            logits = loud.iter().flat_map(|at| &logits[at * 3..(at + 1) * 3]).copied().collect();
        }
        let (activation, average) = (network.activation, Average::of(network.kind));
        let temperature = model.manifest.decision.temperature;
        let expected = clip_posteriors(activation, average, temperature, 3, &logits);
        let engine = load_engine(&model, PrecisionChoice::F32).unwrap();
        let mut classifier = RecordingClassifier::new(model, engine).unwrap();
        assert_eq!(classifier.classify_file(&path).unwrap(), expected, "{name} {lookahead_ms:?}");
        assert_eq!(classifier.classify(&audio(24_000, samples.clone())).unwrap(), expected, "{name}");
    }
}
