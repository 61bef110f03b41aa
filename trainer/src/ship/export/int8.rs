//! Writes a student with 8-bit convolutions as ONNX.
//!
//! Enters: a quantized student. Leaves: the bytes of an ONNX file with the same input and output as
//! the single-precision one's: `QuantizeLinear`, one `QLinearConv` per layer, whose output's zero
//! point stands for the ReLU, `DequantizeLinear`, and the head in single precision. tract runs
//! `QLinearConv` in integers; pairs of `QuantizeLinear` and `DequantizeLinear` around a `Conv` it
//! would run in single precision.

use super::onnx::{INPUT, finish, geometry};
use crate::error::{Error, Result};
use crate::ship::quantize::{Grid, Quantized};
use assemble::onnx::Graph;

/// The bytes of the ONNX file with the classes `classes`, in that order.
///
/// # Errors
///
/// If libtorch reports an error, or the network has no layer.
pub fn encode(network: &Quantized, classes: &[usize], n_mels: usize, name: &str) -> Result<Vec<u8>> {
    let mut graph = Graph::new(name);
    let layers = network.integers()?;
    let grid = |graph: &mut Graph, name: &str, grid: &Grid| {
        let names = [format!("{name}.scale"), format!("{name}.zero_point")];
        graph.scalar(&names[0], grid.scale);
        graph.bytes(&names[1], &[], &[grid.zero_point]);
        names
    };
    let Some(first) = layers.first() else { return Err(Error::Usage("the network has no layer".to_owned())) };
    let [mut scale, mut zero_point] = grid(&mut graph, "input", &first.input);
    let mut value = graph.node("QuantizeLinear", "quantized", &[INPUT, &scale, &zero_point], Vec::new());
    for (i, (layer, integers)) in network.layers().iter().zip(&layers).enumerate() {
        let output = grid(&mut graph, &format!("conv{i}.output"), &integers.output);
        let part = |part: &str| format!("conv{i}.{part}");
        let [weight, weight_scale, weight_zero, bias] =
            [part("weight"), part("weight.scale"), part("weight.zero_point"), part("bias")];
        graph.bytes(&weight, &integers.shape, &integers.weight);
        graph.vector(&weight_scale, &integers.weight_scale);
        graph.bytes(&weight_zero, &[integers.weight_scale.len()], &vec![0; integers.weight_scale.len()]);
        graph.words(&bias, &integers.bias);
        let inputs = [&value, &scale, &zero_point, &weight, &weight_scale, &weight_zero, &output[0], &output[1], &bias]
            .map(String::as_str);
        value = graph.node("QLinearConv", &format!("conv{i}"), &inputs, geometry(layer));
        [scale, zero_point] = output;
    }
    value = graph.node("DequantizeLinear", "features", &[&value, &scale, &zero_point], Vec::new());
    finish(graph, &value, network.head(), classes, n_mels)
}
