//! What can be trained on.
//!
//! Enters: a recipe's data sets. Leaves: a [`Corpus`] of clips with their features, and of it the
//! [`Split`] of one fold. A clip is a segment of any data set: a whole recording of a table of
//! clips, an annotated stretch of an EPIC-SOUNDS video, a stretch of background, or a generated
//! sound. Features stay on disk; a clip costs no memory until its frames are read.
//!
//! [`sets`] opens data sets as [`segments`]; [`csv`] reads tables; [`features`] computes features
//! and caches them, [`frames`] reads them; [`check`] says what a set holds and what is wrong with
//! it; [`folds`] divides clips; [`procedural`] makes clips; [`scenes`] composes recordings of clips
//! and of the [`world`]; [`scores`] holds what networks say of segments.

pub mod check;
pub mod csv;
pub mod features;
pub(crate) mod folder;
pub mod folds;
pub mod frames;
pub mod procedural;
pub mod scenes;
pub mod scores;
pub mod segments;
pub mod sets;
pub mod world;

use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use features::FeatureCache;
use folds::{FoldMode, held_out_stretch};
use frames::Frames;
use procedural::Procedural;
use segments::{Options, SegmentSet};
use sets::{DataSet, Opened};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a clip is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A data set with labels, by its index in [`Corpus::sets`].
    Set(usize),
    /// A recording of background.
    Background,
    /// The generator, or a user's own recordings.
    Generated,
}

/// When a clip is held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// Where this fold, counted from 1, is the held-out one.
    Fold(u32),
    /// Never.
    Train,
    /// Always.
    HeldOut,
}

/// A clip with its features.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Where it is from.
    pub origin: Origin,
    /// Index into the labels.
    pub label: usize,
    /// When it is held out.
    pub division: Division,
    /// What the clip was cut from; unique over sets.
    pub source: String,
    /// `annotation_id` of the segment, or the recording's name without its ending; unique in a set.
    pub id: String,
    /// The recording as its table names it.
    pub file: String,
    /// `(n_frames, n_mels)`, normalised.
    pub frames: Frames,
    /// Its sound.
    pub audio: Audio,
}

/// The sound of a clip.
#[derive(Debug, Clone)]
pub enum Audio {
    /// A segment of a set.
    Segment(Arc<SegmentSet>, usize),
    /// A sound of the generator.
    Generated {
        /// Which one.
        sound: sounds::Sound,
        /// Hz.
        sample_rate: u32,
        /// Duration.
        seconds: f64,
        /// Seed of the sound.
        seed: u64,
    },
    /// Only the frames are known.
    Unknown,
}

impl Clip {
    /// Its name among the clips of its set: the recording of a clip that is a whole recording, else
    /// the segment's.
    pub fn name(&self) -> &str {
        let is_whole = Path::new(&self.file).file_stem().is_some_and(|stem| stem == self.id.as_str());
        if is_whole { &self.file } else { &self.id }
    }

    /// The fold that it is held out in; none if it belongs to no fold.
    pub fn fold(&self) -> Option<u32> {
        if let Division::Fold(fold) = self.division { Some(fold) } else { None }
    }
}

impl Audio {
    /// The samples, mono, at the rate of the clip's front end; none where only the frames are
    /// known.
    ///
    /// # Errors
    ///
    /// If the recording cannot be read.
    pub fn samples(&self) -> Result<Vec<f32>> {
        match self {
            Self::Segment(set, index) => set.samples(*index),
            Self::Generated { sound, sample_rate, seconds, seed } => {
                Ok(sounds::render(*sound, *sample_rate, *seconds as f32, *seed))
            }
            Self::Unknown => Ok(Vec::new()),
        }
    }
}

/// What a report says about a data set.
#[derive(Debug, Clone)]
pub struct SetInfo {
    /// Name from the recipe.
    pub name: String,
    /// Its own classes, as indices into the labels, in the order of the set.
    pub labels: Vec<usize>,
}

/// What a corpus is made of.
#[derive(Debug, Clone)]
pub struct Contents<'a> {
    /// Data sets, in the order of their labels.
    pub sets: &'a [DataSet],
    /// Label of the background; absent if there is no such class.
    pub background: Option<&'a str>,
    /// Labels that no data set has.
    pub more_labels: Vec<&'a str>,
    /// Generated clips.
    pub procedural: Option<&'a Procedural>,
    /// The network's front end.
    pub frontend: &'a FrontendConfig,
    /// Memory for decoded recordings.
    pub audio_mb: usize,
}

/// Everything that a recipe's data sets hold.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// Classes: each set's in its own order, sets in recipe order, then the background's if no set
    /// has it.
    pub labels: Vec<String>,
    /// Index of the background label.
    pub background: Option<usize>,
    /// The sets that have labels.
    pub sets: Vec<SetInfo>,
    /// Labelled segments.
    pub clips: Vec<Clip>,
    /// Background.
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
    /// Folder that the data sets' paths are relative to.
    pub data_root: PathBuf,
    /// Folder of the feature cache.
    pub cache: PathBuf,
    /// Folder of the recipe, which other recipes and scores of other networks are relative to.
    pub recipe_folder: PathBuf,
}

impl Corpus {
    /// Opens the data sets and computes the features of all recordings that the cache lacks, with a
    /// progress bar on standard error.
    ///
    /// # Errors
    ///
    /// If a table is wrong, there are fewer than two classes, a recording cannot be decoded or is
    /// shorter than one frame, or the cache cannot be written.
    pub fn load(contents: &Contents, places: &Places, folds: FoldMode) -> Result<Self> {
        // The data sets share the memory.
        let audio_bytes = (contents.audio_mb << 20) / contents.sets.len().max(1);
        let options = Options { audio_bytes, feature_bytes: 0, ..Options::default() };
        let open = |set: &DataSet| set.open(&places.data_root, contents.frontend, &options);
        let opened = contents.sets.iter().map(open).collect::<Result<Vec<_>>>()?;
        let labels = labels(contents, &opened)?;
        let background = contents.background.and_then(|name| labels.iter().position(|l| l == name));
        let mut corpus = Self {
            labels,
            background,
            sets: Vec::new(),
            clips: Vec::new(),
            negatives: Vec::new(),
            procedural: Vec::new(),
        };
        let cache = FeatureCache::new(&places.cache, contents.frontend)?;
        for set in opened {
            corpus.add(set, &cache)?;
        }
        if folds == FoldMode::Source {
            corpus.regroup();
        }
        if let Some(settings) = contents.procedural {
            corpus.procedural = procedural::clips(settings, contents.frontend, &corpus.labels, background)?;
        }
        Ok(corpus)
    }

    fn add(&mut self, set: Opened, cache: &FeatureCache) -> Result<()> {
        if !set.labels.is_empty() {
            let own = set.labels.iter().filter_map(|name| self.labels.iter().position(|l| l == name));
            self.sets.push(SetInfo { name: set.name.clone(), labels: own.collect() });
        }
        let origin = Origin::Set(self.sets.len().saturating_sub(1));
        for (segments, division) in [(set.segments, Division::Train), (set.validation, Division::HeldOut)] {
            let Some(segments) = segments.map(Arc::new) else { continue };
            let own = &self.sets[self.sets.len() - 1].labels;
            let label = |i: usize| Ok(own[segments.class(i)?]);
            let clips = clips(&segments, &set.name, origin, division, cache, label)?;
            self.clips.extend(clips);
        }
        for (segments, division) in [(set.background, Division::Train), (set.validation_background, Division::HeldOut)]
        {
            let Some(segments) = segments.map(Arc::new) else { continue };
            let label = self.background.unwrap_or(0);
            let clips = clips(&segments, &set.name, Origin::Background, division, cache, |_| Ok(label))?;
            self.negatives.extend(clips);
        }
        Ok(())
    }

    /// Replaces the folds of the clips that have one, such that no source is in two of them.
    fn regroup(&mut self) {
        let with_fold = |clip: &&mut Clip| matches!(clip.division, Division::Fold(_));
        let keys: Vec<_> = self.clips.iter_mut().filter(with_fold).map(|c| (c.label, c.source.clone())).collect();
        for (clip, fold) in self.clips.iter_mut().filter(with_fold).zip(folds::by_source(&keys)) {
            clip.division = Division::Fold(fold);
        }
    }

    /// Folds that the clips have, in order.
    pub fn folds(&self) -> Vec<u32> {
        let mut folds: Vec<u32> = self.clips.iter().filter_map(Clip::fold).collect();
        folds.sort_unstable();
        folds.dedup();
        folds
    }

    /// Divides the corpus: `fold` is held out of every set that has folds, and its stretch of time
    /// of every background recording; a validation set is always held out.
    ///
    /// # Errors
    ///
    /// If there is no such fold, or nothing is left to train on.
    pub fn split(self, fold: Option<u32>) -> Result<Split> {
        let folds = self.folds();
        if let Some(fold) = fold.filter(|fold| !folds.contains(fold)) {
            return Err(Error::Usage(match folds[..] {
                [] => format!("fold {fold} does not exist: the data has its own division and no folds"),
                _ => format!("fold {fold} does not exist; the data has folds {folds:?}"),
            }));
        }
        let is_held_out = |clip: &Clip| match clip.division {
            Division::Fold(own) => Some(own) == fold,
            Division::Train => false,
            Division::HeldOut => true,
        };
        let (held_out, mut train): (Vec<_>, Vec<_>) = self.clips.into_iter().partition(is_held_out);
        train.extend(self.procedural);
        if train.is_empty() {
            return Err(Error::Usage("no clip is left to train on: every clip is held out".to_owned()));
        }
        let (mut held_out_negatives, divided): (Vec<_>, Vec<_>) = self.negatives.into_iter().partition(is_held_out);
        let mut negatives = Vec::new();
        for clip in divided {
            let Some(fold) = fold else {
                negatives.push(clip);
                continue;
            };
            let n_frames = clip.frames.n_frames();
            let stretch = held_out_stretch(n_frames, fold);
            let part = |range: std::ops::Range<usize>| Clip { frames: clip.frames.part(range), ..clip.clone() };
            held_out_negatives.extend((!stretch.is_empty()).then(|| part(stretch.clone())));
            let rest = [0..stretch.start, stretch.end..n_frames];
            negatives.extend(rest.into_iter().filter(|r| !r.is_empty()).map(part));
        }
        Ok(Split { train, held_out, negatives, held_out_negatives })
    }
}

/// The classes of all sets, of the generator if it adds its own, and the background's.
fn labels(contents: &Contents, opened: &[Opened]) -> Result<Vec<String>> {
    let mut labels: Vec<String> = Vec::new();
    for name in opened.iter().flat_map(|set| &set.labels) {
        if !labels.contains(name) {
            labels.push(name.clone());
        }
    }
    if contents.procedural.is_some_and(|p| p.add_labels) {
        procedural::add_labels(&mut labels);
    }
    for name in &contents.more_labels {
        if !labels.iter().any(|l| l == name) {
            labels.push((*name).to_owned());
        }
    }
    if let Some(name) = contents.background.filter(|name| !labels.iter().any(|l| l == name)) {
        labels.push(name.to_owned());
    }
    if labels.len() < 2 {
        return Err(Error::Usage(format!("the data has {} classes, a training needs at least 2", labels.len())));
    }
    Ok(labels)
}

/// The segments of a set as clips.
fn clips(
    set: &Arc<SegmentSet>,
    name: &str,
    origin: Origin,
    division: Division,
    cache: &FeatureCache,
    label: impl Fn(usize) -> Result<usize>,
) -> Result<Vec<Clip>> {
    let frames = set.frames(cache)?;
    let clip = |(i, frames): (usize, Frames)| {
        let segment = &set.segments()[i];
        Ok(Clip {
            origin,
            label: label(i)?,
            division: if segment.fold > 0 { Division::Fold(segment.fold) } else { division },
            source: format!("{name}/{}", segment.source),
            id: segment.annotation_id.clone(),
            file: segment.recording.clone(),
            frames,
            audio: Audio::Segment(set.clone(), i),
        })
    };
    frames.into_iter().enumerate().map(clip).collect()
}

/// The data root to use: the option, else the environment's `EARWITNESS_DATA`, else the recipe's
/// `own`, from the recipe's folder.
pub fn data_root(own: &Path, recipe_path: &Path, option: Option<&Path>) -> PathBuf {
    let from_environment = std::env::var_os("EARWITNESS_DATA").filter(|v| !v.is_empty()).map(PathBuf::from);
    let chosen = option.map(Path::to_owned).or(from_environment);
    chosen.unwrap_or_else(|| recipe_path.parent().unwrap_or(Path::new("")).join(own))
}
