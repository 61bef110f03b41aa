//! A model of the user's own sounds, made from a finished one.
//!
//! Enters: a folder of recordings for each label, and a model folder. Leaves, in a run folder:
//! `model/`, which the daemon runs, with its card; for each fold a folder that the report reads;
//! and `own.json`, the figures of all folds. What is trained is a new head on the start's network
//! ([`head`]), which takes seconds and leaves the old classes as they are.
//!
//! The modules in the order of the data: [`recordings`] finds the files and divides them into
//! folds, [`start`] reads the model, [`sounding`] cuts, [`beds`] lays background under,
//! [`material`] gathers all sounds, [`lessons`] listens to them, [`head`] trains, [`held_out`]
//! measures, [`figures`] counts, [`model`] and [`card`] write. Runs on the calling thread;
//! decoding, rendering and libtorch use all threads.

mod beds;
mod card;
pub mod figures;
pub mod head;
mod held_out;
mod lessons;
mod material;
mod model;
pub mod recordings;
mod sounding;
pub mod start;

use crate::chain::student::MODEL;
use crate::common::environment::Environment;
use crate::common::json;
use crate::error::{Error, Result};
use crate::judge::thresholds;
use edge_frontend::{Activation, DataNotes, Decision};
use figures::Figures;
use head::Reading;
use held_out::HeldOutFold;
use lessons::{Ear, Lessons};
use material::Material;
use recordings::Recordings;
use sounds::Sound;
use start::{Classes, Start};
use std::path::PathBuf;
use std::time::Instant;
use tch::Device;

/// Name of the figures in the run folder.
pub const FIGURES: &str = "own.json";
/// Label of all sounds that are not the user's, where the model has no other.
const BACKGROUND: &str = "background";

/// What to make.
#[derive(Debug, Clone)]
pub struct OwnOptions {
    /// Folder with a folder of recordings for each label.
    pub data: PathBuf,
    /// Model folder to start from.
    pub from: PathBuf,
    /// Run folder.
    pub out: PathBuf,
    /// Leave the start's classes out.
    pub only_own: bool,
    /// Generated sounds that are like one of the user's.
    pub like: Vec<Sound>,
    /// Seed of what is drawn.
    pub seed: u64,
}

impl OwnOptions {
    /// Name of the model: that of the run folder, as far as a name may have it.
    fn name(&self) -> String {
        let folder = std::path::absolute(&self.out).unwrap_or_else(|_| self.out.clone());
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        if name.is_empty() { "own".to_owned() } else { name }
    }

    /// What the manifest states about data and terms.
    fn data_notes(&self, start: &Start, recordings: &Recordings) -> DataNotes {
        let (old, n) = (&start.model.manifest, recordings.files.len());
        DataNotes {
            training: format!(
                "{n} of the user's recordings ({}), on the network of {} ({})",
                recordings.labels.join(", "),
                start.model.id(),
                old.data.training
            ),
            licence: format!("those of {}: {}", start.model.id(), old.data.licence),
        }
    }

    /// Creates the run folder.
    fn create(&self) -> Result<()> {
        if self.out.join(MODEL).exists() || self.out.join(FIGURES).exists() {
            let message = "holds a training already; choose another --out or delete it";
            return Err(Error::Usage(format!("{}: {message}", self.out.display())));
        }
        std::fs::create_dir_all(&self.out).map_err(Error::io(&self.out))
    }
}

/// Trains a head on the start's network, without each fold and then on everything.
///
/// # Errors
///
/// If the recordings or the model cannot be used, the run folder holds a training already, or the
/// finished model does not compute what it should.
pub fn fit_head(options: &OwnOptions) -> Result<Figures> {
    let started = Instant::now();
    let start = Start::load(&options.from)?;
    let manifest = &start.model.manifest;
    let mut recordings = Recordings::find(&options.data, &manifest.labels)?;
    options.create()?;
    let classes = if options.only_own {
        Classes::alone(&recordings.labels, manifest.background.as_deref().unwrap_or(BACKGROUND))
    } else {
        Classes::added(&start, &recordings.labels)
    };
    announce(&start, &recordings, &classes);
    let ear = Ear::new(&start);
    let material = Material::gather(&mut recordings, &classes, &options.like, &manifest.frontend, ear.n_around())?;
    let lessons = Lessons::hear(&ear, &material, &recordings, &classes, options.seed)?;
    let first = classes.arranged(&start.head)?;
    let reading = reading(manifest.network.activation, &manifest.decision);
    let fold = HeldOutFold { options, start: &start, classes: &classes, material: &material, recordings: &recordings };

    let (mut heard, mut unchanged) = (Vec::new(), (0, 0));
    for k in recordings.folds() {
        let head = head::train(&first, &classes, reading, &lessons.rows(Some(k))?)?;
        heard.extend(fold.measure(k, &head)?);
        let (n_same, n) = held_out::unchanged(&first, &head, &classes, &lessons.others(k)?)?;
        unchanged = (unchanged.0 + n_same, unchanged.1 + n);
        eprintln!("fold {k} of {} done", recordings.folds().len());
    }
    let head = head::train(&first, &classes, reading, &lessons.rows(None)?)?;
    let decision = decision(options, &manifest.decision, &classes)?;
    let unchanged = (!classes.are_all_new()).then_some(unchanged);
    let mut figures = Figures::of(&heard, &classes, &decision, unchanged, 0.0);
    let out = options.out.join(MODEL);
    let (data, metrics) = (options.data_notes(&start, &recordings), card::metrics(&figures));
    let about = model::About { name: options.name(), metrics, data };
    model::write(&start, &classes, &head, decision, about, &out)?;
    model::verify(&start, &classes, &head, &out)?;
    figures.seconds = started.elapsed().as_secs_f64();
    card::write(&out, &start, &classes, &figures)?;
    Environment::here(Device::Cpu, &options.data).write(&options.out)?;
    json::write(&options.out.join(FIGURES), &figures)?;
    Ok(figures)
}

fn reading(activation: Activation, decision: &Decision) -> Reading {
    Reading { activation, temperature: f64::from(decision.temperature) }
}

/// The start's decision values, with thresholds of the new classes from what the folds held out. A
/// class that the start knows but does not report counts as new: it is reported from now on.
fn decision(options: &OwnOptions, start: &Decision, classes: &Classes) -> Result<Decision> {
    let mut calibrated = start.clone();
    let background = classes.background.map(|c| classes.labels[c].as_str());
    thresholds::calibrate(&mut calibrated, std::slice::from_ref(&options.out), &classes.labels, background)?;
    let mut decision = start.clone();
    decision.classes.retain(|label, _| classes.labels.contains(label) && !classes.are_all_new());
    let is_new = |label: &String| {
        let class = classes.labels.iter().position(|l| l == label);
        class.is_some_and(|c| classes.row[c].is_none() || (classes.own.contains(&c) && !start.reports(label)))
    };
    decision.classes.extend(calibrated.classes.into_iter().filter(|(label, _)| is_new(label)));
    Ok(decision)
}

fn announce(start: &Start, recordings: &Recordings, classes: &Classes) {
    let new = classes.own.iter().filter(|&&c| classes.row[c].is_none()).count();
    eprintln!(
        "{}: {} recordings of {} classes ({new} new), {} negatives; from {}, {} classes in all",
        recordings.root.display(),
        recordings.files.len(),
        recordings.labels.len(),
        recordings.negatives.len(),
        start.model.id(),
        classes.labels.len()
    );
}
