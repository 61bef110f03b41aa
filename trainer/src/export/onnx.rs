//! Writes the network as ONNX.
//!
//! Enters: a trained student. Leaves: the bytes of an ONNX file, opset 17, with input `log_mel` `[1, 1, T, n_mels]` and output
//! `logits` `[1, n_classes, T', 1]`, the time axis `T` symbolic. Batch norm is folded into the convolutions. The head comes before
//! the mean over frequency: both orders are equal, but after the mean the head would be a product with a single column in a
//! pulse, for which tract picks a kernel that sums in another order, and streamed would differ from batch by a bit.

use crate::error::{Error, Result};
use crate::student::{BN_EPSILON, Student};
use prost::Message as _;
use tch::Tensor;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
};

/// ONNX 1.12: the last opset with the reduced axes as an attribute.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// The bytes of the ONNX file.
///
/// # Errors
///
/// If libtorch reports an error.
pub fn encode(student: &Student, name: &str) -> Result<Vec<u8>> {
    let mut graph = GraphProto { name: name.to_owned(), ..Default::default() };
    let mut value = "log_mel".to_owned();
    for (i, layer) in student.network().layers.iter().enumerate() {
        let (weight, bias) = folded(student, i)?;
        let pad = layer.pad_f() as i64;
        // Padding in the order of ONNX: time and frequency before, then after.
        let attributes = vec![
            ints("kernel_shape", &[layer.kernel_t as i64, layer.kernel_f as i64]),
            ints("strides", &[layer.stride_t as i64, layer.stride_f as i64]),
            ints("pads", &[0, pad, 0, pad]),
        ];
        let convolved = convolution(&mut graph, &format!("conv{i}"), &value, &weight, &bias, attributes)?;
        value = format!("relu{i}");
        graph.node.push(node("Relu", &value, &[&convolved], Vec::new()));
    }
    let head = parameter(student, "head.weight")?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    let bias = parameter(student, "head.bias")?;
    let by_band = convolution(&mut graph, "head", &value, &head, bias, vec![ints("kernel_shape", &[1, 1])])?;
    graph.node.push(node("ReduceMean", "logits", &[&by_band], vec![ints("axes", &[3]), int("keepdims", 1)]));
    let (n_mels, n_classes) = (student.n_mels() as i64, student.n_classes() as i64);
    graph.input.push(tensor_info("log_mel", vec![fixed(1), fixed(1), symbolic("T"), fixed(n_mels)]));
    graph.output.push(tensor_info("logits", vec![fixed(1), fixed(n_classes), symbolic("T_out"), fixed(1)]));
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: "earwitness-train".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        ..Default::default()
    };
    Ok(model.encode_to_vec())
}

/// Weight `(out, in, kernel_t, kernel_f)` and bias of layer `i` with its batch norm folded in, in double precision.
fn folded(student: &Student, i: usize) -> Result<(Tensor, Tensor)> {
    let part =
        |name: &str| Ok::<_, Error>(parameter(student, &format!("conv{i}.{name}"))?.f_to_kind(tch::Kind::Double)?);
    let scale = part("bn.weight")?.f_div(&part("bn.variance")?.f_add_scalar(BN_EPSILON)?.f_sqrt()?)?;
    let weight = part("weight")?.f_permute([0, 3, 1, 2])?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
    let bias = part("bn.bias")?.f_sub(&part("bn.mean")?.f_mul(&scale)?)?;
    Ok((weight, bias))
}

fn parameter<'a>(student: &'a Student, name: &str) -> Result<&'a Tensor> {
    student.param(name).ok_or_else(|| Error::Usage(format!("network has no tensor {name:?}")))
}

/// Adds a convolution and its weights; leaves the name of its output.
fn convolution(
    graph: &mut GraphProto,
    name: &str,
    input: &str,
    weight: &Tensor,
    bias: &Tensor,
    attributes: Vec<AttributeProto>,
) -> Result<String> {
    let [weight_name, bias_name] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
    graph.initializer.push(initializer(&weight_name, weight)?);
    graph.initializer.push(initializer(&bias_name, bias)?);
    graph.node.push(node("Conv", name, &[input, &weight_name, &bias_name], attributes));
    Ok(name.to_owned())
}

/// A node with one output, which bears its name.
fn node(op_type: &str, name: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: name.to_owned(),
        op_type: op_type.to_owned(),
        input: inputs.iter().map(|&i| i.to_owned()).collect(),
        output: vec![name.to_owned()],
        attribute,
        ..Default::default()
    }
}

fn initializer(name: &str, value: &Tensor) -> Result<TensorProto> {
    let flat = value.f_to_kind(tch::Kind::Float)?.f_contiguous()?.f_view([-1])?;
    let values = Vec::<f32>::try_from(&flat)?;
    Ok(TensorProto {
        name: name.to_owned(),
        dims: value.size(),
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..Default::default()
    })
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..Default::default()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Int as i32, i: value, ..Default::default() }
}

fn tensor_info(name: &str, dim: Vec<Dimension>) -> ValueInfoProto {
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..Default::default() }
}

fn fixed(size: i64) -> Dimension {
    Dimension { value: Some(dimension::Value::DimValue(size)), ..Default::default() }
}

fn symbolic(name: &str) -> Dimension {
    Dimension { value: Some(dimension::Value::DimParam(name.to_owned())), ..Default::default() }
}
