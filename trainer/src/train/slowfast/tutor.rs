//! What a stage learns from a teacher besides the labels.
//!
//! Enters: the teacher's embeddings of the training clips. Leaves: in training the embedding of a
//! view, and at the end a classifier of embeddings that is merged into the network's head (see
//! [`crate::nets::teacher::regression`]).

use crate::common::progress;
use crate::common::random::{Purpose, normal, rng_for};
use crate::data::Places;
use crate::data::segments::{Segment, SegmentSet};
use crate::error::{Error, Result};
use crate::nets::teacher::regression::{Linear, mean_norm, regress};
use crate::nets::teacher::{EMBEDDING_WIDTH, Targets, Teacher, Tutor, standardise};
use crate::train::recipe::Recipe;
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
    /// If the data set is not a table of clips, the teacher cannot be read or a clip not be
    /// decoded.
    pub fn prepare(recipe: &Recipe, places: &Places, train: &SegmentSet) -> Result<Self> {
        let hop_seconds = recipe.frontend.hop_seconds();
        let tutor = Tutor::load(recipe.teacher.as_ref(), hop_seconds, &places.data_root, &places.cache)?;
        let (Some(settings), Some(tutor)) = (&recipe.teacher, tutor) else {
            return Err(Error::Usage("a teacher needs a [teacher] table".to_owned()));
        };
        let bar = progress::bar(train.segments().len() as u64, "teacher");
        let targets = train.segments().par_iter().enumerate().map(|(i, segment)| {
            let path = train.audio_path(i).filter(|_| segment.start == 0);
            let path = path.ok_or_else(|| {
                Error::input(train.path(), Some(segment.line), "[teacher] needs a file per clip: remove the table")
            })?;
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

    /// The embedding of the view of segment `index` that begins `start` samples into it:
    /// `(EMBEDDING_WIDTH)`.
    pub fn of_view(&self, index: usize, segment: &Segment, start: u64) -> &[f32] {
        let n_frames = (((segment.stop - segment.start) / self.hop_length) as usize).min(self.n_frames);
        let centre = (start / self.hop_length) as f32 + n_frames as f32 / 2.0;
        let targets = &self.targets[index];
        targets.row(targets.nearest(centre).unwrap_or(0))
    }

    /// What is added to the head: the classifier of the teacher's embeddings after their
    /// `prediction`, whose mean length is `predicted_norm`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn classifier(&self, prediction: &Linear, n_classes: usize, predicted_norm: f64) -> Result<Linear> {
        let rows: Vec<f32> = self.targets.iter().flat_map(|t| t.values.iter().copied()).collect();
        let labels: Vec<i64> =
            self.targets.iter().zip(&self.labels).flat_map(|(t, &l)| vec![l; t.centres.len()]).collect();
        let embeddings = Tensor::f_from_slice(&rows)?.f_view([-1, EMBEDDING_WIDTH as i64])?;
        let classifier = regress(&embeddings, &Tensor::f_from_slice(&labels)?, n_classes, self.settings.probe_c)?;
        let scale = mean_norm(&embeddings)? / predicted_norm.max(1e-6);
        tch::no_grad(|| classifier.after(prediction, scale, self.settings.probe_share))
    }
}

/// A second head with fresh weights, which predicts the teacher's embedding `(B, EMBEDDING_WIDTH)`
/// from features `(B, n_features)`.
///
/// # Errors
///
/// If libtorch cannot allocate it.
pub fn second_head(n_features: usize, seed: u64, device: Device) -> Result<Linear> {
    let mut rng = rng_for(seed, Purpose::Weights, u64::MAX);
    let std = 1.0 / (n_features as f32).sqrt();
    let draws: Vec<f32> = (0..EMBEDDING_WIDTH * n_features).map(|_| std * normal(&mut rng)).collect();
    let weight = Tensor::f_from_slice(&draws)?.f_view([EMBEDDING_WIDTH as i64, n_features as i64])?;
    let bias = Tensor::f_zeros([EMBEDDING_WIDTH as i64], (Kind::Float, Device::Cpu))?;
    Ok(Linear { weight: weight.f_to_device(device)?, bias: bias.f_to_device(device)? })
}
