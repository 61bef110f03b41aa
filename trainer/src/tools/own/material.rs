//! All sounds of a training of a head.
//!
//! Enters: the user's recordings, and the generator of household sounds. Leaves: the user's sounds
//! as they are cut out, and what they must be distinguished from: the user's negatives, and
//! generated sounds, those of the model's other classes as well as those of none. Decoding and
//! rendering run on the pool's threads.

use super::beds::Beds;
use super::recordings::Recordings;
use super::sounding::{Sounding, log_mel, powers, soundings};
use super::start::Classes;
use crate::common::progress;
use crate::data::frames::Frames;
use crate::data::{Audio, Clip, Division, Origin, folds, procedural};
use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use rayon::prelude::*;
use sounds::Sound;
use std::path::PathBuf;

/// Generated clips per sound: two per fold.
const N_CLIPS: usize = 2 * folds::N_FOLDS as usize;
const CLIP_S: f64 = 4.0;
/// Other seeds than those of generated clips in a recipe.
const SEED: u64 = 300_000;

/// All sounds of a training of a head.
#[derive(Debug)]
pub struct Material {
    /// The user's sounds: index of the recording, and the sound.
    pub own: Vec<(usize, Sounding)>,
    /// Other sounds: features as the network takes them, each with its fold.
    pub others: Vec<Other>,
    /// What lies under sounds.
    pub beds: Beds,
}

/// A clip of something else.
#[derive(Debug)]
pub struct Other {
    /// `label` is that of the model if it has one for the sound, else its background, else 0.
    pub clip: Clip,
    /// Whether the model has a label for the sound.
    pub has_label: bool,
    /// Whether the user recorded it.
    pub is_recorded: bool,
}

impl Material {
    /// Reads and renders everything. Silent recordings are taken out of `recordings`. `like` are
    /// generated sounds that are like one of the user's, so that they are no counterexamples.
    /// `n_around` frames are kept around a sound.
    ///
    /// # Errors
    ///
    /// If a recording cannot be decoded, or a class has too few that are not silent.
    pub fn gather(
        recordings: &mut Recordings,
        classes: &Classes,
        like: &[Sound],
        frontend: &FrontendConfig,
        n_around: usize,
    ) -> Result<Self> {
        let bar = progress::bar((recordings.files.len() + recordings.negatives.len()) as u64, "reading recordings");
        let cut = recordings.files.par_iter().map(|file| {
            let sounds = soundings(&file.path, frontend, n_around)?;
            bar.inc(1);
            Ok((file.path.clone(), sounds))
        });
        let cut = cut.collect::<Result<Vec<_>>>()?;
        let negatives = recordings.negatives.par_iter().map(|path| {
            let power = powers(&edge::audio::decode_file(path)?, frontend)?;
            bar.inc(1);
            if power.is_empty() {
                return Err(Error::content(path, "recording is shorter than one frame"));
            }
            Ok((path.clone(), power))
        });
        let negatives = negatives.collect::<Result<Vec<_>>>()?;
        bar.finish_and_clear();

        let silent: Vec<PathBuf> = cut.iter().filter(|(_, s)| s.is_empty()).map(|(path, _)| path.clone()).collect();
        for path in &silent {
            eprintln!("{}: is silent, left out", path.display());
        }
        recordings.without(&silent)?;
        let own = cut.into_iter().filter(|(_, sounds)| !sounds.is_empty()).enumerate();
        let own = own.flat_map(|(at, (_, sounds))| sounds.into_iter().map(move |sound| (at, sound))).collect();
        let beds: Vec<Vec<f32>> = negatives.iter().map(|(_, power)| power.clone()).collect();
        let beds = Beds::new(frontend, &beds)?;
        eprintln!("rendering counterexamples");
        let mut others = generated(classes, like, frontend)?;
        others.extend(negatives.iter().flat_map(|(path, power)| {
            stretches(&recordings.name(path), power, classes.background.unwrap_or(0), frontend)
        }));
        Ok(Self { own, others, beds })
    }

    /// The clip of sound `at`, as it was recorded.
    pub fn clip(&self, at: usize, recordings: &Recordings, classes: &Classes, frontend: &FrontendConfig) -> Clip {
        let (file, sounding) = &self.own[at];
        let recording = &recordings.files[*file];
        let name = recordings.name(&recording.path);
        Clip {
            origin: Origin::Set(0),
            label: classes.own[recording.class],
            division: Division::Fold(recording.fold),
            source: name.clone(),
            id: name.clone(),
            file: name,
            frames: Frames::in_memory(log_mel(&self.beds.plain(sounding), frontend), frontend.n_mels),
            audio: Audio::Unknown,
        }
    }
}

/// Clips of all sounds of the generator but those that are reserved for tests or are the user's
/// own.
fn generated(classes: &Classes, like: &[Sound], frontend: &FrontendConfig) -> Result<Vec<Other>> {
    let own = |name: &str| classes.own.iter().any(|&c| classes.labels[c] == name);
    let is_own = |sound: Sound| {
        like.contains(&sound) || own(sound.name()) || classes.are_all_new() && sound.label().is_some_and(own)
    };
    let of = |sound: Sound| classes.labels.iter().position(|label| sound.label() == Some(label));
    let wanted = Sound::all().iter().copied().filter(|&sound| !sound.is_reserved() && !is_own(sound));
    let wanted: Vec<(Sound, Option<usize>)> = wanted.map(|sound| (sound, of(sound))).collect();
    let background = classes.background.unwrap_or(0);
    let labelled = wanted.iter().map(|&(sound, label)| (sound, label.unwrap_or(background))).collect();
    let clips = procedural::render(labelled, N_CLIPS, CLIP_S, SEED, frontend)?;
    let has_label = wanted.iter().flat_map(|(_, label)| std::iter::repeat_n(label.is_some(), N_CLIPS));
    let other = |(clip, has_label): (Clip, bool)| {
        let file = clip.source.clone();
        Other { clip: Clip { file, ..clip }, has_label, is_recorded: false }
    };
    Ok(clips.into_iter().zip(has_label).map(other).collect())
}

/// A recording of the user's as one clip a fold, divided in time.
fn stretches(name: &str, power: &[f32], label: usize, frontend: &FrontendConfig) -> Vec<Other> {
    let n_mels = frontend.n_mels;
    let part = |fold: u32| {
        let frames = folds::held_out_stretch(power.len() / n_mels, fold);
        let frames = log_mel(&power[frames.start * n_mels..frames.end * n_mels], frontend);
        let clip = Clip {
            origin: Origin::Background,
            label,
            division: Division::Fold(fold),
            source: name.to_owned(),
            id: name.to_owned(),
            file: name.to_owned(),
            frames: Frames::in_memory(frames, n_mels),
            audio: Audio::Unknown,
        };
        Other { clip, has_label: false, is_recorded: true }
    };
    (1..=folds::N_FOLDS).map(part).filter(|other| other.clip.frames.n_frames() > 0).collect()
}
