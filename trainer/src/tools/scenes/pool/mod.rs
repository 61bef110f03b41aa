//! What scenes are composed of.
//!
//! Enters: one fold of a recipe's data sets, or folders of recordings. Leaves: the sounding pieces
//! of the clips, and stretches of background, in memory at one sample rate. Recordings are decoded
//! on all threads of the pool; their order does not depend on that.

pub(crate) mod folder;
mod load;

pub(crate) use load::cut_low;
pub(super) use load::fade;

use crate::data::csv::{Row, read_table};
use crate::data::folds::{self, FoldMode};
use crate::data::sets::Tables;
use crate::error::{Error, Result};
use crate::train::recipe::Recipe;
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How recordings are taken into a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolSettings {
    /// Hz, of the scenes too.
    pub sample_rate: u32,
    /// Sounds of one clip that are closer than this are one event; events of one class are never
    /// closer in a scene.
    pub gap_s: f64,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { sample_rate: 24_000, gap_s: 1.0 }
    }
}

/// What scenes are composed of.
#[derive(Clone, Debug)]
pub struct Pool {
    settings: PoolSettings,
    labels: Vec<String>,
    clips: Vec<Clip>,
    unknown: Vec<Clip>,
    backgrounds: Vec<Background>,
    silent: Vec<String>,
    origin: Origin,
}

/// The rows of a recipe's labelled sets, with the sets' names, and those of its background.
type Rows = (Vec<(String, Vec<Row>)>, Vec<Row>);

fn tables(recipe: &Recipe, root: &Path) -> Result<Rows> {
    let (mut labelled, mut background) = (Vec::new(), Vec::new());
    for set in &recipe.data {
        let audio = root.join(&set.audio);
        match &set.tables {
            Tables::Clips(csv) => labelled.push((set.name.clone(), read_table(&root.join(csv), &audio, false)?)),
            Tables::Background(csv) => background.extend(read_table(&root.join(csv), &audio, true)?),
            Tables::EpicSounds(_) => {
                let message = format!("data set {:?}: scenes are composed of clips, not of annotated videos", set.name);
                return Err(Error::Usage(message));
            }
        }
    }
    Ok((labelled, background))
}

/// A recording's sounding pieces.
#[derive(Clone, Debug)]
pub(super) struct Clip {
    /// Its file, below the data root or the folder.
    pub(super) source: String,
    /// Index into the labels.
    pub(super) class: usize,
    pub(super) pieces: Vec<Piece>,
}

/// A piece of a recording from where it begins to sound to where it ends.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) samples: Vec<f32>,
    /// Where it was in the recording.
    pub(super) from_s: f64,
    /// Level that it was cut off at, dBFS: below that is the recording's own noise.
    pub(super) threshold_db: f64,
}

/// A stretch of background.
#[derive(Clone, Debug)]
pub(super) struct Background {
    pub(super) source: String,
    pub(super) samples: Vec<f32>,
}

/// Where a pool comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Origin {
    Fold { recipe: String, folds: FoldMode, fold: u32 },
    Folders { data: Option<PathBuf> },
}

impl Pool {
    /// The held-out clips of `fold` of a recipe's data sets, and that fold's stretch of every
    /// background recording: what a model that was trained with this fold held out has not heard. A
    /// background recording whose table gives it a label of the recipe is left out, since it would
    /// be an event.
    ///
    /// # Errors
    ///
    /// If a table is wrong, there is no such fold, or a recording cannot be read.
    pub fn of_fold(
        recipe: &Recipe,
        data_root: &Path,
        folds: FoldMode,
        fold: u32,
        settings: PoolSettings,
    ) -> Result<Self> {
        let (rows, quiet) = tables(recipe, data_root)?;
        let mut labels: Vec<String> = Vec::new();
        for (_, own) in &rows {
            let mut own: Vec<&String> = own.iter().map(|row| &row.label).collect();
            own.sort_unstable();
            own.dedup();
            labels.extend(own.into_iter().filter(|l| !labels.contains(l)).cloned().collect::<Vec<_>>());
        }
        labels.retain(|label| recipe.background.as_ref() != Some(label));
        let class_of = |label: &str| labels.iter().position(|known| known == label);
        let all = || rows.iter().flat_map(|(set, own)| own.iter().map(move |row| (set, row)));
        let fold_of_rows: Vec<u32> = match folds {
            FoldMode::Official => all().map(|(_, row)| row.fold).collect(),
            FoldMode::Source => {
                let key = |(set, row): (&String, &Row)| {
                    (class_of(&row.label).unwrap_or(labels.len()), format!("{set}/{}", row.source))
                };
                folds::by_source(&all().map(key).collect::<Vec<_>>())
            }
        };
        if !fold_of_rows.contains(&fold) {
            let mut there = fold_of_rows;
            there.sort_unstable();
            there.dedup();
            return Err(Error::Usage(format!("fold {fold} does not exist; the data has folds {there:?}")));
        }
        let held_out = all().zip(&fold_of_rows).filter(|(_, row_fold)| **row_fold == fold);
        let files = held_out.filter_map(|((_, row), _)| Some((row.path.clone(), class_of(&row.label)?)));
        let files: Vec<(PathBuf, usize)> = files.collect();
        let steady = quiet.iter().filter(|row| row.content.as_deref().and_then(class_of).is_none());
        let backgrounds: Vec<PathBuf> = steady.map(|row| row.path.clone()).collect();
        let mut pool = Self::empty(settings, Origin::Fold { recipe: recipe.name.clone(), folds, fold });
        pool.labels = labels;
        pool.clips = pool.read_clips(&files, data_root)?;
        let held_out = |n_samples: usize| folds::held_out_stretch(n_samples, fold);
        pool.backgrounds = load::backgrounds(&backgrounds, data_root, settings.sample_rate, held_out)?;
        if pool.clips.is_empty() {
            return Err(Error::Usage(format!("fold {fold} has no recording that is not silent")));
        }
        Ok(pool)
    }

    /// All recordings of `data`, a folder with a folder of recordings a class; without it, no
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
        let files =
            classes.iter().enumerate().flat_map(|(class, (_, files))| files.iter().map(move |f| (f.clone(), class)));
        let files: Vec<_> = files.collect();
        pool.labels = classes.iter().map(|(label, _)| label.clone()).collect();
        pool.clips = pool.read_clips(&files, data)?;
        for (class, (label, _)) in classes.iter().enumerate() {
            if !pool.clips.iter().any(|clip| clip.class == class) {
                return Err(Error::input(&data.join(label), None, "holds silent recordings alone"));
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
            let files = folder::recordings(path)?;
            backgrounds.extend(load::backgrounds(&files, root, self.settings.sample_rate, |n| 0..n)?);
        }
        Ok(Self { backgrounds, ..self })
    }

    /// The pool with the recordings in `folder` and its folders as sounds without a label.
    ///
    /// # Errors
    ///
    /// If there is no recording, or one cannot be read.
    pub fn with_unknown(mut self, folder: &Path) -> Result<Self> {
        let files: Vec<_> = folder::recordings(folder)?.into_iter().map(|file| (file, 0)).collect();
        self.unknown = self.read_clips(&files, folder)?;
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

    pub(super) fn unknown(&self) -> &[Clip] {
        &self.unknown
    }

    pub(super) fn backgrounds(&self) -> &[Background] {
        &self.backgrounds
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    fn empty(settings: PoolSettings, origin: Origin) -> Self {
        let (labels, clips, unknown) = (Vec::new(), Vec::new(), Vec::new());
        Self { settings, labels, clips, unknown, backgrounds: Vec::new(), silent: Vec::new(), origin }
    }

    /// Reads recordings, which lie below `root`; silent ones are noted.
    fn read_clips(&mut self, files: &[(PathBuf, usize)], root: &Path) -> Result<Vec<Clip>> {
        let PoolSettings { sample_rate, gap_s } = self.settings;
        let clips: Result<Vec<Clip>> = files
            .par_iter()
            .map(|(path, class)| {
                let pieces = load::pieces(path, sample_rate, gap_s)?;
                Ok(Clip { source: folder::name_below(path, root), class: *class, pieces })
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
