//! Other networks' scores of training clips.
//!
//! Enters: `[[distill.scores]]`, the corpus. Leaves: posteriors over all labels, at the temperature of the distillation, in each clip
//! that a file has a row for. A file must be of networks that have not seen the held-out fold: its path names the fold.

use crate::data::Corpus;
use crate::error::{Error, Result};
use crate::judge::scores::Scores;
use crate::train::recipe::{Distill, ScoreFile, ScoreKind};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Stands for the name of the run in the path of a scores file.
const FOLD: &str = "{fold}";

/// Where the scores of `file` lie, for the run called `run` (such as `official-3`) of the recipe in the folder `base`.
pub fn path_of(file: &ScoreFile, base: &Path, run: &str) -> PathBuf {
    base.join(file.path.to_string_lossy().replace(FOLD, run))
}

/// Adds what the files say to the clips of `corpus`; where several know a clip, their weighted mean.
///
/// # Errors
///
/// If a file cannot be read, has another number of classes than its set has labels, or knows no clip of it.
pub fn attach(corpus: &mut Corpus, settings: &Distill, base: &Path, run: &str) -> Result<()> {
    let mut sums: Vec<(Vec<f32>, f32)> = vec![(Vec::new(), 0.0); corpus.clips.len()];
    for file in &settings.scores {
        let path = path_of(file, base, run);
        let scores = Scores::read(&path)?;
        let set = corpus.sets.iter().position(|s| s.name == file.set);
        let set = set.ok_or_else(|| Error::content(&path, format!("there is no data set {:?}", file.set)))?;
        let labels = corpus.labels_in_alphabetical_order(set);
        if labels.len() != scores.n_classes {
            let message = format!("{}: expected {} classes, actual {}", file.set, labels.len(), scores.n_classes);
            return Err(Error::content(&path, message));
        }
        let rows: HashMap<&str, usize> =
            scores.annotation_id.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
        let mut n_known = 0;
        for (clip, (sum, weight)) in corpus.clips.iter().zip(&mut sums).filter(|(clip, _)| clip.set == Some(set)) {
            let Some(&row) = rows.get(clip.name.as_str()) else { continue };
            n_known += 1;
            sum.resize(corpus.labels.len(), 0.0);
            let width = scores.n_views * scores.n_classes;
            let posteriors =
                posteriors(&scores.scores[row * width..(row + 1) * width], file.kind, labels.len(), settings);
            labels.iter().zip(posteriors).for_each(|(&label, p)| sum[label] += file.weight as f32 * p);
            *weight += file.weight as f32;
        }
        if n_known == 0 {
            let message = format!("knows no clip of {}: its rows should be named like the recordings", file.set);
            return Err(Error::content(&path, message));
        }
    }
    for (clip, (mut sum, weight)) in corpus.clips.iter_mut().zip(sums) {
        if weight > 0.0 {
            sum.iter_mut().for_each(|p| *p /= weight);
            clip.soft = Some(sum);
        }
    }
    Ok(())
}

/// Mean over views of the posteriors `(n_classes)` at the temperature of the distillation.
fn posteriors(views: &[f32], kind: ScoreKind, n_classes: usize, settings: &Distill) -> Vec<f32> {
    let n_views = (views.len() / n_classes) as f64;
    let mut mean = vec![0.0f64; n_classes];
    for view in views.chunks_exact(n_classes) {
        let logit = |score: f32| match kind {
            ScoreKind::Logits => f64::from(score),
            ScoreKind::Posteriors => f64::from(score.max(1e-9)).ln(),
        };
        let largest = view.iter().map(|&s| logit(s)).fold(f64::NEG_INFINITY, f64::max);
        let exponentials: Vec<f64> =
            view.iter().map(|&s| ((logit(s) - largest) / settings.temperature).exp()).collect();
        let total: f64 = exponentials.iter().sum();
        mean.iter_mut().zip(exponentials).for_each(|(m, e)| *m += e / total / n_views);
    }
    mean.into_iter().map(|p| p as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_softens_and_views_are_averaged() {
        let settings = Distill { temperature: 2.0, ..Distill::default() };
        let of = |views: &[f32], kind| posteriors(views, kind, 2, &settings);
        // Logits 0 and 2 ln 3: at temperature 2, odds of 3.
        let logits = [0.0, 2.0 * 3f32.ln()];
        let soft = of(&logits, ScoreKind::Logits);
        assert!((soft[0] - 0.25).abs() < 1e-6 && (soft[1] - 0.75).abs() < 1e-6, "{soft:?}");
        // The same as posteriors, whatever their sum: odds of 9.
        assert!((of(&[0.5, 4.5], ScoreKind::Posteriors)[1] - 0.75).abs() < 1e-6);
        let two = of(&[logits[0], logits[1], logits[1], logits[0]], ScoreKind::Logits);
        assert!((two[0] - 0.5).abs() < 1e-6, "{two:?}");
    }
}
