//! Scenes as a model heard them.
//!
//! Enters: a model folder and folders of recordings with a truth file beside each. Leaves: what the
//! network put out, with the truth. Runs on the pool's threads.

use crate::error::{Error, Result};
use edge::audio;
use edge::decide::Rules;
use edge::engine::PrecisionChoice;
use edge::heard::{Heard, listen};
use edge::model::Model;
use edge_evaluate::{Sound, UnknownLabels, truth};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Recordings with sounds of the classes, and recordings without any, as one model heard them.
#[derive(Debug, Clone)]
pub struct Material {
    /// Of the fold, or of the model.
    pub name: String,
    /// With sounds.
    pub scenes: Recordings,
    /// Without: every event is a false alarm.
    pub quiet: Recordings,
}

/// Recordings and what is in them, in the same order.
#[derive(Debug, Clone, Default)]
pub struct Recordings {
    /// What the network said.
    pub heard: Vec<Heard>,
    /// What there is.
    pub truth: Vec<Vec<Sound>>,
}

impl Material {
    /// Runs `model` over the recordings in `folders`; those whose truth holds no sound are the
    /// quiet ones. Labels that the model does not know are left out.
    ///
    /// # Errors
    ///
    /// If a folder holds no recordings, a recording has no truth beside it, or the model does not
    /// run. A recording that cannot be decoded is named and left out.
    pub fn listen(name: &str, model: &Model, precision: PrecisionChoice, folders: &[PathBuf]) -> Result<Self> {
        let mut files = Vec::new();
        for folder in folders {
            files.extend(recordings(folder)?);
        }
        let rules = Rules::new(&model.manifest, &model.manifest.decision);
        let bar = crate::common::progress::bar(files.len() as u64, "listening");
        let heard = files.par_iter().map(|(audio, csv)| {
            let sounds = truth(csv, &model.manifest, UnknownLabels::LeaveOut).map_err(edge::Error::from)?;
            bar.inc(1);
            match listen(model, &rules, precision, audio) {
                // One broken recording is named, and does not keep the others from being heard.
                Err(error) if error.kind() == edge::ErrorKind::Audio => {
                    eprintln!("left out: {error}");
                    Ok(None)
                }
                heard => Ok(Some((heard?, sounds.sounds, sounds.unknown.is_empty()))),
            }
        });
        let heard = heard.collect::<Result<Vec<_>>>()?;
        bar.finish_and_clear();
        let (mut scenes, mut quiet) = (Recordings::default(), Recordings::default());
        for (heard, sounds, all_known) in heard.into_iter().flatten() {
            let to = if sounds.is_empty() && all_known { &mut quiet } else { &mut scenes };
            to.heard.push(heard);
            to.truth.push(sounds);
        }
        Ok(Self { name: name.to_owned(), scenes, quiet })
    }
}

impl Recordings {
    /// Length of all together, hours.
    pub fn hours(&self) -> f64 {
        self.heard.iter().map(|heard| heard.duration_s).sum::<f64>() / 3600.0
    }
}

/// The recordings of a folder, each with its truth, by name.
fn recordings(folder: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let unreadable = |e: std::io::Error| Error::input(folder, None, format!("cannot be read: {e}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if audio::is_recording(&path) {
            let csv = path.with_extension("csv");
            if !csv.is_file() {
                return Err(Error::input(&path, None, format!("has no truth beside it: {} is missing", csv.display())));
            }
            files.push((path, csv));
        }
    }
    if files.is_empty() {
        return Err(Error::input(folder, None, format!("holds no recordings ({})", audio::EXTENSIONS.join(", "))));
    }
    files.sort();
    Ok(files)
}
