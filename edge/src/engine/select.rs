//! Which of a model's files runs: the user's choice and, for `auto`, a short measurement enter; an
//! engine leaves.

use std::str::FromStr;
use std::time::{Duration, Instant};

use edge_frontend::NetworkKind;
use serde::{Deserialize, Serialize};

use super::{Engine, Precision, StreamEngine, WindowEngine};
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

impl From<Precision> for PrecisionChoice {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => PrecisionChoice::F32,
            Precision::Int8 => PrecisionChoice::Int8,
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

/// Loads the engine of a model: the one that the manifest's `network.kind` asks for.
///
/// `Auto` takes the faster file. Where this program's own 8-bit convolutions are known to beat
/// single precision, that is the 8-bit file of a streaming network, and the other file is not read,
/// which shortens the start. Elsewhere both are timed and the choice is logged. A patch that takes
/// longer than its hop is logged, too.
///
/// # Errors
///
/// As [`StreamEngine::load`] and [`WindowEngine::load`]; among them a precision that is asked for
/// by name and that the model does not have.
pub fn load_engine(model: &Model, choice: PrecisionChoice) -> Result<Box<dyn Engine>> {
    let mut engine = match choice {
        PrecisionChoice::F32 => load(model, Precision::F32)?,
        PrecisionChoice::Int8 => load(model, Precision::Int8)?,
        PrecisionChoice::Auto if model.network_file(Precision::Int8).is_none() => {
            tracing::debug!(model = %model.id(), "{} has no int8 file, using f32", model.id());
            load(model, Precision::F32)?
        }
        PrecisionChoice::Auto => faster(model)?,
    };
    if model.manifest.network.kind == NetworkKind::Window {
        warn_if_slow(model, engine.as_mut())?;
    }
    Ok(engine)
}

fn load(model: &Model, precision: Precision) -> Result<Box<dyn Engine>> {
    Ok(match model.manifest.network.kind {
        NetworkKind::Stream => Box::new(StreamEngine::load(model, precision)?),
        NetworkKind::Window => Box::new(WindowEngine::load(model, precision)?),
    })
}

fn faster(model: &Model) -> Result<Box<dyn Engine>> {
    let mut int8: Box<dyn Engine> = match model.manifest.network.kind {
        NetworkKind::Stream => {
            let engine = StreamEngine::load(model, Precision::Int8)?;
            if engine.has_own_convolutions() && edge_int8::Kernel::best().beats_single_precision() {
                return Ok(Box::new(engine));
            }
            Box::new(engine)
        }
        NetworkKind::Window => load(model, Precision::Int8)?,
    };
    let mut f32 = load(model, Precision::F32)?;
    let f32_us = us_per_output(f32.as_mut())?;
    let int8_us = us_per_output(int8.as_mut())?;
    let chosen = if int8_us < f32_us { int8 } else { f32 };
    let precision = chosen.precision();
    tracing::info!(%precision, f32_us, int8_us, "{precision} is faster: {f32_us} us per pulse as f32, {int8_us} us \
                                                 as int8");
    Ok(chosen)
}

/// Whole patches are a load that a machine may not be up to; then a stream loses sound.
fn warn_if_slow(model: &Model, engine: &mut dyn Engine) -> Result<()> {
    let patch_ms = us_per_output(engine)? as f64 / 1e3;
    let hop_ms = engine.pulse_frames() as f64 * model.manifest.frontend.hop_seconds() * 1e3;
    if patch_ms > hop_ms {
        tracing::warn!(
            "this machine takes {patch_ms:.0} ms for a patch of {}, longer than the {hop_ms} ms from one to the next: \
             a live stream would lose sound; set a longer hop with model.hop_ms",
            model.id()
        );
    }
    Ok(())
}

/// The fastest output in a short trial: other load on the machine makes them slower, never faster.
/// At least one output.
fn us_per_output(engine: &mut dyn Engine) -> Result<u64> {
    // Not zeros: denormal or constant activations could be atypically fast or slow.
    let frames: Vec<f32> =
        (0..engine.pulse_frames() * engine.n_mels()).map(|at| (at % 17) as f32 / 8.0 - 1.0).collect();
    let mut logits = vec![0.0; engine.n_classes()];
    let mut best = Duration::MAX;
    let end = Instant::now() + TRIAL;
    while best == Duration::MAX || Instant::now() < end {
        let start = Instant::now();
        if engine.push(&frames, &mut logits)? {
            best = best.min(start.elapsed());
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
