//! Command `search`.

use super::train::{DeviceArg, FoldsArg, set_threads, stop_flag};
use crate::common::json;
use crate::data::{Places, Tables, data_root};
use crate::error::Result;
use crate::tools::search::Search;
use crate::tools::search::report::{Settings, plan};
use crate::tools::search::space::{Space, Timing};
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Space, a TOML file: a base recipe, and variants of its network and front end.
    space: PathBuf,
    /// Write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder of the trainings and models [default: runs/<space>].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take finished trainings from the folder, and go on with unfinished ones.
    #[arg(long)]
    resume: bool,
    /// Say what the variants cost and how many trainings there would be, and stop.
    #[arg(long)]
    plan: bool,
    /// Variants to train and compare, instead of all.
    #[arg(long, num_args = 1.., value_name = "VARIANT")]
    only: Option<Vec<String>>,
    /// Epochs, instead of the space's.
    #[arg(long)]
    epochs: Option<u64>,
    /// What folds are: the tables' own, or regrouped so that no source is in two. Default: the base recipe's.
    #[arg(long)]
    folds: Option<FoldsArg>,
    /// Where to train.
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// Threads of libtorch and of the batch makers; default: all cores. Pulses are timed on one.
    #[arg(long)]
    threads: Option<usize>,
    /// Folder of the feature cache.
    #[arg(long, default_value = "runs/cache")]
    cache: PathBuf,
    /// Folder of the data sets, instead of EARWITNESS_DATA and the base recipe's.
    #[arg(long)]
    data_root: Option<PathBuf>,
}

/// Trains, times and compares the variants of a space, and prints the table.
///
/// # Errors
///
/// As [`Space::load`], [`Space::candidates`] and [`Search::run`].
pub fn search(args: &SearchArgs) -> Result<()> {
    let mut space = Space::load(&args.space)?;
    if let Some(names) = &args.only {
        space.select(names)?;
    }
    space.epochs = args.epochs.unwrap_or(space.epochs);
    let (base, base_path) = space.base()?;
    let places = Places {
        data_root: data_root(&base.data_root, &base_path, args.data_root.as_deref()),
        cache: args.cache.clone(),
        recipe_folder: base_path.parent().unwrap_or(Path::new("")).to_owned(),
    };
    let candidates = space.candidates(&base, Tables::read(&base, &places.data_root)?.labels.len())?;
    let Timing { rounds, pulses } = space.timing;
    let settings = Settings {
        base: base.name,
        epochs: space.epochs,
        folds: args.folds.map_or(base.folds, FoldsArg::mode),
        held_out: space.held_out,
        seeds: if space.seeds.is_empty() { vec![base.seed] } else { space.seeds },
        rounds,
        pulses,
    };
    if args.plan {
        print!("{}", plan(&candidates));
        let n = settings.n_runs();
        println!("{} trainings of {} epochs, {n} a variant", n * candidates.len(), settings.epochs);
        return Ok(());
    }
    set_threads(args.threads)?;
    let stem = args.space.file_stem().unwrap_or_default();
    let report = Search {
        settings,
        candidates,
        places,
        out: args.out.clone().unwrap_or_else(|| Path::new("runs").join(stem)),
        resume: args.resume,
        device: args.device.choose()?,
        stop: stop_flag()?,
    }
    .run()?;
    if let Some(path) = &args.json {
        json::write(path, &report)?;
    }
    print!("{}", report.table());
    Ok(())
}
