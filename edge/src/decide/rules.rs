//! What the decide stage decides by: the manifest's decision values (perhaps overridden by the configuration) enter in
//! milliseconds, rules in frames of logits leave. Built once, before the stream starts.

use edge_frontend::{Activation, Decision, Manifest, NetworkKind};

/// The rules of all classes and the geometry of the frames they apply to.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// From logits to posteriors.
    pub activation: Activation,
    /// What the sliding mean is taken of.
    pub average: Average,
    /// Span of the sliding mean, frames of logits.
    pub window_frames: usize,
    /// Time from one frame of logits to the next, seconds.
    pub frame_period_s: f64,
    /// Time from a frame's place in the stream, `frame_period_s` times its index, to the start of the slot that it stands for,
    /// seconds.
    pub slot_offset_s: f64,
    /// By class; `None` for the background, which takes part in the softmax and never is an event.
    pub classes: Vec<Option<ClassRules>>,
}

/// What is averaged over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// Logits: mean and linear head commute, so this is what a streaming network would say of the whole span.
    Logits,
    /// Posteriors, as the EPIC-SOUNDS recipe adds up the scores of a clip's views: nothing is known of a windowed network's end.
    Posteriors,
}

impl Average {
    /// What is averaged of the outputs of a network of this kind.
    pub fn of(kind: NetworkKind) -> Self {
        match kind {
            NetworkKind::Stream => Average::Logits,
            NetworkKind::Window => Average::Posteriors,
        }
    }
}

/// The rules of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassRules {
    /// An event begins when the score reaches this.
    pub threshold_on: f32,
    /// It ends when the score falls below this.
    pub threshold_off: f32,
    /// A shorter event is not reported. Frames, at least 1.
    pub min_duration_frames: u64,
    /// Fewer frames in a row below `threshold_off` do not end an event. At least 1.
    pub min_gap_frames: u64,
    /// Frames after an event that the next one of the class cannot reach into.
    pub cooldown_frames: u64,
}

impl Rules {
    /// The rules for a model under `decision`, which is the manifest's own or an overridden one. Both must be valid.
    pub fn new(manifest: &Manifest, decision: &Decision) -> Self {
        let frontend = &manifest.frontend;
        let sample_rate = f64::from(frontend.sample_rate);
        let frame_period_s = (manifest.network.pulse_frames * frontend.hop_length) as f64 / sample_rate;
        let n_field = (manifest.network.receptive_field_frames - 1) * frontend.hop_length + frontend.win_length;
        let field_centre_s = (n_field as f64 / 2.0 - frontend.n_lead() as f64) / sample_rate;
        let frames = |ms: u32| f64::from(ms) / 1e3 / frame_period_s;
        let at_least = |ms: u32| frames(ms).ceil() as u64;
        let class = |label: &String| {
            let own = decision.classes.get(label);
            (manifest.background.as_ref() != Some(label)).then(|| ClassRules {
                threshold_on: own.and_then(|c| c.threshold_on).unwrap_or(decision.threshold_on),
                threshold_off: own.and_then(|c| c.threshold_off).unwrap_or(decision.threshold_off),
                min_duration_frames: at_least(own.and_then(|c| c.min_duration_ms).unwrap_or(decision.min_duration_ms))
                    .max(1),
                min_gap_frames: at_least(own.and_then(|c| c.min_gap_ms).unwrap_or(decision.min_gap_ms)).max(1),
                cooldown_frames: at_least(own.and_then(|c| c.cooldown_ms).unwrap_or(decision.cooldown_ms)),
            })
        };
        Rules {
            activation: manifest.network.activation,
            average: Average::of(manifest.network.kind),
            window_frames: (frames(decision.window_ms).round() as usize).max(1),
            frame_period_s,
            // A hop longer than the receptive field would let the first slot begin before the stream.
            slot_offset_s: (field_centre_s - frame_period_s / 2.0).max(0.0),
            classes: manifest.labels.iter().map(class).collect(),
        }
    }
}
