//! Reading a streaming network's file: a model folder enters, a network that keeps what the
//! manifest promises leaves. What reading any network's file needs is here, too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_int8::Kernel;
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};
use tract_onnx::prelude::{DatumExt, Framework, InferenceModel, InferenceModelExt, TypedModel, TypedRunnableModel};
use tract_onnx::tract_core::internal::{
    Datum, IntoRunnable, ShapeFact, Symbol, SymbolValues, TDim, ToDim, TractError, TractResult, dims,
};
use tract_onnx::tract_hir::internal::Factoid;
use tract_pulse::internal::{PulsedModel, PulsedModelExt};

use super::Precision;
use super::guard::guard;
use super::int8;
use super::pad::pad_by_rows;
use crate::error::{Error, Result};
use crate::model::Model;

/// Longest receptive field that is looked for in order to report it, log-mel frames (164 s at a hop
/// of 10 ms).
const MAX_FIELD_FRAMES: usize = 16_384;

/// More bands than this are samples.
const MAX_BANDS: i64 = 2048;

/// A network with a symbolic time axis: `log_mel` f32 `[1, 1, T, n_mels]` to `logits` f32 `[1,
/// n_classes, T', 1]`.
pub(super) struct Network {
    pub(super) n_classes: usize,
    pub(super) n_mels: usize,
    pub(super) pulse_frames: usize,
    pub(super) receptive_field_frames: usize,
    pub(super) output_delay: usize,
    path: PathBuf,
    time: Symbol,
    pub(super) typed: TypedModel,
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
    pub(super) fn pulsed(&self) -> Result<Runnable> {
        let (typed, delay) = self.pulsed_by(self.pulse_frames)?;
        if delay != Some(self.output_delay) {
            let actual = delay.map_or("no time axis".to_string(), |delay| delay.to_string());
            return Err(Checker { path: &self.path }.field("network.output_delay", self.output_delay, actual));
        }
        self.runnable(typed)
    }

    /// The network that takes `n_frames` at a time, as the inference library makes it, and the
    /// outputs by which it is late.
    pub(super) fn pulsed_by(&self, n_frames: usize) -> Result<(TypedModel, Option<usize>)> {
        let pulsed = guard(|| PulsedModel::new(&self.typed, self.time.clone(), &n_frames.to_dim()))
            .map_err(|error| unreadable(&self.path, &error))?;
        let fact = pulsed.output_fact(0).map_err(|error| unreadable(&self.path, &error))?;
        let delay = fact.stream.as_ref().map(|stream| stream.delay);
        let typed = guard(|| pulsed.into_typed()).map_err(|error| unreadable(&self.path, &error))?;
        Ok((typed, delay))
    }

    /// `typed`, which was made of this network, ready to run.
    pub(super) fn runnable(&self, typed: TypedModel) -> Result<Runnable> {
        guard(|| Runnable::new(typed)).map_err(|error| unreadable(&self.path, &error))
    }

    /// The network that takes any number of frames at once.
    pub(super) fn batch(self) -> Result<Arc<TypedRunnableModel>> {
        let runnable = guard(|| Runnable::new(self.typed)).map_err(|error| unreadable(&self.path, &error))?;
        Ok(runnable.plan)
    }
}

/// A network ready to run, with operators of this crate where they are faster than the library's.
pub(super) struct Runnable {
    pub(super) plan: Arc<TypedRunnableModel>,
    /// Whether every convolution is one of [`edge_int8`].
    pub(super) has_own_convolutions: bool,
}

impl Runnable {
    pub(super) fn new(network: TypedModel) -> TractResult<Self> {
        let (network, has_own_convolutions) = int8::convolve(network, Kernel::best())?;
        let plan = pad_by_rows(network.into_optimized()?)?.into_runnable()?;
        Ok(Runnable { plan, has_own_convolutions })
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
    let proto = guard(|| tract_onnx::onnx().proto_model_for_path(&path)).map_err(|error| unreadable(&path, &error))?;
    if let Some(file) = proto.graph.as_ref().and_then(outside) {
        let reason = format!(
            "keeps weights in another file, {file}, which the manifest's checksum does not cover: save the network as one \
             file (onnx.save_model with save_as_external_data=False)"
        );
        return Err(Error::model_file(&path, reason));
    }
    let onnx =
        guard(|| Ok(tract_onnx::onnx().parse(&proto, None)?.model)).map_err(|error| unreadable(&path, &error))?;
    Checker { path: &path }.takes_frames(&onnx)?;
    Ok((path, onnx))
}

/// A file beside the network's own that holds some of its weights.
pub(super) fn outside(graph: &GraphProto) -> Option<String> {
    let of_tensor = |tensor: &TensorProto| {
        let is_outside = tensor.data_location == Some(DataLocation::External as i32);
        let place = tensor.external_data.iter().find(|entry| entry.key == "location");
        is_outside.then(|| place.map_or_else(|| "whose name it does not give".to_string(), |entry| entry.value.clone()))
    };
    let of_node = |node: &NodeProto| {
        node.attribute.iter().find_map(|attribute| {
            let tensor = attribute.t.iter().chain(&attribute.tensors).find_map(of_tensor);
            tensor.or_else(|| attribute.g.iter().chain(&attribute.graphs).find_map(outside))
        })
    };
    graph.initializer.iter().find_map(of_tensor).or_else(|| graph.node.iter().find_map(of_node))
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

    /// Networks that take the samples themselves cannot be run: the front end is ours.
    pub(super) fn takes_frames(&self, onnx: &InferenceModel) -> Result<()> {
        let Ok(outlet) =
            onnx.input_outlets().and_then(|inputs| inputs.first().copied().ok_or_else(|| TractError::msg("no input")))
        else {
            return Ok(());
        };
        let Ok(fact) = onnx.outlet_fact(outlet) else { return Ok(()) };
        let name = onnx.node(outlet.node).name.to_lowercase();
        let rank = fact.shape.rank().concretize();
        let last = rank.and_then(|rank| fact.shape.dim(usize::try_from(rank).ok()?.checked_sub(1)?)?.concretize());
        let last = last.and_then(|last| last.to_i64().ok());
        let is_named_so = ["waveform", "wav", "audio", "pcm", "samples"].iter().any(|word| name.contains(word));
        if rank == Some(1)
            || last.is_some_and(|last| last > MAX_BANDS)
            || (rank == Some(2) && last.is_none() && is_named_so)
        {
            let reason = "this network takes a waveform; only networks that take log-mel frames can be run, because the \
                          front end is part of the program";
            return Err(Error::model_file(self.path, reason));
        }
        Ok(())
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
