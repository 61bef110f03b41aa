//! Commands that train: `fit`, `crossval`, `distill`, and `summary` of what they left.

use super::options::Common;
use super::own::OwnArgs;
use crate::chain::FitOptions;
use crate::chain::crossval::crossval as run_folds;
use crate::chain::distill::{self as whole, Plan};
use crate::chain::fit::{fit as run_fold, fit_stage};
use crate::common::json;
use crate::data::folds::run_name;
use crate::error::Result;
use crate::judge::summary::{Summary, collect};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `fit`.
#[derive(Debug, Args)]
#[command(mut_arg("recipe", |arg| arg.required_unless_present("data")))]
#[command(
    override_usage = "earwitness-train fit [OPTIONS] <RECIPE>\n       earwitness-train fit [OPTIONS] --data <DIR>"
)]
pub struct FitArgs {
    #[command(flatten)]
    common: Common,
    /// Fold to hold out; without it, the training uses everything.
    #[arg(long)]
    fold: Option<u32>,
    /// Train only this stage of the recipe.
    #[arg(long)]
    stage: Option<String>,
    /// Save and stop after this many steps of a stage.
    #[arg(long)]
    stop_after: Option<u64>,
    // Last, because its heading holds for all that follows.
    #[command(flatten)]
    own: Option<OwnArgs>,
}

/// Arguments of `crossval`.
#[derive(Debug, Args)]
#[command(mut_arg("recipe", |arg| arg.required(true)))]
pub struct CrossvalArgs {
    #[command(flatten)]
    common: Common,
    /// Folds to train [default: all].
    #[arg(long, num_args = 1..)]
    only: Option<Vec<u32>>,
    /// Print the summary as one JSON document.
    #[arg(long)]
    json: bool,
}

/// Arguments of `distill`.
#[derive(Debug, Args)]
#[command(mut_arg("recipe", |arg| arg.required(true)))]
pub struct DistillArgs {
    #[command(flatten)]
    common: Common,
    /// Fold to hold out; without it and --crossval, the training uses everything.
    #[arg(long, conflicts_with = "crossval")]
    fold: Option<u32>,
    /// Train and evaluate every fold first, then train on everything.
    #[arg(long)]
    crossval: bool,
    /// Write the model and its subsets into this folder, each into a subfolder of its name.
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Save and stop after this many steps of a stage of the student.
    #[arg(long)]
    stop_after: Option<u64>,
}

/// Trains one model.
///
/// # Errors
///
/// As [`run_fold`].
pub fn fit(args: &FitArgs) -> Result<()> {
    if let Some(own) = &args.own {
        return own.fit(&args.common);
    }
    let options = FitOptions { stop_after: args.stop_after, ..args.common.options(args.fold)? };
    match &args.stage {
        Some(stage) => fit_stage(&options, stage)?,
        None => drop(run_fold(&options)?),
    }
    eprintln!("run folder: {}", options.out.display());
    Ok(())
}

/// Trains every fold of a recipe, then prints the summary.
///
/// # Errors
///
/// As [`run_folds`].
pub fn crossval(args: &CrossvalArgs) -> Result<()> {
    let options = args.common.options(None)?;
    let base = args.common.base(&options.recipe.name);
    print_summary(&run_folds(&options, &base, args.only.as_deref())?, args.json)
}

/// Trains teachers where they are missing, then the student, and exports it.
///
/// # Errors
///
/// As [`whole::distill`].
pub fn distill(args: &DistillArgs) -> Result<()> {
    let mut options = args.common.options(args.fold)?;
    if let (true, Some(base)) = (args.crossval, args.common.out()) {
        options.out = base.join(run_name(options.folds, None));
    }
    options = FitOptions { resume: true, stop_after: args.stop_after, ..options };
    let plan = Plan { all_folds: args.crossval, models: args.export.as_deref() };
    match whole::distill(&options, plan)? {
        Some(summary) => print_summary(&summary, false),
        None => Ok(()),
    }
}

/// Prints the summary of finished runs.
///
/// # Errors
///
/// If a result cannot be read, or there is none.
pub fn summary(runs: &[PathBuf], json: bool) -> Result<()> {
    print_summary(&Summary::of(&collect(runs)?), json)
}

/// Prints means and spreads over folds.
fn print_summary(summary: &Summary, json: bool) -> Result<()> {
    if json {
        return json::print(summary);
    }
    print!("{}", summary.table());
    Ok(())
}
