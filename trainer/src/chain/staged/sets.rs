//! The segments of a staged recipe.
//!
//! Enters: a recipe and a fold. Leaves: what is trained on and what is evaluated on.

use super::recipe::{StagedData, StagedRecipe};
use crate::data::Places;
use crate::data::segments::{Options, SegmentSet};
use crate::error::{Error, Result};
use crate::train::recipe::FoldMode;
use std::path::{Path, PathBuf};

/// One fold's division.
#[derive(Debug, Clone)]
pub struct Sets {
    /// Names of the classes.
    pub labels: Vec<String>,
    /// Trained on.
    pub train: SegmentSet,
    /// Evaluated on; none if nothing is held out.
    pub held_out: Option<SegmentSet>,
}

/// Opens the data of `recipe`; `fold` is held out of a table of clips.
///
/// # Errors
///
/// If a table or its audio is wrong, or there is no such fold.
pub fn open(recipe: &StagedRecipe, places: &Places, folds: FoldMode, fold: Option<u32>) -> Result<Sets> {
    let root = &places.data_root;
    let options = options(recipe, Some(&places.cache));
    match &recipe.data {
        StagedData::Clips { csv, audio } => {
            let all = SegmentSet::clips(&root.join(csv), &root.join(audio), &recipe.frontend, &options)?;
            let all = if folds == FoldMode::Source { all.with_source_folds()? } else { all };
            let labels = all.labels().to_vec();
            let Some(fold) = fold else { return Ok(Sets { labels, train: all, held_out: None }) };
            if !all.folds().contains(&fold) {
                let message = format!("fold {fold} does not exist; the data has folds {:?}", all.folds());
                return Err(Error::Usage(message));
            }
            let (train, held_out) = (all.filter(|s| s.fold != fold), all.filter(|s| s.fold == fold));
            Ok(Sets { labels, train, held_out: Some(held_out) })
        }
        StagedData::EpicSounds { train, validation, audio } => {
            if fold.is_some() {
                return Err(Error::Usage("--fold: epic_sounds has its own division and no folds".to_owned()));
            }
            let open = |csv: &Path| annotated(&root.join(csv), &root.join(audio), recipe, &options);
            let (train, held_out) = (open(train)?, open(validation)?);
            if train.labels() != held_out.labels() {
                return Err(Error::input(held_out.path(), None, "has other classes than the training annotations"));
            }
            Ok(Sets { labels: train.labels().to_vec(), train, held_out: Some(held_out) })
        }
    }
}

/// Annotated segments of `audio`: an HDF5 file, or a folder with a recording a video.
///
/// # Errors
///
/// As [`SegmentSet::epic_sounds`] and [`SegmentSet::annotated_folder`].
pub fn annotated(csv: &Path, audio: &Path, recipe: &StagedRecipe, options: &Options) -> Result<SegmentSet> {
    if audio.is_dir() {
        SegmentSet::annotated_folder(csv, audio, &recipe.frontend, options)
    } else {
        SegmentSet::epic_sounds(csv, audio, &recipe.frontend, options)
    }
}

/// How a recipe's segments are read.
pub fn options(recipe: &StagedRecipe, cache: Option<&Path>) -> Options {
    let bytes = recipe.train.memory_mb << 20;
    Options {
        view_seconds: recipe.train.view_seconds,
        audio_bytes: bytes / 2,
        feature_bytes: bytes / 2,
        cache: cache.map(PathBuf::from),
        ..Options::default()
    }
}
