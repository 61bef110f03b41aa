//! What networks say of segments.
//!
//! Enters: networks and a set of segments. Leaves: logits and posteriors of each view of each segment. Evaluation is always in
//! single precision. Networks that share a backbone share its computation.

use super::augment::min_max;
use crate::data::segments::{Loader, SegmentSet, View};
use crate::error::Result;
use crate::judge::scores::Scores;
use crate::nets::slowfast::{Pass, SlowFast};
use crate::train::recipe::Precision;
use indicatif::ProgressBar;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::{Device, Kind, Tensor};

/// Views that go through a network at once.
const VIEWS_A_BATCH: usize = 16;
/// Batches whose features are computed ahead.
const BATCHES_AHEAD: usize = 4;

/// A network with what is done to its input.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    /// The network.
    pub network: &'a SlowFast,
    /// Whether views are scaled to [0, 1].
    pub min_max: bool,
}

/// What a network says, `(n_segments, n_views, n_classes)` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Before softmax.
    pub logits: Vec<f32>,
    /// After softmax.
    pub posteriors: Vec<f32>,
}

/// What each of `models` says of `n_views` views of each segment.
///
/// # Errors
///
/// If a segment cannot be read or libtorch reports an error; [`crate::Error::Interrupted`] if `stop` was set.
pub fn predict(
    models: &[Model],
    set: &SegmentSet,
    n_views: usize,
    device: Device,
    stop: &AtomicBool,
) -> Result<Vec<Said>> {
    let views = distinct_views(set, n_views);
    let n_classes = models.first().map_or(0, |m| m.network.n_classes());
    let places = set.segments().len() * n_views * n_classes;
    let mut said: Vec<Said> =
        models.iter().map(|_| Said { logits: vec![0.0; places], posteriors: vec![0.0; places] }).collect();
    let leaders: Vec<usize> = (0..models.len()).map(|i| leader(models, i)).collect();
    let batches: Vec<Vec<(usize, View)>> = views.chunks(VIEWS_A_BATCH).map(<[_]>::to_vec).collect();
    let bar: ProgressBar = crate::common::progress::bar(views.len() as u64, "predicting");
    let plan = batches.clone();
    let mut loader = Loader::new(Arc::new(set.clone()), move |step| plan.get(step as usize).cloned(), 0, BATCHES_AHEAD);
    while let Some(batch) = loader.next() {
        let batch = batch?;
        if stop.load(Ordering::Relaxed) {
            return Err(crate::Error::Interrupted);
        }
        let items = &batches[batch.step as usize];
        let shape = [items.len() as i64, 1, set.n_frames() as i64, set.n_mels() as i64];
        let x = Tensor::f_from_slice(&batch.features)?.f_view(shape)?.f_to_device(device)?;
        let mut features: Vec<Option<Tensor>> = models.iter().map(|_| None).collect();
        for (i, model) in models.iter().enumerate() {
            if leaders[i] == i {
                features[i] = Some(embed(model, &x)?);
            }
            let Some(shared) = &features[leaders[i]] else { continue };
            let logits = tch::no_grad(|| model.network.classify(shared))?;
            let posteriors = logits.f_softmax(1, Kind::Float)?;
            let out = &mut said[i];
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
    Ok(said)
}

impl Said {
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
fn places_of(set: &SegmentSet, segment: usize, view: View, n_views: usize) -> std::ops::Range<usize> {
    match view {
        _ if set.is_whole(segment) => 0..n_views,
        View::Test { index, .. } => index..index + 1,
        View::Start(_) => 0..0,
    }
}

/// The first model with the backbone of model `i`.
fn leader(models: &[Model], i: usize) -> usize {
    let same = |a: &Model, b: &Model| a.min_max == b.min_max && a.network.shares_backbone(b.network);
    (0..i).find(|&j| same(&models[j], &models[i])).unwrap_or(i)
}

fn embed(model: &Model, x: &Tensor) -> Result<Tensor> {
    let scaled = if model.min_max { min_max(&x.f_squeeze_dim(1)?)?.f_unsqueeze(1)? } else { x.shallow_clone() };
    tch::no_grad(|| model.network.features(&scaled, &Pass::evaluation(Precision::F32)))
}
