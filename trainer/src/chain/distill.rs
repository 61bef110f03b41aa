//! The whole chain: teachers, student, 8-bit form, thresholds, model folder.
//!
//! Enters: a student's recipe. Leaves: the trained models of the recipes that `[[distill.fused]]`
//! names, where they are not there yet; the trained and quantized student (of one fold, of all
//! folds with their summary, of all data); and model folders whose thresholds come from what was
//! held out. What is finished is taken as it is.

use super::FitOptions;
use super::crossval::crossval;
use super::fit::fit;
use super::teachers::teacher_options;
use crate::common::json;
use crate::data::folds::{N_FOLDS, run_name};
use crate::error::Result;
use crate::judge::summary::{RESULT, Summary};
use crate::judge::thresholds::PEAKS;
use crate::ship::export::{ExportOptions, export};
use crate::train::checkpoint::Checkpoint;
use std::path::{Path, PathBuf};

/// What `distill` does besides the training on everything.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Train and evaluate every fold first.
    pub all_folds: bool,
    /// Folder that model folders are written into.
    pub models: Option<&'a Path>,
}

/// Trains teachers where they are missing, then the student, and exports it. Leaves the summary of
/// the folds.
///
/// # Errors
///
/// As [`fit`] and [`export`]; if a teacher's recipe does not fit the student's.
pub fn distill(options: &FitOptions, plan: Plan) -> Result<Option<Summary>> {
    options.recipe.student()?;
    let n_steps = 2 + usize::from(plan.all_folds) + usize::from(plan.models.is_some());
    let mut n = 0;
    let mut say = |what: &str| {
        n += 1;
        eprintln!("== step {n} of {n_steps}: {what}");
    };
    let base = options.out.parent().unwrap_or(Path::new("")).to_owned();
    let mut folds: Option<(Summary, Vec<PathBuf>)> = None;
    let of_fold =
        |fold: Option<u32>| FitOptions { fold, out: base.join(run_name(options.folds, fold)), ..options.clone() };
    say("teachers");
    if plan.all_folds {
        (1..=N_FOLDS).try_for_each(|fold| teach(&of_fold(Some(fold))))?;
    }
    teach(options)?;
    if plan.all_folds {
        say("the student, fold by fold");
        let summary = crossval(options, &base, None)?;
        folds = Some((summary, (1..=N_FOLDS).map(|fold| of_fold(Some(fold)).out).collect()));
    }
    say(if options.fold.is_some() { "the student" } else { "the student, on all that is trained on" });
    if options.resume && options.finished()? {
        eprintln!("{}: is finished", options.out.display());
    } else {
        fit(options)?;
    }
    eprintln!("run folder: {}", options.out.display());
    if let Some(models) = plan.models {
        say("model folders");
        ship(options, models, folds.as_ref().map(|(summary, runs)| (summary, runs.as_slice())))?;
    }
    Ok(folds.map(|(summary, _)| summary))
}

/// Writes the model and those of its subsets, with the figures and the thresholds of `folds`, or
/// else with those of what this run itself holds out.
fn ship(options: &FitOptions, models: &Path, folds: Option<(&Summary, &[PathBuf])>) -> Result<()> {
    let recipe = &options.recipe;
    let last = recipe.stages.last().map_or("", |stage| stage.name.as_str());
    let own = [options.out.clone()];
    let thresholds: &[PathBuf] = match folds {
        Some((_, runs)) => runs,
        None if options.out.join(PEAKS).exists() => &own,
        None => &[],
    };
    let own_results = json::files(&own, RESULT)?.iter().map(|p| json::read(p)).collect::<Result<Vec<_>>>()?;
    let own_summary = Summary::of(&own_results);
    let summary = folds.map_or(&own_summary, |(summary, _)| summary);
    let subsets = recipe.export.iter().flat_map(|e| &e.subsets).map(|s| Some(s.name.as_str()));
    for subset in std::iter::once(None).chain(subsets) {
        let out = models.join(subset.unwrap_or(&recipe.name));
        let settings = ExportOptions { recipe: Some(recipe), summary: Some(summary), thresholds, subset };
        export(&options.checkpoint(last), &out, &settings)?;
        eprintln!("model folder: {}", out.display());
    }
    Ok(())
}

/// Trains the models that the recipe's fused teachers are made of and that are not there.
fn teach(options: &FitOptions) -> Result<()> {
    for fused in options.recipe.distill.iter().flat_map(|d| &d.fused) {
        let teacher = teacher_options(options, fused)?;
        if teacher.out.join(RESULT).exists() && finished_stages(&teacher)? {
            eprintln!("teacher {}: {} is finished", teacher.recipe.name, teacher.out.display());
            continue;
        }
        eprintln!("teacher {}: into {}", teacher.recipe.name, teacher.out.display());
        fit(&teacher)?;
    }
    Ok(())
}

/// Whether all stages of a teacher are trained by its recipe.
fn finished_stages(teacher: &FitOptions) -> Result<bool> {
    for stage in &teacher.recipe.stages {
        let path = teacher.checkpoint(&stage.name);
        if !path.exists() {
            return Ok(false);
        }
        let header = Checkpoint::load(&path)?.header;
        if !header.finished || header.recipe.lineage(&stage.name) != teacher.recipe.lineage(&stage.name) {
            return Ok(false);
        }
    }
    Ok(true)
}
