//! The corpus of a training: labels, clips with their features, folds.
//!
//! Enters: a recipe's data sets. Leaves: a [`Corpus`], and of it the [`Split`] of one fold. Features are computed on all
//! threads of the pool the first time and read from the cache after that.

pub mod csv;
pub mod features;
pub mod folds;
pub mod procedural;
pub mod scores;
pub mod segments;

use crate::error::{Error, Result};
use crate::nets::teacher::{Tutor, mn04};
use crate::train::recipe::{DataSet, FoldMode, Recipe};
use features::FeatureCache;
use indicatif::ProgressBar;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// A clip with its features.
#[derive(Debug, Clone, Default)]
pub struct Clip {
    /// Index into the corpus' sets; none for background and for generated sounds.
    pub set: Option<usize>,
    /// Index into the labels.
    pub label: usize,
    /// Fold, from 1.
    pub fold: u32,
    /// What the clip was cut from; unique over sets.
    pub source: String,
    /// `(n_frames, n_mels)` row-major, normalised.
    pub frames: Vec<f32>,
    /// Name of the recording's file, without its ending; empty for what has none.
    pub name: String,
    /// The recording as its table names it; empty for what has none.
    pub file: String,
    /// What the teacher says of the clip.
    pub targets: Option<Targets>,
    /// The clip to the teacher's ear, `(n_frames, teacher::mn04::N_MELS)` mel powers in step with `frames`.
    pub heard: Option<Vec<f32>>,
    /// What other networks say of the clip, posteriors `(n_classes)` at the temperature of `[distill]`.
    pub soft: Option<Vec<f32>>,
}

impl Clip {
    /// The frames of `range` as a clip of its own, which has no teacher's targets.
    fn stretch(&self, range: std::ops::Range<usize>, n_mels: usize) -> Self {
        let cut = |values: &[f32], width: usize| values[range.start * width..range.end * width].to_vec();
        Self {
            frames: cut(&self.frames, n_mels),
            heard: self.heard.as_ref().map(|heard| cut(heard, mn04::N_MELS)),
            targets: None,
            soft: None,
            source: self.source.clone(),
            name: self.name.clone(),
            file: self.file.clone(),
            ..*self
        }
    }
}

/// A teacher's embeddings of a clip, along its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Middle of each embedding's window, in frames of the student.
    pub centres: Vec<f32>,
    /// `(centres.len(), width)` row-major.
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

/// What a report says about a data set.
#[derive(Debug, Clone)]
pub struct SetInfo {
    /// Name from the recipe.
    pub name: String,
    /// Its own classes, as indices into the labels.
    pub labels: Vec<usize>,
}

/// Everything a recipe's data sets hold.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// Classes: each set's in alphabetical order, sets in recipe order, the background last.
    pub labels: Vec<String>,
    /// Index of the background label.
    pub background: Option<usize>,
    /// The sets that have labels.
    pub sets: Vec<SetInfo>,
    /// Labelled recordings.
    pub clips: Vec<Clip>,
    /// Background recordings.
    pub negatives: Vec<Clip>,
    /// Generated clips, for training only.
    pub procedural: Vec<Clip>,
}

/// One fold's division of a corpus.
#[derive(Debug)]
pub struct Split {
    /// Trained on.
    pub train: Vec<Clip>,
    /// Evaluated on.
    pub held_out: Vec<Clip>,
    /// Background trained on.
    pub negatives: Vec<Clip>,
    /// Background evaluated on.
    pub held_out_negatives: Vec<Clip>,
}

/// Where data and cache lie.
#[derive(Debug, Clone)]
pub struct Places {
    /// Folder the data sets' paths are relative to.
    pub data_root: PathBuf,
    /// Folder of the feature cache.
    pub cache: PathBuf,
    /// Folder of the recipe, which the scores of other networks are relative to.
    pub recipe_folder: PathBuf,
}

/// What a recipe's tables say, without its recordings.
#[derive(Debug)]
pub struct Tables {
    /// By data set.
    rows: Vec<Vec<csv::Row>>,
    /// Classes: each set's in alphabetical order, sets in recipe order, the background last.
    pub labels: Vec<String>,
    /// Index of the background label.
    pub background: Option<usize>,
}

impl Tables {
    /// Reads the tables, which lie under `root`.
    ///
    /// # Errors
    ///
    /// If a table is wrong, or there are fewer than two classes.
    pub fn read(recipe: &Recipe, root: &Path) -> Result<Self> {
        let rows =
            recipe.data.iter().map(|set| csv::read_table(&root.join(&set.csv), &root.join(&set.audio), set.negatives));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let mut labels: Vec<String> = Vec::new();
        for rows in &rows {
            let mut own: Vec<&str> = rows.iter().map(|r| r.label.as_str()).filter(|l| !l.is_empty()).collect();
            own.sort_unstable();
            own.dedup();
            labels.extend(
                own.into_iter().filter(|l| !labels.iter().any(|k| k == l)).map(str::to_owned).collect::<Vec<_>>(),
            );
        }
        if recipe.procedural.as_ref().is_some_and(|p| p.add_labels) {
            procedural::add_labels(&mut labels);
        }
        let background = recipe.background.as_ref().map(|name| {
            labels.retain(|l| l != name);
            labels.push(name.clone());
            labels.len() - 1
        });
        if labels.len() < 2 {
            return Err(Error::Usage(format!(
                "recipe {:?} has {} classes, needs at least 2",
                recipe.name,
                labels.len()
            )));
        }
        Ok(Self { rows, labels, background })
    }

    /// The rows of each data set.
    pub fn rows(&self) -> &[Vec<csv::Row>] {
        &self.rows
    }

    /// The fold of every labelled row of the recipe's data sets, in their order.
    pub fn folds(&self, recipe: &Recipe, mode: FoldMode) -> Vec<u32> {
        let labelled = || {
            let sets = recipe.data.iter().zip(&self.rows).filter(|(set, _)| !set.negatives);
            sets.flat_map(|(set, rows)| rows.iter().map(move |row| (set, row)))
        };
        match mode {
            FoldMode::Official => labelled().map(|(_, row)| row.fold).collect(),
            FoldMode::Source => {
                let label = |row: &csv::Row| self.labels.iter().position(|l| *l == row.label).unwrap_or(0);
                let keys: Vec<_> = labelled().map(|(set, row)| (label(row), source_of(set, row))).collect();
                folds::by_source(&keys)
            }
        }
    }
}

/// What a clip was cut from; unique over sets.
fn source_of(set: &DataSet, row: &csv::Row) -> String {
    format!("{}/{}", set.name, row.source)
}

impl Corpus {
    /// Reads the tables, then decodes and analyses all recordings, with a progress bar on standard error.
    ///
    /// # Errors
    ///
    /// If a table is wrong, a recording cannot be decoded or is shorter than one frame, or the cache cannot be written.
    pub fn load(recipe: &Recipe, places: &Places, folds: FoldMode) -> Result<Self> {
        let root = &places.data_root;
        let tables = Tables::read(recipe, root)?;
        let clip_folds = tables.folds(recipe, folds);
        let Tables { rows: tables, labels, background } = tables;
        let cache = FeatureCache::new(&places.cache, &recipe.frontend)?;
        let tutor = Tutor::load(recipe.teacher.as_ref(), recipe.frontend.hop_seconds(), root, &places.cache)?;
        let mut corpus = Self {
            labels,
            background,
            sets: Vec::new(),
            clips: Vec::new(),
            negatives: Vec::new(),
            procedural: Vec::new(),
        };
        let bar = crate::common::progress::bar(tables.iter().map(Vec::len).sum::<usize>() as u64, "features");
        for (set, rows) in recipe.data.iter().zip(&tables) {
            corpus.add_set(set, rows, &cache, tutor.as_ref(), &bar)?;
        }
        bar.finish_and_clear();
        for (clip, fold) in corpus.clips.iter_mut().zip(clip_folds) {
            clip.fold = fold;
        }
        if let Some(settings) = &recipe.procedural {
            corpus.procedural =
                procedural::clips(settings, &recipe.frontend, &corpus.labels, background, tutor.as_ref())?;
        }
        Ok(corpus)
    }

    fn add_set(
        &mut self,
        set: &DataSet,
        rows: &[csv::Row],
        cache: &FeatureCache,
        tutor: Option<&Tutor>,
        bar: &ProgressBar,
    ) -> Result<()> {
        let loaded = rows.par_iter().map(|row| {
            let frames = cache.load(&row.path)?;
            if frames.is_empty() {
                return Err(Error::content(&row.path, "recording is shorter than one frame"));
            }
            let mut clip = Clip { source: row.source.clone(), file: row.file.clone(), frames, ..Clip::default() };
            clip.name = row.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(tutor) = tutor {
                clip.targets = (!set.negatives).then(|| tutor.targets(&row.path)).transpose()?;
                let n_frames = clip.frames.len() / cache.frontend().n_mels;
                clip.heard = tutor.hear_file(&row.path, n_frames, cache.frontend())?;
            }
            bar.inc(1);
            Ok(clip)
        });
        let loaded = loaded.collect::<Result<Vec<Clip>>>()?;
        if set.negatives {
            let label = self.background.unwrap_or(0);
            self.negatives.extend(loaded.into_iter().map(|clip| Clip { label, ..clip }));
            return Ok(());
        }
        let mut own = Vec::new();
        for (row, clip) in rows.iter().zip(loaded) {
            let label = self.labels.iter().position(|l| *l == row.label);
            let label = label
                .ok_or_else(|| Error::Usage(format!("label {:?} of data set {:?} is unknown", row.label, set.name)))?;
            own.push(label);
            let source = source_of(set, row);
            self.clips.push(Clip { set: Some(self.sets.len()), label, fold: row.fold, source, ..clip });
        }
        own.sort_unstable();
        own.dedup();
        self.sets.push(SetInfo { name: set.name.clone(), labels: own });
        Ok(())
    }

    /// The labels of set `set` in alphabetical order, as indices.
    pub fn labels_in_alphabetical_order(&self, set: usize) -> Vec<usize> {
        let mut labels = self.sets[set].labels.clone();
        labels.sort_by(|&a, &b| self.labels[a].cmp(&self.labels[b]));
        labels
    }

    /// Folds that the clips have, in order.
    pub fn folds(&self) -> Vec<u32> {
        let mut folds: Vec<u32> = self.clips.iter().map(|c| c.fold).collect();
        folds.sort_unstable();
        folds.dedup();
        folds
    }

    /// Divides the corpus: `fold` is held out of every set, and its stretch of time of every background recording. Without
    /// a fold everything is trained on.
    ///
    /// # Errors
    ///
    /// If there is no such fold.
    pub fn split(self, fold: Option<u32>, n_mels: usize) -> Result<Split> {
        let Some(fold) = fold else {
            let train = self.clips.into_iter().chain(self.procedural).collect();
            return Ok(Split {
                train,
                held_out: Vec::new(),
                negatives: self.negatives,
                held_out_negatives: Vec::new(),
            });
        };
        let folds = self.folds();
        if !folds.contains(&fold) {
            return Err(Error::Usage(format!("fold {fold} does not exist; the data has folds {folds:?}")));
        }
        let (held_out, mut train): (Vec<_>, Vec<_>) = self.clips.into_iter().partition(|c| c.fold == fold);
        train.extend(self.procedural);
        let (mut negatives, mut held_out_negatives) = (Vec::new(), Vec::new());
        for clip in self.negatives {
            let n_frames = clip.frames.len() / n_mels;
            let stretch = folds::held_out_stretch(n_frames, fold);
            let part = |range: std::ops::Range<usize>| clip.stretch(range, n_mels);
            held_out_negatives.extend((!stretch.is_empty()).then(|| part(stretch.clone())));
            let rest = [0..stretch.start, stretch.end..n_frames];
            negatives.extend(rest.into_iter().filter(|r| !r.is_empty()).map(part));
        }
        Ok(Split { train, held_out, negatives, held_out_negatives })
    }
}

/// The data root to use: the option, else the environment's `EARWITNESS_DATA`, else the recipe's `own`, from the recipe's folder.
pub fn data_root(own: &Path, recipe_path: &Path, option: Option<&Path>) -> PathBuf {
    let from_environment = std::env::var_os("EARWITNESS_DATA").filter(|v| !v.is_empty()).map(PathBuf::from);
    let chosen = option.map(Path::to_owned).or(from_environment);
    chosen.unwrap_or_else(|| recipe_path.parent().unwrap_or(Path::new("")).join(own))
}
