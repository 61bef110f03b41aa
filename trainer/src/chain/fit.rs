//! All stages of a recipe on one fold, from recipe to result.
//!
//! Enters: a recipe and a run folder. Leaves, in the folder: a folder per stage with
//! `checkpoint.safetensors` and `metrics.jsonl`; what the last stage is followed by
//! ([`super::student`],
//! [`super::slowfast`], [`super::head`]); and `result.json`, `environment.json`. What is held
//! out chooses nothing. Runs on the calling thread; batches and features on the pool's.

use super::{FitOptions, head, slowfast, student};
use crate::common::environment::Environment;
use crate::common::json;
use crate::error::Result;
use crate::judge::summary::{FitResult, RESULT};
use crate::train::recipe::Network;

/// Trains all stages, evaluates, and leaves the result in the run folder. None of it is done twice
/// when the run is resumed.
///
/// # Errors
///
/// If data, cache or run folder fail, or with [`crate::Error::Interrupted`] if it was stopped; the
/// state is saved then.
pub fn fit(options: &FitOptions) -> Result<FitResult> {
    let result = match options.recipe.network {
        Network::Student(_) => student::fit(options)?,
        Network::Slowfast(_) => slowfast::fit(options)?,
        Network::Ced(_) => head::fit(options)?,
    };
    Environment::here(options.device, &options.places.data_root).write(&options.out)?;
    json::write(&options.out.join(RESULT), &result)?;
    Ok(result)
}

/// Trains only one stage.
///
/// # Errors
///
/// As [`fit`]; if the recipe has no such stage, or the stage that it starts from is not finished.
pub fn fit_stage(options: &FitOptions, name: &str) -> Result<()> {
    let index = options.recipe.stage(name)?;
    match options.recipe.network {
        Network::Student(_) => student::fit_stage(options, index),
        Network::Slowfast(_) => slowfast::fit_stage(options, index),
        Network::Ced(_) => head::fit_stage(options, index),
    }
}
