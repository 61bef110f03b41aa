//! Reading a windowed network's file: a model folder enters, a network of a fixed shape that keeps
//! what the manifest promises leaves: a patch of log-mel frames to one output.

use std::path::Path;
use std::sync::Arc;

use edge_frontend::Activation;
use tract_onnx::prelude::{DatumExt, InferenceModel, InferenceModelExt, Tensor, TypedModel, TypedRunnableModel, tvec};
use tract_onnx::tract_core::internal::{Datum, TDim, TractResult};
use tract_onnx::tract_hir::internal::Factoid;

use super::Precision;
use super::guard::guard;
use super::network::{Checker, Runnable, read_file, unreadable};
use super::stream::failed;
use crate::error::{Error, Result};
use crate::model::Model;

/// Posteriors below this count as this: the logarithm of 0 is not a logit. The smallest number that
/// single precision holds in full, so that softmax makes of it what it was.
const MIN_POSTERIOR: f32 = f32::MIN_POSITIVE;

/// Largest difference from 1 that the sum of posteriors may have.
const SUM_TOLERANCE: f32 = 1e-3;

/// A network without state: `log_mel` f32 `[1, 1, n_frames, n_mels]`, or with fewer leading axes,
/// to f32 `[1, n_classes]`. Clones share the weights.
#[derive(Clone)]
pub(super) struct Patch {
    plan: Arc<TypedRunnableModel>,
    /// Of the input, with as many leading ones as the file has.
    shape: Vec<usize>,
    pub(super) n_frames: usize,
    pub(super) n_mels: usize,
    pub(super) n_classes: usize,
    activation: Activation,
}

impl Patch {
    /// Reads the model's file for `precision`, checks its shapes against the manifest, and runs
    /// silence through it.
    pub(super) fn read(model: &Model, precision: Precision) -> Result<Self> {
        let (path, onnx) = read_file(model, precision)?;
        let manifest = &model.manifest;
        let (n_frames, n_mels) = (manifest.network.receptive_field_frames, manifest.frontend.n_mels);
        let n_classes = manifest.labels.len();
        let file = Checker { path: &path };
        file.ends(&onnx)?;
        let shape = file.patch(&onnx, n_frames, n_mels)?;
        let typed = guard(|| to_typed(onnx, &shape)).map_err(|error| unreadable(&path, &error))?;
        file.posteriors(&typed, n_classes)?;
        let Runnable { plan, .. } = guard(|| Runnable::new(typed)).map_err(|error| unreadable(&path, &error))?;
        let activation = manifest.network.activation;
        let patch = Patch { plan, shape, n_frames, n_mels, n_classes, activation };
        let frontend = &manifest.frontend;
        patch.try_out(&path, (frontend.log_offset.ln() as f32 - frontend.mean) / frontend.std)?;
        Ok(patch)
    }

    /// Writes the logits, `(n_classes)`, of `frames`, `(n_frames, n_mels)` row-major: the network's
    /// own outputs, or the logarithms of those that are posteriors already.
    pub(super) fn run(&self, frames: &[f32], logits: &mut [f32]) -> Result<()> {
        self.outputs(frames, logits).map_err(|error| failed(&error))?;
        if self.activation == Activation::Posterior {
            // What is not a number stays so, and reaches no threshold.
            let clamp = |p: f32| if p < MIN_POSTERIOR { MIN_POSTERIOR } else { p };
            logits.iter_mut().for_each(|value| *value = clamp(*value).ln());
        }
        Ok(())
    }

    fn outputs(&self, frames: &[f32], values: &mut [f32]) -> TractResult<()> {
        let input = Tensor::from_shape(&self.shape, frames)?;
        let outputs = self.plan.run(tvec!(input.into()))?;
        if let Some(output) = outputs.first() {
            values.iter_mut().zip(output.to_plain_array_view::<f32>()?.iter()).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    /// Layers that cannot run on this machine show here and not two seconds into the stream; so
    /// does a network whose outputs are not posteriors although the manifest says that they are.
    fn try_out(&self, path: &Path, silence: f32) -> Result<()> {
        let silence = vec![silence; self.n_frames * self.n_mels];
        let mut values = vec![0.0; self.n_classes];
        guard(|| self.outputs(&silence, &mut values)).map_err(|error| unreadable(path, &error))?;
        let sum: f32 = values.iter().sum();
        let within = values.iter().all(|p| *p >= 0.0) && (sum - 1.0).abs() <= SUM_TOLERANCE;
        if self.activation == Activation::Posterior && !within {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let actual = format!("for silence, outputs from {least} with sum {sum}");
            return Err(Checker { path }.field("network.activation", "posteriors, which add up to 1", actual));
        }
        Ok(())
    }
}

impl Checker<'_> {
    /// The shape of the input: `[.., n_frames, n_mels]` with none to two leading ones. Axes that
    /// the file leaves open are taken to fit.
    fn patch(&self, onnx: &InferenceModel, n_frames: usize, n_mels: usize) -> Result<Vec<usize>> {
        let fact = onnx.input_fact(0).map_err(|error| unreadable(self.path, &error))?;
        if let Some(datum_type) = fact.datum_type.concretize().filter(|datum_type| *datum_type != f32::datum_type()) {
            return Err(Error::model_file(self.path, format!("input: expected f32, actual {datum_type:?}")));
        }
        let rank = fact.shape.rank().concretize().unwrap_or(4);
        let Some(n_leading) = usize::try_from(rank).ok().filter(|rank| (2..=4).contains(rank)).map(|rank| rank - 2)
        else {
            let reason = format!("input: expected 2 to 4 axes [1, 1, time, n_mels], actual {rank}");
            return Err(Error::model_file(self.path, reason));
        };
        let axis = |at: usize| fact.shape.dim(at).and_then(|dim| dim.concretize()).and_then(|dim| dim.to_i64().ok());
        let differs = |at: usize, expected: usize| axis(at).filter(|actual| *actual != expected as i64);
        if let Some(actual) = differs(n_leading + 1, n_mels) {
            return Err(self.field("frontend.n_mels", n_mels, actual));
        }
        if let Some(actual) = differs(n_leading, n_frames) {
            return Err(self.field("network.receptive_field_frames", n_frames, actual));
        }
        if let Some(actual) = (0..n_leading).find_map(|at| differs(at, 1)) {
            let reason = format!("input: expected leading axes of 1, one patch at a time, actual {actual}");
            return Err(Error::model_file(self.path, reason));
        }
        let mut shape = vec![1; n_leading];
        shape.extend([n_frames, n_mels]);
        Ok(shape)
    }

    /// An output of one value per label, whatever its leading and trailing ones.
    fn posteriors(&self, typed: &TypedModel, n_labels: usize) -> Result<()> {
        let fact = typed.output_fact(0).map_err(|error| unreadable(self.path, &error))?;
        let one = TDim::Val(1);
        let mut classes = fact.shape.iter().filter(|dim| **dim != one);
        let n_classes = classes.next().unwrap_or(&one);
        if fact.datum_type != f32::datum_type() || classes.next().is_some() {
            let reason = format!("output: expected f32 [1, n_classes], actual {fact:?}");
            return Err(Error::model_file(self.path, reason));
        }
        match n_classes.to_i64() {
            Ok(n) if n == n_labels as i64 => Ok(()),
            _ => Err(self.n_classes(n_labels, n_classes)),
        }
    }
}

fn to_typed(mut onnx: InferenceModel, shape: &[usize]) -> TractResult<TypedModel> {
    onnx.set_input_fact(0, f32::fact(shape).into())?;
    onnx.into_typed()?.into_decluttered()
}
