//! What a stage learns from a teacher besides the labels.
//!
//! Enters: the teacher's embeddings of the training clips. Leaves: in training the embedding of a view, and at the end a
//! classifier of embeddings merged into the network's head (see [`crate::nets::teacher::probe`]). Both heads are linear in the same
//! features, so the second costs nothing once merged.

use super::recipe::{StagedData, StagedRecipe};
use crate::data::segments::{Segment, SegmentSet};
use crate::data::{Places, Targets};
use crate::error::{Error, Result};
use crate::nets::teacher::{EMBEDDING_WIDTH, Tutor, probe, standardise};
use crate::train::recipe::Teacher;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// The teacher's embeddings of the training clips, standardised over them.
#[derive(Debug)]
pub struct Lessons {
    settings: Teacher,
    targets: Vec<Targets>,
    labels: Vec<i64>,
    /// Frames of a view, and samples from one to the next.
    n_frames: usize,
    hop_length: u64,
}

impl Lessons {
    /// Computes the embeddings of `train`, or finds them in the cache.
    ///
    /// # Errors
    ///
    /// If the data set is not a table of clips, the teacher cannot be read or a clip not be decoded.
    pub fn prepare(recipe: &StagedRecipe, places: &Places, train: &SegmentSet) -> Result<Self> {
        let hop_seconds = recipe.frontend.hop_seconds();
        let tutor = Tutor::load(recipe.teacher.as_ref(), hop_seconds, &places.data_root, &places.cache)?;
        let (Some(settings), Some(tutor)) = (&recipe.teacher, tutor) else {
            return Err(Error::Usage("a teacher needs a [teacher] table".to_owned()));
        };
        let bar = crate::common::progress::bar(train.segments().len() as u64, "teacher");
        let targets = (0..train.segments().len()).into_par_iter().map(|segment| {
            let path = train.audio_path(segment).filter(|_| matches!(recipe.data, StagedData::Clips { .. }));
            let path = path.ok_or_else(|| Error::Usage("a teacher needs data of kind \"clips\"".to_owned()))?;
            bar.inc(1);
            tutor.targets(path)
        });
        let mut targets = targets.collect::<Result<Vec<_>>>()?;
        bar.finish_and_clear();
        standardise(targets.iter_mut());
        let labels = train.segments().iter().map(|s| s.class.unwrap_or(0) as i64).collect();
        let (n_frames, hop_length) = (train.n_frames(), recipe.frontend.hop_length as u64);
        Ok(Self { settings: settings.clone(), targets, labels, n_frames, hop_length })
    }

    /// Weight of the distance to the teacher in the loss.
    pub fn weight(&self) -> f64 {
        self.settings.loss_weight
    }

    /// The embedding of the view of segment `index` that begins `start` samples into it: `(EMBEDDING_WIDTH)`.
    pub fn of_view(&self, index: usize, segment: &Segment, start: u64) -> &[f32] {
        let n_frames = (((segment.stop - segment.start) / self.hop_length) as usize).min(self.n_frames);
        let centre = (start / self.hop_length) as f32 + n_frames as f32 / 2.0;
        let targets = &self.targets[index];
        targets.row(targets.nearest(centre).unwrap_or(0))
    }

    /// Weight `(n_classes, n_features)` and bias `(n_classes)` to be added to the head's: the classifier of the teacher's embeddings,
    /// behind the prediction `(weight, bias)` of the embedding, whose mean length is `predicted_norm`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn classifier(
        &self,
        prediction: &Prediction,
        n_classes: usize,
        predicted_norm: f64,
    ) -> Result<(Tensor, Tensor)> {
        let rows: Vec<f32> = self.targets.iter().flat_map(|t| t.values.iter().copied()).collect();
        let labels: Vec<i64> =
            self.targets.iter().zip(&self.labels).flat_map(|(t, &l)| vec![l; t.centres.len()]).collect();
        let embeddings = Tensor::f_from_slice(&rows)?.f_view([-1, EMBEDDING_WIDTH as i64])?;
        let labels = Tensor::f_from_slice(&labels)?;
        let (weight, bias) = probe::regress(&embeddings, &labels, n_classes, self.settings.probe_c)?;
        let (scale, share) = (probe::mean_norm(&embeddings)? / predicted_norm.max(1e-6), self.settings.probe_share);
        tch::no_grad(|| {
            let device = prediction.weight.device();
            let (weight, bias) = (weight.f_to_device(device)?, bias.f_to_device(device)?);
            let more_weight = weight.f_matmul(&prediction.weight)?.f_mul_scalar(scale * share)?;
            let more_bias = weight.f_mv(&prediction.bias)?.f_mul_scalar(scale)?.f_add(&bias)?.f_mul_scalar(share)?;
            Ok((more_weight, more_bias))
        })
    }
}

/// The second head, which predicts the teacher's embedding.
#[derive(Debug)]
pub struct Prediction {
    /// `(EMBEDDING_WIDTH, n_features)`.
    pub weight: Tensor,
    /// `(EMBEDDING_WIDTH)`.
    pub bias: Tensor,
}

impl Prediction {
    /// A head with fresh weights.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate it.
    pub fn new(n_features: usize, seed: u64, device: Device) -> Result<Self> {
        let mut rng = crate::common::random::rng_for(seed, crate::common::random::Purpose::Weights, u64::MAX);
        let std = 1.0 / (n_features as f32).sqrt();
        let draws: Vec<f32> =
            (0..EMBEDDING_WIDTH * n_features).map(|_| std * crate::common::random::normal(&mut rng)).collect();
        let weight = Tensor::f_from_slice(&draws)?.f_view([EMBEDDING_WIDTH as i64, n_features as i64])?;
        let bias = Tensor::f_zeros([EMBEDDING_WIDTH as i64], (Kind::Float, Device::Cpu))?;
        Ok(Self { weight: weight.f_to_device(device)?, bias: bias.f_to_device(device)? })
    }

    /// Embeddings `(B, EMBEDDING_WIDTH)` of features `(B, n_features)`.
    ///
    /// # Errors
    ///
    /// If the shape does not fit.
    pub fn of(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.f_linear(&self.weight, Some(&self.bias))?)
    }
}

/// Mean cosine distance between rows.
///
/// # Errors
///
/// If the shapes differ.
pub fn distance(predicted: &Tensor, given: &Tensor) -> Result<Tensor> {
    let similarity: Tensor = Tensor::f_cosine_similarity(predicted, given, 1, 1e-8)?;
    Ok(similarity.f_mean(Kind::Float)?.f_neg()?.f_add_scalar(1.0)?)
}
