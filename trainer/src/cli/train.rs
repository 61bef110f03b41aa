//! Commands that train: `fit`, `crossval`, and `summary` of what they left.

use super::own::OwnArgs;
use crate::chain::crossval::{self, Summary};
use crate::chain::fit::{self, FitOptions};
use crate::chain::staged::recipe::Init;
use crate::chain::staged::run::{self, RunOptions};
use crate::chain::staged::{self, StagedRecipe};
use crate::common::json;
use crate::data::{Places, data_root};
use crate::error::{Error, Result};
use crate::train::recipe::{FoldMode, Overrides, Recipe};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::Device;

/// Arguments of `fit`.
#[derive(Debug, Args)]
#[command(mut_arg("recipe", |arg| arg.required_unless_present("data")))]
pub struct FitArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    own: Option<OwnArgs>,
    /// Fold to hold out; without it, everything is trained on.
    #[arg(long)]
    fold: Option<u32>,
    /// Of a staged recipe: train this stage alone.
    #[arg(long)]
    stage: Option<String>,
    /// Save and stop after this many steps (of a stage).
    #[arg(long)]
    stop_after: Option<u64>,
}

/// Arguments of `crossval`.
#[derive(Debug, Args)]
#[command(mut_arg("recipe", |arg| arg.required(true)))]
pub struct CrossvalArgs {
    #[command(flatten)]
    common: Common,
    /// Folds to train, instead of all.
    #[arg(long, num_args = 1..)]
    only: Option<Vec<u32>>,
    /// Print the summary as one JSON document.
    #[arg(long)]
    json: bool,
}

/// What all trainings take.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Recipe, a TOML file.
    recipe: Option<PathBuf>,
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
    /// Epochs (of each stage), instead of the recipe's.
    #[arg(long)]
    epochs: Option<u64>,
    /// Of a staged recipe: checkpoint that the first stage starts from, instead of the recipe's.
    #[arg(long)]
    init: Option<PathBuf>,
    /// Seed, instead of the recipe's.
    #[arg(long)]
    seed: Option<u64>,
    /// Of a recipe without stages: set a value, such as augment.mixup=0.0; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Of a recipe without stages: leave a table out, such as teacher; may be repeated.
    #[arg(long, value_name = "TABLE")]
    without: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum FoldsArg {
    Official,
    Source,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum DeviceArg {
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
    if let Some(own) = &args.own {
        return own.fit(&args.common);
    }
    if StagedRecipe::is_staged(args.common.recipe())? {
        let options = RunOptions { stop_after: args.stop_after, ..args.common.staged(args.fold)? };
        match &args.stage {
            Some(stage) => run::fit_stage(&options, stage)?,
            None => drop(run::run(&options)?),
        }
        eprintln!("run folder: {}", options.out.display());
        return Ok(());
    }
    if args.stage.is_some() {
        return Err(Error::Usage(format!("--stage: {} has no [[stage]]", args.common.recipe().display())));
    }
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
    let base = |name: &str| args.common.out.clone().unwrap_or_else(|| Path::new("runs").join(name));
    if StagedRecipe::is_staged(args.common.recipe())? {
        let options = args.common.staged(None)?;
        let summary = staged::crossval::crossval(&options, &base(&options.recipe.name), args.only.as_deref())?;
        if args.json {
            return json::print(&summary);
        }
        print!("{}", summary.table());
        return Ok(());
    }
    let options = args.common.options(None)?;
    let base = base(&options.recipe.name);
    let results = crossval::run(&options, &base, args.only.as_deref())?;
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

/// Prints means and spreads over folds.
pub(super) fn print_summary(summary: &Summary, json: bool) -> Result<()> {
    if json {
        return json::print(summary);
    }
    print!("{}", summary.table());
    Ok(())
}

impl Common {
    /// The recipe; empty only beside `fit --data`, which needs none.
    pub(super) fn recipe(&self) -> &Path {
        self.recipe.as_deref().unwrap_or(Path::new(""))
    }

    /// Threads as given.
    pub(super) fn n_threads(&self) -> Option<usize> {
        self.threads
    }

    /// Seed as given.
    pub(super) fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// Run folder, or folder of run folders, as given.
    pub(super) fn out(&self) -> Option<&Path> {
        self.out.as_deref()
    }

    pub(super) fn options(&self, fold: Option<u32>) -> Result<FitOptions> {
        let overrides = Overrides { without: self.without.clone(), set: self.set.clone() };
        let (mut recipe, path) = Recipe::load_with(self.recipe(), &overrides)?;
        recipe.train.epochs = self.epochs.unwrap_or(recipe.train.epochs);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        let (out, folds) = self.out_and_folds(&recipe.name, recipe.folds, fold);
        let places = self.places(&recipe.data_root, &path);
        self.with(recipe, places, out, folds, fold)
    }

    /// The same for a staged recipe.
    fn staged(&self, fold: Option<u32>) -> Result<RunOptions> {
        if !self.set.is_empty() || !self.without.is_empty() {
            return Err(Error::Usage("--set and --without are for recipes without stages".to_owned()));
        }
        let (mut recipe, path) = StagedRecipe::load(self.recipe())?;
        for stage in &mut recipe.stages {
            stage.epochs = self.epochs.unwrap_or(stage.epochs);
        }
        if let (Some(init), Some(first)) = (&self.init, recipe.stages.first_mut()) {
            first.init = Init::File(std::path::absolute(init).map_err(Error::io(init))?);
        }
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        let (out, folds) = self.out_and_folds(&recipe.name, recipe.folds, fold);
        let places = self.places(&recipe.data_root, &path);
        self.with(recipe, places, out, folds, fold)
    }

    fn out_and_folds(&self, name: &str, own_folds: FoldMode, fold: Option<u32>) -> (PathBuf, FoldMode) {
        let folds = self.folds.map_or(own_folds, FoldsArg::mode);
        let usual = || Path::new("runs").join(name).join(fit::run_name(folds, fold));
        (self.out.clone().unwrap_or_else(usual), folds)
    }

    pub(super) fn places(&self, own_root: &Path, recipe_path: &Path) -> Places {
        let data_root = data_root(own_root, recipe_path, self.data_root.as_deref());
        let recipe_folder = recipe_path.parent().unwrap_or(Path::new("")).to_owned();
        Places { data_root, cache: self.cache.clone(), recipe_folder }
    }

    fn with<R>(
        &self,
        recipe: R,
        places: Places,
        out: PathBuf,
        folds: FoldMode,
        fold: Option<u32>,
    ) -> Result<FitOptions<R>> {
        set_threads(self.threads)?;
        Ok(FitOptions {
            recipe,
            fold,
            folds,
            places,
            out,
            resume: self.resume,
            device: self.device.choose()?,
            stop: stop_flag()?,
            stop_after: None,
        })
    }
}

impl FoldsArg {
    pub(super) fn mode(self) -> FoldMode {
        match self {
            FoldsArg::Official => FoldMode::Official,
            FoldsArg::Source => FoldMode::Source,
        }
    }
}

impl DeviceArg {
    pub(super) fn choose(self) -> Result<Device> {
        let available = tch::Cuda::is_available();
        match self {
            DeviceArg::Cuda if !available => Err(Error::Usage("--device cuda: no CUDA device is available".to_owned())),
            DeviceArg::Cpu => Ok(Device::Cpu),
            _ => Ok(Device::cuda_if_available()),
        }
    }
}

pub(super) fn set_threads(threads: Option<usize>) -> Result<()> {
    let n = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if n == 0 {
        return Err(Error::Usage("--threads: must be at least 1".to_owned()));
    }
    tch::set_num_threads(n as i32);
    tch::set_num_interop_threads(1);
    rayon::ThreadPoolBuilder::new().num_threads(n).build_global().map_err(|e| Error::Usage(format!("--threads: {e}")))
}

/// A flag that Ctrl-C and SIGTERM set; a second Ctrl-C ends the process at once.
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let registered = signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())
            .and_then(|_| signal_hook::flag::register(signal, stop.clone()));
        registered.map_err(|e| Error::Usage(format!("signal handler: {e}")))?;
    }
    Ok(stop)
}
