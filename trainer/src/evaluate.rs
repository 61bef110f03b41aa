//! Evaluation on a held-out fold.
//!
//! Enters: a trained network and clips it has not seen. Leaves: top-1 accuracy for each data set, over all classes and among
//! the set's own, and how often background is taken for an event. A clip's logits are the mean of its frame logits, without
//! those that hear only silence ([`loud_outputs`]), augmentation or repeated views.

use crate::data::{Clip, SetInfo};
use crate::error::Result;
use crate::student::{Student, receptive_field};
use edge::clip::loud_outputs;
use edge::decide::{Average, clip_posteriors};
use edge::engine::BatchEngine;
use edge::model::Model;
use edge_frontend::{Activation, FrontendConfig, Manifest};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Tensor};

/// Length of the windows of background that are looked at for false alarms, in seconds.
const BACKGROUND_WINDOW_S: f64 = 1.0;

/// Results of one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// For each data set, by name.
    pub sets: BTreeMap<String, SetResult>,
    /// On held-out background.
    pub background: Option<BackgroundResult>,
}

/// Results on one data set's held-out clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetResult {
    /// Clips evaluated.
    pub n: usize,
    /// Share of clips whose most likely class of all is right.
    pub top1: f64,
    /// Share of clips whose most likely class among the set's own is right: the figure to compare with published ones.
    pub top1_own_labels: f64,
    /// Mean negative log posterior of the right class over all classes.
    pub nll: f64,
}

/// Results on held-out background.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackgroundResult {
    /// Windows of one second.
    pub n_windows: usize,
    /// Share of windows in which some other class reaches a posterior of one half.
    pub false_alarms: f64,
}

/// What a training holds out.
#[derive(Debug)]
pub struct HeldOut {
    /// Data sets that the clips refer to.
    pub sets: Vec<SetInfo>,
    /// Labelled clips; none if everything is trained on.
    pub clips: Vec<Clip>,
    /// Background.
    pub negatives: Vec<Clip>,
    /// Index of the background label.
    pub background: Option<usize>,
    /// The network's front end.
    pub frontend: FrontendConfig,
    /// Where the network is.
    pub device: Device,
}

impl HeldOut {
    /// Evaluates `student`, whose logits `activation` turns into posteriors; none if nothing is held out.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn evaluate(&self, student: &Student, activation: Activation) -> Result<Option<Evaluation>> {
        self.evaluate_with(activation, |frames| clip_logits(student, frames, &self.frontend, self.device))
    }

    /// Evaluates the file for `precision` in the model folder `folder`, run as the daemon runs it.
    ///
    /// # Errors
    ///
    /// If the model has no such file, or does not run.
    pub fn evaluate_model(&self, folder: &Path, precision: edge::engine::Precision) -> Result<Option<Evaluation>> {
        let model = Model::load(folder)?;
        let engine = BatchEngine::load(&model, precision)?;
        let Manifest { frontend, network, labels, .. } = &model.manifest;
        let (n_classes, field) = (labels.len(), network.receptive_field_frames);
        self.evaluate_with(network.activation, |frames| {
            let frames = padded(frames, field * frontend.n_mels, silence(frontend));
            let logits = engine.run(&frames)?;
            let loud = loud_outputs(frontend, network.pulse_frames, field, &frames);
            let mean =
                |class: usize| loud.iter().map(|at| logits[at * n_classes + class]).sum::<f32>() / loud.len() as f32;
            Ok((0..n_classes).map(mean).collect())
        })
    }

    /// Evaluates whatever gives a clip's logits `(C)` for its frames `(n_frames, n_mels)`.
    fn evaluate_with(
        &self,
        activation: Activation,
        clip_logits: impl Fn(&[f32]) -> Result<Vec<f32>>,
    ) -> Result<Option<Evaluation>> {
        if self.clips.is_empty() {
            return Ok(None);
        }
        let mut sets = BTreeMap::new();
        for (index, set) in self.sets.iter().enumerate() {
            let (mut n, mut right, mut right_own, mut nll) = (0, 0, 0, 0.0);
            for clip in self.clips.iter().filter(|c| c.set == index) {
                let logits = clip_logits(&clip.frames)?;
                n += 1;
                right += usize::from(argmax(&logits, 0..logits.len()) == clip.label);
                right_own += usize::from(argmax(&logits, set.labels.iter().copied()) == clip.label);
                nll -= f64::from(posteriors(activation, &logits)[clip.label].max(1e-12).ln());
            }
            if n > 0 {
                let share = |count: usize| count as f64 / n as f64;
                let result =
                    SetResult { n, top1: share(right), top1_own_labels: share(right_own), nll: nll / n as f64 };
                sets.insert(set.name.clone(), result);
            }
        }
        let background = self.background.filter(|_| !self.negatives.is_empty());
        let background = background.map(|label| self.false_alarms(activation, &clip_logits, label)).transpose()?;
        Ok(Some(Evaluation { sets, background }))
    }

    fn false_alarms(
        &self,
        activation: Activation,
        clip_logits: impl Fn(&[f32]) -> Result<Vec<f32>>,
        background: usize,
    ) -> Result<BackgroundResult> {
        let window = (BACKGROUND_WINDOW_S / self.frontend.hop_seconds()) as usize * self.frontend.n_mels;
        let (mut n_windows, mut n_alarms) = (0, 0usize);
        for frames in self.negatives.iter().flat_map(|clip| clip.frames.chunks_exact(window)) {
            let posteriors = posteriors(activation, &clip_logits(frames)?);
            n_windows += 1;
            n_alarms += usize::from(posteriors.iter().enumerate().any(|(i, &p)| i != background && p >= 0.5));
        }
        Ok(BackgroundResult { n_windows, false_alarms: n_alarms as f64 / n_windows.max(1) as f64 })
    }
}

/// Logits `(C)` of a whole clip `(n_frames, n_mels)`. A clip shorter than the receptive field is followed by silence.
///
/// # Errors
///
/// If libtorch reports one.
pub fn clip_logits(student: &Student, frames: &[f32], frontend: &FrontendConfig, device: Device) -> Result<Vec<f32>> {
    let field = receptive_field(&student.network().layers);
    let frames = padded(frames, field * student.n_mels(), silence(frontend));
    let logits = student.frame_logits(&clip_input(student, &frames, silence(frontend), device)?)?;
    let loud = loud_outputs(frontend, student.network().pulse_frames(), field, &frames);
    let loud: Vec<i64> = loud.into_iter().map(|at| at as i64).collect();
    let logits = logits.f_index_select(2, &Tensor::f_from_slice(&loud)?.f_to_device(device)?)?;
    let logits = logits.f_mean_dim([2i64].as_slice(), false, tch::Kind::Float)?;
    Ok(Vec::try_from(&logits.f_squeeze_dim(0)?)?)
}

/// The normalised log-mel value of digital silence.
pub fn silence(frontend: &FrontendConfig) -> f32 {
    ((frontend.log_offset as f32).ln() - frontend.mean) / frontend.std
}

/// A whole clip `(n_frames, n_mels)` as the network takes it, `(1, T, n_mels)`: followed by `silence` up to the receptive field.
///
/// # Errors
///
/// If libtorch reports one.
pub fn clip_input(student: &Student, frames: &[f32], silence: f32, device: Device) -> Result<Tensor> {
    let n_mels = student.n_mels();
    let frames = padded(frames, receptive_field(&student.network().layers) * n_mels, silence);
    Ok(Tensor::f_from_slice(&frames)?.f_view([1, -1, n_mels as i64])?.f_to_device(device)?)
}

/// The frames, followed by `silence` up to `shortest` values.
fn padded(frames: &[f32], shortest: usize, silence: f32) -> Cow<'_, [f32]> {
    let mut frames = Cow::Borrowed(frames);
    if frames.len() < shortest {
        frames.to_mut().resize(shortest, silence);
    }
    frames
}

fn argmax(logits: &[f32], among: impl IntoIterator<Item = usize>) -> usize {
    among.into_iter().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0)
}

/// As the daemon computes them.
fn posteriors(activation: Activation, logits: &[f32]) -> Vec<f32> {
    clip_posteriors(activation, Average::Logits, 1.0, logits.len(), logits)
}
