//! Writes a student as ONNX.
//!
//! Enters: a trained student. Leaves: the bytes of an ONNX file with input `log_mel` `[1, 1, T, n_mels]` and output
//! `logits` `[1, n_classes, T', 1]`, the time axis `T` symbolic. Batch norm is folded into the convolutions. The head comes before
//! the mean over frequency: both orders are equal, but after the mean the head would be a product with a single column in a
//! pulse, for which tract picks a kernel that sums in another order, and streamed would differ from batch by a bit.

use super::graph::{Graph, Norm, fixed, int, ints, sliding, symbolic};
use crate::error::{Error, Result};
use crate::student::{BN_EPSILON, Student};
use tch::Tensor;

/// The bytes of the ONNX file.
///
/// # Errors
///
/// If libtorch reports an error.
pub fn encode(student: &Student, name: &str) -> Result<Vec<u8>> {
    let mut graph = Graph::new(name);
    let mut value = "log_mel".to_owned();
    for (i, layer) in student.network().layers.iter().enumerate() {
        let (weight, bias) = folded(student, i)?;
        let [kernel, stride] =
            [[layer.kernel_t, layer.kernel_f], [layer.stride_t, layer.stride_f]].map(|size| size.map(|n| n as i64));
        let attributes = sliding(kernel, stride, [0, layer.pad_f() as i64]);
        let convolved = graph.convolution(&format!("conv{i}"), &value, &weight, &bias, attributes)?;
        value = graph.node("Relu", &format!("relu{i}"), &[&convolved], Vec::new());
    }
    let head = parameter(student, "head.weight")?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    let bias = parameter(student, "head.bias")?;
    let by_band = graph.convolution("head", &value, &head, bias, vec![ints("kernel_shape", &[1, 1])])?;
    graph.node("ReduceMean", "logits", &[&by_band], vec![ints("axes", &[3]), int("keepdims", 1)]);
    graph.input("log_mel", vec![fixed(1), fixed(1), symbolic("T"), fixed(student.n_mels())]);
    graph.output("logits", vec![fixed(1), fixed(student.n_classes()), symbolic("T_out"), fixed(1)]);
    Ok(graph.encode())
}

/// Weight `(out, in, kernel_t, kernel_f)` and bias of layer `i` with its batch norm folded in, in double precision.
fn folded(student: &Student, i: usize) -> Result<(Tensor, Tensor)> {
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
