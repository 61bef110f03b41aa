//! What was reported of a recording: onsets and offsets enter, each with the time of its report;
//! detections leave.

use edge_evaluate::Detection;

use crate::decide::{Phase, Transition};

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
