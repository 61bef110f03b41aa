//! A training of the whole network on own sounds.
//!
//! Enters: the user's recordings, and a model folder. Leaves: a run folder with a recipe, its tables, a run for each fold and for all
//! data, and the model. The recipe can be changed and trained again like any other. Runs on the calling thread.

use super::recordings::Recordings;
use super::start::Start;
use super::{BACKGROUND, OwnOptions, announce, start::Classes};
use crate::chain::crossval::{self, Summary};
use crate::chain::fit::{CHECKPOINT, FitOptions, MODEL, fit, run_name};
use crate::data::Places;
use crate::error::{Error, Result};
use crate::ship::export::{self, ExportOptions};
use crate::train::recipe::{DataSet, Export, Recipe, parse_toml};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::Device;

/// Names of what is written.
const RECIPE: &str = "recipe.toml";
const OWN: &str = "own.csv";
const NEGATIVES: &str = "negatives.csv";

/// How to train, besides what to make.
#[derive(Debug)]
pub struct Training {
    /// Where to compute.
    pub device: Device,
    /// Set from outside to save and stop.
    pub stop: Arc<AtomicBool>,
    /// Folder of the feature cache.
    pub cache: PathBuf,
    /// Instead of the usual ones.
    pub epochs: Option<u64>,
}

/// Trains without each fold and on everything; leaves the folds' figures.
///
/// # Errors
///
/// As [`fit`]; if the recordings or the model cannot be used, or the run folder holds a finished training.
pub fn fit_whole(options: &OwnOptions, training: &Training) -> Result<Summary> {
    let start = Start::load(&options.from)?;
    let known = &start.model.manifest.labels;
    let recordings = Recordings::find(&options.data, known)?;
    options.create()?;
    announce(&start, &recordings, &Classes::added(&start, &recordings.labels));
    let mut recipe = recipe(options, &start, &recordings)?;
    recipe.train.epochs = training.epochs.unwrap_or(recipe.train.epochs);
    write_tables(options, &recordings)?;
    let path = options.out.join(RECIPE);
    let text = toml::to_string_pretty(&recipe).map_err(|e| Error::content(&path, e.to_string()))?;
    std::fs::write(&path, text).map_err(Error::io(&path))?;
    let (recipe, _) = Recipe::load(&path)?;

    let folds = recipe.folds;
    let places = Places {
        data_root: recipe.data_root.clone(),
        cache: training.cache.clone(),
        recipe_folder: options.out.clone(),
    };
    let all = FitOptions {
        recipe,
        fold: None,
        folds,
        places,
        out: options.out.join(run_name(folds, None)),
        resume: true,
        device: training.device,
        stop: training.stop.clone(),
        stop_after: None,
    };
    let held_out = recordings.folds();
    let summary = Summary::of(&crossval::run(&all, &options.out, Some(&held_out))?);
    fit(&all)?;
    let runs: Vec<PathBuf> = held_out.iter().map(|&k| options.out.join(run_name(folds, Some(k)))).collect();
    let exported = ExportOptions { summary: Some(&summary), thresholds: &runs, ..ExportOptions::default() };
    export::export(&all.out.join(CHECKPOINT), &options.out.join(MODEL), &exported)?;
    Ok(summary)
}

fn recipe(options: &OwnOptions, start: &Start, recordings: &Recordings) -> Result<Recipe> {
    let manifest = &start.model.manifest;
    let mut recipe: Recipe = parse_toml(include_str!("whole.toml"), Path::new("whole.toml"))?;
    let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io(path));
    let (root, out) = (absolute(&options.data)?, absolute(&options.out)?);
    let table = |name: &str, csv: &str, negatives| DataSet {
        name: name.to_owned(),
        csv: out.join(csv),
        audio: root.clone(),
        negatives,
    };
    recipe.data = vec![table("own", OWN, false)];
    if !recordings.negatives.is_empty() {
        recipe.data.push(table("negatives", NEGATIVES, true));
    }
    recipe.name = options.name();
    recipe.seed = options.seed;
    recipe.background = Some(manifest.background.clone().unwrap_or_else(|| BACKGROUND.to_owned()));
    recipe.start = Some(absolute(&options.from)?);
    recipe.frontend = manifest.frontend.clone();
    recipe.network = start.student.network().clone();
    let mut decision = manifest.decision.clone();
    if options.only_own {
        decision.classes.clear();
    } else {
        recipe.labels.clone_from(&manifest.labels);
    }
    if let Some(procedural) = &mut recipe.procedural {
        let is_left = |sound: &&sounds::Sound| {
            let own = recordings.labels.iter().any(|label| label == sound.name());
            sound.label().is_none() && !sound.is_reserved() && !own && !options.like.contains(sound)
        };
        procedural.negatives = Some(sounds::Sound::all().iter().filter(is_left).map(|s| s.name().to_owned()).collect());
    }
    if manifest.files.int8.is_none() {
        recipe.quantize = None;
    }
    recipe.data_root = root;
    let data = options.data_notes(start, recordings);
    recipe.export = Some(Export { version: "1.0.0".to_owned(), decision, data, subsets: Vec::new() });
    Ok(recipe)
}

/// The recordings as a recipe has them.
fn write_tables(options: &OwnOptions, recordings: &Recordings) -> Result<()> {
    let write = |name: &str, header: &[&str], rows: Vec<Vec<String>>| {
        let path = options.out.join(name);
        let failed = |e: csv::Error| Error::content(&path, e.to_string());
        let mut writer = csv::Writer::from_path(&path).map_err(failed)?;
        writer.write_record(header).map_err(failed)?;
        rows.iter().try_for_each(|row| writer.write_record(row)).map_err(failed)?;
        writer.flush().map_err(Error::io(&path))
    };
    let rows = recordings.files.iter().map(|file| {
        let name = recordings.name(&file.path);
        vec![name.clone(), recordings.labels[file.class].clone(), file.fold.to_string(), name]
    });
    write(OWN, &["file", "label", "fold", "source_id"], rows.collect())?;
    if recordings.negatives.is_empty() {
        return Ok(());
    }
    write(NEGATIVES, &["file"], recordings.negatives.iter().map(|path| vec![recordings.name(path)]).collect())
}
