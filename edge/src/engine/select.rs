//! Which of a model's files runs: the user's choice and, for `auto`, a short measurement enter; an engine leaves.

use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Engine, Precision, StreamEngine};
use crate::error::Result;
use crate::model::Model;

/// How long each file is timed for `auto`.
const TRIAL: Duration = Duration::from_millis(20);

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionChoice {
    /// Whichever file is faster on this machine.
    #[default]
    Auto,
    /// The single-precision file.
    F32,
    /// The 8-bit file.
    Int8,
}

impl PrecisionChoice {
    /// The name used in options and the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            PrecisionChoice::Auto => "auto",
            PrecisionChoice::F32 => Precision::F32.as_str(),
            PrecisionChoice::Int8 => Precision::Int8.as_str(),
        }
    }
}

impl std::fmt::Display for PrecisionChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PrecisionChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [PrecisionChoice::Auto, PrecisionChoice::F32, PrecisionChoice::Int8]
            .into_iter()
            .find(|choice| choice.as_str() == text)
            .ok_or_else(|| format!("expected auto, f32 or int8, actual {text:?}"))
    }
}

/// Loads the engine of a model.
///
/// `Auto` takes the faster file: 8-bit arithmetic is several times faster than single precision on some processors and fifty
/// times slower on others. The choice is logged.
///
/// # Errors
///
/// As [`StreamEngine::load`]; among them a precision that is asked for by name and that the model does not have.
pub fn load_engine(model: &Model, choice: PrecisionChoice) -> Result<Box<dyn Engine>> {
    let engine = match choice {
        PrecisionChoice::F32 => StreamEngine::load(model, Precision::F32)?,
        PrecisionChoice::Int8 => StreamEngine::load(model, Precision::Int8)?,
        PrecisionChoice::Auto if model.network_file(Precision::Int8).is_none() => {
            tracing::debug!(model = %model.id(), "the model has no int8 file, taking f32");
            StreamEngine::load(model, Precision::F32)?
        }
        PrecisionChoice::Auto => faster(model)?,
    };
    Ok(Box::new(engine))
}

fn faster(model: &Model) -> Result<StreamEngine> {
    let mut f32 = StreamEngine::load(model, Precision::F32)?;
    let mut int8 = StreamEngine::load(model, Precision::Int8)?;
    let f32_us = us_per_pulse(&mut f32)?;
    let int8_us = us_per_pulse(&mut int8)?;
    let chosen = if int8_us < f32_us { int8 } else { f32 };
    tracing::info!(precision = %chosen.precision(), f32_us, int8_us, "precision chosen by measurement, microseconds a pulse");
    Ok(chosen)
}

/// The fastest pulse in a short trial: other load on the machine makes pulses slower, never faster.
fn us_per_pulse(engine: &mut StreamEngine) -> Result<u64> {
    // Not zeros: denormal or constant activations could be atypically fast or slow.
    let frames: Vec<f32> =
        (0..engine.pulse_frames() * engine.n_mels()).map(|at| (at % 17) as f32 / 8.0 - 1.0).collect();
    let mut logits = vec![0.0; engine.n_classes()];
    let mut best = Duration::MAX;
    let end = Instant::now() + TRIAL;
    loop {
        let start = Instant::now();
        engine.push(&frames, &mut logits)?;
        best = best.min(start.elapsed());
        if Instant::now() >= end {
            break;
        }
    }
    engine.reset()?;
    Ok(best.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_back_from_their_names() {
        for choice in [PrecisionChoice::Auto, PrecisionChoice::F32, PrecisionChoice::Int8] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("fp16".parse::<PrecisionChoice>().unwrap_err().contains("auto, f32 or int8"));
    }
}
