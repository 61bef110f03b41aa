//! Command `export`.

use crate::common::json;
use crate::data::segments::class_labels;
use crate::error::{Error, Result};
use crate::judge::summary::Summary;
use crate::ship::export::{self, Agreement, ExportOptions, ExportReport, FusedReport, Fusion, Given, Networks};
use crate::train::recipe::Recipe;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Checkpoint of a finished training; with --fused, several stages' checkpoints, or PyTorch's
    /// (.pyth).
    #[arg(long, num_args = 1.., required = true, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Model folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Recipe whose [export] table replaces the checkpoint's; with --fused, its name and front end
    /// as well.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Figures for the manifest: the output of `summary --json` or `crossval --json`.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Run folders of held-out folds, or folders of such run folders, from which the thresholds of
    /// the classes are set.
    #[arg(long, num_args = 1.., value_name = "RUNS", conflicts_with = "fused")]
    thresholds: Vec<PathBuf>,
    /// Write the model of one of the recipe's [[export.subsets]] instead of the whole one.
    #[arg(long, value_name = "NAME", conflicts_with = "fused")]
    subset: Option<String>,
    /// Write the weighted sum of several stages' networks as one model of whole patches.
    #[arg(long)]
    fused: bool,
    /// Weights of the networks [default: those of the recipe's stages].
    #[arg(long, num_args = 1.., requires = "fused", value_name = "WEIGHT")]
    weights: Option<Vec<f64>>,
    /// Annotations with the columns class and class_id, for PyTorch checkpoints.
    #[arg(long, requires = "fused", value_name = "CSV")]
    annotations: Option<PathBuf>,
    /// Milliseconds from one patch to the next, a whole number of log-mel frames.
    #[arg(long, requires = "fused", default_value_t = 200.0, value_name = "MS")]
    hop_ms: f64,
}

/// Exports a model and prints the figures for a model card.
///
/// # Errors
///
/// As [`export::export`] and [`export::export_fused`].
pub fn export(args: &ExportArgs) -> Result<()> {
    if args.fused {
        return fused(args);
    }
    let [checkpoint] = &args.checkpoint[..] else {
        return Err(Error::Usage("--checkpoint: more than one needs --fused".to_owned()));
    };
    let recipe = args.recipe.as_deref().map(Recipe::load).transpose()?.map(|(recipe, _)| recipe);
    let summary: Option<Summary> = args.metrics.as_deref().map(json::read).transpose()?;
    let options = ExportOptions {
        recipe: recipe.as_ref(),
        summary: summary.as_ref(),
        thresholds: &args.thresholds,
        subset: args.subset.as_deref(),
    };
    let report = export::export(checkpoint, &args.out, &options)?;
    let ExportReport { n_bytes, n_bytes_int8, n_params, mmac_per_second, receptive_field_frames, .. } = report;
    println!("folder               {}", args.out.display());
    println!("network file         {n_bytes} bytes");
    println!("parameters           {n_params}");
    println!("MMAC per second      {mmac_per_second:.2}");
    println!("receptive field      {receptive_field_frames} frames");
    print_agreement("f32", &report.agreement);
    if let (Some(n_bytes), Some(agreement)) = (n_bytes_int8, &report.int8_agreement) {
        println!("8-bit network file   {n_bytes} bytes");
        print_agreement("int8", agreement);
    }
    Ok(())
}

/// Largest differences of a logit.
fn print_agreement(precision: &str, Agreement { batch, streamed, streamed_to_batch, n_frames }: &Agreement) {
    println!("{precision:<5}to torch       {batch:e} at once, {streamed:e} pulse by pulse, over {n_frames} frames");
    println!("{precision:<5}stream to clip {streamed_to_batch:e}");
}

fn fused(args: &ExportArgs) -> Result<()> {
    let given = Given {
        weights: args.weights.clone(),
        recipe: args.recipe.as_deref().map(Recipe::load).transpose()?.map(|(recipe, _)| recipe),
        labels: args.annotations.as_deref().map(class_labels).transpose()?,
    };
    let summary: Option<Summary> = args.metrics.as_deref().map(json::read).transpose()?;
    let networks = Networks::read(&args.checkpoint, &given)?;
    let (recipe, members) = (&networks.recipe, networks.members());
    let frame_ms = recipe.frontend.hop_seconds() * 1e3;
    let hop_frames = recipe.frontend.whole_frames(args.hop_ms).ok_or_else(|| {
        Error::Usage(format!("--hop-ms: {} ms is not a whole number of frames of {frame_ms} ms", args.hop_ms))
    })?;
    let fusion = Fusion {
        name: &recipe.name,
        members: &members,
        labels: &networks.labels,
        frontend: &recipe.frontend,
        hop_frames,
        settings: &recipe.export.clone().unwrap_or_else(export::default_export),
        metrics: summary.map(|s| export::fused_metrics(&s)).unwrap_or_default(),
    };
    let FusedReport { n_bytes, n_params, mmac_per_patch, n_models, n_backbones, agreement } =
        export::export_fused(&fusion, &args.out)?;
    println!("folder               {}", args.out.display());
    println!("network file         {n_bytes} bytes");
    println!("networks             {n_models}, with {n_backbones} distinct backbones");
    println!("parameters           {n_params}");
    println!("MMAC per patch       {mmac_per_patch:.2}, every {} ms", args.hop_ms);
    println!("difference to torch  {:e} over {} patches", agreement.largest, agreement.n_patches);
    Ok(())
}
