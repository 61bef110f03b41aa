//! Generated clips.
//!
//! Enters: the label list and the recipe's `[procedural]`. Leaves: clips of every sound of the
//! generator that a label stands for, and of the sounds that no label should claim as background,
//! without those that the generator reserves for tests. Deterministic by seed; spread over the
//! pool's threads.

use super::frames::Frames;
use super::{Audio, Clip, Division, Origin, features};
use crate::error::Result;
use edge_frontend::FrontendConfig;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sounds::Sound;

/// Generated clips of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Procedural {
    /// Clips of each class that the generator knows and the label list holds.
    pub clips_per_class: usize,
    /// Duration of a clip.
    #[serde(default = "default_seconds")]
    pub seconds: f64,
    /// Whether the generator's classes join the label list where no data set has them.
    #[serde(default)]
    pub add_labels: bool,
    /// Names of the generator's sounds without a label that join the background; all that trainings
    /// may use unless given.
    #[serde(default)]
    pub negatives: Option<Vec<String>>,
    /// Seed of the first clip.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

fn default_seconds() -> f64 {
    3.0
}

fn default_seed() -> u64 {
    1
}

/// Adds the generator's classes to `labels` where they are not among them.
pub fn add_labels(labels: &mut Vec<String>) {
    let mut new: Vec<&str> =
        Sound::all().iter().filter_map(|s| s.label()).filter(|l| !labels.iter().any(|k| k == l)).collect();
    new.sort_unstable();
    labels.extend(new.into_iter().map(str::to_owned));
}

/// Renders the clips and computes their features. Sounds without a label become `background`, if
/// there is one.
///
/// # Errors
///
/// If the front end refuses its configuration.
pub fn clips(
    settings: &Procedural,
    frontend: &FrontendConfig,
    labels: &[String],
    background: Option<usize>,
) -> Result<Vec<Clip>> {
    let class_of = |sound: Sound| match sound.label() {
        Some(name) => labels.iter().position(|l| l == name),
        None => background,
    };
    let wanted = |sound: &Sound| {
        let named = settings.negatives.as_ref().is_none_or(|names| names.iter().any(|name| name == sound.name()));
        !sound.is_reserved() && (sound.label().is_some() || named)
    };
    let wanted = Sound::all().iter().copied().filter(wanted);
    let wanted = wanted.filter_map(|sound| Some((sound, class_of(sound)?))).collect();
    render(wanted, settings.clips_per_class, settings.seconds, settings.seed, frontend)
}

/// `n` clips of each sound with its label, with the seeds from `seed` on.
pub(crate) fn render(
    wanted: Vec<(Sound, usize)>,
    n: usize,
    seconds: f64,
    seed: u64,
    frontend: &FrontendConfig,
) -> Result<Vec<Clip>> {
    let clips: Vec<_> =
        wanted.into_iter().flat_map(|(s, label)| (0..n as u64).map(move |i| (s, label, seed + i))).collect();
    clips
        .into_par_iter()
        .map(|(sound, label, seed)| {
            let audio = Audio::Generated { sound, sample_rate: frontend.sample_rate, seconds, seed };
            let frames = features::features(frontend, frontend.sample_rate, &audio.samples()?)?;
            Ok(Clip {
                origin: Origin::Generated,
                label,
                division: Division::Fold(seed as u32 % super::folds::N_FOLDS + 1),
                source: format!("{sound}-{seed}"),
                id: format!("{sound}-{seed}"),
                file: String::new(),
                frames: Frames::in_memory(frames, frontend.n_mels),
                audio,
            })
        })
        .collect()
}
