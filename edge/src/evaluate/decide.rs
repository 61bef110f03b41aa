//! The decide stage, replayed: what was heard and rules enter, detections leave.

use super::{Detection, Heard};
use crate::decide::{Decider, Output, Phase, Rules, Transition};
use crate::pipeline::until;

/// What the daemon would have reported of a recording under `rules`: under those that it was heard with, exactly what it did
/// report.
///
/// # Panics
///
/// When `rules` are for another number of classes.
pub fn decide(rules: &Rules, heard: &Heard) -> Vec<Detection> {
    let mut decider = Decider::new(rules.clone());
    let mut detections = Detections::new(heard.n_classes);
    for at in 0..heard.n_outputs() {
        let output = Output {
            t_start_s: heard.t_start_s[at],
            level_dbfs: heard.level_dbfs[at],
            logits: &heard.logits[at * heard.n_classes..(at + 1) * heard.n_classes],
        };
        decider.push(&output, |transition| {
            if let Some(transition) = until(heard.duration_s, transition) {
                detections.take(&transition, heard.t_heard_s[at]);
            }
        });
    }
    decider.flush(|transition| {
        if let Some(transition) = until(heard.duration_s, transition) {
            detections.take(&transition, heard.duration_s);
        }
    });
    detections.finish()
}

/// Turns onsets and offsets into detections, in the order of their reports.
pub(super) struct Detections {
    detections: Vec<Detection>,
    /// By class, the one that has no offset yet.
    open: Vec<Option<usize>>,
}

impl Detections {
    pub(super) fn new(n_classes: usize) -> Self {
        Detections { detections: Vec::new(), open: vec![None; n_classes] }
    }

    /// Takes what was reported when `t_reported_s` of the recording had been heard.
    pub(super) fn take(&mut self, transition: &Transition, t_reported_s: f64) {
        let Transition { class_id, t_onset_s, peak_score, .. } = *transition;
        match (transition.phase, transition.t_offset_s) {
            (Phase::Onset, _) => {
                self.open[class_id] = Some(self.detections.len());
                self.detections.push(Detection {
                    class_id,
                    onset_s: t_onset_s,
                    offset_s: t_onset_s,
                    score: peak_score,
                    t_reported_s,
                });
            }
            (Phase::Offset, t_offset_s) => {
                if let Some(at) = self.open[class_id].take() {
                    let detection = &mut self.detections[at];
                    detection.offset_s = t_offset_s.unwrap_or(detection.onset_s);
                    detection.score = peak_score;
                }
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Detection> {
        self.detections
    }
}
