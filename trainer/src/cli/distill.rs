//! Command `distill`: the whole way from recordings to a small network, in one go.
//!
//! Enters: a recipe. Leaves: the scores of its teachers where they are not there yet, the trained and quantized student (of one fold,
//! of all folds with their summary, of all data), and model folders. Whatever is finished is not done again.

use super::train::{Common, print_summary};
use crate::chain::crossval::{self, Summary};
use crate::chain::fit::{self, CHECKPOINT, FitOptions, run_name};
use crate::chain::staged::StagedRecipe;
use crate::chain::staged::run::{self, RunOptions};
use crate::error::{Error, Result};
use crate::ship::export::{self, ExportOptions};
use crate::train::distill::scores::path_of;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `distill`.
#[derive(Debug, Args)]
#[command(mut_arg("recipe", |arg| arg.required(true)))]
pub struct DistillArgs {
    #[command(flatten)]
    common: Common,
    /// Fold to hold out; without it and --crossval, everything is trained on.
    #[arg(long, conflicts_with = "crossval")]
    fold: Option<u32>,
    /// Train and evaluate every fold first, then train on everything.
    #[arg(long)]
    crossval: bool,
    /// Write the model and those of its subsets into this folder, each into a folder of its name.
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
}

/// Trains teachers where they are missing, then the student, and exports it.
///
/// # Errors
///
/// As [`fit::fit`] and [`export::export`]; if a scores file is missing and the recipe does not say what trains it.
pub fn distill(args: &DistillArgs) -> Result<()> {
    let options = FitOptions { resume: true, ..args.common.options(args.fold)? };
    let base = options.out.parent().unwrap_or(Path::new("")).to_owned();
    if args.crossval {
        let base = args.common.out().map_or(base, Path::to_owned);
        for fold in 1..=crate::data::folds::N_FOLDS {
            teach(args, &FitOptions { fold: Some(fold), ..options.clone() })?;
        }
        let summary = Summary::of(&crossval::run(&options, &base, None)?);
        let folds: Vec<_> =
            (1..=crate::data::folds::N_FOLDS).map(|k| base.join(run_name(options.folds, Some(k)))).collect();
        let all = FitOptions { out: base.join(run_name(options.folds, None)), ..options.clone() };
        finish(args, &all, Some((&summary, &folds[..])))?;
        return print_summary(&summary, false);
    }
    finish(args, &options, None)
}

/// Trains the student and exports it, with the figures and the thresholds of `folds`.
fn finish(args: &DistillArgs, options: &FitOptions, folds: Option<(&Summary, &[PathBuf])>) -> Result<()> {
    teach(args, options)?;
    fit::fit(options)?;
    eprintln!("run folder: {}", options.out.display());
    let Some(models) = &args.export else { return Ok(()) };
    let checkpoint = options.out.join(CHECKPOINT);
    let subsets = options.recipe.export.iter().flat_map(|e| &e.subsets).map(|s| Some(s.name.as_str()));
    for subset in std::iter::once(None).chain(subsets) {
        let out = models.join(subset.unwrap_or(&options.recipe.name));
        let (summary, thresholds) = folds.unzip();
        let options = &ExportOptions { recipe: None, summary, thresholds: thresholds.unwrap_or_default(), subset };
        export::export(&checkpoint, &out, options)?;
        eprintln!("model folder: {}", out.display());
    }
    Ok(())
}

/// Trains the staged recipes whose scores the recipe wants for this fold and that are not there.
fn teach(args: &DistillArgs, options: &FitOptions) -> Result<()> {
    let folder = &options.places.recipe_folder;
    let run = run_name(options.folds, options.fold);
    for file in options.recipe.distill.iter().flat_map(|d| &d.scores) {
        let path = path_of(file, folder, &run);
        if path.exists() {
            continue;
        }
        let Some(recipe) = &file.recipe else {
            let message = "scores of a teacher are missing, and [[distill.scores]] names no recipe that trains it";
            return Err(Error::content(&path, message));
        };
        // A stage's scores lie in its folder, which is in the run's.
        let Some(out) = path.parent().and_then(Path::parent) else {
            return Err(Error::content(&path, "is not in the folder of a stage of a run"));
        };
        eprintln!("teacher: {} for {run}, into {}", recipe.display(), out.display());
        let (recipe, recipe_path) = StagedRecipe::load(&folder.join(recipe))?;
        run::run(&RunOptions {
            places: args.common.places(&recipe.data_root, &recipe_path),
            recipe,
            out: out.to_owned(),
            fold: options.fold,
            folds: options.folds,
            resume: true,
            device: options.device,
            stop: options.stop.clone(),
            stop_after: None,
        })?;
        if !path.exists() {
            return Err(Error::content(&path, format!("{} does not leave these scores", recipe_path.display())));
        }
    }
    Ok(())
}
