//! Arguments and commands of `earwitness-train`.
//!
//! Enters: a command line. Leaves: results on standard output, progress and messages on standard
//! error. Ctrl-C and SIGTERM make a training save its state and stop.

mod calibrate;
mod data;
mod export;
mod options;
mod own;
mod predict;
mod report;
mod scenes;
mod scores;
mod train;

use crate::error::Result;
use clap::{Parser, Subcommand, ValueEnum};
use edge::engine::Precision;
use std::path::PathBuf;

/// Which of a model's network files.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum PrecisionArg {
    F32,
    Int8,
}

impl PrecisionArg {
    fn precision(self) -> Precision {
        match self {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Int8 => Precision::Int8,
        }
    }
}

/// Trains, evaluates and exports Earwitness models.
#[derive(Debug, Parser)]
#[command(name = "earwitness-train", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train one model: from a recipe, or with --data from a folder with one folder of recordings
    /// per label.
    Fit(Box<train::FitArgs>),
    /// Train and evaluate every fold of a recipe.
    Crossval(train::CrossvalArgs),
    /// Train everything that the recipe of a small network names: missing teachers, the student and
    /// its 8-bit form; with --export also write the model folders.
    Distill(train::DistillArgs),
    /// Examine the data sets of a recipe.
    Data(data::DataArgs),
    /// Choose temperature, thresholds, windows, durations and gaps on scenes, within a given number
    /// of false alarms per hour.
    Calibrate(calibrate::CalibrateArgs),
    /// Compose long recordings with exact truth from the clips of a fold or a folder.
    Scenes(Box<scenes::ScenesArgs>),
    /// Score segments with a SlowFast network: posteriors of each segment, summed over views.
    Predict(predict::PredictArgs),
    /// Average the weights of several checkpoints of one SlowFast network.
    Average(predict::AverageArgs),
    /// Write a finished training as a model folder and verify it.
    Export(export::ExportArgs),
    /// Fuse models by the weighted sum of their scores; --search finds weights.
    Fuse(scores::FuseArgs),
    /// Measure scores against annotations: top-1, top-5, mCA, mAP, mAUC.
    Evaluate(scores::EvaluateArgs),
    /// Write scores as a submission to the EPIC-SOUNDS challenge.
    Submit(scores::SubmitArgs),
    /// Show a finished training on one self-contained HTML page.
    Report(report::ReportArgs),
    /// Print the results of finished runs as one table.
    Summary {
        /// Run folders; folders of run folders are searched.
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
///
/// Whatever stopped it; [`crate::Error::exit_code`] says how to exit.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Fit(args) => train::fit(&args),
        Command::Crossval(args) => train::crossval(&args),
        Command::Distill(args) => train::distill(&args),
        Command::Data(args) => data::data(&args),
        Command::Calibrate(args) => calibrate::calibrate(&args),
        Command::Scenes(args) => scenes::scenes(&args),
        Command::Predict(args) => predict::predict(&args),
        Command::Average(args) => predict::average(&args),
        Command::Export(args) => export::export(&args),
        Command::Fuse(args) => scores::fuse(&args),
        Command::Evaluate(args) => scores::evaluate(&args),
        Command::Submit(args) => scores::submit(&args),
        Command::Report(args) => report::report(&args),
        Command::Summary { runs, json } => train::summary(&runs, json),
    }
}
