//! An ONNX file in the making.
//!
//! Enters: nodes with their weights, inputs and outputs, one after another. Leaves: the bytes of
//! the file, opset 17.

use crate::Array;
use prost::Message as _;
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

/// Nodes and weights so far.
pub struct Graph {
    proto: GraphProto,
    n_params: usize,
}

impl Graph {
    /// An empty graph called `name`.
    pub fn new(name: &str) -> Self {
        Self { proto: GraphProto { name: name.to_owned(), ..Default::default() }, n_params: 0 }
    }

    /// Weights and biases of the convolutions so far.
    pub fn n_params(&self) -> usize {
        self.n_params
    }

    /// Declares an input of the file.
    pub fn input(&mut self, name: &str, dims: Vec<Dimension>) {
        self.proto.input.push(tensor_info(name, dims));
    }

    /// Declares an output of the file.
    pub fn output(&mut self, name: &str, dims: Vec<Dimension>) {
        self.proto.output.push(tensor_info(name, dims));
    }

    /// Adds a node with one output, which bears its name; leaves that name.
    pub fn node(&mut self, op_type: &str, name: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        self.proto.node.push(NodeProto {
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![name.to_owned()],
            attribute,
            ..Default::default()
        });
        name.to_owned()
    }

    /// Adds a convolution, weight `(out, in, kernel_t, kernel_f)`, and its weights; leaves the name
    /// of its output.
    pub fn convolution(
        &mut self,
        name: &str,
        input: &str,
        weight: &Array,
        bias: &Array,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let [weight_name, bias_name] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        self.floats(&weight_name, weight);
        self.floats(&bias_name, bias);
        self.n_params += weight.values.len() + bias.values.len();
        self.node("Conv", name, &[input, &weight_name, &bias_name], attributes)
    }

    /// Adds a constant in single precision.
    pub fn floats(&mut self, name: &str, value: &Array) {
        let dims = value.dims.iter().map(|&n| n as i64).collect();
        let bytes = value.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, dims, DataType::Float, bytes);
    }

    /// Adds a constant of whole numbers, `(n)`.
    pub fn integers(&mut self, name: &str, values: &[i64]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, vec![values.len() as i64], DataType::Int64, bytes);
    }

    /// Adds a constant of 8-bit whole numbers of the shape `dims`; empty for a scalar.
    pub fn bytes(&mut self, name: &str, dims: &[usize], values: &[i8]) {
        let dims = dims.iter().map(|&n| n as i64).collect();
        self.constant(name, dims, DataType::Int8, values.iter().map(|&v| v as u8).collect());
    }

    /// Adds a constant of 32-bit whole numbers, `(n)`.
    pub fn words(&mut self, name: &str, values: &[i32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, vec![values.len() as i64], DataType::Int32, bytes);
    }

    /// Adds a constant in single precision without axes.
    pub fn scalar(&mut self, name: &str, value: f32) {
        self.constant(name, Vec::new(), DataType::Float, value.to_le_bytes().to_vec());
    }

    /// Adds a constant in single precision, `(n)`.
    pub fn vector(&mut self, name: &str, values: &[f32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, vec![values.len() as i64], DataType::Float, bytes);
    }

    fn constant(&mut self, name: &str, dims: Vec<i64>, data_type: DataType, raw_data: Vec<u8>) {
        let name = name.to_owned();
        let tensor = TensorProto { name, dims, data_type: data_type as i32, raw_data, ..Default::default() };
        self.proto.initializer.push(tensor);
    }

    /// The bytes of the file.
    pub fn encode(self) -> Vec<u8> {
        let model = ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: "earwitness-train".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.proto),
            ..Default::default()
        };
        model.encode_to_vec()
    }
}

/// An attribute of whole numbers.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..Default::default()
    }
}

/// An attribute of one whole number.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Int as i32, i: value, ..Default::default() }
}

/// An attribute of one number.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Float as i32, f: value, ..Default::default() }
}

/// Kernel, stride and padding over (time, frequency), padding equal on both sides.
pub fn sliding(kernel: [i64; 2], stride: [i64; 2], pad: [i64; 2]) -> Vec<AttributeProto> {
    // Padding in the order of ONNX: time and frequency before, then after.
    vec![ints("kernel_shape", &kernel), ints("strides", &stride), ints("pads", &[pad[0], pad[1], pad[0], pad[1]])]
}

fn tensor_info(name: &str, dim: Vec<Dimension>) -> ValueInfoProto {
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..Default::default() }
}

/// An axis of a fixed size.
pub fn fixed(size: usize) -> Dimension {
    Dimension { value: Some(dimension::Value::DimValue(size as i64)), ..Default::default() }
}

/// An axis whose size the file leaves open.
pub fn symbolic(name: &str) -> Dimension {
    Dimension { value: Some(dimension::Value::DimParam(name.to_owned())), ..Default::default() }
}
