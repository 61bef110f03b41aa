//! From log-mel frames to events.

use std::hint::black_box;
use std::sync::Arc;

use edge::clock::Clock;
use edge::decide::{Decider, Output, Rules, Transition};
use edge::engine::{Engine, Precision, StreamEngine};
use edge::event::EventBuilder;
use edge::model::Model;
use edge::pipeline::Chain;
use edge::status::Status;

use crate::Stage;
use crate::input::{Pieces, home, scene};

/// Pulses of the scene that the network runs on before the stages after it begin: 24 s.
const N_PULSES: usize = 300;

/// The engine on one pulse of frames.
pub(crate) fn engine(precision: Precision) -> Stage {
    let (_, mut engine, mut pulses) = engine_and_pulses(precision);
    let mut logits = vec![0.0; engine.n_classes()];
    Stage::new(move || {
        engine.push(pulses.next(), &mut logits).expect("a pulse of the engine's size");
        black_box(&logits);
    })
}

/// The decisions on one frame of logits.
pub(crate) fn decide() -> Stage {
    let (model, rows) = logits();
    let mut rows = Pieces::of(rows, model.manifest.labels.len());
    let mut decider = Decider::new(rules(&model));
    let mut index = 0;
    Stage::new(move || {
        push(&mut decider, &mut index, rows.next(), |transition| {
            black_box(transition);
        });
    })
}

/// One onset or offset to its JSON line.
pub(crate) fn publish() -> Stage {
    let (model, rows) = logits();
    let mut decider = Decider::new(rules(&model));
    let mut transitions: Vec<Transition> = Vec::new();
    let mut index = 0;
    for row in rows.chunks(model.manifest.labels.len()) {
        push(&mut decider, &mut index, row, |transition| transitions.push(transition));
    }
    let mut transitions = Pieces::of(transitions, 1);
    let mut events = EventBuilder::new("kitchen", model.id(), &model.manifest.labels);
    let clock = Clock::starting_now();
    Stage::new(move || {
        for transition in transitions.next() {
            black_box(events.build(transition, |t_s| clock.wall_time(t_s)).to_json());
        }
    })
}

/// A second of mono samples to decisions.
pub(crate) fn chain(rate: u32) -> Stage {
    let model = home();
    let manifest = &model.manifest;
    let mut seconds = Pieces::of(scene(rate), rate as usize);
    let engine = StreamEngine::load(&model, Precision::Int8).expect("the model's own network");
    let mut chain = Chain::new(manifest, rules(&model), Box::new(engine), rate, Arc::new(Status::default()))
        .expect("the model's own chain");
    Stage::new(move || {
        // Blocks of 20 ms, as a sound card delivers them.
        for block in seconds.next().chunks(rate as usize / 50) {
            chain.push(block).expect("the model's own network");
            black_box(chain.transitions().count());
        }
    })
}

fn rules(model: &Model) -> Rules {
    Rules::new(&model.manifest, &model.manifest.decision)
}

/// The engine and the pulses of the scene.
fn engine_and_pulses(precision: Precision) -> (Model, StreamEngine, Pieces<f32>) {
    let model = home();
    let config = &model.manifest.frontend;
    let engine = StreamEngine::load(&model, precision).expect("the model's own network");
    let frames = edge_frontend::log_mel(config, &scene(config.sample_rate)).expect("the model's own front end");
    let pulses = Pieces::of(frames, engine.pulse_frames() * config.n_mels);
    (model, engine, pulses)
}

/// The model, and the logits of the scene's beginning, `(n_frames, n_classes)`.
fn logits() -> (Model, Vec<f32>) {
    let (model, mut engine, mut pulses) = engine_and_pulses(Precision::Int8);
    let mut logits = vec![0.0; engine.n_classes()];
    let mut rows = Vec::new();
    for _ in 0..N_PULSES {
        if engine.push(pulses.next(), &mut logits).expect("a pulse of the engine's size") {
            rows.extend_from_slice(&logits);
        }
    }
    (model, rows)
}

/// Has `decider` take the frame of logits number `index`.
fn push(decider: &mut Decider, index: &mut u64, logits: &[f32], on_transition: impl FnMut(Transition)) {
    let t_start_s = *index as f64 * decider.rules().frame_period_s;
    *index += 1;
    decider.push(&Output { t_start_s, level_dbfs: 0.0, logits }, on_transition);
}
