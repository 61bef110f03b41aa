//! Shared parts of the benches: each stage of the daemon with the model that ships and the demo
//! scene as its input. Criterion times the stages, `instructions` counts what they execute,
//! `allocations` what they take from the heap.

pub mod allocator;
pub mod arithmetic;
pub mod cost;
mod input;
pub mod microphone;
mod stages;

use edge::engine::Precision;

pub use input::{home, scene};

/// A stage with its input. The input is the scene, piece after piece and then again from its
/// start, so that every kind of sound is in the mean.
pub struct Stage {
    step: Box<dyn FnMut()>,
}

impl Stage {
    fn new(step: impl FnMut() + 'static) -> Self {
        Stage { step: Box::new(step) }
    }

    /// The stage `name` after the pieces that fill what has a memory, and how many pieces are to be
    /// measured now.
    pub fn under_way((name, prepare): Named) -> (Self, u64) {
        let mut stage = prepare();
        let (n_first, n) = n_pieces(name);
        (0..n_first).for_each(|_| stage.step());
        (stage, n)
    }

    /// Does the stage's work for one more piece of the scene.
    pub fn step(&mut self) {
        (self.step)();
    }
}

/// A stage by its name, which says how long a piece is, and what prepares it.
pub type Named = (&'static str, fn() -> Stage);

/// All stages in the order of the data flow. A block is 20 ms of a 16-bit stereo device at 48 kHz.
/// `stft`, `mel` and `log` are the parts of `log-mel`; `publish` makes the JSON line of an event.
/// `chain` is the daemon's whole work from mono samples to decisions, with the network in 8 bits,
/// as it runs on most processors.
pub const STAGES: [Named; 14] = [
    ("conversion/a block", stages::conversion),
    ("ring/a block", stages::ring),
    ("resample/48 kHz to 24 kHz, a second", || stages::resample(48_000)),
    ("resample/44.1 kHz to 24 kHz, a second", || stages::resample(44_100)),
    ("stft/a hop", stages::stft),
    ("mel/a hop", stages::mel),
    ("log/a hop", stages::log),
    ("log-mel/a hop", stages::log_mel),
    ("engine/f32, a pulse", || stages::engine(Precision::F32)),
    ("engine/int8, a pulse", || stages::engine(Precision::Int8)),
    ("decide/a pulse", stages::decide),
    ("publish/an event", stages::publish),
    ("chain/a second at 24 kHz", || stages::chain(24_000)),
    ("chain/a second at 48 kHz", || stages::chain(48_000)),
];

/// Pieces of the stage `name` that fill what has a memory, and pieces to be measured after them: 10
/// s of the scene, or 1000 events.
pub fn n_pieces(name: &str) -> (u64, u64) {
    match name {
        _ if name.ends_with("block") => (50, 500),
        _ if name.ends_with("hop") || name.ends_with("event") => (100, 1_000),
        _ if name.ends_with("pulse") => (25, 125),
        _ => (2, 10),
    }
}
