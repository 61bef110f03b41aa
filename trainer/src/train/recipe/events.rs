//! `[events]`: the last training, which teaches a network that knows clips when a sound begins and ends.

use serde::{Deserialize, Serialize};

/// Training on short scenes with the truth of every output: sounds that begin and end anywhere, alone or over each other, in background
/// and beside sounds that are none of the classes. Without the table there is no such stage, and the model is one of clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// How a model says that it is none of the classes.
    pub head: Head,
    /// Time from the middle of the slot that an output stands for to the end of what it hears: what is waited for before an answer.
    pub lookahead_ms: f64,
    /// Length of a scene in frames.
    pub scene_frames: usize,
    /// Scenes a step.
    pub batch: usize,
    /// Passes over the training clips.
    pub epochs: u64,
    /// Peak learning rate (AdamW, linear warm-up over a tenth, cosine to zero).
    pub lr: f64,
    /// Decay of the exponential moving average of the weights.
    pub ema: f64,
    /// Share of scenes without any sound of the classes.
    pub empty: f32,
    /// Share of the other scenes with a second sound.
    pub second: f32,
    /// Share of scenes with a sound that is none of the classes.
    pub foreign: f32,
    /// Generated clips of each kind of such sounds, besides the background recordings of the data.
    pub foreign_clips: usize,
    /// Level of a sound over the background: lowest and highest.
    pub snr_db: [f32; 2],
    /// Level of a sound that is none of the classes over the background: lowest and highest.
    pub foreign_snr_db: [f32; 2],
    /// Share of scenes in a reverberant room.
    pub reverb: f32,
    /// Reverberation time, the shortest and the longest.
    pub reverb_s: [f32; 2],
    /// Energy of the reverberation beside that of the direct sound: lowest and highest.
    pub reverb_db: [f32; 2],
    /// A random smooth equaliser for each sound, within plus and minus this: what a room's reflections and the place do to it.
    pub sound_eq_db: f32,
    /// The microphone's cut of low frequencies, of 12 dB an octave: lowest and highest corner.
    pub low_cut_hz: [f32; 2],
    /// The same of high ones.
    pub high_cut_hz: [f32; 2],
}

/// What is behind the network's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Each class on its own, so that sounds may overlap; the background is one of them.
    #[default]
    Sigmoid,
    /// Classes exclude each other and the background.
    Softmax,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            head: Head::Sigmoid,
            lookahead_ms: 240.0,
            scene_frames: 320,
            batch: 32,
            epochs: 40,
            lr: 1e-3,
            ema: 0.995,
            empty: 0.2,
            second: 0.35,
            foreign: 0.3,
            foreign_clips: 8,
            snr_db: [0.0, 30.0],
            foreign_snr_db: [0.0, 25.0],
            reverb: 0.7,
            reverb_s: [0.1, 0.8],
            reverb_db: [-12.0, 6.0],
            sound_eq_db: 5.0,
            low_cut_hz: [20.0, 150.0],
            high_cut_hz: [6000.0, 14_000.0],
        }
    }
}
