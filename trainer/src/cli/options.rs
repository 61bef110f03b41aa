//! Options that several commands take.

use crate::chain::FitOptions;
use crate::data::folds::{FoldMode, run_name};
use crate::data::{Places, data_root};
use crate::error::{Error, Result};
use crate::train::recipe::{Init, Overrides, Recipe};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::Device;

/// What all trainings take.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Recipe, a TOML file.
    recipe: Option<PathBuf>,
    /// Kind of folds: official (those of the tables) or source (regrouped so that no source is in
    /// two folds) [default: the recipe's].
    #[arg(long)]
    folds: Option<FoldsArg>,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// Threads of libtorch and of the batch makers [default: all cores].
    #[arg(long)]
    threads: Option<usize>,
    /// Run folder [default: runs/<recipe>/<folds>-<fold>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Folder with the runs of other recipes, where fused teachers are found.
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
    /// Continue from the checkpoint in the run folder.
    #[arg(long)]
    resume: bool,
    /// Folder of the feature cache.
    #[arg(long, default_value = "runs/cache")]
    cache: PathBuf,
    /// Folder of the data sets; replaces EARWITNESS_DATA and the recipe's.
    #[arg(long)]
    data_root: Option<PathBuf>,
    /// Epochs of each stage; replaces the recipe's.
    #[arg(long)]
    epochs: Option<u64>,
    /// Checkpoint from which the first stage starts; replaces the recipe's.
    #[arg(long)]
    init: Option<PathBuf>,
    /// Seed; replaces the recipe's.
    #[arg(long)]
    seed: Option<u64>,
    /// Set a value of the recipe, such as augment.mixup=0.0 or stage.0.lr=1e-3; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Ignore a table of the recipe, such as teacher; may be repeated.
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

impl Common {
    /// Threads as given.
    pub(super) fn n_threads(&self) -> Option<usize> {
        self.threads
    }

    /// Seed as given.
    pub(super) fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// Folder of the runs of a recipe.
    pub(super) fn base(&self, recipe: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| self.runs.join(recipe))
    }

    /// Run folder, or folder of run folders, as given.
    pub(super) fn out(&self) -> Option<&Path> {
        self.out.as_deref()
    }

    /// Options of a training that holds `fold` out.
    pub(super) fn options(&self, fold: Option<u32>) -> Result<FitOptions> {
        let overrides = Overrides { without: self.without.clone(), set: self.set.clone() };
        let path = self.recipe.as_deref().ok_or_else(|| Error::Usage("name a recipe".to_owned()))?;
        let (mut recipe, path) = Recipe::load_with(path, &overrides)?;
        for stage in &mut recipe.stages {
            stage.epochs = self.epochs.unwrap_or(stage.epochs);
        }
        if let (Some(init), Some(first)) = (&self.init, recipe.stages.first_mut()) {
            first.init = Init::File(std::path::absolute(init).map_err(Error::io(init))?);
        }
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        let folds = self.folds.map_or(recipe.folds, FoldsArg::mode);
        let usual = || self.runs.join(&recipe.name).join(run_name(folds, fold));
        let places = Places {
            data_root: data_root(&recipe.data_root, &path, self.data_root.as_deref()),
            cache: self.cache.clone(),
            recipe_folder: path.parent().unwrap_or(Path::new("")).to_owned(),
        };
        set_threads(self.threads)?;
        Ok(FitOptions {
            fold,
            folds,
            places,
            out: self.out.clone().unwrap_or_else(usual),
            runs: self.runs.clone(),
            resume: self.resume,
            device: self.device.choose()?,
            stop: stop_flag()?,
            stop_after: None,
            recipe,
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
