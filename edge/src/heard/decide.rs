//! The decide stage, replayed: what was heard and rules enter, detections leave.

use edge_evaluate::Detection;

use super::Heard;
use super::detections::Detections;
use crate::decide::{Decider, Output, Rules};
use crate::pipeline::until;

/// What the daemon would have reported of a recording under `rules`: under those that it was heard
/// with, exactly what it did report.
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
