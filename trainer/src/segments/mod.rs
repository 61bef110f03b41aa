//! Annotated stretches of recordings, and views of them as features.
//!
//! Enters: a table of segments and the place of their audio. Leaves: a [`SegmentSet`], of which any thread may ask for a
//! [`View`] of a segment: `(n_frames, n_mels)` row-major, time first, always as long as a view; and, by a [`Loader`], batches of
//! them, computed ahead of the training.

mod clips;
mod features;
mod folder;
mod loader;
mod store;
mod view;

pub use loader::{LoadedBatch, Loader, Plan};
pub use view::{View, ViewLength};

use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use features::Features;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Store;

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
    /// Folder of features that are the same every time: those of segments shorter than a view, and those of test views.
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

/// Segments with their audio. A subset shares the audio and the kept features with the set it was taken from.
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
    length: ViewLength,
    past_end: PastEnd,
}

impl SegmentSet {
    /// The clips of the table `csv` (`file`, `label`, `fold`, `source_id`) in `folder`, each one segment named after its file
    /// without extension; labels in alphabetical order.
    ///
    /// # Errors
    ///
    /// If the table is wrong, two clips have one name, a recording cannot be decoded, or an option does not hold.
    pub fn clips(csv: &Path, folder: &Path, frontend: &FrontendConfig, options: &Options) -> Result<Self> {
        let length = ViewLength::new(options.view_seconds, frontend)?;
        let (segments, labels, folder) = clips::read(csv, folder, frontend, options.audio_bytes)?;
        Self::new(csv, segments, labels, Store::Folder(folder), frontend, length, options)
    }

    fn new(
        csv: &Path,
        segments: Vec<Segment>,
        labels: Vec<String>,
        store: Store,
        frontend: &FrontendConfig,
        length: ViewLength,
        options: &Options,
    ) -> Result<Self> {
        let features = Features::new(frontend, options.cache.as_deref(), options.feature_bytes)?;
        let past_end = options.past_end;
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
    pub fn n_frames(&self) -> usize {
        self.shared.length.n_frames
    }

    /// Mel bands of a frame.
    pub fn n_mels(&self) -> usize {
        self.frontend().n_mels
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

    /// Features of a view of segment `segment`: `(n_frames, n_mels)` row-major, the last frame repeated where there are fewer.
    ///
    /// # Errors
    ///
    /// One that names the table's row, if the audio cannot be read, a sample of it is not finite, or the segment begins past
    /// the recording's end.
    ///
    /// # Panics
    ///
    /// If `segment` is out of range or a test view's index is not below its number of views.
    pub fn view(&self, segment: usize, view: View) -> Result<Vec<f32>> {
        let (row, shared) = (&self.segments[segment], &self.shared);
        let range = shared.length.slice(row.start, row.stop, view);
        let fixed = shared.length.is_fixed(row.start, row.stop, view);
        let id = (self.origins[segment], range.start);
        if fixed && let Some(values) = shared.features.find(id) {
            return Ok(self.padded(&values));
        }
        let at_row = |message: String| Error::input(&shared.csv, Some(row.line), message);
        let slice = shared.store.read(&row.recording, range.clone()).map_err(at_row)?;
        if row.start >= slice.n_recording && shared.past_end == PastEnd::Error {
            return Err(at_row(format!(
                "segment {} begins at sample {}, but {} has only {}",
                row.annotation_id,
                row.start,
                shared.store.name(&row.recording),
                slice.n_recording
            )));
        }
        if let Some(at) = slice.iter().position(|x| !x.is_finite()) {
            let (name, position) = (shared.store.name(&row.recording), range.start + at as u64);
            return Err(at_row(format!("{name}: sample {position} is {}", slice[at])));
        }
        if fixed {
            return Ok(self.padded(&*shared.features.keep(id, &slice)?));
        }
        Ok(self.padded(&shared.features.compute(&slice)?))
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
