//! Evaluation on a held-out fold.
//!
//! Enters: a trained network and clips it has not seen. Leaves: top-1 accuracy for each data set,
//! over all classes and among the set's own, and how often background is taken for an event. A
//! clip's logits are the mean of its frame logits, without those that hear only silence
//! ([`loud_outputs`]), augmentation or repeated views.

use crate::data::frames::Frames;
use crate::data::{Clip, Origin, SetInfo};
use crate::error::Result;
use crate::judge::scores::Predictions;
use crate::judge::scores::predictions::Recording;
use crate::nets::student::Student;
use crate::train::student::{input, whole_clip};
use edge::classify::loud_outputs;
use edge::decide::{Average, clip_posteriors};
use edge::engine::{BatchEngine, Precision};
use edge::model::Model;
use edge_frontend::{Activation, FrontendConfig, Manifest};
use serde::{Deserialize, Serialize};
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
    /// Share of clips whose most likely class among the set's own is right: the figure to compare
    /// with published ones.
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
    /// Evaluates `student`; none if nothing is held out.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn evaluate(&self, student: &Student) -> Result<Option<Evaluation>> {
        if self.clips.is_empty() {
            return Ok(None);
        }
        let logits = self.ask(|frames| clip_logits(student, frames, &self.frontend, self.device))?;
        Ok(Some(self.measure(student.network().activation, &logits)))
    }

    /// What the network's files in the model folder `folder` say of all that is held out, run as
    /// the daemon runs them; none if nothing is held out. Clips come first, then the windows of
    /// background.
    ///
    /// # Errors
    ///
    /// If the model does not load or run.
    pub fn predict(&self, folder: &Path) -> Result<Option<Predictions>> {
        if self.clips.is_empty() {
            return Ok(None);
        }
        let model = Model::load(folder)?;
        let logits = self.ask_model(&model, Precision::F32)?;
        let int8 = model.network_file(Precision::Int8).is_some();
        let logits_int8 = int8.then(|| self.ask_model(&model, Precision::Int8)).transpose()?;
        let mut taken = BTreeMap::new();
        // A table may name a recording twice.
        let mut unique = |id: String| match taken.entry(id.clone()).and_modify(|n| *n += 1).or_insert(1) {
            1 => id,
            n => format!("{id}#{n}"),
        };
        let mut recordings = Vec::new();
        for clip in &self.clips {
            let set = match clip.origin {
                Origin::Set(set) => self.sets[set].name.clone(),
                Origin::Background | Origin::Generated => String::new(),
            };
            let id = unique(format!("{set}/{}", clip.name()));
            recordings.push(Recording { id, set, source: clip.source.clone(), label: clip.label });
        }
        for (clip, at, _) in self.windows() {
            let id = unique(format!("{}@{at}", clip.name()));
            recordings.push(Recording { id, set: String::new(), source: clip.source.clone(), label: clip.label });
        }
        let own = self.sets.iter().flat_map(|set| set.labels.iter().map(|&class| (set.name.clone(), class)));
        Ok(Some(Predictions {
            labels: model.manifest.labels.clone(),
            background: self.background,
            activation: model.manifest.network.activation,
            own: own.collect(),
            recordings,
            logits,
            logits_int8,
        }))
    }

    fn ask_model(&self, model: &Model, precision: Precision) -> Result<Vec<f32>> {
        let engine = BatchEngine::load(model, precision)?;
        let Manifest { frontend, network, labels, .. } = &model.manifest;
        let n_classes = labels.len();
        self.ask(|frames| {
            let frames = whole_clip(frontend, network, frames);
            let logits = engine.run(&frames)?;
            let loud = loud_outputs(frontend, network, &frames);
            let mean =
                |class: usize| loud.iter().map(|at| logits[at * n_classes + class]).sum::<f32>() / loud.len() as f32;
            Ok((0..n_classes).map(mean).collect())
        })
    }

    /// The logits of all clips and then of the windows of background, `(N, C)` row-major.
    fn ask(&self, clip_logits: impl Fn(&[f32]) -> Result<Vec<f32>>) -> Result<Vec<f32>> {
        let clips = self.clips.iter().map(|clip| clip.frames.clone());
        let mut all = Vec::new();
        for frames in clips.chain(self.windows().map(|(_, _, frames)| frames)) {
            all.extend(clip_logits(&frames.all()?)?);
        }
        Ok(all)
    }

    /// The windows of background: recording, number of the window in it, frames.
    fn windows(&self) -> impl Iterator<Item = (&Clip, usize, Frames)> {
        let length = (BACKGROUND_WINDOW_S / self.frontend.hop_seconds()) as usize;
        let negatives: &[Clip] = if self.background.is_some() { &self.negatives } else { &[] };
        negatives.iter().flat_map(move |clip| {
            let windows = 0..clip.frames.n_frames() / length;
            windows.map(move |at| (clip, at, clip.frames.part(at * length..(at + 1) * length)))
        })
    }

    /// Evaluates `logits` in the order of [`HeldOut::predict`], `(N, C)` row-major.
    ///
    /// # Panics
    ///
    /// If there are not as many as clips and windows.
    pub fn measure(&self, activation: Activation, logits: &[f32]) -> Evaluation {
        let n_windows = self.windows().count();
        let n_classes = logits.len() / (self.clips.len() + n_windows).max(1);
        let (of_clips, of_windows) = logits.split_at(self.clips.len() * n_classes);
        let mut sets = BTreeMap::new();
        for (index, set) in self.sets.iter().enumerate() {
            let (mut n, mut right, mut right_own, mut nll) = (0, 0, 0, 0.0);
            let rows = self.clips.iter().zip(of_clips.chunks_exact(n_classes));
            for (clip, logits) in rows.filter(|(clip, _)| clip.origin == Origin::Set(index)) {
                n += 1;
                right += usize::from(argmax(logits, 0..logits.len()) == clip.label);
                right_own += usize::from(argmax(logits, set.labels.iter().copied()) == clip.label);
                nll -= f64::from(posteriors(activation, logits)[clip.label].max(1e-12).ln());
            }
            if n > 0 {
                let share = |count: usize| count as f64 / n as f64;
                let result =
                    SetResult { n, top1: share(right), top1_own_labels: share(right_own), nll: nll / n as f64 };
                sets.insert(set.name.clone(), result);
            }
        }
        let background = self.background.filter(|_| !self.negatives.is_empty());
        let background = background.map(|label| {
            let alarm = |logits: &&[f32]| {
                posteriors(activation, logits).iter().enumerate().any(|(i, &p)| i != label && p >= 0.5)
            };
            let n_alarms = of_windows.chunks_exact(n_classes).filter(alarm).count();
            BackgroundResult { n_windows, false_alarms: n_alarms as f64 / n_windows.max(1) as f64 }
        });
        Evaluation { sets, background }
    }
}

/// Logits `(C)` of a whole clip `(n_frames, n_mels)`, with silence around it as [`whole_clip`]
/// says.
///
/// # Errors
///
/// If libtorch reports one.
pub fn clip_logits(student: &Student, frames: &[f32], frontend: &FrontendConfig, device: Device) -> Result<Vec<f32>> {
    let network = student.network().described();
    let frames = whole_clip(frontend, &network, frames);
    let logits = student.frame_logits(&input(student, &frames, device)?)?;
    let loud = loud_outputs(frontend, &network, &frames);
    let loud: Vec<i64> = loud.into_iter().map(|at| at as i64).collect();
    let logits = logits.f_index_select(2, &Tensor::f_from_slice(&loud)?.f_to_device(device)?)?;
    let logits = logits.f_mean_dim([2i64].as_slice(), false, tch::Kind::Float)?;
    Ok(Vec::try_from(&logits.f_squeeze_dim(0)?)?)
}

fn argmax(logits: &[f32], among: impl IntoIterator<Item = usize>) -> usize {
    among.into_iter().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0)
}

/// As the daemon computes them.
fn posteriors(activation: Activation, logits: &[f32]) -> Vec<f32> {
    clip_posteriors(activation, Average::Logits, 1.0, logits.len(), logits)
}

/// An evaluation in one line.
pub fn describe(evaluation: &Evaluation) -> String {
    let set = |(name, r): (&String, &SetResult)| {
        let [own, all] = [r.top1_own_labels, r.top1].map(|share| share * 100.0);
        format!("{name} {own:.1} % ({all:.1} % of all classes, nll {:.2}, {} clips)", r.nll, r.n)
    };
    let mut parts: Vec<String> = evaluation.sets.iter().map(set).collect();
    if let Some(b) = &evaluation.background {
        parts.push(format!("background false alarms {:.1} % of {} s", b.false_alarms * 100.0, b.n_windows));
    }
    parts.join(", ")
}
