//! Shared parts of the benches: each stage of the daemon with the model that ships and the demo
//! scene as its input. Criterion times the stages, `instructions` counts what they execute.

pub mod cost;
pub mod microphone;

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use edge::decide::{Decider, Output, Rules};
use edge::engine::{Engine, Precision, StreamEngine};
use edge::model::Model;
use edge::pipeline::Chain;
use edge::status::Status;
use edge_frontend::{LogMel, Resampler, log_mel};

/// A stage with its input. The input is the scene, piece after piece and then again from its
/// start, so that every kind of sound is in the mean.
pub struct Stage {
    step: Box<dyn FnMut()>,
}

impl Stage {
    fn new(step: impl FnMut() + 'static) -> Self {
        Stage { step: Box::new(step) }
    }

    /// Does the stage's work for one more piece of the scene.
    pub fn step(&mut self) {
        (self.step)();
    }
}

/// A stage by its name, which says how long a piece is, and what prepares it.
pub type Named = (&'static str, fn() -> Stage);

/// All stages in the order of the data flow. `chain` is the daemon's whole work from device samples
/// to decisions, with the network in 8 bits, as it runs on most processors.
pub const STAGES: [Named; 8] = [
    ("resample/48 kHz to 24 kHz, a second", || resample(48_000)),
    ("resample/44.1 kHz to 24 kHz, a second", || resample(44_100)),
    ("log-mel/a hop", log_mel_hop),
    ("engine/f32, a pulse", || engine(Precision::F32)),
    ("engine/int8, a pulse", || engine(Precision::Int8)),
    ("decide/a pulse", decide),
    ("chain/a second at 24 kHz", || chain(24_000)),
    ("chain/a second at 48 kHz", || chain(48_000)),
];

/// The model that ships as the default.
///
/// # Panics
///
/// If it cannot be loaded: a bench of something else would be misleading.
pub fn home() -> Model {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/home");
    Model::load(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
}

/// The demo scene at `sample_rate`, mono.
///
/// # Panics
///
/// If its own rate cannot be converted, which the front end's tests exclude.
pub fn scene(sample_rate: u32) -> Vec<f32> {
    let scene = sounds::demo_scene(1);
    edge_frontend::resample(scene.sample_rate, sample_rate, &scene.samples).expect("a usual rate")
}

/// The pieces of a recording, one after the other and then again from its start.
struct Pieces {
    values: Vec<f32>,
    n: usize,
    at: usize,
}

impl Pieces {
    /// Of `n` values each; an incomplete one at the end of `values` is left out.
    fn of(values: Vec<f32>, n: usize) -> Self {
        assert!(n > 0 && values.len() >= n, "the scene is longer than a piece of it");
        Pieces { values, n, at: 0 }
    }

    fn next(&mut self) -> &[f32] {
        if self.at + self.n > self.values.len() {
            self.at = 0;
        }
        self.at += self.n;
        &self.values[self.at - self.n..self.at]
    }
}

fn resample(from_hz: u32) -> Stage {
    let mut seconds = Pieces::of(scene(from_hz), from_hz as usize);
    let mut resampler = Resampler::new(from_hz, 24_000).expect("a usual rate");
    Stage::new(move || {
        resampler.process(seconds.next(), |block| {
            black_box(block);
        });
    })
}

fn log_mel_hop() -> Stage {
    let config = home().manifest.frontend;
    let mut hops = Pieces::of(scene(config.sample_rate), config.hop_length);
    let mut stage = LogMel::new(&config).expect("the model's own front end");
    Stage::new(move || {
        stage.process(hops.next(), |frame| {
            black_box(frame);
        });
    })
}

/// The engine, the pulses of the scene and what the engine will write into.
fn engine_and_pulses(precision: Precision) -> (Model, StreamEngine, Pieces, Vec<f32>) {
    let model = home();
    let config = &model.manifest.frontend;
    let engine = StreamEngine::load(&model, precision).expect("the model's own network");
    let frames = log_mel(config, &scene(config.sample_rate)).expect("the model's own front end");
    let (pulses, logits) = (Pieces::of(frames, engine.pulse_frames() * config.n_mels), vec![0.0; engine.n_classes()]);
    (model, engine, pulses, logits)
}

fn engine(precision: Precision) -> Stage {
    let (_, mut engine, mut pulses, mut logits) = engine_and_pulses(precision);
    Stage::new(move || {
        engine.push(pulses.next(), &mut logits).expect("a pulse of the engine's size");
        black_box(&logits);
    })
}

fn decide() -> Stage {
    let (model, mut engine, mut pulses, mut logits) = engine_and_pulses(Precision::F32);
    let n_pulses = pulses.values.len() / pulses.n;
    let mut rows = Vec::new();
    for _ in 0..n_pulses {
        if engine.push(pulses.next(), &mut logits).expect("a pulse of the engine's size") {
            rows.extend_from_slice(&logits);
        }
    }
    let mut rows = Pieces::of(rows, logits.len());
    let rules = Rules::new(&model.manifest, &model.manifest.decision);
    let period_s = rules.frame_period_s;
    let mut decider = Decider::new(rules);
    let mut index = 0_u64;
    Stage::new(move || {
        let output = Output { t_start_s: index as f64 * period_s, level_dbfs: 0.0, logits: rows.next() };
        index += 1;
        decider.push(&output, |transition| {
            black_box(transition);
        });
    })
}

fn chain(rate: u32) -> Stage {
    let model = home();
    let manifest = &model.manifest;
    let mut seconds = Pieces::of(scene(rate), rate as usize);
    let engine = StreamEngine::load(&model, Precision::Int8).expect("the model's own network");
    let rules = Rules::new(manifest, &manifest.decision);
    let mut chain = Chain::new(manifest, rules, Box::new(engine), rate, Arc::new(Status::default()))
        .expect("the model's own chain");
    Stage::new(move || {
        // Blocks of 20 ms, as a sound card delivers them.
        for block in seconds.next().chunks(rate as usize / 50) {
            chain.push(block).expect("the model's own network");
            black_box(chain.transitions().count());
        }
    })
}
