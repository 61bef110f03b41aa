//! Commands on models of staged recipes: `predict` and `average`.

use super::train::{DeviceArg, set_threads, stop_flag};
use crate::chain::staged::predict::{Model, predict as say};
use crate::chain::staged::state::{self, Header, State, load_network};
use crate::chain::staged::{StagedRecipe, sets};
use crate::data::segments::{PastEnd, SegmentSet};
use crate::error::{Error, Result};
use crate::nets::slowfast::SlowFast;
use clap::Args;
use std::path::{Path, PathBuf};
use tch::Device;

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Recipe the checkpoint was trained with: its front end and network.
    #[arg(long)]
    recipe: PathBuf,
    /// Checkpoint of a finished stage, or one of PyTorch (.pyth).
    #[arg(long)]
    checkpoint: PathBuf,
    /// HDF5 file with a data set a video, or a folder of recordings.
    #[arg(long)]
    audio: PathBuf,
    /// Annotations (EPIC-SOUNDS), or a table of clips (file,label,fold,source_id).
    #[arg(long)]
    annotations: PathBuf,
    /// Views a segment, whose posteriors are summed.
    #[arg(long)]
    views: Option<usize>,
    /// Classes of a checkpoint of PyTorch.
    #[arg(long, default_value_t = 44)]
    classes: usize,
    /// Count a segment past the end of its recording as one frame of silence instead of refusing it.
    #[arg(long)]
    allow_past_end: bool,
    /// Write each view's posteriors instead of their sum.
    #[arg(long)]
    keep_views: bool,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// Threads; default: all cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Folder of the feature cache; default: none.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Scores file to write.
    #[arg(long)]
    out: PathBuf,
}

/// Arguments of `average`.
#[derive(Debug, Args)]
pub struct AverageArgs {
    /// Checkpoints of finished stages.
    #[arg(long, num_args = 2.., required = true)]
    checkpoint: Vec<PathBuf>,
    /// Checkpoint to write.
    #[arg(long)]
    out: PathBuf,
}

/// Scores segments.
///
/// # Errors
///
/// If a file is wrong; what and where is named.
pub fn predict(args: &PredictArgs) -> Result<()> {
    let (recipe, _) = StagedRecipe::load(&args.recipe)?;
    set_threads(args.threads)?;
    let (device, stop) = (args.device.choose()?, stop_flag()?);
    let network = load_network(&args.checkpoint, Some(&recipe), args.classes, device)?;
    let min_max = is_min_max(&args.checkpoint)?;
    let mut options = sets::options(&recipe, args.cache.as_deref());
    options.n_classes = Some(network.n_classes());
    options.past_end = if args.allow_past_end { PastEnd::Official } else { PastEnd::Error };
    let set = if is_table_of_clips(&args.annotations)? {
        SegmentSet::clips(&args.annotations, &args.audio, &recipe.frontend, &options)?
    } else {
        sets::annotated(&args.annotations, &args.audio, &recipe, &options)?
    };
    if set.n_frames() != network.config().n_frames {
        let (actual, expected) = (set.n_frames(), network.config().n_frames);
        return Err(Error::Usage(format!("views have {actual} frames, the network expects {expected}")));
    }
    let n_views = args.views.unwrap_or(recipe.train.views);
    if n_views == 0 {
        return Err(Error::Usage("--views: must be at least 1".to_owned()));
    }
    let said = say(&[Model { network: &network, min_max }], &set, n_views, device, &stop)?;
    for said in &said {
        let scores = if args.keep_views {
            said.views(&set, n_views, &args.out)?
        } else {
            said.scores(&set, n_views, &args.out)?
        };
        scores.write(&args.out)?;
    }
    eprintln!("{}: {} segments, {} classes", args.out.display(), set.segments().len(), network.n_classes());
    Ok(())
}

/// Averages weights.
///
/// # Errors
///
/// If a checkpoint cannot be read, is not finished, or is of another network or other classes.
pub fn average(args: &AverageArgs) -> Result<()> {
    let states = args.checkpoint.iter().map(|p| State::load(p)).collect::<Result<Vec<_>>>()?;
    let networks = states.iter().map(|s| s.finished(Device::Cpu)).collect::<Result<Vec<_>>>()?;
    let Some(first) = states.first() else { return Err(Error::Usage("--checkpoint: none".to_owned())) };
    for (state, path) in states.iter().zip(&args.checkpoint) {
        if state.header.labels != first.header.labels {
            let other = args.checkpoint[0].display();
            return Err(Error::content(path, format!("has other classes than {other}")));
        }
    }
    let mean = SlowFast::average(&networks.iter().collect::<Vec<_>>())?;
    let header = Header { stage: crate::chain::staged::run::AVERAGE.to_owned(), ..first.header.clone() };
    state::save(&args.out, &header, &mean, &[])
}

/// Whether a stage's input was scaled to [0, 1].
fn is_min_max(checkpoint: &Path) -> Result<bool> {
    if checkpoint.extension().is_none_or(|e| e != "safetensors") {
        return Ok(false);
    }
    let Header { recipe, stage, .. } = State::load(checkpoint)?.header;
    let stage = recipe.stages.iter().find(|s| s.name == stage).or(recipe.stages.first());
    Ok(stage.and_then(|s| s.augment.as_ref()).is_some_and(|a| a.min_max))
}

/// Whether the table has a `file` column, as tables of clips have and annotations have not.
fn is_table_of_clips(csv: &Path) -> Result<bool> {
    let text =
        std::fs::read_to_string(csv).map_err(|e| Error::input(csv, None, format!("table cannot be read: {e}")))?;
    Ok(text.lines().next().is_some_and(|head| head.split(',').any(|column| column.trim() == "file")))
}
