//! Writes a student as ONNX.
//!
//! Enters: a trained student. Leaves: the bytes of an ONNX file with input `log_mel` `[1, 1, T,
//! n_mels]` and output `logits` `[1, n_classes, T', 1]`, the time axis `T` symbolic. Batch norm is
//! folded into the convolutions.
//!
//! The head, a 1x1 convolution, comes before the mean over frequency, with which it commutes, on
//! every band. After the mean, in a pulse, it would be a product with a single column, for which
//! tract picks a kernel that sums in another order, and streamed would differ from batch by a bit.

use crate::common::array::of_tensor;
use crate::error::{Error, Result};
use crate::nets::student::ConvLayer;
use crate::nets::student::Student;
use assemble::onnx::{Graph, fixed, int, ints, sliding, symbolic};
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
        let (weight, bias) = student.folded(i)?;
        let (weight, bias) = (of_tensor(&weight)?, of_tensor(&bias)?);
        let convolved = graph.convolution(&format!("conv{i}"), &value, &weight, &bias, geometry(layer));
        value = graph.node("Relu", &format!("relu{i}"), &[&convolved], Vec::new());
    }
    let head = (parameter(student, "head.weight")?, parameter(student, "head.bias")?);
    finish(graph, &value, head, classes, student.n_mels())
}

/// Kernel, stride, padding and dilation of a layer.
pub fn geometry(layer: &ConvLayer) -> Vec<AttributeProto> {
    let [kernel, stride] =
        [[layer.kernel_t, layer.kernel_f], [layer.stride_t, layer.stride_f]].map(|size| size.map(|n| n as i64));
    let mut attributes = sliding(kernel, stride, [0, layer.pad_f() as i64]);
    if layer.dilation_t > 1 {
        attributes.push(ints("dilations", &[layer.dilation_t as i64, 1]));
    }
    attributes
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
    let (weight, bias) = (of_tensor(&weight)?, of_tensor(&bias)?);
    let by_band = graph.convolution("head", value, &weight, &bias, vec![ints("kernel_shape", &[1, 1])]);
    graph.node("ReduceMean", "logits", &[&by_band], vec![ints("axes", &[3]), int("keepdims", 1)]);
    graph.input(INPUT, vec![fixed(1), fixed(1), symbolic("T"), fixed(n_mels)]);
    graph.output("logits", vec![fixed(1), fixed(classes.len()), symbolic("T_out"), fixed(1)]);
    Ok(graph.encode())
}

fn parameter<'a>(student: &'a Student, name: &str) -> Result<&'a Tensor> {
    student.param(name).ok_or_else(|| Error::Usage(format!("network has no tensor {name:?}")))
}
