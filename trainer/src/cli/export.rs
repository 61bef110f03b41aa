//! Command `export`.

use crate::crossval::Summary;
use crate::error::{Error, Result};
use crate::export::{self, ExportReport};
use crate::recipe::Recipe;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Checkpoint of a finished training.
    #[arg(long)]
    checkpoint: PathBuf,
    /// Model folder to write.
    #[arg(long)]
    out: PathBuf,
    /// Take the [export] table from this recipe instead of the checkpoint's.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// Figures for the manifest: what `summary --json` printed.
    #[arg(long)]
    metrics: Option<PathBuf>,
}

/// Exports a model and prints what a model card wants to know.
///
/// # Errors
///
/// As [`export::export`].
pub fn export(args: &ExportArgs) -> Result<()> {
    let recipe = args.recipe.as_deref().map(Recipe::load).transpose()?.map(|(recipe, _)| recipe);
    let summary = args.metrics.as_deref().map(Summary::read).transpose()?;
    let report = export::export(&args.checkpoint, &args.out, recipe.as_ref(), summary.as_ref())?;
    let ExportReport { n_bytes, n_params, mmac_per_second, receptive_field_frames, agreement } = report;
    println!("folder               {}", args.out.display());
    println!("network file         {n_bytes} bytes");
    println!("parameters           {n_params}");
    println!("MMAC a second        {mmac_per_second:.2}");
    println!("receptive field      {receptive_field_frames} frames");
    println!(
        "difference to torch  {:e} at once, {:e} pulse by pulse, over {} frames",
        agreement.batch, agreement.streamed, agreement.n_frames
    );
    println!("streamed to batch    {:e}", agreement.streamed_to_batch);
    Ok(())
}

impl Summary {
    fn read(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        serde_json::from_str(&text).map_err(|e| Error::content(path, e.to_string()))
    }
}
