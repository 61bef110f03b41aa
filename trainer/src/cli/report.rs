//! Command `report`.

use super::PrecisionArg;
use super::options::FoldsArg;
use crate::error::{Error, Result};
use crate::report::{self, Bootstrap, ReportOptions};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run folder, or a folder with the folds of one recipe.
    run: PathBuf,
    /// Page to write [default: report.html in the folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folds to show, if the folder has folds of both kinds [default: the recipe's].
    #[arg(long)]
    folds: Option<FoldsArg>,
    /// Network whose predictions are shown.
    #[arg(long, default_value = "f32")]
    precision: PrecisionArg,
    /// Folder of the data sets, for spectrograms and for runs without predictions [default:
    /// EARWITNESS_DATA, or the folder that the training used].
    #[arg(long)]
    data_root: Option<PathBuf>,
    /// Folder of the feature cache, for runs without predictions.
    #[arg(long, default_value = "runs/cache")]
    cache: PathBuf,
    /// Other runs to compare with: run folders, or folders of folds.
    #[arg(long, num_args = 1.., value_name = "RUN_DIR")]
    compare: Vec<PathBuf>,
    /// Number of the hardest clips to show.
    #[arg(long, default_value_t = 12)]
    clips: usize,
    /// Number of bootstrap resamples for the intervals.
    #[arg(long, default_value_t = 2000)]
    resamples: usize,
    /// Seed of the resamples.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Writes the page.
///
/// # Errors
///
/// As [`report::report`].
pub fn report(args: &ReportArgs) -> Result<()> {
    if args.resamples == 0 {
        return Err(Error::Usage("--resamples: must be at least 1".to_owned()));
    }
    let out = args.out.clone().unwrap_or_else(|| args.run.join("report.html"));
    let n_bytes = report::report(&ReportOptions {
        run: args.run.clone(),
        out: out.clone(),
        folds: args.folds.map(FoldsArg::mode),
        precision: args.precision.precision(),
        data_root: args.data_root.clone(),
        cache: args.cache.clone(),
        compare: args.compare.clone(),
        n_clips: args.clips,
        bootstrap: Bootstrap { n_resamples: args.resamples, seed: args.seed },
    })?;
    eprintln!("{}: {:.1} MB", out.display(), n_bytes as f64 / 1e6);
    Ok(())
}
