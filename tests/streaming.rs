//! Claim: what is streamed equals what is computed at once, bit for bit, however the samples are
//! divided into blocks.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use edge::decide::{Rules, Transition};
use edge::engine::{BatchEngine, Precision, PrecisionChoice, load_engine};
use edge::model::Model;
use edge::pipeline::Chain;
use edge::status::Status;
use edge_frontend::{LogMel, Resampler, log_mel, resample};
use proptest::prelude::*;
use tests::binary::model_dir;
use tests::tiny::{self, Sound};

/// Sounds with edges in odd places, in [-1, 1].
fn scene() -> Vec<f32> {
    let parts = [
        (Sound::Silence, 0.731),
        (Sound::Tone, 1.013),
        (Sound::Silence, 0.502),
        (Sound::Noise, 1.307),
        (Sound::Tone, 0.811),
        // Read as 48 kHz, with the most cut off, there is still a receptive field of 2.3 s.
        (Sound::Silence, 3.0),
    ];
    tiny::samples(&parts).into_iter().map(|sample| f32::from(sample) / 32_768.0).collect()
}

/// The networks of the models that are set by hand, streaming and of whole patches, and of the
/// shipped one.
fn networks() -> Vec<(Model, Precision)> {
    let models = [tiny::model(), tiny::window_model(), model_dir()].map(|dir| Model::load(&dir).unwrap());
    let precisions = |model: Model| [Precision::F32, Precision::Int8].map(|precision| (model.clone(), precision));
    let exists = |(model, precision): &(Model, Precision)| model.network_file(*precision).is_some();
    models.into_iter().flat_map(precisions).filter(exists).collect()
}

/// Calls `f` with one block after the other; `lens` are taken in turn.
fn in_blocks(samples: &[f32], lens: &[usize], mut f: impl FnMut(&[f32])) {
    let mut rest = samples;
    let mut lens = lens.iter().cycle();
    while !rest.is_empty() {
        let n = (*lens.next().unwrap()).min(rest.len());
        f(&rest[..n]);
        rest = &rest[n..];
    }
}

/// Resampler, front end and network at once: all frames of logits.
fn batch_logits(model: &Model, precision: Precision, sample_rate: u32, samples: &[f32]) -> Vec<f32> {
    let frontend = &model.manifest.frontend;
    let samples = resample(sample_rate, frontend.sample_rate, samples).unwrap();
    let frames = log_mel(frontend, &samples).unwrap();
    BatchEngine::load(model, precision).unwrap().run(&frames).unwrap()
}

/// The same in blocks, a pulse at a time. What the last pulse lacks is filled with NaN.
fn streamed_logits(model: &Model, precision: Precision, sample_rate: u32, samples: &[f32], lens: &[usize]) -> Vec<f32> {
    let frontend = &model.manifest.frontend;
    let mut resampler = Resampler::new(sample_rate, frontend.sample_rate).unwrap();
    let mut log_mel = LogMel::new(frontend).unwrap();
    let mut frames = Vec::new();
    in_blocks(samples, lens, |block| {
        resampler.process(block, |block| log_mel.process(block, |frame| frames.extend_from_slice(frame)));
    });
    resampler.finish(|block| log_mel.process(block, |frame| frames.extend_from_slice(frame)));

    let choice = if precision == Precision::F32 { PrecisionChoice::F32 } else { PrecisionChoice::Int8 };
    let mut engine = load_engine(model, choice).unwrap();
    let pulse_len = engine.pulse_frames() * engine.n_mels();
    frames.resize(frames.len().next_multiple_of(pulse_len), f32::NAN);
    let mut logits = vec![0.0; engine.n_classes()];
    let mut outputs = Vec::new();
    for pulse in frames.chunks(pulse_len) {
        if engine.push(pulse, &mut logits).unwrap() {
            outputs.extend_from_slice(&logits);
        }
    }
    outputs
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Everything that the daemon's worker makes of the samples.
fn transitions(model: &Model, sample_rate: u32, samples: &[f32], lens: &[usize]) -> Vec<Transition> {
    let rules = Rules::new(&model.manifest, &model.manifest.decision);
    let engine = load_engine(model, PrecisionChoice::F32).unwrap();
    let mut chain = Chain::new(&model.manifest, rules, engine, sample_rate, Arc::new(Status::default())).unwrap();
    let mut transitions = Vec::new();
    in_blocks(samples, lens, |block| {
        chain.push(block).unwrap();
        transitions.extend(chain.transitions());
    });
    chain.finish().unwrap();
    transitions.extend(chain.transitions());
    transitions
}

fn any_rate() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![16_000, 22_050, 24_000, 44_100, 48_000])
}

fn any_lens() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1_usize..50, 50_usize..5_000], 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn logits(sample_rate in any_rate(), lens in any_lens(), n_cut in 0_usize..60_000) {
        let samples = &scene()[n_cut..];
        for (model, precision) in networks() {
            let expected = batch_logits(&model, precision, sample_rate, samples);
            let actual = streamed_logits(&model, precision, sample_rate, samples, &lens);
            prop_assert!(!expected.is_empty() && expected.len() <= actual.len());
            prop_assert_eq!(bits(&actual[..expected.len()]), bits(&expected));
        }
    }

    #[test]
    fn events(sample_rate in any_rate(), lens in any_lens()) {
        for dir in [tiny::model(), tiny::window_model()] {
            let model = Model::load(&dir).unwrap();
            let samples = scene();
            let whole = transitions(&model, sample_rate, &samples, &[samples.len()]);
            prop_assert!(whole.len() >= 6, "{:?}", whole);
            prop_assert_eq!(transitions(&model, sample_rate, &samples, &lens), whole);
        }
    }
}
