//! Writes a student as ONNX.
//!
//! Enters: a trained student. Leaves: the bytes of an ONNX file with input `log_mel` `[1, 1, T, n_mels]` and output
//! `logits` `[1, n_classes, T', 1]`, the time axis `T` symbolic. Batch norm is folded into the convolutions.
//!
//! No 1x1 convolution follows pooling over frequency directly: in a pulse it would be a product with a single column, for which
//! tract picks a kernel that sums in another order, and streamed would differ from batch by a bit. Where it commutes with a
//! mean, it comes before it, on every band: the head, and the first convolution of squeeze-and-excitation. Elsewhere it gets
//! its column twice, and the mean of the two equal results is exact.

use super::graph::{Graph, Norm, fixed, int, ints, sliding, symbolic};
use crate::error::{Error, Result};
use crate::nets::student::{BN_EPSILON, Student};
use crate::train::recipe::{ConvLayer, Pool};
use tch::Tensor;
use tract_onnx::pb::AttributeProto;

/// Name of the network's input.
pub const INPUT: &str = "log_mel";

/// The bytes of the ONNX file with the classes `classes`, in that order.
///
/// # Errors
///
/// If libtorch reports an error.
pub fn encode(student: &Student, classes: &[usize], name: &str) -> Result<Vec<u8>> {
    let mut graph = Graph::new(name);
    let mut value = INPUT.to_owned();
    for (i, layer) in student.network().layers.iter().enumerate() {
        let (weight, bias) = folded(student, i)?;
        let convolved = graph.convolution(&format!("conv{i}"), &value, &weight, &bias, geometry(layer))?;
        let gated = if layer.squeeze > 0 { gated(&mut graph, student, i, &convolved)? } else { convolved };
        let sum = if layer.residual { with_skip_path(&mut graph, layer, i, [&gated, &value]) } else { gated };
        value = graph.node("Relu", &format!("relu{i}"), &[&sum], Vec::new());
    }
    if student.network().pool == Pool::Max {
        let largest = over_frequency(&mut graph, "ReduceMax", "pool", &value);
        value = twice(&mut graph, "pool.twice", &largest);
    }
    let head = (parameter(student, "head.weight")?, parameter(student, "head.bias")?);
    finish(graph, &value, head, classes, student.n_mels())
}

/// Kernel, stride and padding of a layer.
pub fn geometry(layer: &ConvLayer) -> Vec<AttributeProto> {
    let [kernel, stride] =
        [[layer.kernel_t, layer.kernel_f], [layer.stride_t, layer.stride_f]].map(|size| size.map(|n| n as i64));
    sliding(kernel, stride, [0, layer.pad_f() as i64])
}

/// Adds the head for `classes` and the mean over frequency, and encodes the file.
pub fn finish(
    mut graph: Graph,
    value: &str,
    (weight, bias): (&Tensor, &Tensor),
    classes: &[usize],
    n_mels: usize,
) -> Result<Vec<u8>> {
    let rows: Vec<i64> = classes.iter().map(|&c| c as i64).collect();
    let rows = Tensor::f_from_slice(&rows)?;
    let weight = weight.f_index_select(0, &rows)?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    let bias = bias.f_index_select(0, &rows)?;
    let by_band = graph.convolution("head", value, &weight, &bias, vec![ints("kernel_shape", &[1, 1])])?;
    over_frequency(&mut graph, "ReduceMean", "logits", &by_band);
    graph.input(INPUT, vec![fixed(1), fixed(1), symbolic("T"), fixed(n_mels)]);
    graph.output("logits", vec![fixed(1), fixed(classes.len()), symbolic("T_out"), fixed(1)]);
    Ok(graph.encode())
}

/// `value`, `[1, channels, T, F]`, with its channels scaled by squeeze-and-excitation.
fn gated(graph: &mut Graph, student: &Student, i: usize, value: &str) -> Result<String> {
    let reduced = pointwise(graph, student, &format!("squeeze{i}"), &format!("conv{i}.squeeze"), value)?;
    let mean = over_frequency(graph, "ReduceMean", &format!("squeeze{i}.mean"), &reduced);
    let mean = graph.node("Relu", &format!("squeeze{i}.relu"), &[&mean], Vec::new());
    let mean = twice(graph, &format!("squeeze{i}.twice"), &mean);
    let excited = pointwise(graph, student, &format!("excite{i}"), &format!("conv{i}.excite"), &mean)?;
    let gates = graph.node("Sigmoid", &format!("excite{i}.sigmoid"), &[&excited], Vec::new());
    let gate = over_frequency(graph, "ReduceMean", &format!("excite{i}.gate"), &gates);
    Ok(graph.node("Mul", &format!("gated{i}"), &[value, &gate], Vec::new()))
}

/// The sum of a layer's output and its input, cut in time to the frames that the output is aligned with.
fn with_skip_path(graph: &mut Graph, layer: &ConvLayer, i: usize, [output, input]: [&str; 2]) -> String {
    let (start, n_lost) = (layer.skip_start() as i64, layer.kernel_t as i64 - 1);
    let mut skipped = input.to_owned();
    if n_lost > 0 {
        let n_after = n_lost - start;
        // Counted from the end, for the length is not known.
        let end = if n_after > 0 { -n_after } else { i64::MAX };
        let [starts, ends, axes] = [("starts", start), ("ends", end), ("axes", 2)].map(|(part, value)| {
            let name = format!("skip{i}.{part}");
            graph.integers(&name, &[value]);
            name
        });
        skipped = graph.node("Slice", &format!("skip{i}"), &[input, &starts, &ends, &axes], Vec::new());
    }
    graph.node("Add", &format!("sum{i}"), &[output, &skipped], Vec::new())
}

/// A 1x1 convolution with the tensors `parameters.weight`, `(out, in)`, and `parameters.bias`.
fn pointwise(graph: &mut Graph, student: &Student, name: &str, parameters: &str, value: &str) -> Result<String> {
    let weight = parameter(student, &format!("{parameters}.weight"))?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    let bias = parameter(student, &format!("{parameters}.bias"))?;
    graph.convolution(name, value, &weight, bias, vec![ints("kernel_shape", &[1, 1])])
}

/// `[1, channels, T, F]` to `[1, channels, T, 1]`.
fn over_frequency(graph: &mut Graph, op_type: &str, name: &str, value: &str) -> String {
    graph.node(op_type, name, &[value], vec![ints("axes", &[3]), int("keepdims", 1)])
}

/// `[1, channels, T, 1]` to `[1, channels, T, 2]`.
fn twice(graph: &mut Graph, name: &str, value: &str) -> String {
    graph.node("Concat", name, &[value, value], vec![int("axis", 3)])
}

/// Weight `(out, in, kernel_t, kernel_f)` and bias of layer `i` with its batch norm folded in, in double precision.
///
/// # Errors
///
/// If the network has no such layer, or libtorch reports an error.
pub fn folded(student: &Student, i: usize) -> Result<(Tensor, Tensor)> {
    let part = |name: &str| parameter(student, &format!("conv{i}.{name}"));
    let norm = Norm {
        weight: part("bn.weight")?,
        bias: part("bn.bias")?,
        mean: part("bn.mean")?,
        variance: part("bn.variance")?,
        epsilon: BN_EPSILON,
    };
    norm.fold(&part("weight")?.f_permute([0, 3, 1, 2])?)
}

fn parameter<'a>(student: &'a Student, name: &str) -> Result<&'a Tensor> {
    student.param(name).ok_or_else(|| Error::Usage(format!("network has no tensor {name:?}")))
}
