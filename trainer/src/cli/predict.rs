//! Commands on networks of SlowFast: `predict` and `average`.

use super::options::{DeviceArg, set_threads, stop_flag};
use crate::chain::predict::predict as score;
use crate::chain::slowfast::{AVERAGE, is_min_max, segment_options};
use crate::data::csv::read_text;
use crate::data::segments::{PastEnd, SegmentSet};
use crate::error::{Error, Result};
use crate::nets::slowfast::SlowFast;
use crate::nets::slowfast::fused::{Ensemble, Member};
use crate::train::checkpoint::{Checkpoint, Header, save};
use crate::train::recipe::Recipe;
use crate::train::slowfast::{load_network, network_tensors, slowfast_of};
use clap::Args;
use std::path::{Path, PathBuf};
use tch::Device;

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Recipe with which the checkpoint was trained, for its front end and network.
    #[arg(long)]
    recipe: PathBuf,
    /// Checkpoint of a finished stage, or one of PyTorch (.pyth).
    #[arg(long)]
    checkpoint: PathBuf,
    /// HDF5 file with one data set per video, or a folder of recordings.
    #[arg(long)]
    audio: PathBuf,
    /// Annotations (EPIC-SOUNDS), or a table of clips (file,label,fold,source_id).
    #[arg(long)]
    annotations: PathBuf,
    /// Views per segment, whose posteriors are summed.
    #[arg(long)]
    views: Option<usize>,
    /// Number of classes of a PyTorch checkpoint.
    #[arg(long, default_value_t = 44)]
    classes: usize,
    /// Count a segment past the end of its recording as one frame of silence instead of refusing
    /// it.
    #[arg(long)]
    allow_past_end: bool,
    /// Write each view's posteriors instead of their sum.
    #[arg(long)]
    keep_views: bool,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// Threads [default: all cores].
    #[arg(long)]
    threads: Option<usize>,
    /// Folder of the feature cache [default: none].
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
    let (recipe, _) = Recipe::load(&args.recipe)?;
    recipe.slowfast()?;
    let n_views = args.views.unwrap_or(recipe.train.views);
    if n_views == 0 {
        return Err(Error::Usage("--views: must be at least 1".to_owned()));
    }
    set_threads(args.threads)?;
    let (device, stop) = (args.device.choose()?, stop_flag()?);
    let network = load_network(&args.checkpoint, &recipe, args.classes, device)?;
    let mut options = segment_options(&recipe, args.cache.as_deref());
    options.n_classes = Some(network.n_classes());
    options.past_end = if args.allow_past_end { PastEnd::Official } else { PastEnd::Error };
    let is_clips = is_table_of_clips(&args.annotations)?;
    let open = if is_clips { SegmentSet::clips } else { SegmentSet::annotated };
    let set = open(&args.annotations, &args.audio, &recipe.frontend, &options)?;
    if set.n_frames() != network.config().n_frames {
        let (actual, expected) = (set.n_frames(), network.config().n_frames);
        let network = args.checkpoint.display();
        let message = format!("views have {actual} frames, the network of {network} expects {expected}");
        return Err(Error::input(&args.recipe, None, message));
    }
    let member = Member { min_max: scaled(&args.checkpoint)?, weight: 1.0, network };
    let ensemble = Ensemble::new(vec![member])?;
    for predicted in score(&ensemble, &set, n_views, device, &stop)? {
        let scores = if args.keep_views {
            predicted.views(&set, n_views, &args.out)?
        } else {
            predicted.scores(&set, n_views, &args.out)?
        };
        scores.write(&args.out)?;
    }
    eprintln!("{}: {} segments, {} classes", args.out.display(), set.segments().len(), ensemble.n_classes());
    Ok(())
}

/// Averages weights.
///
/// # Errors
///
/// If a checkpoint cannot be read, is not finished, or is of another network or other classes.
pub fn average(args: &AverageArgs) -> Result<()> {
    let checkpoints = args.checkpoint.iter().map(|p| Checkpoint::load(p)).collect::<Result<Vec<_>>>()?;
    let Some(first) = checkpoints.first() else {
        return Err(Error::Usage("--checkpoint: name at least one checkpoint".to_owned()));
    };
    let mut networks = Vec::new();
    for checkpoint in &checkpoints {
        checkpoint.finished()?;
        if checkpoint.header.labels != first.header.labels {
            let message = format!("has other classes than {}", first.path().display());
            return Err(Error::content(checkpoint.path(), message));
        }
        let network = slowfast_of(checkpoint, Device::Cpu)?;
        if networks.first().is_some_and(|other: &SlowFast| other.config() != network.config()) {
            return Err(Error::content(
                checkpoint.path(),
                format!("has another network than {}", first.path().display()),
            ));
        }
        networks.push(network);
    }
    let mean = SlowFast::average(&networks.iter().collect::<Vec<_>>())?;
    let header = Header { stage: AVERAGE.to_owned(), ..first.header.clone() };
    save(&args.out, &header, &network_tensors(&mean))
}

/// Whether the views of a checkpoint's stage are scaled to [0, 1].
fn scaled(checkpoint: &Path) -> Result<bool> {
    if checkpoint.extension().is_none_or(|e| e != "safetensors") {
        return Ok(false);
    }
    let Header { recipe, stage, .. } = Checkpoint::load(checkpoint)?.header;
    Ok(is_min_max(&recipe, &stage))
}

/// Whether the table has a `file` column, as tables of clips have and annotations have not.
fn is_table_of_clips(csv: &Path) -> Result<bool> {
    let text = read_text(csv)?;
    Ok(text.lines().next().is_some_and(|head| head.split(',').any(|column| column.trim() == "file")))
}
