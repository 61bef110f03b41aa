//! The result of `earwitness evaluate`: measured recordings enter, one JSON document leaves.

use std::collections::BTreeMap;
use std::path::Path;

use edge::engine::Precision;
use edge::model::Model;
use edge_evaluate::{Evaluation, Figures, false_alarms, found};
use serde::Serialize;

use super::recordings::Recording;

#[derive(Serialize)]
pub(super) struct Document {
    /// Name and version.
    pub(super) model: String,
    pub(super) precision: &'static str,
    pub(super) recordings: Vec<RecordingFigures>,
    /// Files that are recordings by their names and cannot be decoded.
    pub(super) skipped: Vec<Skipped>,
    /// Sounds that were left out, by label, because the model does not know them.
    pub(super) unknown: BTreeMap<String, usize>,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// A recording that was not measured.
#[derive(Serialize)]
pub(super) struct Skipped {
    pub(super) audio: String,
    pub(super) reason: String,
}

impl Skipped {
    pub(super) fn new(audio: &Path, reason: impl ToString) -> Self {
        Skipped { audio: audio.display().to_string(), reason: reason.to_string() }
    }
}

#[derive(Serialize)]
pub(super) struct RecordingFigures {
    pub(super) audio: String,
    pub(super) truth: String,
    pub(super) duration_s: f64,
    pub(super) n_sounds: usize,
    pub(super) n_detections: usize,
    pub(super) n_found: usize,
    pub(super) n_false_alarms: usize,
}

impl Document {
    pub(super) fn new(
        model: &Model,
        precision: Precision,
        recordings: &[Recording],
        skipped: Vec<Skipped>,
        unknown: BTreeMap<String, usize>,
        evaluation: &Evaluation,
    ) -> Self {
        let n_classes = evaluation.labels.len();
        let recording = |(at, recording): (usize, &Recording)| {
            let (truth, detections) = (&evaluation.truth[at..=at], &evaluation.detections[at..=at]);
            RecordingFigures {
                audio: recording.audio.display().to_string(),
                truth: recording.truth.display().to_string(),
                duration_s: evaluation.duration_s[at],
                n_sounds: truth[0].len(),
                n_detections: detections[0].len(),
                n_found: found(truth, detections, n_classes).iter().sum(),
                n_false_alarms: false_alarms(truth, detections, n_classes).iter().sum(),
            }
        };
        Document {
            model: model.id(),
            precision: precision.as_str(),
            recordings: recordings.iter().enumerate().map(recording).collect(),
            skipped,
            unknown,
            figures: evaluation.figures(),
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("a document has only string keys: {error}"))
    }
}
