//! From frame logits to events: frames of logits enter, onsets and offsets leave. Runs on the worker thread.
//!
//! 1. The logits of the last `window_ms` are averaged. Mean and linear head commute, so this is what the network would say of
//!    the window as a whole. Softmax or sigmoid of the mean is the window's posterior: the **score**. Of a network that takes
//!    whole patches, it is the posteriors that are averaged ([`Average`]).
//! 2. The same function of a frame's own logits is the frame's posterior. A frame *dominates* for a class when its posterior
//!    exceeds the class's `threshold_off`. Scores decide *whether* there is an event, dominating frames *when* it was.
//! 3. Each class runs through a state machine of its own (`machine`).
//!
//! # Times
//!
//! A frame of logits stands for a slot one frame period long (80 ms) around the centre of its receptive field. (Where patches
//! of two seconds are evaluated every 200 ms, it is the middle 200 ms.) An event's onset
//! is the start of the slot of the earliest frame of the run of dominating frames that ends nearest the frame at which the score
//! reached `threshold_on`; the run is followed back no further than the window, and never into the previous event of the class
//! or its cooldown; where no frame of the window dominates it is the frame that crossed. The offset is the end of the slot of
//! the last dominating frame before the score fell below `threshold_off`, or of the oldest frame of the last window before
//! that, whichever is later.
//!
//! # Real-time
//!
//! Nothing is allocated after construction. The mean is recomputed from the window for every frame (a dozen additions a class),
//! so a score depends on the window's frames alone and not on how long the stream has been running.

mod machine;
mod rules;
mod window;

pub use rules::{Average, ClassRules, Rules};
pub use window::clip_posteriors;

use crate::event::Phase;
use machine::{ClassState, Frame};
use window::Window;

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

/// The decide stage of one stream.
#[derive(Debug)]
pub struct Decider {
    rules: Rules,
    window: Window,
    scores: Vec<f32>,
    states: Vec<ClassState>,
}

impl Decider {
    /// A decider at the start of a stream.
    pub fn new(rules: Rules) -> Self {
        let n_classes = rules.classes.len();
        Decider {
            window: Window::new(rules.window_frames, n_classes, rules.activation, rules.average),
            scores: vec![0.0; n_classes],
            states: vec![ClassState::default(); n_classes],
            rules,
        }
    }

    /// What this decider decides by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes the next frame of `logits`, `(n_classes)`, and hands what follows from it to `on_transition`, in the order of the
    /// classes.
    ///
    /// `t_start_s` is the frame's place in the stream, seconds: its receptive field begins there. No event begins before the window has
    /// filled for the first time.
    ///
    /// # Panics
    ///
    /// When `logits` does not have one value a class.
    pub fn push(&mut self, t_start_s: f64, logits: &[f32], mut on_transition: impl FnMut(Transition)) {
        let t_slot_s = t_start_s + self.rules.slot_offset_s;
        self.window.push(t_slot_s, logits);
        self.window.scores(&mut self.scores);
        let index = self.window.newest();
        let full = self.window.is_full();
        for (class_id, (rules, state)) in self.rules.classes.iter().zip(&mut self.states).enumerate() {
            let Some(rules) = rules else { continue };
            let frame = Frame {
                class_id,
                index,
                score: self.scores[class_id],
                dominates: self.window.posterior(index, class_id) > rules.threshold_off,
                may_begin: full,
            };
            if let Some(transition) = state.step(rules, &frame, &self.window, self.rules.frame_period_s) {
                on_transition(transition);
            }
        }
    }

    /// Scores of the newest window, one a class, in [0, 1]. All zero before the first frame.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Closes the open events and forgets the window: for the end of the stream, and for a gap in it.
    ///
    /// Frames pushed afterwards start afresh. What was not confirmed is dropped. A second flush has nothing left to close.
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
mod tests;
