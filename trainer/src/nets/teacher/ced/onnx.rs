//! Constants of an ONNX graph, in single precision.
//!
//! Enters: the bytes of a file whose weights are 8-bit whole numbers, each with its scale and zero
//! point. Leaves: tensors. Layers whose weights bear no name of their own are found by the name of
//! their bias.

use crate::error::{Error, Result};
use prost::Message as _;
use std::collections::HashMap;
use std::path::Path;
use tch::Tensor;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

/// The constants and nodes of a file.
pub(super) struct Onnx<'a> {
    graph: GraphProto,
    /// Place of the node that computes a value.
    producers: HashMap<String, usize>,
    path: &'a Path,
}

impl<'a> Onnx<'a> {
    /// Decodes the bytes `file` of the file at `path`, which is named in errors.
    pub(super) fn decode(file: &[u8], path: &'a Path) -> Result<Self> {
        let model = ModelProto::decode(file).map_err(|e| Error::content(path, format!("no ONNX file: {e}")))?;
        let graph = model.graph.ok_or_else(|| Error::content(path, "holds no graph"))?;
        let outputs = |(i, node): (usize, &NodeProto)| node.output.clone().into_iter().map(move |name| (name, i));
        let producers = graph.node.iter().enumerate().flat_map(outputs).collect();
        Ok(Self { graph, producers, path })
    }

    /// The constant called `name` with the shape `shape`; dequantized, if it is one of 8 bits.
    pub(super) fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let dequantized = format!("{name}_dq");
        let name = if self.producers.contains_key(&dequantized) { &dequantized } else { name };
        let value = self.value(name)?;
        if value.size() != shape {
            return Err(Error::mismatch(self.path, name, format!("{shape:?}"), format!("{:?}", value.size())));
        }
        Ok(value)
    }

    /// Weight `(n_out, n_in)` of the linear layer whose bias is called `bias`; the graph multiplies
    /// with it the other way round.
    pub(super) fn weight_before(&self, bias: &str, shape: [i64; 2]) -> Result<Tensor> {
        let lacks = || self.wrong(&format!("no linear layer has the bias {bias}"));
        let is_bias = |input: &String| input.strip_suffix("_dq").unwrap_or(input) == bias;
        let mut sums = self.graph.node.iter().filter(|node| node.op_type == "Add");
        let sum = sums.find(|node| node.input.iter().any(is_bias)).ok_or_else(lacks)?;
        let product = sum.input.iter().filter(|&input| !is_bias(input)).find_map(|input| self.producer(input));
        let product = product.filter(|node| node.op_type == "MatMul").ok_or_else(lacks)?;
        let name = product.input.get(1).ok_or_else(lacks)?;
        let name = name.strip_suffix("_dq").unwrap_or(name);
        Ok(self.tensor(name, &[shape[1], shape[0]])?.f_tr()?.f_contiguous()?)
    }

    fn producer(&self, value: &str) -> Option<&NodeProto> {
        self.producers.get(value).map(|&i| &self.graph.node[i])
    }

    /// A constant, or what `DequantizeLinear` makes of constants: `(q - zero point) * scale`.
    fn value(&self, name: &str) -> Result<Tensor> {
        let Some(node) = self.producer(name) else { return self.constant(name) };
        let [q, scale, zero] = &node.input[..] else { return Err(self.wrong(&format!("{name} is no constant"))) };
        if node.op_type != "DequantizeLinear" {
            return Err(self.wrong(&format!("{name} is computed by {}, not a constant", node.op_type)));
        }
        let [q, scale, zero] = [q, scale, zero].map(|part| self.constant(part));
        Ok(q?.f_sub(&zero?)?.f_mul(&scale?)?)
    }

    fn constant(&self, name: &str) -> Result<Tensor> {
        let found = self.graph.initializer.iter().find(|tensor| tensor.name == name);
        let TensorProto { dims, raw_data, data_type, .. } =
            found.ok_or_else(|| self.wrong(&format!("holds no constant {name}")))?;
        let values: Vec<f32> = if *data_type == DataType::Float as i32 {
            raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        } else if *data_type == DataType::Int8 as i32 {
            raw_data.iter().map(|&b| f32::from(b as i8)).collect()
        } else {
            return Err(self.wrong(&format!("{name} is neither in single precision nor of 8 bits")));
        };
        let n: i64 = dims.iter().product();
        if values.len() as i64 != n {
            return Err(Error::mismatch(self.path, name, format!("{n} values"), values.len().to_string()));
        }
        Ok(Tensor::f_from_slice(&values)?.f_view(&dims[..])?)
    }

    fn wrong(&self, message: &str) -> Error {
        Error::content(self.path, message)
    }
}
