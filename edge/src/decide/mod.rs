//! From frame logits to events: frames of logits enter, onsets and offsets leave. Runs on the
//! worker thread.
//!
//! 1. The logits of a class's window, the last `window_ms`, are averaged and become its **score**,
//!    the posterior of the window as a whole: mean and linear head commute, so this is what the
//!    network would put out for the window. For a network that takes whole patches, the posteriors
//!    are averaged ([`Average`]).
//! 2. The same function of a frame's own logits is the frame's posterior. A frame *dominates* for a
//!    class when its posterior exceeds the class's `threshold_off`. Scores decide *whether* there
//!    is an event, dominating frames *when* it was.
//! 3. Each class runs through a state machine of its own (`machine`), independent of the others.
//!    Nothing begins while the level is below the gate, or the window's energy below `min_energy`.
//!
//! # Times
//!
//! A frame of logits stands for a slot one frame period long (80 ms) around the centre of its
//! receptive field. (Where patches of two seconds are evaluated every 200 ms, it is the middle 200
//! ms.) To find an event's onset, the dominating frames are followed back from the frame at which
//! the score reached `threshold_on`, across pauses too short to end an event (`min_gap_ms`). The
//! onset is the start of the slot of the earliest of them. They are followed back no further than
//! five seconds or the window, whichever is longer, and never into the previous event of the class
//! or its cooldown. Where no frame of the window dominates, the onset is the frame that crossed.
//! The offset is the end of the slot of the last dominating frame before the score fell below
//! `threshold_off`, or of the oldest frame of the last window before that, whichever is later; and
//! never later than `max_duration_ms` after the onset.
//!
//! # Real-time
//!
//! Nothing is allocated after construction. The mean is recomputed from the window for every frame
//! (a dozen additions per class), so a score depends on the window's frames alone and not on how
//! long the stream has been running.

mod machine;
mod rules;
mod score;
mod window;

pub use rules::{Average, ClassRules, Rules};
pub use window::clip_posteriors;

use serde::{Deserialize, Serialize};

use machine::{ClassState, Frame};
use score::Scorer;
use window::Window;

/// Whether a sound begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The sound was recognised and continues.
    Onset,
    /// The sound is over.
    Offset,
}

impl Phase {
    /// As in events: `onset`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Onset => "onset",
            Phase::Offset => "offset",
        }
    }
}

/// A confirmed onset, or the offset that ends it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transition {
    /// Index of the label in the manifest.
    pub class_id: usize,
    /// Whether the sound begins or ends.
    pub phase: Phase,
    /// Stream time of the onset, seconds.
    pub t_onset_s: f64,
    /// Stream time of the offset, seconds; `None` on an onset.
    pub t_offset_s: Option<f64>,
    /// Score in [0, 1] when the onset was confirmed.
    pub score: f32,
    /// Highest score in [0, 1] so far.
    pub peak_score: f32,
}

/// What the network outputs for a place in the stream.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Where the receptive field begins in the stream, seconds.
    pub t_start_s: f64,
    /// Level of the loudest pulse in the receptive field, dBFS.
    pub level_dbfs: f32,
    /// `(n_classes)`.
    pub logits: &'a [f32],
}

/// The decide stage of one stream.
#[derive(Debug)]
pub struct Decider {
    rules: Rules,
    window: Window,
    scorer: Scorer,
    scores: Vec<f32>,
    energies: Vec<f32>,
    states: Vec<ClassState>,
}

impl Decider {
    /// A decider at the start of a stream.
    pub fn new(rules: Rules) -> Self {
        let n_classes = rules.classes.len();
        Decider {
            window: Window::new(&rules, rules.longest_window().max(rules.lookback_frames)),
            scorer: Scorer::new(&rules),
            scores: vec![0.0; n_classes],
            energies: vec![0.0; n_classes],
            states: vec![ClassState::default(); n_classes],
            rules,
        }
    }

    /// What this decider decides by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes the next frame of logits and hands what follows from it to `on_transition`, in the
    /// order of the classes. No event of a class begins before its window has filled for the first
    /// time.
    ///
    /// # Panics
    ///
    /// When `output.logits` does not have one value per class.
    pub fn push(&mut self, output: &Output, mut on_transition: impl FnMut(Transition)) {
        let Decider { rules, window, scorer, scores, energies, states } = self;
        window.push(output.t_start_s + rules.slot_offset_s, output.logits);
        scorer.scores(window, scores, energies);
        let index = window.newest();
        let loud = rules.level_gate_dbfs.is_none_or(|gate| output.level_dbfs >= gate);
        for (class_id, (class, state)) in rules.classes.iter().zip(states).enumerate() {
            let Some(class) = class else { continue };
            let full = index + 1 >= class.window_frames as u64;
            let frame = Frame {
                class_id,
                index,
                score: scores[class_id],
                dominates: window.posterior(index, class_id) > class.threshold_off,
                may_begin: full && loud && rules.min_energy.is_none_or(|energy| energies[class_id] >= energy),
                lookback: rules.lookback_frames.max(class.window_frames),
            };
            if let Some(transition) = state.step(class, &frame, window, rules.frame_period_s) {
                on_transition(transition);
            }
        }
    }

    /// Scores of the newest window, one per class, in [0, 1]. All zero before the first frame.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Closes the open events and forgets the window: for the end of the stream, and for a gap in
    /// it.
    ///
    /// Frames pushed afterwards start afresh. What was not confirmed is dropped. A second flush has
    /// nothing left to close.
    pub fn flush(&mut self, mut on_transition: impl FnMut(Transition)) {
        for (class_id, state) in self.states.iter_mut().enumerate() {
            if let Some(transition) = state.close(class_id, self.rules.frame_period_s) {
                on_transition(transition);
            }
            *state = ClassState::default();
        }
        self.window.clear();
        self.scores.fill(0.0);
    }
}

#[cfg(test)]
pub(crate) mod tests;
