//! EfficientAT mn04, a pretrained network to learn from.
//!
//! Enters: recordings. Leaves: embeddings along their time, which a second head of the network in
//! training learns to predict. They are computed once from the clean recording and cached. A
//! [`Listener`] hears the crops of the training themselves. [`regression`] classifies embeddings.

pub mod audioset;
pub mod ced;
mod listener;
pub mod mn04;
pub mod regression;

use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use mn04::Mn04;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tch::Tensor;

pub use listener::Listener;

/// EfficientAT mn04 as a teacher: a second head of the network in training predicts its embedding,
/// which knows far more sounds than the training clips show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teacher {
    /// `mn04_as_mAP_432.pt`, relative to the data root.
    pub weights: PathBuf,
    /// Weight of the cosine distance in the loss.
    pub loss_weight: f64,
    /// Window that an embedding covers.
    #[serde(default = "default_window")]
    pub window_s: f64,
    /// Time from one embedding to the next.
    #[serde(default = "default_hop")]
    pub hop_s: f64,
    /// Share of a classifier of the teacher's embeddings that is merged into the head at the end; 0
    /// for none.
    #[serde(default = "default_probe_share")]
    pub probe_share: f64,
    /// Weight of the training clips against the regularisation in that classifier: `|W|^2 / 2 + c *
    /// sum(loss)`.
    #[serde(default = "default_probe_c")]
    pub probe_c: f64,
    /// Added to the background's logit then, since that classifier knows no background.
    #[serde(default = "default_background_offset")]
    pub background_offset: f64,
    /// Share of a batch's crops that the teacher hears as the student does: mixed, filtered, with
    /// noise. For the others, and for all at 0, its embeddings of the clean clips are mixed as the
    /// clips are.
    #[serde(default)]
    pub online: f64,
}

impl Teacher {
    /// The same without what matters only after the last step.
    pub fn without_last_step(self) -> Self {
        Self { probe_share: 0.0, probe_c: 0.0, background_offset: 0.0, ..self }
    }
}

fn default_window() -> f64 {
    2.0
}

fn default_hop() -> f64 {
    0.5
}

fn default_probe_share() -> f64 {
    1.0
}

fn default_probe_c() -> f64 {
    0.001
}

fn default_background_offset() -> f64 {
    1.0
}

/// A teacher's embeddings of a clip, along its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Middle of each embedding's window, in frames of the network in training.
    pub centres: Vec<f32>,
    /// `(centres.len(), EMBEDDING_WIDTH)` row-major.
    pub values: Vec<f32>,
}

impl Targets {
    /// Index of the embedding whose window is centred nearest to `frame`.
    pub fn nearest(&self, frame: f32) -> Option<usize> {
        let distance = |i: &usize| (self.centres[*i] - frame).abs();
        (0..self.centres.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// Embedding `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        let width = self.values.len() / self.centres.len().max(1);
        &self.values[i * width..(i + 1) * width]
    }
}

/// Values of an embedding.
pub const EMBEDDING_WIDTH: usize = 384;
/// Windows that go through the teacher at once.
const WINDOWS_A_BATCH: usize = 16;

/// Computes a teacher's embeddings of recordings, or finds them in the cache.
#[derive(Debug)]
pub struct Tutor {
    /// One caller at a time: libtorch spreads the work over its own threads.
    network: Mutex<Mn04>,
    settings: Teacher,
    /// Names the weights and the settings in cache entries.
    key: String,
    cache: PathBuf,
    frames_per_second: f64,
}

impl Tutor {
    /// Loads a teacher, if there is one; `hop_seconds` is the hop of the frames that its targets
    /// are timed in.
    ///
    /// # Errors
    ///
    /// If the weights cannot be read.
    pub fn load(settings: Option<&Teacher>, hop_seconds: f64, data_root: &Path, cache: &Path) -> Result<Option<Self>> {
        let Some(settings) = settings.cloned() else { return Ok(None) };
        let path = data_root.join(&settings.weights);
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let mut digest = Sha256::new();
        digest.update(&bytes);
        digest.update(format!("{} {} {hop_seconds}", settings.window_s, settings.hop_s));
        let key = digest.finalize()[..4].iter().map(|b| format!("{b:02x}")).collect();
        Ok(Some(Self {
            network: Mutex::new(Mn04::load(&path)?),
            settings,
            key,
            cache: cache.to_owned(),
            frames_per_second: 1.0 / hop_seconds,
        }))
    }

    /// Whether it hears crops of the training.
    pub fn hears_crops(&self) -> bool {
        self.settings.online > 0.0
    }

    /// Embeddings of the recording at `path`.
    ///
    /// # Errors
    ///
    /// If the recording cannot be decoded, or the cache cannot be written.
    pub fn targets(&self, path: &Path) -> Result<Targets> {
        let content = std::fs::read(path).map_err(Error::io(path))?;
        let digest: String = Sha256::digest(&content)[..12].iter().map(|b| format!("{b:02x}")).collect();
        let entry = self.cache.join(format!("{}-{digest}.teacher", self.key));
        if entry.exists()
            && let Some(targets) = decode(&entry)
        {
            return Ok(targets);
        }
        let audio = edge::audio::decode_file(path)?;
        let targets = self.embed(audio.sample_rate, &audio.samples)?;
        let tensors =
            [("centres", Tensor::f_from_slice(&targets.centres)?), ("values", Tensor::f_from_slice(&targets.values)?)];
        let partial = entry.with_extension(format!("{}.partial", std::process::id()));
        Tensor::write_safetensors(&tensors, &partial)?;
        std::fs::rename(&partial, &entry).map_err(Error::io(&entry))?;
        Ok(targets)
    }

    /// Where the mel powers of the recording at `path` lie once they were computed: one file per
    /// recording and front end.
    ///
    /// # Errors
    ///
    /// If the recording cannot be read.
    pub fn powers_entry(&self, path: &Path, frontend: &FrontendConfig) -> Result<PathBuf> {
        let content = std::fs::read(path).map_err(Error::io(path))?;
        let digest: String = Sha256::digest(&content)[..12].iter().map(|b| format!("{b:02x}")).collect();
        Ok(self.cache.join(format!("{}-{}-{digest}.powers", self.key, frontend.hash())))
    }

    /// Mel powers `(n_frames, mn04::N_MELS)` of mono samples by the teacher's front end, in step
    /// with `n_frames` frames of `frontend`.
    ///
    /// # Errors
    ///
    /// If the rate is out of range, or libtorch reports an error.
    pub fn powers(
        &self,
        sample_rate: u32,
        samples: &[f32],
        n_frames: usize,
        frontend: &FrontendConfig,
    ) -> Result<Vec<f32>> {
        let mut samples = edge_frontend::resample(sample_rate, mn04::SAMPLE_RATE, samples)?;
        samples.resize(samples.len().max(mn04::SHORTEST), 0.0);
        let n_samples = samples.len() as i64;
        let power = mn04::mel_power(&Tensor::f_from_slice(&samples)?.f_view([1, n_samples])?)?;
        // The middle of the student's first frame, in the teacher's frames.
        let middle = if frontend.centre_padding { 0.0 } else { frontend.win_length as f64 / 2.0 };
        let first = (middle / frontend.hop_length as f64).round() as usize;
        let power = Vec::<f32>::try_from(&power.f_contiguous()?.f_view([-1])?)?;
        let mut heard: Vec<f32> = power.into_iter().skip(first * mn04::N_MELS).take(n_frames * mn04::N_MELS).collect();
        // The teacher may have a frame less at the end.
        while heard.len() < n_frames * mn04::N_MELS {
            heard.extend_from_within(heard.len().saturating_sub(mn04::N_MELS)..);
        }
        Ok(heard)
    }

    /// Embeddings of mono samples.
    ///
    /// # Errors
    ///
    /// If the rate is out of range, or libtorch reports an error.
    pub fn embed(&self, sample_rate: u32, samples: &[f32]) -> Result<Targets> {
        let samples = edge_frontend::resample(sample_rate, mn04::SAMPLE_RATE, samples)?;
        let rate = f64::from(mn04::SAMPLE_RATE);
        let (window, hop) = ((self.settings.window_s * rate) as usize, ((self.settings.hop_s * rate) as usize).max(1));
        // A recording shorter than the window is one window, as long as it is.
        let window = window.clamp(mn04::SHORTEST, samples.len().max(mn04::SHORTEST));
        let mut samples = samples;
        samples.resize(samples.len().max(window), 0.0);
        let starts: Vec<usize> = (0..=samples.len() - window).step_by(hop).collect();
        let centre = |start: &usize| ((*start as f64 + window as f64 / 2.0) / rate * self.frames_per_second) as f32;
        let network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values = Vec::with_capacity(starts.len() * EMBEDDING_WIDTH);
        for batch in starts.chunks(WINDOWS_A_BATCH) {
            let waves: Vec<f32> = batch.iter().flat_map(|&s| samples[s..s + window].iter().copied()).collect();
            let waves = Tensor::f_from_slice(&waves)?.f_view([batch.len() as i64, window as i64])?;
            let embeddings = network.embed(&waves)?.f_contiguous()?.f_view([-1])?;
            values.extend(Vec::<f32>::try_from(&embeddings)?);
        }
        Ok(Targets { centres: starts.iter().map(centre).collect(), values })
    }
}

/// Means and standard deviations of embeddings, value by value.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// `(EMBEDDING_WIDTH)`.
    pub mean: Vec<f32>,
    /// `(EMBEDDING_WIDTH)`; never 0.
    pub std: Vec<f32>,
}

/// Centres and scales embeddings value by value over all that are given, so that each tells as much
/// as another; leaves what was taken out.
pub fn standardise<'a>(targets: impl Iterator<Item = &'a mut Targets>) -> Statistics {
    let targets: Vec<&mut Targets> = targets.collect();
    let n = targets.iter().map(|t| t.centres.len()).sum::<usize>().max(1) as f64;
    let mut sums = vec![(0.0f64, 0.0f64); EMBEDDING_WIDTH];
    for row in targets.iter().flat_map(|t| t.values.chunks_exact(EMBEDDING_WIDTH)) {
        sums.iter_mut().zip(row).for_each(|(s, &v)| *s = (s.0 + f64::from(v), s.1 + f64::from(v) * f64::from(v)));
    }
    let statistics = sums.into_iter().map(|(sum, squares)| {
        let mean = sum / n;
        (mean as f32, ((squares / n - mean * mean).max(0.0).sqrt() + 1e-6) as f32)
    });
    let (mean, std): (Vec<f32>, Vec<f32>) = statistics.unzip();
    for target in targets {
        for row in target.values.chunks_exact_mut(EMBEDDING_WIDTH) {
            row.iter_mut().zip(mean.iter().zip(&std)).for_each(|(v, (mean, std))| *v = (*v - mean) / std);
        }
    }
    Statistics { mean, std }
}

/// A cache entry, if it is intact.
fn decode(path: &Path) -> Option<Targets> {
    let tensors = Tensor::read_safetensors(path).ok()?;
    let values = |name: &str| Vec::<f32>::try_from(&tensors.iter().find(|(n, _)| n == name)?.1).ok();
    let targets = Targets { centres: values("centres")?, values: values("values")? };
    (!targets.centres.is_empty() && targets.values.len() == targets.centres.len() * EMBEDDING_WIDTH).then_some(targets)
}
