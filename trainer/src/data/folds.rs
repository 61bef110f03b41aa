//! Division of clips into folds.
//!
//! Enters: the class and the source of each clip. Leaves: a fold for each, from 1. Deterministic.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the clips are divided into folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FoldMode {
    /// The `fold` column of the table.
    #[default]
    Official,
    /// Five folds such that no source (`source_id`) is in two of them.
    Source,
}

/// Name of a run: `official-3`, `source-3`, or `all` if no fold is held out.
pub fn run_name(folds: FoldMode, fold: Option<u32>) -> String {
    match (folds, fold) {
        (_, None) => "all".to_owned(),
        (FoldMode::Official, Some(fold)) => format!("official-{fold}"),
        (FoldMode::Source, Some(fold)) => format!("source-{fold}"),
    }
}

/// Folds of a source-grouped division, as many as the official ones have.
pub const N_FOLDS: u32 = 5;

/// Divides clips so that no source is in two folds and each class is spread as evenly as that
/// allows: sources in order of size, each to the fold that has the fewest clips of its classes.
/// `clips` holds `(class, source)`.
pub fn by_source(clips: &[(usize, String)]) -> Vec<u32> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, (_, source)) in clips.iter().enumerate() {
        groups.entry(source).or_default().push(i);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let n_classes = clips.iter().map(|c| c.0 + 1).max().unwrap_or(0);
    let mut counts = vec![vec![0usize; n_classes]; N_FOLDS as usize];
    let mut folds = vec![0; clips.len()];
    for (_, members) in groups {
        let load = |fold: &Vec<usize>| {
            let of_its_classes: usize = members.iter().map(|&i| fold[clips[i].0]).sum();
            (of_its_classes, fold.iter().sum::<usize>())
        };
        let best = (0..counts.len()).min_by_key(|&f| load(&counts[f])).unwrap_or(0);
        for i in members {
            counts[best][clips[i].0] += 1;
            folds[i] = best as u32 + 1;
        }
    }
    folds
}

/// The frames of a recording that fold `fold` of `N_FOLDS` holds out: a stretch of time, the fold's
/// place in the recording.
pub fn held_out_stretch(n_frames: usize, fold: u32) -> std::ops::Range<usize> {
    let at = |k: u32| n_frames * k.min(N_FOLDS) as usize / N_FOLDS as usize;
    at(fold.saturating_sub(1))..at(fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_spans_folds_and_classes_are_even() {
        let clips: Vec<_> = (0..400).map(|i| (i % 10, format!("s{}", i % 130))).collect();
        let folds = by_source(&clips);
        let mut fold_of = BTreeMap::new();
        for ((_, source), fold) in clips.iter().zip(&folds) {
            assert_eq!(*fold_of.entry(source).or_insert(*fold), *fold, "{source}");
        }
        for class in 0..10 {
            for fold in 1..=N_FOLDS {
                let n = clips.iter().zip(&folds).filter(|(c, f)| c.0 == class && **f == fold).count();
                assert!((4..=12).contains(&n), "class {class}, fold {fold}: {n}");
            }
        }
        assert_eq!(folds, by_source(&clips));
    }

    #[test]
    fn stretches_cover_the_recording_once() {
        let covered: Vec<usize> = (1..=N_FOLDS).flat_map(|f| held_out_stretch(103, f)).collect();
        assert_eq!(covered, (0..103).collect::<Vec<_>>());
    }
}
