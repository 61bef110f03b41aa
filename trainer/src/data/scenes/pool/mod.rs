//! What scenes are composed of.
//!
//! Enters: one fold of a recipe's data sets with their recordings of the world, or folders of
//! recordings. Leaves: the sounding pieces of the clips, stretches of background and impulse
//! responses, at one sample rate. Recordings are decoded on all threads of the pool; their order
//! does not depend on that.

mod listing;
mod load;
mod sound;

pub use listing::{Listing, Share};
pub(crate) use load::cut_low;
pub(super) use load::fade;
pub(super) use sound::Sound;

use crate::data::folder;
use crate::data::folds;
use crate::data::world::Purpose;
use crate::error::{Error, Result};
use listing::Listed;
use rayon::prelude::*;
use serde::Serialize;
use sound::Shelf;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How recordings are taken into a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolSettings {
    /// Hz, of the scenes too.
    pub sample_rate: u32,
    /// Sounds of one clip that are closer than this are one event; events of one class are never
    /// closer in a scene.
    pub gap_s: f64,
    /// Memory for recordings; what does not fit is read from disk whenever it sounds.
    pub memory_mb: usize,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { sample_rate: 24_000, gap_s: 1.0, memory_mb: 8192 }
    }
}

/// What scenes are composed of.
#[derive(Clone, Debug)]
pub struct Pool {
    settings: PoolSettings,
    labels: Vec<String>,
    clips: Vec<Clip>,
    /// By data set, each with how often it comes up.
    unknown: Vec<(f64, Vec<Clip>)>,
    backgrounds: Vec<Background>,
    rooms: Vec<MeasuredRoom>,
    silent: Vec<String>,
    origin: Origin,
    shelf: Arc<Shelf>,
}

/// A recording's sounding pieces.
#[derive(Clone, Debug)]
pub(super) struct Clip {
    /// Its file, below the data root or the folder.
    pub(super) source: String,
    /// Index into the labels.
    pub(super) class: usize,
    /// The label that a sound without one may have.
    pub(super) like: Option<String>,
    pub(super) pieces: Vec<Piece>,
}

/// A piece of a recording from where it begins to sound to where it ends.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) sound: Sound,
    /// Where it was in the recording.
    pub(super) from_s: f64,
    /// Level that it was cut off at, dBFS: below that is the recording's own noise.
    pub(super) threshold_db: f64,
}

/// A stretch of background.
#[derive(Clone, Debug)]
pub(super) struct Background {
    pub(super) source: String,
    /// The label that it may have.
    pub(super) like: Option<String>,
    pub(super) sound: Sound,
}

/// Impulse responses that were measured in one room.
#[derive(Clone, Debug)]
pub(super) struct MeasuredRoom {
    pub(super) source: String,
    pub(super) responses: Vec<Vec<f32>>,
}

/// Where a pool comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Origin {
    Data { recipe: String, share: Share },
    Folders { data: Option<PathBuf> },
}

impl Pool {
    /// Reads the recordings of a listing. A recording without a label that is silent is left out.
    ///
    /// # Errors
    ///
    /// If a recording cannot be read, or no clip sounds.
    pub fn read(listing: Listing, settings: PoolSettings) -> Result<Self> {
        let Listing { name, root, share, labels, clips, unknown, beds, rooms, generated } = listing;
        let mut pool = Self::empty(settings, Origin::Data { recipe: name, share });
        let shelf = pool.shelf.clone();
        pool.labels = labels;
        pool.clips = pool.read_clips(&clips, &root)?;
        let gap_s = settings.gap_s;
        pool.clips.par_extend(generated.par_iter().map(|clip| Clip {
            source: format!("{}:{}", clip.sound, clip.seed),
            class: clip.class,
            like: None,
            pieces: load::generated(clip, &shelf, gap_s),
        }));
        for (weight, recordings) in unknown {
            let clips = pool.read_clips(&recordings, &root)?;
            pool.unknown.extend((!clips.is_empty()).then_some((weight, clips)));
        }
        let trains = share.purpose == Purpose::Training;
        let parts = |n: usize, is_divided: bool| match share.fold.filter(|_| is_divided) {
            None => [0..n, n..n],
            Some(fold) => {
                let Range { start, end } = folds::held_out_stretch(n, fold);
                if trains { [0..start, end..n] } else { [start..end, end..end] }
            }
        };
        let lay = |Listed { path, like, is_divided, .. }: &Listed| {
            let source = folder::name_below(path, &root);
            let laid = load::backgrounds(path, &source, like.as_ref(), &shelf, |n| parts(n, *is_divided))?;
            // A recording of the world may be silent; of those that a table calls background, none.
            if laid.is_empty() && *is_divided { Err(load::unusable(path)) } else { Ok(laid) }
        };
        pool.backgrounds = beds.par_iter().map(lay).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        for Listed { path, .. } in rooms {
            let source = folder::name_below(&path, &root);
            pool.rooms.push(MeasuredRoom { source, responses: load::responses(&path, settings.sample_rate)? });
        }
        if pool.clips.is_empty() && !clips.is_empty() {
            return Err(Error::Usage("the data has no labelled recording that is not silent".to_owned()));
        }
        Ok(pool)
    }

    /// All recordings of `data`, which has a folder of recordings for each class; without it, no
    /// clips.
    ///
    /// # Errors
    ///
    /// If the folder has no class folders, a class has no recordings or only silent ones, or a
    /// recording cannot be read.
    pub fn of_folder(data: Option<&Path>, settings: PoolSettings) -> Result<Self> {
        let mut pool = Self::empty(settings, Origin::Folders { data: data.map(Path::to_owned) });
        let Some(data) = data else { return Ok(pool) };
        let classes = folder::classes(data)?;
        let files = classes
            .iter()
            .enumerate()
            .flat_map(|(class, (_, files))| files.iter().map(move |f| Listed::clip(f, class)));
        let files: Vec<_> = files.collect();
        pool.labels = classes.iter().map(|(label, _)| label.clone()).collect();
        pool.clips = pool.read_clips(&files, data)?;
        for (class, (label, _)) in classes.iter().enumerate() {
            if !pool.clips.iter().any(|clip| clip.class == class) {
                return Err(Error::input(&data.join(label), None, "holds only silent recordings"));
            }
        }
        Ok(pool)
    }

    /// The pool with these backgrounds instead of its own: recordings, or folders of them. Without
    /// any, scenes have generated room noise.
    ///
    /// # Errors
    ///
    /// If there is no recording, or one cannot be read.
    pub fn with_backgrounds(self, paths: &[PathBuf]) -> Result<Self> {
        let mut backgrounds = Vec::new();
        for path in paths {
            let root = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
            for file in folder::recordings(path)? {
                let source = folder::name_below(&file, root);
                let laid = load::backgrounds(&file, &source, None, &self.shelf, |n| [0..n, n..n])?;
                if laid.is_empty() {
                    return Err(load::unusable(&file));
                }
                backgrounds.extend(laid);
            }
        }
        Ok(Self { backgrounds, ..self })
    }

    /// The pool with the recordings in `folder` and its folders as further sounds without a label,
    /// which come up as often as those of another set.
    ///
    /// # Errors
    ///
    /// If there is no recording, or one cannot be read.
    pub fn with_unknown(mut self, folder: &Path) -> Result<Self> {
        let files: Vec<_> = folder::recordings(folder)?.iter().map(|file| Listed::clip(file, 0)).collect();
        let clips = self.read_clips(&files, folder)?;
        self.unknown.extend((!clips.is_empty()).then_some((1.0, clips)));
        Ok(self)
    }

    /// Hz.
    pub fn sample_rate(&self) -> u32 {
        self.settings.sample_rate
    }

    /// The classes that scenes may have events of.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Recordings that were left out since they are silent.
    pub fn silent(&self) -> &[String] {
        &self.silent
    }

    pub(super) fn gap_s(&self) -> f64 {
        self.settings.gap_s
    }

    pub(super) fn clips(&self) -> &[Clip] {
        &self.clips
    }

    pub(super) fn unknown(&self) -> &[(f64, Vec<Clip>)] {
        &self.unknown
    }

    pub(super) fn backgrounds(&self) -> &[Background] {
        &self.backgrounds
    }

    pub(super) fn rooms(&self) -> &[MeasuredRoom] {
        &self.rooms
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    fn empty(settings: PoolSettings, origin: Origin) -> Self {
        Self {
            settings,
            labels: Vec::new(),
            clips: Vec::new(),
            unknown: Vec::new(),
            backgrounds: Vec::new(),
            rooms: Vec::new(),
            silent: Vec::new(),
            origin,
            shelf: Arc::new(Shelf::new(settings.sample_rate, settings.memory_mb << 20)),
        }
    }

    /// Reads recordings, which lie below `root`; silent ones are noted.
    fn read_clips(&mut self, files: &[Listed], root: &Path) -> Result<Vec<Clip>> {
        let (gap_s, shelf) = (self.settings.gap_s, &self.shelf);
        let clips: Result<Vec<Clip>> = files
            .par_iter()
            .map(|Listed { path, class, like, .. }| {
                let pieces = load::pieces(path, shelf, gap_s)?;
                Ok(Clip { source: folder::name_below(path, root), class: *class, like: like.clone(), pieces })
            })
            .collect();
        let (clips, silent): (Vec<_>, Vec<_>) = clips?.into_iter().partition(|clip| !clip.pieces.is_empty());
        self.silent.extend(silent.into_iter().map(|clip| clip.source));
        Ok(clips)
    }

    /// A pool of nothing.
    #[cfg(test)]
    pub(super) fn silent_at(sample_rate: u32) -> Self {
        Self::empty(PoolSettings { sample_rate, ..Default::default() }, Origin::Folders { data: None })
    }
}
