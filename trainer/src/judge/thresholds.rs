//! Thresholds of single classes, from recordings that the networks have not heard.
//!
//! Enters: the held-out clips and background of each fold, run through that fold's model as the
//! daemon runs it. Leaves: the score that each class reaches in each of them and holds for the
//! least duration of an event ([`Peaks`], one file per run), and of all folds' peaks together one
//! threshold per class: the lowest at which few recordings of other sounds raise a false alarm.

use crate::common::json;
use crate::data::Clip;
use crate::error::{Error, Result};
use edge::classify::surrounded;
use edge::decide::{Average, clip_posteriors};
use edge::engine::{BatchEngine, Precision};
use edge::model::Model;
use edge_frontend::ClassDecision;
use edge_frontend::Decision;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Name of the peaks in a run folder.
pub const PEAKS: &str = "peaks.json";

/// Share of recordings of other sounds in which a class may reach its threshold.
const FALSE_ALARMS: f64 = 0.01;
/// Thresholds are sought from here on, in steps, up to the highest. Lower ones, which clips alone
/// would allow, brought more false alarms and no more finds on generated scenes: a room holds more
/// than clips do.
const LOWEST: f32 = 0.5;
const HIGHEST: f32 = 0.95;
const STEP: f32 = 0.05;
/// A threshold is not raised where fewer than this share of the class's own recordings would reach
/// it: it would be deaf.
const LEAST_FOUND: f64 = 0.5;

/// What the classes reach in one recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    /// What is in the recording.
    pub label: String,
    /// For each class in the model's order, the highest score that it held for `min_duration_ms`; 0
    /// if the recording is shorter.
    pub scores: Vec<f32>,
}

/// The peaks of `clips` by the model in `folder`, in its 8-bit form where it has one.
///
/// # Errors
///
/// If the model does not load or run.
pub fn peaks(folder: &Path, clips: &[Clip]) -> Result<Vec<Peaks>> {
    let model = Model::load(folder)?;
    let int8 = model.network_file(Precision::Int8).is_some();
    let engine = BatchEngine::load(&model, if int8 { Precision::Int8 } else { Precision::F32 })?;
    let manifest = &model.manifest;
    let output_ms = manifest.network.pulse_frames as f64 * manifest.frontend.hop_seconds() * 1e3;
    let n_outputs = |ms: u32| ((f64::from(ms) / output_ms).round() as usize).max(1);
    let (window, held) = (n_outputs(manifest.decision.window_ms), n_outputs(manifest.decision.min_duration_ms));
    let (n_classes, temperature) = (manifest.labels.len(), manifest.decision.temperature);
    let of_clip = |clip: &Clip| {
        let frames = clip.frames.all()?;
        let logits = engine.run(&surrounded(&manifest.frontend, &manifest.network, &frames))?;
        let scores: Vec<Vec<f32>> = logits
            .windows(window * n_classes)
            .step_by(n_classes)
            .map(|frames| clip_posteriors(manifest.network.activation, Average::Logits, temperature, n_classes, frames))
            .collect();
        let least = |held: &[Vec<f32>], class: usize| held.iter().map(|s| s[class]).fold(1.0, f32::min);
        let peak = |class: usize| scores.windows(held).map(|held| least(held, class)).fold(0.0, f32::max);
        Ok(Peaks { label: manifest.labels[clip.label].clone(), scores: (0..n_classes).map(peak).collect() })
    };
    clips.iter().map(of_clip).collect()
}

/// Sets the thresholds of the classes in `decision` from the peaks in the run folders `runs`, or
/// right under them. `labels` are the model's; of `background` there are no events. A class without
/// held-out clips keeps the thresholds that it has.
///
/// # Errors
///
/// If there are no peaks, or they are of a model with other labels.
pub fn calibrate(decision: &mut Decision, runs: &[PathBuf], labels: &[String], background: Option<&str>) -> Result<()> {
    let mut peaks: Vec<Peaks> = Vec::new();
    for path in json::files(runs, PEAKS)? {
        let read: Vec<Peaks> = json::read(&path)?;
        if let Some(other) = read.iter().find(|p| p.scores.len() != labels.len()) {
            let message = format!("peaks of {} classes, expected {}", other.scores.len(), labels.len());
            return Err(Error::content(&path, message));
        }
        peaks.extend(read);
    }
    if peaks.is_empty() {
        return Err(Error::Usage("--thresholds: no peaks.json of a held-out fold in the folders given".to_owned()));
    }
    // Where nothing was held out of a class, there is nothing to choose by.
    decision.classes.retain(|label, _| labels.contains(label) && peaks.iter().all(|p| p.label != *label));
    let chosen = |label: &String| Some(label.as_str()) != background && !decision.classes.contains_key(label);
    let classes = labels.iter().enumerate().filter(|(_, label)| chosen(label));
    let calibrated = classes
        .map(|(class, label)| {
            let threshold_on = threshold(&peaks, class, label);
            let off = (threshold_on * decision.threshold_off / decision.threshold_on * 100.0).round() / 100.0;
            let set = ClassDecision {
                threshold_on: Some(threshold_on),
                threshold_off: Some(off),
                ..ClassDecision::default()
            };
            (label.clone(), set)
        })
        .collect::<BTreeMap<_, _>>();
    decision.classes.extend(calibrated);
    Ok(())
}

/// The lowest threshold with few false alarms, or the highest at which enough of the class's own
/// recordings are found.
fn threshold(peaks: &[Peaks], class: usize, label: &str) -> f32 {
    let share = |own: bool, threshold: f32| {
        let scores = peaks.iter().filter(|p| (p.label == label) == own).map(|p| p.scores[class]);
        let (n, n_over) = scores.fold((0, 0), |(n, over), s| (n + 1, over + usize::from(s >= threshold)));
        n_over as f64 / f64::from(n.max(1))
    };
    let n_steps = ((HIGHEST - LOWEST) / STEP).round() as usize;
    let mut chosen = LOWEST;
    for threshold in (0..=n_steps).map(|i| ((LOWEST + STEP * i as f32) * 100.0).round() / 100.0) {
        if share(true, threshold) < LEAST_FOUND {
            break;
        }
        chosen = threshold;
        if share(false, threshold) <= FALSE_ALARMS {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recordings(label: &str, scores: impl IntoIterator<Item = f32>) -> Vec<Peaks> {
        scores.into_iter().map(|s| Peaks { label: label.to_owned(), scores: vec![s] }).collect()
    }

    #[test]
    fn the_threshold_is_above_what_other_sounds_reach() {
        let others = recordings("rain", (0..100).map(|i| if i < 2 { 0.58 } else { 0.1 }));
        let own = recordings("tap", [0.9; 10]);
        // Two of a hundred reach 0.58: one too many.
        let peaks = [own, others].concat();
        assert_eq!(threshold(&peaks, 0, "tap"), 0.6);
        assert_eq!(threshold(&recordings("rain", [0.1; 10]), 0, "tap"), LOWEST, "no recording of its own");
    }

    #[test]
    fn a_class_is_not_made_deaf() {
        let peaks = [recordings("tap", [0.5, 0.5, 0.5, 0.9]), recordings("rain", [0.8; 10])].concat();
        assert_eq!(threshold(&peaks, 0, "tap"), 0.5);
    }
}
