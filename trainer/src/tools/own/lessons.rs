//! What the body of the network makes of the sounds.
//!
//! Enters: all sounds of a training. Leaves: the means of the network's features over windows as
//! long as the daemon decides on, each with what it is. They are computed once: the body does not
//! change, and the head and the mean commute. Runs on the training thread.

use super::head::Rows;
use super::material::Material;
use super::recordings::Recordings;
use super::sounding::{Sounding, log_mel};
use super::start::{Classes, Start};
use crate::common::progress;
use crate::common::random::{Purpose, rng_for};
use crate::error::Result;
use crate::nets::Precision;
use crate::train::student::{input, whole_clip};
use edge::classify::frames_of_output;
use edge_frontend::FrontendConfig;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Versions of each of the user's sounds, the first as it was recorded.
const N_VERSIONS: usize = 6;
/// The same of all others.
const N_VERSIONS_OTHER: usize = 2;
/// A window is one of the sound if this share of the outputs that hear it, or of the window, is in
/// it.
const SHARE: f64 = 0.75;
/// Outputs from one window to the next, of the user's sounds and of others.
const HOP: usize = 2;
const HOP_OTHER: usize = 6;
/// What each kind of sound counts, however many there are of it.
const WEIGHT: f64 = 1.0;

/// Windows of features.
#[derive(Debug)]
pub struct Lessons {
    /// `(N, n_channels)`.
    features: Tensor,
    /// For each window what it is of.
    owners: Vec<usize>,
    sounds: Vec<Taught>,
    /// Recordings of the user's classes, which come first.
    n_own: usize,
}

/// A recording of the user's, or a clip of something else.
#[derive(Debug, Clone, Copy)]
struct Taught {
    role: Role,
    fold: u32,
    n_windows: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Role {
    /// One of the user's classes.
    Class(usize),
    /// The user's negatives.
    Negative,
    /// Of the generator.
    Generated,
}

/// The body of a network.
pub struct Ear<'a> {
    start: &'a Start,
    /// Outputs that the daemon decides on.
    n_window: usize,
    field: usize,
    pulse: usize,
    /// What the first output stands for, in frames.
    first: Range<usize>,
}

impl<'a> Ear<'a> {
    /// The body of the start's network.
    pub fn new(start: &'a Start) -> Self {
        let manifest = &start.model.manifest;
        let network = &manifest.network;
        let (field, pulse) = (network.receptive_field_frames, network.pulse_frames);
        let first = frames_of_output(&manifest.frontend, network);
        let output_ms = pulse as f64 * manifest.frontend.hop_seconds() * 1e3;
        let n_window = ((f64::from(manifest.decision.window_ms) / output_ms).round() as usize).max(1);
        Self { start, n_window, field, pulse, first }
    }

    /// Frames that a window may hear before or after a sound.
    pub fn n_around(&self) -> usize {
        self.field + self.n_window * self.pulse
    }

    fn frontend(&self) -> &FrontendConfig {
        &self.start.model.manifest.frontend
    }

    /// Mean features `(n, n_channels)` of the windows of `frames`, at least a receptive field, that
    /// begin at every `hop`th output and are `wanted`.
    fn windows(&self, frames: &[f32], hop: usize, wanted: impl Fn(usize) -> bool) -> Result<Option<Tensor>> {
        let student = &self.start.student;
        let x = input(student, frames, Device::Cpu)?;
        let features = tch::no_grad(|| student.embed(&x, Precision::F32, false))?.f_squeeze_dim(0)?;
        let n_outputs = features.size()[1] as usize;
        let n_window = self.n_window.min(n_outputs);
        let mean = |at: usize| {
            let window = features.f_narrow(1, at as i64, n_window as i64)?;
            Ok(window.f_mean_dim([1i64].as_slice(), false, Kind::Float)?)
        };
        let means = (0..=n_outputs - n_window).step_by(hop).filter(|&at| wanted(at)).map(mean);
        let means = means.collect::<Result<Vec<_>>>()?;
        Ok(if means.is_empty() { None } else { Some(Tensor::f_stack(&means, 0)?) })
    }

    /// Which windows are of the sound: those that hold enough of the outputs that hear half of it,
    /// or have half of what they stand for in it.
    fn hears(&self, sounding: &Sounding) -> impl Fn(usize) -> bool {
        let (frames, first, pulse, n_window) = (sounding.frames.clone(), self.first.clone(), self.pulse, self.n_window);
        let hears = move |output: usize| {
            let (from, to) = (output * pulse + first.start, output * pulse + first.end);
            let n_heard = to.min(frames.end).saturating_sub(from.max(frames.start));
            2 * n_heard >= frames.len().min(first.len())
        };
        let n_outputs = (sounding.frames.end / pulse) + 1;
        let n_hearing = (0..n_outputs).filter(|&output| hears(output)).count();
        let least = (SHARE * n_hearing.min(n_window) as f64).ceil() as usize;
        move |at| (at..at + n_window).filter(|&output| hears(output)).count() >= least.max(1)
    }
}

impl Lessons {
    /// Listens to everything. Deterministic by `seed`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn hear(ear: &Ear, material: &Material, recordings: &Recordings, classes: &Classes, seed: u64) -> Result<Self> {
        let frontend = ear.frontend();
        let taught = |role: Role, fold: u32| Taught { role, fold, n_windows: 0 };
        let own = recordings.files.iter().map(|f| taught(Role::Class(classes.own[f.class]), f.fold));
        let others = material.others.iter().map(|other| {
            taught(if other.is_recorded { Role::Negative } else { Role::Generated }, other.clip.fold().unwrap_or(0))
        });
        let mut sounds: Vec<Taught> = own.chain(others).collect();
        let n_own = recordings.files.len();
        let (mut features, mut owners) = (Vec::new(), Vec::new());
        let mut add = |owner: usize, windows: Option<Tensor>| {
            let Some(windows) = windows else { return };
            let n = windows.size()[0] as usize;
            sounds[owner].n_windows += n;
            owners.extend(std::iter::repeat_n(owner, n));
            features.push(windows);
        };
        let bar = progress::bar((material.own.len() + material.others.len()) as u64, "listening");
        for (at, (file, sounding)) in material.own.iter().enumerate() {
            let hears = ear.hears(sounding);
            for version in 0..N_VERSIONS {
                let mut rng = rng_for(seed, Purpose::Mix, (at * N_VERSIONS + version) as u64);
                let power = match version {
                    0 => material.beds.plain(sounding),
                    _ => material.beds.varied(sounding, &mut rng),
                };
                add(*file, ear.windows(&log_mel(&power, frontend), HOP, &hears)?);
            }
            bar.inc(1);
        }
        for (at, other) in material.others.iter().enumerate() {
            let frames = other.clip.frames.all()?;
            let whole = Sounding::whole(&frames, frontend);
            for version in 0..N_VERSIONS_OTHER {
                let mut rng = rng_for(seed, Purpose::Crop, (at * N_VERSIONS_OTHER + version) as u64);
                let varied = (version > 0).then(|| log_mel(&material.beds.varied(&whole, &mut rng), frontend));
                let network = &ear.start.model.manifest.network;
                let frames = whole_clip(frontend, network, varied.as_deref().unwrap_or(&frames));
                add(n_own + at, ear.windows(&frames, HOP_OTHER, |_| true)?);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(Self { features: Tensor::f_cat(&features, 0)?, owners, sounds, n_own })
    }

    /// What a head learns from without the fold `held_out`: each class counts the same, and each
    /// recording of it; so do the user's negatives together, and all that is generated.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn rows(&self, held_out: Option<u32>) -> Result<Rows> {
        let taught = |sound: &Taught| Some(sound.fold) != held_out && sound.n_windows > 0;
        let n_of = |role| self.sounds.iter().filter(|s| taught(s) && s.role == role).count() as f64;
        let weight_of = |sound: &Taught| (WEIGHT / n_of(sound.role) / sound.n_windows as f64) as f32;
        let class = |sound: &Taught| match sound.role {
            Role::Class(class) => Some(class),
            Role::Negative | Role::Generated => None,
        };
        let weights: Vec<f32> = self.sounds.iter().map(weight_of).collect();
        let chosen: Vec<usize> = (0..self.owners.len()).filter(|&i| taught(&self.sounds[self.owners[i]])).collect();
        let index: Vec<i64> = chosen.iter().map(|&i| i as i64).collect();
        Ok(Rows {
            features: self.features.f_index_select(0, &Tensor::f_from_slice(&index)?)?,
            classes: chosen.iter().map(|&i| class(&self.sounds[self.owners[i]])).collect(),
            weights: chosen.iter().map(|&i| weights[self.owners[i]]).collect(),
        })
    }

    /// Features of all windows of other sounds that the fold `held_out` holds out, `(N,
    /// n_channels)`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn others(&self, held_out: u32) -> Result<Tensor> {
        let is_held_out = |owner: usize| owner >= self.n_own && self.sounds[owner].fold == held_out;
        let index: Vec<i64> =
            (0..self.owners.len()).filter(|&i| is_held_out(self.owners[i])).map(|i| i as i64).collect();
        Ok(self.features.f_index_select(0, &Tensor::f_from_slice(&index)?)?)
    }
}
