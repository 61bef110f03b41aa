//! Reading a streaming network's file: a model folder enters, a network that keeps what the manifest promises leaves. What reading
//! any network's file needs is here, too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tract_onnx::prelude::{DatumExt, Framework, InferenceModel, InferenceModelExt, TypedModel, TypedRunnableModel};
use tract_onnx::tract_core::internal::{
    Datum, IntoRunnable, ShapeFact, Symbol, SymbolValues, TDim, ToDim, TractError, TractResult, dims,
};
use tract_onnx::tract_hir::internal::Factoid;
use tract_pulse::internal::{PulsedModel, PulsedModelExt};

use super::Precision;
use super::guard::guard;
use crate::error::{Error, Result};
use crate::model::Model;

/// Longest receptive field that is looked for in order to report it, log-mel frames (164 s at a hop of 10 ms).
const MAX_FIELD_FRAMES: usize = 16_384;

/// A network with a symbolic time axis: `log_mel` f32 `[1, 1, T, n_mels]` to `logits` f32 `[1, n_classes, T', 1]`.
pub(super) struct Network {
    pub(super) n_classes: usize,
    pub(super) n_mels: usize,
    pub(super) pulse_frames: usize,
    pub(super) receptive_field_frames: usize,
    pub(super) output_delay: usize,
    path: PathBuf,
    time: Symbol,
    typed: TypedModel,
}

impl Network {
    /// Reads the model's file for `precision` and checks its shapes against the manifest.
    pub(super) fn read(model: &Model, precision: Precision) -> Result<Self> {
        let (path, onnx) = read_file(model, precision)?;
        let manifest = &model.manifest;
        let n_mels = manifest.frontend.n_mels;
        let network = Checker { path: &path };
        network.input(&onnx, n_mels)?;
        let (time, typed) = guard(|| to_typed(onnx, n_mels)).map_err(|error| unreadable(&path, &error))?;
        network.classes(&typed, manifest.labels.len())?;
        network.time(&typed, &time, manifest.network.receptive_field_frames, manifest.network.pulse_frames)?;
        Ok(Network {
            n_classes: manifest.labels.len(),
            n_mels,
            pulse_frames: manifest.network.pulse_frames,
            receptive_field_frames: manifest.network.receptive_field_frames,
            output_delay: manifest.network.output_delay,
            path,
            time,
            typed,
        })
    }

    /// The network that takes a pulse of frames at a time and keeps state between them.
    pub(super) fn pulsed(&self) -> Result<Arc<TypedRunnableModel>> {
        let pulsed = guard(|| PulsedModel::new(&self.typed, self.time.clone(), &self.pulse_frames.to_dim()))
            .map_err(|error| unreadable(&self.path, &error))?;
        let fact = pulsed.output_fact(0).map_err(|error| unreadable(&self.path, &error))?;
        let delay = fact.stream.as_ref().map(|stream| stream.delay);
        if delay != Some(self.output_delay) {
            let actual = delay.map_or("no time axis".to_string(), |delay| delay.to_string());
            return Err(Checker { path: &self.path }.field("network.output_delay", self.output_delay, actual));
        }
        guard(|| pulsed.into_typed()?.into_optimized()?.into_runnable()).map_err(|error| unreadable(&self.path, &error))
    }

    /// The network that takes any number of frames at once.
    pub(super) fn batch(self) -> Result<Arc<TypedRunnableModel>> {
        guard(|| self.typed.into_optimized()?.into_runnable()).map_err(|error| unreadable(&self.path, &error))
    }
}

/// The model's file for `precision`, where the model has one, as it is written.
pub(super) fn read_file(model: &Model, precision: Precision) -> Result<(PathBuf, InferenceModel)> {
    let path = model.network_file(precision).ok_or_else(|| {
        Error::model_file(
            &model.dir.join(crate::model::MANIFEST_FILE),
            format!("files.{precision}: the model has no such file"),
        )
    })?;
    let onnx = guard(|| tract_onnx::onnx().model_for_path(&path)).map_err(|error| unreadable(&path, &error))?;
    Ok((path, onnx))
}

/// The comparisons of one file with the manifest.
pub(super) struct Checker<'a> {
    pub(super) path: &'a Path,
}

impl Checker<'_> {
    pub(super) fn field(&self, field: &'static str, expected: impl ToString, actual: impl ToString) -> Error {
        Error::ModelField {
            path: self.path.to_path_buf(),
            field,
            expected: expected.to_string(),
            actual: actual.to_string(),
        }
    }

    /// One input and one output.
    pub(super) fn ends(&self, onnx: &InferenceModel) -> Result<()> {
        let inputs = onnx.input_outlets().map_or(0, <[_]>::len);
        let outputs = onnx.output_outlets().map_or(0, <[_]>::len);
        if (inputs, outputs) == (1, 1) {
            return Ok(());
        }
        let reason = format!("expected one input and one output, actual {inputs} and {outputs}");
        Err(Error::model_file(self.path, reason))
    }

    /// One input whose last axis, where the file says it, is as long as a log-mel frame.
    fn input(&self, onnx: &InferenceModel, n_mels: usize) -> Result<()> {
        self.ends(onnx)?;
        let shape = onnx.input_fact(0).map_err(|error| unreadable(self.path, &error))?.shape.clone();
        match shape.rank().concretize() {
            Some(4) | None => {}
            Some(rank) => {
                return Err(Error::model_file(
                    self.path,
                    format!("input: expected 4 axes [1, 1, time, n_mels], actual {rank}"),
                ));
            }
        }
        let bins = shape.dim(3).and_then(|dim| dim.concretize()).and_then(|dim| dim.to_i64().ok());
        match bins {
            Some(bins) if bins != n_mels as i64 => Err(self.field("frontend.n_mels", n_mels, bins)),
            _ => Ok(()),
        }
    }

    /// An output `[1, n_labels, T', 1]`.
    fn classes(&self, typed: &TypedModel, n_labels: usize) -> Result<()> {
        let fact = typed.output_fact(0).map_err(|error| unreadable(self.path, &error))?;
        let one = TDim::Val(1);
        if fact.datum_type != f32::datum_type() || fact.rank() != 4 || fact.shape[0] != one || fact.shape[3] != one {
            let reason = format!("output: expected f32 [1, n_classes, time, 1], actual {fact:?}");
            return Err(Error::model_file(self.path, reason));
        }
        match fact.shape[1].to_i64() {
            Ok(n_classes) if n_classes == n_labels as i64 => Ok(()),
            _ => Err(self.n_classes(n_labels, &fact.shape[1])),
        }
    }

    /// Another number of classes than of labels.
    pub(super) fn n_classes(&self, n_labels: usize, actual: impl std::fmt::Display) -> Error {
        self.field("labels", format!("{n_labels} classes"), format!("{actual} classes"))
    }

    /// One output for a receptive field, one more for each pulse of frames after it.
    fn time(&self, typed: &TypedModel, time: &Symbol, field: usize, pulse: usize) -> Result<()> {
        let fact = typed.output_fact(0).map_err(|error| unreadable(self.path, &error))?;
        let n_out = |n_frames: usize| {
            let values = SymbolValues::default().with(time, n_frames as i64);
            fact.shape[2].eval_to_i64(&values).unwrap_or(-1)
        };
        let Some(actual) = (1..=MAX_FIELD_FRAMES).find(|&n_frames| n_out(n_frames) >= 1) else {
            let reason = format!("output: its length does not follow from the input's: {}", fact.shape[2]);
            return Err(Error::model_file(self.path, reason));
        };
        if actual != field {
            return Err(self.field("network.receptive_field_frames", field, actual));
        }
        match (1..=MAX_FIELD_FRAMES).find(|&n_frames| n_out(field + n_frames) >= 2) {
            Some(actual) if actual != pulse => Err(self.field("network.pulse_frames", pulse, actual)),
            _ => Ok(()),
        }
    }
}

fn to_typed(mut onnx: InferenceModel, n_mels: usize) -> TractResult<(Symbol, TypedModel)> {
    let time = onnx.symbols.sym("T");
    onnx.set_input_fact(0, f32::fact(dims!(1, 1, time.clone(), n_mels)).into())?;
    Ok((time, onnx.into_typed()?.into_decluttered()?))
}

pub(super) fn unreadable(path: &Path, error: &TractError) -> Error {
    Error::model_file(path, format!("not a network that can be run: {error:#}"))
}
