//! What networks put out for segments.
//!
//! Enters: networks and a set of segments. Leaves: logits and posteriors of each view of each
//! segment. Evaluation is always in single precision. Networks that share a backbone share its
//! computation.

use crate::common::progress;
use crate::data::scores::Scores;
use crate::data::segments::{Loader, SegmentSet, View};
use crate::error::{Error, Result};
use crate::nets::Precision;
use crate::nets::slowfast::fused::Ensemble;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::{Device, Kind, Tensor};

/// Views that go through a network at once.
const VIEWS_A_BATCH: usize = 16;
/// Batches whose features are computed ahead.
const BATCHES_AHEAD: usize = 4;

/// What a network says, `(n_segments, n_views, n_classes)` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// Before softmax.
    pub logits: Vec<f32>,
    /// After softmax.
    pub posteriors: Vec<f32>,
}

/// What each network of `ensemble` outputs for `n_views` views of each segment.
///
/// # Errors
///
/// If a segment cannot be read or libtorch reports an error; [`Error::Interrupted`] if `stop` was
/// set.
pub fn predict(
    ensemble: &Ensemble,
    set: &SegmentSet,
    n_views: usize,
    device: Device,
    stop: &AtomicBool,
) -> Result<Vec<Predicted>> {
    let (views, n_classes) = (distinct_views(set, n_views), ensemble.n_classes());
    let zeros = vec![0.0; set.segments().len() * n_views * n_classes];
    let nothing = Predicted { logits: zeros.clone(), posteriors: zeros };
    let mut predicted = vec![nothing; ensemble.members().len()];
    let batches: Vec<Vec<(usize, View)>> = views.chunks(VIEWS_A_BATCH).map(<[_]>::to_vec).collect();
    let bar = progress::bar(views.len() as u64, "predicting");
    let plan = batches.clone();
    let mut loader = Loader::new(Arc::new(set.clone()), move |step| plan.get(step as usize).cloned(), 0, BATCHES_AHEAD);
    while let Some(batch) = loader.next() {
        let batch = batch?;
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let items = &batches[batch.step as usize];
        let shape = [items.len() as i64, 1, set.n_frames() as i64, set.n_mels() as i64];
        let x = Tensor::f_from_slice(&batch.features)?.f_view(shape)?.f_to_device(device)?;
        let scored = ensemble.score(&x, Precision::F32)?;
        for (logits, out) in scored.logits.into_iter().zip(&mut predicted) {
            let posteriors = logits.f_softmax(1, Kind::Float)?;
            for (tensor, out) in [(logits, &mut out.logits), (posteriors, &mut out.posteriors)] {
                let rows = Vec::<f32>::try_from(tensor.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?)?;
                for (row, (segment, view)) in rows.chunks_exact(n_classes).zip(items) {
                    for place in places_of(set, *segment, *view, n_views) {
                        let at = (segment * n_views + place) * n_classes;
                        out[at..at + n_classes].copy_from_slice(row);
                    }
                }
            }
        }
        bar.inc(items.len() as u64);
    }
    bar.finish_and_clear();
    Ok(predicted)
}

impl Predicted {
    /// The posteriors as scores, summed over views: rows add up to the number of views.
    ///
    /// # Errors
    ///
    /// If ids are not unique.
    pub fn scores(&self, set: &SegmentSet, n_views: usize, path: &Path) -> Result<Scores> {
        Ok(scores_of(&self.posteriors, set, n_views, path)?.summed())
    }

    /// The posteriors view by view.
    ///
    /// # Errors
    ///
    /// If ids are not unique.
    pub fn views(&self, set: &SegmentSet, n_views: usize, path: &Path) -> Result<Scores> {
        scores_of(&self.posteriors, set, n_views, path)
    }

    /// The logits view by view, in the form of scores.
    ///
    /// # Errors
    ///
    /// If ids are not unique.
    pub fn logits(&self, set: &SegmentSet, n_views: usize, path: &Path) -> Result<Scores> {
        scores_of(&self.logits, set, n_views, path)
    }
}

fn scores_of(values: &[f32], set: &SegmentSet, n_views: usize, path: &Path) -> Result<Scores> {
    let ids: Vec<String> = set.segments().iter().map(|s| s.annotation_id.clone()).collect();
    let n_classes = values.len() / (ids.len() * n_views).max(1);
    Scores::new(path, ids, n_views, n_classes, values.to_vec())
}

/// The views to compute: of a segment that is used whole, one stands for all.
fn distinct_views(set: &SegmentSet, n_views: usize) -> Vec<(usize, View)> {
    let of = |segment: usize| {
        let n = if set.is_whole(segment) { 1 } else { n_views };
        (0..n).map(move |index| (segment, View::Test { index, n_views }))
    };
    (0..set.segments().len()).flat_map(of).collect()
}

/// Which of a segment's views a computed one stands for.
fn places_of(set: &SegmentSet, segment: usize, view: View, n_views: usize) -> Range<usize> {
    match view {
        _ if set.is_whole(segment) => 0..n_views,
        View::Test { index, .. } => index..index + 1,
        View::Start(_) => 0..0,
    }
}
