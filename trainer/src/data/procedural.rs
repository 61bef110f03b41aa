//! Generated clips.
//!
//! Enters: the label list and the recipe's `[procedural]`. Leaves: clips of every sound of the generator that a label stands
//! for, and of the sounds that no label should claim as background, without those that the generator reserves for tests.
//! Deterministic by seed; spread over the pool's threads.

use super::{Clip, features};
use crate::error::Result;
use crate::nets::teacher::Tutor;
use crate::train::recipe::Procedural;
use edge_frontend::FrontendConfig;
use rayon::prelude::*;
use sounds::Sound;

/// Adds the generator's classes to `labels` where they are not among them.
pub fn add_labels(labels: &mut Vec<String>) {
    let mut new: Vec<&str> =
        Sound::all().iter().filter_map(|s| s.label()).filter(|l| !labels.iter().any(|k| k == l)).collect();
    new.sort_unstable();
    labels.extend(new.into_iter().map(str::to_owned));
}

/// Renders the clips and computes their features. Sounds without a label become `background`, if there is one.
///
/// # Errors
///
/// If the front end refuses its configuration.
pub fn clips(
    settings: &Procedural,
    frontend: &FrontendConfig,
    labels: &[String],
    background: Option<usize>,
    tutor: Option<&Tutor>,
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
    render(wanted, settings.clips_per_class, settings.seconds, settings.seed, frontend, tutor)
}

/// `n` clips of each sound with its label, with the seeds from `seed` on.
pub(crate) fn render(
    wanted: Vec<(Sound, usize)>,
    n: usize,
    seconds: f64,
    seed: u64,
    frontend: &FrontendConfig,
    tutor: Option<&Tutor>,
) -> Result<Vec<Clip>> {
    let clips: Vec<_> =
        wanted.into_iter().flat_map(|(s, label)| (0..n as u64).map(move |i| (s, label, seed + i))).collect();
    clips
        .into_par_iter()
        .map(|(sound, label, seed)| {
            let samples = sounds::render(sound, frontend.sample_rate, seconds as f32, seed);
            let frames = features::features(frontend, frontend.sample_rate, &samples)?;
            let n_frames = frames.len() / frontend.n_mels;
            let heard = tutor.map(|t| t.hear(frontend.sample_rate, &samples, n_frames, frontend)).transpose()?;
            Ok(Clip {
                label,
                fold: seed as u32 % super::folds::N_FOLDS + 1,
                source: format!("{sound}-{seed}"),
                frames,
                heard: heard.flatten(),
                ..Clip::default()
            })
        })
        .collect()
}
