//! Generated clips.
//!
//! Enters: the label list and the recipe's `[procedural]`. Leaves: clips of every sound of the generator that a label stands
//! for, and of the sounds that no label should claim as background, without those that the generator reserves for tests.
//! Deterministic by seed; spread over the pool's threads.

use super::{Clip, features};
use crate::error::Result;
use crate::recipe::Procedural;
use crate::teacher::Tutor;
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
    let wanted: Vec<(Sound, usize, u64)> = Sound::all()
        .iter()
        .filter(|sound| !sound.is_reserved())
        .filter_map(|&s| Some((s, class_of(s)?)))
        .flat_map(|(s, label)| (0..settings.clips_per_class).map(move |i| (s, label, settings.seed + i as u64)))
        .collect();
    wanted
        .into_par_iter()
        .map(|(sound, label, seed)| {
            let samples = sounds::render(sound, frontend.sample_rate, settings.seconds as f32, seed);
            let frames = features::features(frontend, frontend.sample_rate, &samples)?;
            let n_frames = frames.len() / frontend.n_mels;
            let heard = tutor.map(|t| t.hear(frontend.sample_rate, &samples, n_frames, frontend)).transpose()?;
            Ok(Clip {
                set: usize::MAX,
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
