//! What the decide stage decides by: the manifest's decision values (perhaps overridden by the
//! configuration) enter in milliseconds, rules in frames of logits leave. Built once, before the
//! stream starts.

use edge_frontend::{Activation, Decision, Manifest, NetworkKind};

/// An onset is looked for at least this far back from where the score crossed, seconds. Networks
/// are often sure of a sound only some seconds after its beginning.
const LOOKBACK_S: f64 = 5.0;

/// The rules of all classes and the geometry of the frames they apply to.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// From logits to posteriors.
    pub activation: Activation,
    /// What means over time are taken of.
    pub average: Average,
    /// Logits are divided by this.
    pub temperature: f32,
    /// Time from one frame of logits to the next, seconds.
    pub frame_period_s: f64,
    /// Time from a frame's place in the stream, `frame_period_s` times its index, to the start of
    /// the slot that it stands for, seconds.
    pub slot_offset_s: f64,
    /// Frames before the newest one in which the beginning of an event is looked for; a class's own
    /// window, where it is longer.
    pub lookback_frames: usize,
    /// No event begins while the level is below this, dBFS.
    pub level_gate_dbfs: Option<f32>,
    /// No event begins while the free energy of its window is below this.
    pub min_energy: Option<f32>,
    /// The class that stands for none of the others; it has no part in the energy.
    pub background: Option<usize>,
    /// By class; `None` for what takes part in the softmax and never is an event: the background,
    /// and labels that are not wanted.
    pub classes: Vec<Option<ClassRules>>,
}

/// What is averaged over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// Logits: mean and linear head commute, so this is what a streaming network would put out for
    /// the whole span.
    Logits,
    /// Posteriors, as the EPIC-SOUNDS recipe adds up the scores of a clip's views: nothing is known
    /// of a windowed network's end.
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
    /// Frames that the score is made of, at least 1.
    pub window_frames: usize,
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
    /// A longer event is cut at this length. Frames, at least `min_duration_frames`.
    pub max_duration_frames: u64,
}

impl Rules {
    /// The rules for a model under `decision`, which is the manifest's own or an overridden one.
    /// Both must be valid. There is no level gate.
    pub fn new(manifest: &Manifest, decision: &Decision) -> Self {
        let frontend = &manifest.frontend;
        let sample_rate = f64::from(frontend.sample_rate);
        let frame_period_s = (manifest.network.pulse_frames * frontend.hop_length) as f64 / sample_rate;
        let slot_centre_s = (manifest.network.slot_samples(frontend) - frontend.n_lead() as f64) / sample_rate;
        let frames = |ms: u32| f64::from(ms) / 1e3 / frame_period_s;
        let at_least = |ms: u32| frames(ms).ceil() as u64;
        let class = |label: &String| {
            let own = decision.of_class(label);
            let min_duration_frames = at_least(own.min_duration_ms).max(1);
            let reported = manifest.background.as_ref() != Some(label) && decision.reports(label);
            reported.then(|| ClassRules {
                window_frames: (frames(own.window_ms).round() as usize).max(1),
                threshold_on: own.threshold_on,
                threshold_off: own.threshold_off,
                min_duration_frames,
                min_gap_frames: at_least(own.min_gap_ms).max(1),
                cooldown_frames: at_least(own.cooldown_ms),
                max_duration_frames: (frames(own.max_duration_ms) as u64).max(min_duration_frames),
            })
        };
        Rules {
            activation: manifest.network.activation,
            average: Average::of(manifest.network.kind),
            temperature: decision.temperature,
            frame_period_s,
            // A hop longer than the receptive field would let the first slot begin before the
            // stream.
            slot_offset_s: (slot_centre_s - frame_period_s / 2.0).max(0.0),
            lookback_frames: ((LOOKBACK_S / frame_period_s).round() as usize).max(1),
            level_gate_dbfs: None,
            min_energy: decision.min_energy,
            background: manifest.background.as_ref().and_then(|b| manifest.labels.iter().position(|label| label == b)),
            classes: manifest.labels.iter().map(class).collect(),
        }
    }

    /// Those of `labels`, the model's, that can be events at all, each with whether it is reported.
    pub fn reported<'a>(&'a self, labels: &'a [String]) -> impl Iterator<Item = (&'a str, bool)> {
        let classes = labels.iter().zip(&self.classes).enumerate();
        classes
            .filter(|(class_id, _)| Some(*class_id) != self.background)
            .map(|(_, (label, class))| (label.as_str(), class.is_some()))
    }

    /// Frames of the longest window of a class, at least 1.
    pub fn longest_window(&self) -> usize {
        self.classes.iter().flatten().map(|class| class.window_frames).max().unwrap_or(1)
    }
}
