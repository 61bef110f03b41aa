//! Other networks' scores of training clips.
//!
//! Enters: scores files by clip, the training clips. Leaves: posteriors over all labels, at the
//! temperature of the distillation, in each clip that a file has a row for. A file must be of
//! networks that have not seen the held-out fold.

use super::teach::Taught;
use crate::data::scores::Scores;
use crate::data::{Origin, SetInfo};
use crate::error::{Error, Result};
use crate::train::recipe::ScoreKind;
use std::collections::HashMap;
use std::path::PathBuf;

/// A scores file of the segments of a set.
#[derive(Debug, Clone)]
pub struct Scored {
    /// The set: index of [`crate::data::Corpus::sets`], whose labels are the file's columns.
    pub set: usize,
    /// The file.
    pub path: PathBuf,
    /// Weight among the files.
    pub weight: f64,
    /// What the file holds.
    pub kind: ScoreKind,
}

/// Adds the posteriors of the `files` to `clips`; where several know a clip, their weighted mean.
/// `sets` are the corpus', which has `n_classes` classes.
///
/// # Errors
///
/// If a file cannot be read, has another number of classes than its set has labels, or knows no
/// clip of it.
pub fn attach(
    clips: &mut [Taught],
    sets: &[SetInfo],
    n_classes: usize,
    files: &[Scored],
    temperature: f64,
) -> Result<()> {
    let mut sums: Vec<(Vec<f32>, f32)> = vec![(Vec::new(), 0.0); clips.len()];
    for file in files {
        let scores = Scores::read(&file.path)?;
        let SetInfo { name, labels } = &sets[file.set];
        if labels.len() != scores.n_classes {
            let (expected, actual) = (labels.len(), scores.n_classes);
            return Err(Error::content(&file.path, format!("{name}: expected {expected} classes, actual {actual}")));
        }
        let rows: HashMap<&str, usize> =
            scores.annotation_id.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
        let mut n_known = 0;
        let own = clips.iter().zip(&mut sums).filter(|(taught, _)| taught.clip.origin == Origin::Set(file.set));
        for (taught, (sum, weight)) in own {
            let Some(&row) = rows.get(taught.clip.id.as_str()) else { continue };
            n_known += 1;
            sum.resize(n_classes, 0.0);
            let width = scores.n_views * scores.n_classes;
            let views = &scores.scores[row * width..(row + 1) * width];
            let posteriors = posteriors(views, file.kind, labels.len(), temperature);
            labels.iter().zip(posteriors).for_each(|(&label, p)| sum[label] += file.weight as f32 * p);
            *weight += file.weight as f32;
        }
        if n_known == 0 {
            let message = format!("knows no clip of {name}: its rows should be named like the recordings");
            return Err(Error::content(&file.path, message));
        }
    }
    for (taught, (mut sum, weight)) in clips.iter_mut().zip(sums) {
        if weight > 0.0 {
            sum.iter_mut().for_each(|p| *p /= weight);
            taught.soft = Some(sum);
        }
    }
    Ok(())
}

/// Mean over views of the posteriors `(n_classes)` at the temperature of the distillation.
fn posteriors(views: &[f32], kind: ScoreKind, n_classes: usize, temperature: f64) -> Vec<f32> {
    let n_views = (views.len() / n_classes) as f64;
    let mut mean = vec![0.0f64; n_classes];
    for view in views.chunks_exact(n_classes) {
        let logit = |score: f32| match kind {
            ScoreKind::Logits => f64::from(score),
            ScoreKind::Posteriors => f64::from(score.max(1e-9)).ln(),
        };
        let largest = view.iter().map(|&s| logit(s)).fold(f64::NEG_INFINITY, f64::max);
        let exponentials: Vec<f64> = view.iter().map(|&s| ((logit(s) - largest) / temperature).exp()).collect();
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
        let of = |views: &[f32], kind| posteriors(views, kind, 2, 2.0);
        // Logits 0 and 2 ln 3: at temperature 2, odds of 3.
        let logits = [0.0, 2.0 * 3f32.ln()];
        let soft = of(&logits, ScoreKind::Logits);
        assert!((soft[0] - 0.25).abs() < 1e-6 && (soft[1] - 0.75).abs() < 1e-6, "{soft:?}");
        // The same as posteriors, for any sum: odds of 9.
        assert!((of(&[0.5, 4.5], ScoreKind::Posteriors)[1] - 0.75).abs() < 1e-6);
        let two = of(&[logits[0], logits[1], logits[1], logits[0]], ScoreKind::Logits);
        assert!((two[0] - 0.5).abs() < 1e-6, "{two:?}");
    }
}
