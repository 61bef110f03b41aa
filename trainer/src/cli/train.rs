//! Commands that train: `fit`, `crossval`, and `summary` of what they left.

use crate::crossval::{self, Summary};
use crate::data::{Places, data_root};
use crate::error::{Error, Result};
use crate::fit::{self, FitOptions};
use crate::recipe::{FoldMode, Recipe};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::Device;

/// Arguments of `fit`.
#[derive(Debug, Args)]
pub struct FitArgs {
    #[command(flatten)]
    common: Common,
    /// Fold to hold out; without it, everything is trained on.
    #[arg(long)]
    fold: Option<u32>,
    /// Save and stop after this many steps.
    #[arg(long)]
    stop_after: Option<u64>,
}

/// Arguments of `crossval`.
#[derive(Debug, Args)]
pub struct CrossvalArgs {
    #[command(flatten)]
    common: Common,
    /// Print the summary as one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Common {
    /// Recipe, a TOML file.
    recipe: PathBuf,
    /// What folds are: the tables' own, or regrouped so that no source is in two. Default: the recipe's.
    #[arg(long)]
    folds: Option<FoldsArg>,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// Threads of libtorch and of the batch makers; default: all cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Run folder [default: runs/<recipe>/<folds>-<fold>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Continue where the run folder's checkpoint stands.
    #[arg(long)]
    resume: bool,
    /// Folder of the feature cache.
    #[arg(long, default_value = "runs/cache")]
    cache: PathBuf,
    /// Folder of the data sets, instead of EARWITNESS_DATA and the recipe's.
    #[arg(long)]
    data_root: Option<PathBuf>,
    /// Epochs, instead of the recipe's.
    #[arg(long)]
    epochs: Option<u64>,
    /// Seed, instead of the recipe's.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FoldsArg {
    Official,
    Source,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeviceArg {
    Auto,
    Cuda,
    Cpu,
}

/// Trains one model.
///
/// # Errors
///
/// As [`fit::fit`].
pub fn fit(args: &FitArgs) -> Result<()> {
    let mut options = args.common.options(args.fold)?;
    options.stop_after = args.stop_after;
    fit::fit(&options)?;
    eprintln!("run folder: {}", options.out.display());
    Ok(())
}

/// Trains every fold of a recipe, then prints the summary.
///
/// # Errors
///
/// As [`fit::fit`].
pub fn crossval(args: &CrossvalArgs) -> Result<()> {
    let options = args.common.options(None)?;
    let base = args.common.out.clone().unwrap_or_else(|| Path::new("runs").join(&options.recipe.name));
    let results = crossval::run(&options, &base)?;
    print_summary(&Summary::of(&results), args.json)
}

/// Prints the summary of finished runs.
///
/// # Errors
///
/// If a result cannot be read, or there is none.
pub fn summary(runs: &[PathBuf], json: bool) -> Result<()> {
    print_summary(&Summary::of(&crossval::collect(runs)?), json)
}

fn print_summary(summary: &Summary, json: bool) -> Result<()> {
    if json {
        let text = serde_json::to_string_pretty(summary).map_err(|e| Error::Usage(e.to_string()))?;
        println!("{text}");
    } else {
        print!("{}", summary.table());
    }
    Ok(())
}

impl Common {
    fn options(&self, fold: Option<u32>) -> Result<FitOptions> {
        let (mut recipe, path) = Recipe::load(&self.recipe)?;
        recipe.train.epochs = self.epochs.unwrap_or(recipe.train.epochs);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        let folds = match self.folds {
            Some(FoldsArg::Official) => FoldMode::Official,
            Some(FoldsArg::Source) => FoldMode::Source,
            None => recipe.folds,
        };
        set_threads(self.threads)?;
        let out =
            self.out.clone().unwrap_or_else(|| Path::new("runs").join(&recipe.name).join(fit::run_name(folds, fold)));
        let places =
            Places { data_root: data_root(&recipe, &path, self.data_root.as_deref()), cache: self.cache.clone() };
        let device = self.device.choose()?;
        Ok(FitOptions {
            recipe,
            fold,
            folds,
            places,
            out,
            resume: self.resume,
            device,
            stop: stop_flag()?,
            stop_after: None,
        })
    }
}

impl DeviceArg {
    fn choose(self) -> Result<Device> {
        let available = tch::Cuda::is_available();
        match self {
            DeviceArg::Cuda if !available => Err(Error::Usage("--device cuda: no CUDA device is available".to_owned())),
            DeviceArg::Cpu => Ok(Device::Cpu),
            _ => Ok(Device::cuda_if_available()),
        }
    }
}

fn set_threads(threads: Option<usize>) -> Result<()> {
    let n = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if n == 0 {
        return Err(Error::Usage("--threads: must be at least 1".to_owned()));
    }
    tch::set_num_threads(n as i32);
    tch::set_num_interop_threads(1);
    rayon::ThreadPoolBuilder::new().num_threads(n).build_global().map_err(|e| Error::Usage(format!("--threads: {e}")))
}

/// A flag that Ctrl-C and SIGTERM set; a second Ctrl-C ends the process at once.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let registered = signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())
            .and_then(|_| signal_hook::flag::register(signal, stop.clone()));
        registered.map_err(|e| Error::Usage(format!("signal handler: {e}")))?;
    }
    Ok(stop)
}
