//! Annotated stretches of recordings, and views of them as features.
//!
//! Enters: a table of segments and the place of their audio. Leaves: a [`SegmentSet`], the one form
//! in which every data set reaches a training. Any thread may ask it for a [`View`] of a segment:
//! `(n_frames, n_mels)` row-major, time first, always as long as a view; a [`Loader`] computes
//! batches of views ahead of the training. [`SegmentSet::frames`] gives the frames of the segments
//! themselves, which stay on disk.

mod annotations;
mod background;
pub mod check;
mod clips;
mod features;
mod folder;
mod hdf5;
mod loader;
mod store;
mod view;
mod whole;

#[cfg(test)]
mod tests;

pub use loader::{LoadedBatch, Loader, Plan};
pub use view::{View, ViewLength};

use super::folds::by_source;
use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use features::Features;
use folder::Folder;
use hdf5::Hdf5;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Store;

/// Names of the classes in the annotations at `csv`, by id; none where they have no classes.
///
/// # Errors
///
/// If the table is wrong: file, line and field are named.
pub fn class_labels(csv: &Path) -> Result<Vec<String>> {
    // Names do not depend on the sample rate.
    Ok(annotations::read(csv, FrontendConfig::epic_sounds().sample_rate, None)?.1)
}

/// A stretch of a recording that has a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its name; unique in a set.
    pub annotation_id: String,
    /// Name of the recording.
    pub recording: String,
    /// First sample, at the front end's rate.
    pub start: u64,
    /// Sample after the last one; greater than `start`.
    pub stop: u64,
    /// Index into the labels; `None` where the table has no classes.
    pub class: Option<usize>,
    /// Fold, from 1; 0 where the table has none.
    pub fold: u32,
    /// What it was cut from: segments of one source belong in one fold.
    pub source: String,
    /// Line of the table, from 1.
    pub line: usize,
}

/// What becomes of a segment that begins at or past the end of its recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PastEnd {
    /// An error that names file and row.
    #[default]
    Error,
    /// One frame of `ln(1e-6)`, as the official code has it.
    Official,
}

/// How segments are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Length of a view.
    pub view_seconds: f64,
    /// Segments past the end.
    pub past_end: PastEnd,
    /// Classes of an EPIC annotation table; `None`: as many as it has, without gaps.
    pub n_classes: Option<usize>,
    /// Bytes of decoded recordings of a folder that are kept in memory.
    pub audio_bytes: usize,
    /// Bytes of features that are kept in memory.
    pub feature_bytes: usize,
    /// Folder of features that are the same every time: those of segments shorter than a view, and
    /// those of test views.
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    /// The recipe's views and classes, 1 GiB of audio, 512 MiB of features, no folder.
    fn default() -> Self {
        Self {
            view_seconds: 1.999,
            past_end: PastEnd::Error,
            n_classes: Some(44),
            audio_bytes: 1 << 30,
            feature_bytes: 512 << 20,
            cache: None,
        }
    }
}

/// Segments with their audio. A subset shares the audio and the kept features with the set it was
/// taken from.
#[derive(Debug, Clone)]
pub struct SegmentSet {
    segments: Vec<Segment>,
    /// Which segment of the whole set each one is.
    origins: Vec<usize>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    csv: PathBuf,
    labels: Vec<String>,
    store: Store,
    features: Features,
    /// None where the front end has no views: it does not pad.
    length: Option<ViewLength>,
    past_end: PastEnd,
}

impl SegmentSet {
    /// The annotations of the table `csv`, whose recordings are the data sets of the file `hdf5`,
    /// named by `video_id`, at the front end's rate.
    ///
    /// # Errors
    ///
    /// If the table is wrong, the file is not an HDF5 file, a row's data set is missing or is not
    /// of float32 and one dimension, a segment begins at or past its recording's end (unless
    /// allowed), or an option does not hold.
    pub fn epic_sounds(csv: &Path, hdf5: &Path, frontend: &FrontendConfig, options: &Options) -> Result<Self> {
        let (segments, labels) = annotations::read(csv, frontend.sample_rate, options.n_classes)?;
        let mut file = Hdf5::open(hdf5).map_err(|message| Error::input(hdf5, None, message))?;
        for row in &segments {
            let at_row = |message: String| Error::input(csv, Some(row.line), format!("video_id: {message}"));
            file.look_up(&row.recording).map_err(at_row)?;
        }
        let set = Self::new(csv, segments, labels, Store::Hdf5(file), frontend, options)?;
        for row in &set.segments {
            if let Store::Hdf5(file) = &set.shared.store
                && let Some(n) = file.n_samples(&row.recording)
            {
                set.shared.check_start(row, n)?;
            }
        }
        Ok(set)
    }

    /// The annotations of the table `csv`, whose recordings are files `VIDEO_ID.wav` (or `.flac`,
    /// `.ogg`, `.mp3`) of `folder`, at any rate. They are decoded when they are asked for.
    ///
    /// # Errors
    ///
    /// If the table is wrong, the folder cannot be read or lacks a recording, or an option does not
    /// hold.
    pub fn annotated_folder(csv: &Path, folder: &Path, frontend: &FrontendConfig, options: &Options) -> Result<Self> {
        let (segments, labels) = annotations::read(csv, frontend.sample_rate, options.n_classes)?;
        let paths = Folder::list(folder).map_err(Error::io(folder))?;
        if let Some(row) = segments.iter().find(|row| !paths.contains_key(&row.recording)) {
            let message = format!("video_id: {} has no {}.wav, .flac, .ogg or .mp3", folder.display(), row.recording);
            return Err(Error::input(csv, Some(row.line), message));
        }
        let store = Store::Folder(Folder::new(paths, frontend.sample_rate, options.audio_bytes));
        Self::new(csv, segments, labels, store, frontend, options)
    }

    /// The annotations of the table `csv` and their `audio`: a folder, or else an HDF5 file.
    ///
    /// # Errors
    ///
    /// As [`SegmentSet::annotated_folder`] and [`SegmentSet::epic_sounds`].
    pub fn annotated(csv: &Path, audio: &Path, frontend: &FrontendConfig, options: &Options) -> Result<Self> {
        let open = if audio.is_dir() { Self::annotated_folder } else { Self::epic_sounds };
        open(csv, audio, frontend, options)
    }

    /// The clips of the table `csv` (`file`, `label`, `fold`, `source_id`) in `folder`, each one
    /// segment named after its file without extension; labels in alphabetical order.
    ///
    /// # Errors
    ///
    /// If the table is wrong, two clips have one name, a recording cannot be decoded, or an option
    /// does not hold.
    pub fn clips(csv: &Path, folder: &Path, frontend: &FrontendConfig, options: &Options) -> Result<Self> {
        let (segments, labels, folder) = clips::read(csv, folder, false, frontend, options.audio_bytes)?;
        Self::new(csv, segments, labels, Store::Folder(folder), frontend, options)
    }

    /// The recordings of the table `csv` (`file`) in `folder`, which hold background: segments
    /// without a class.
    ///
    /// # Errors
    ///
    /// As [`SegmentSet::clips`].
    pub fn background(csv: &Path, folder: &Path, frontend: &FrontendConfig, options: &Options) -> Result<Self> {
        let (segments, labels, folder) = clips::read(csv, folder, true, frontend, options.audio_bytes)?;
        Self::new(csv, segments, labels, Store::Folder(folder), frontend, options)
    }

    fn new(
        csv: &Path,
        segments: Vec<Segment>,
        labels: Vec<String>,
        store: Store,
        frontend: &FrontendConfig,
        options: &Options,
    ) -> Result<Self> {
        let features = Features::new(frontend, options.cache.as_deref(), options.feature_bytes)?;
        let past_end = options.past_end;
        let length = frontend.centre_padding.then(|| ViewLength::new(options.view_seconds, frontend)).transpose()?;
        let origins = (0..segments.len()).collect();
        let shared = Arc::new(Shared { csv: csv.to_owned(), labels, store, features, length, past_end });
        Ok(Self { segments, origins, shared })
    }

    /// The segments, in the order of the table.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Names of the classes, by class index; empty where the table has no classes.
    pub fn labels(&self) -> &[String] {
        &self.shared.labels
    }

    /// The table.
    pub fn path(&self) -> &Path {
        &self.shared.csv
    }

    /// The front end.
    pub fn frontend(&self) -> &FrontendConfig {
        self.shared.features.frontend()
    }

    /// Frames of a view.
    ///
    /// # Panics
    ///
    /// If the front end does not pad: it has no views.
    pub fn n_frames(&self) -> usize {
        self.length().n_frames
    }

    fn length(&self) -> &ViewLength {
        self.shared.length.as_ref().expect("a front end with centre padding")
    }

    /// Mel bands of a frame.
    pub fn n_mels(&self) -> usize {
        self.frontend().n_mels
    }

    /// The segments that `wanted` holds of, in their order.
    pub fn filter(&self, wanted: impl Fn(&Segment) -> bool) -> Self {
        self.subset(&(0..self.segments.len()).filter(|&i| wanted(&self.segments[i])).collect::<Vec<_>>())
    }

    /// The same segments in folds that no source spans, by [`by_source`].
    ///
    /// # Errors
    ///
    /// If a segment has no class.
    pub fn with_source_folds(mut self) -> Result<Self> {
        let keys = self.segments.iter().map(|s| Some((s.class?, s.source.clone()))).collect::<Option<Vec<_>>>();
        let keys = keys.ok_or_else(|| Error::input(self.path(), None, "folds by source need classes"))?;
        for (segment, fold) in self.segments.iter_mut().zip(by_source(&keys)) {
            segment.fold = fold;
        }
        Ok(self)
    }

    /// Folds that the segments have, in order.
    pub fn folds(&self) -> Vec<u32> {
        let mut folds: Vec<u32> = self.segments.iter().map(|s| s.fold).filter(|&f| f > 0).collect();
        folds.sort_unstable();
        folds.dedup();
        folds
    }

    /// The segments at `indices`, in that order.
    ///
    /// # Panics
    ///
    /// If an index is out of range.
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            segments: indices.iter().map(|&i| self.segments[i].clone()).collect(),
            origins: indices.iter().map(|&i| self.origins[i]).collect(),
            shared: self.shared.clone(),
        }
    }

    /// Features of a view of segment `segment`: `(n_frames, n_mels)` row-major, the last frame
    /// repeated where there are fewer.
    ///
    /// # Errors
    ///
    /// One that names the table's row, if the audio cannot be read, a sample of it is not finite,
    /// or the segment begins past the recording's end.
    ///
    /// # Panics
    ///
    /// If `segment` is out of range or a test view's index is not below its number of views.
    pub fn view(&self, segment: usize, view: View) -> Result<Vec<f32>> {
        let (row, shared) = (&self.segments[segment], &self.shared);
        let range = self.length().slice(row.start, row.stop, view);
        let fixed = self.length().is_fixed(row.start, row.stop, view);
        let id = (self.origins[segment], range.start);
        if fixed && let Some(values) = shared.features.find(id) {
            return Ok(self.padded(&values));
        }
        let at_row = |message: String| Error::input(&shared.csv, Some(row.line), message);
        let slice = shared.store.read(&row.recording, range.clone()).map_err(at_row)?;
        shared.check_start(row, slice.n_recording)?;
        if let Some(at) = slice.iter().position(|x| !x.is_finite()) {
            let (name, position) = (shared.store.name(&row.recording), range.start + at as u64);
            return Err(at_row(format!("{name}: sample {position} is {}", slice[at])));
        }
        if fixed {
            return Ok(self.padded(&shared.features.keep(id, &slice)?));
        }
        Ok(self.padded(&shared.features.compute(&slice)?))
    }

    /// The samples of segment `segment`, at the front end's rate.
    ///
    /// # Errors
    ///
    /// One that names the table's row, if the audio cannot be read.
    ///
    /// # Panics
    ///
    /// If `segment` is out of range.
    pub fn samples(&self, segment: usize) -> Result<Vec<f32>> {
        let (row, shared) = (&self.segments[segment], &self.shared);
        let slice = shared.store.read(&row.recording, row.start..row.stop);
        Ok(slice.map_err(|message| Error::input(&shared.csv, Some(row.line), message))?.to_vec())
    }

    /// First sample of the training view of segment `segment` that `draw` in [0, 1) places, in its
    /// recording.
    ///
    /// # Panics
    ///
    /// If `segment` is out of range.
    pub fn view_start(&self, segment: usize, draw: f64) -> u64 {
        let row = &self.segments[segment];
        self.length().slice(row.start, row.stop, View::Start(draw)).start
    }

    /// The file of the recording that segment `segment` is of; none where recordings are data sets
    /// of one file.
    ///
    /// # Panics
    ///
    /// If `segment` is out of range.
    pub fn audio_path(&self, segment: usize) -> Option<&Path> {
        match &self.shared.store {
            Store::Hdf5(_) => None,
            Store::Folder(folder) => folder.path(&self.segments[segment].recording),
        }
    }

    /// The class of segment `segment`.
    ///
    /// # Errors
    ///
    /// If it has none; table and line are named.
    ///
    /// # Panics
    ///
    /// If `segment` is out of range.
    pub fn class(&self, segment: usize) -> Result<usize> {
        let row = &self.segments[segment];
        row.class.ok_or_else(|| Error::input(self.path(), Some(row.line), "class_id: the segment has no class"))
    }

    /// Whether segment `segment` is used whole, so that all its views are one.
    ///
    /// # Panics
    ///
    /// If `segment` is out of range.
    pub fn is_whole(&self, segment: usize) -> bool {
        let row = &self.segments[segment];
        self.length().is_fixed(row.start, row.stop, View::Start(0.0))
    }

    fn padded(&self, values: &[f32]) -> Vec<f32> {
        let (n_mels, n_values) = (self.n_mels(), self.n_frames() * self.n_mels());
        let mut padded = Vec::with_capacity(n_values);
        padded.extend_from_slice(values);
        while padded.len() < n_values {
            padded.extend_from_slice(&values[values.len() - n_mels..]);
        }
        padded
    }
}

impl Shared {
    /// Whether a segment begins before the end of its recording of `n` samples, where that matters.
    fn check_start(&self, row: &Segment, n: u64) -> Result<()> {
        if row.start < n || self.past_end == PastEnd::Official {
            return Ok(());
        }
        let (id, start, name) = (&row.annotation_id, row.start, self.store.name(&row.recording));
        let message = format!("start_timestamp: segment {id} begins at sample {start}, but {name} has only {n}");
        Err(Error::input(&self.csv, Some(row.line), message))
    }
}
