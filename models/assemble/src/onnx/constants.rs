//! Constants of an ONNX graph, in single precision.
//!
//! Enters: the bytes of a file whose weights are 8-bit whole numbers, each with its scale and zero
//! point. Leaves: arrays. Layers whose weights bear no name of their own are found by the name of
//! their bias.

use crate::{Array, Error, Result};
use prost::Message as _;
use std::collections::HashMap;
use std::path::Path;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

/// The constants and nodes of a file.
pub struct Constants<'a> {
    graph: GraphProto,
    /// Place of the node that computes a value.
    producers: HashMap<String, usize>,
    path: &'a Path,
}

impl<'a> Constants<'a> {
    /// Decodes the bytes `file` of the file at `path`, which is named in errors.
    ///
    /// # Errors
    ///
    /// If they are no ONNX file.
    pub fn decode(file: &[u8], path: &'a Path) -> Result<Self> {
        let model = ModelProto::decode(file).map_err(|e| Error::content(path, format!("not an ONNX file: {e}")))?;
        let graph = model.graph.ok_or_else(|| Error::content(path, "holds no graph"))?;
        let outputs = |(i, node): (usize, &NodeProto)| node.output.clone().into_iter().map(move |name| (name, i));
        let producers = graph.node.iter().enumerate().flat_map(outputs).collect();
        Ok(Self { graph, producers, path })
    }

    /// The constant called `name` with the shape `dims`; dequantized, if it is one of 8 bits.
    ///
    /// # Errors
    ///
    /// If there is none, or its shape is another.
    pub fn get(&self, name: &str, dims: &[usize]) -> Result<Array> {
        let dequantized = format!("{name}_dq");
        let name = if self.producers.contains_key(&dequantized) { &dequantized } else { name };
        let value = self.value(name)?;
        if value.dims != dims {
            return Err(self.wrong(&format!("{name}: expected {dims:?}, actual {:?}", value.dims)));
        }
        Ok(value)
    }

    /// Weight `(n_in, n_out)` of the linear layer whose bias is called `bias`.
    ///
    /// # Errors
    ///
    /// If no layer has that bias, or the weight's shape is another.
    pub fn weight_before(&self, bias: &str, dims: [usize; 2]) -> Result<Array> {
        let lacks = || self.wrong(&format!("no linear layer has the bias {bias}"));
        let is_bias = |input: &String| input.strip_suffix("_dq").unwrap_or(input) == bias;
        let mut sums = self.graph.node.iter().filter(|node| node.op_type == "Add");
        let sum = sums.find(|node| node.input.iter().any(is_bias)).ok_or_else(lacks)?;
        let product = sum.input.iter().filter(|&input| !is_bias(input)).find_map(|input| self.producer(input));
        let product = product.filter(|node| node.op_type == "MatMul").ok_or_else(lacks)?;
        let name = product.input.get(1).ok_or_else(lacks)?;
        self.get(name.strip_suffix("_dq").unwrap_or(name), &dims)
    }

    fn producer(&self, value: &str) -> Option<&NodeProto> {
        self.producers.get(value).map(|&i| &self.graph.node[i])
    }

    /// A constant, or what `DequantizeLinear` makes of constants: `(q - zero point) * scale`, along
    /// the axis that it names.
    fn value(&self, name: &str) -> Result<Array> {
        let Some(node) = self.producer(name) else { return self.constant(name) };
        let [q, scale, zero] = &node.input[..] else { return Err(self.wrong(&format!("{name} is not a constant"))) };
        if node.op_type != "DequantizeLinear" {
            return Err(self.wrong(&format!("{name} is computed by {}, not a constant", node.op_type)));
        }
        let Array { dims, mut values } = self.constant(q)?;
        let (scale, zero) = (self.constant(scale)?, self.constant(zero)?);
        let (n, axis) = (scale.values.len(), node.attribute.iter().find(|a| a.name == "axis").map_or(1, |a| a.i));
        // One scale for all values, or one for each place along the axis.
        let axis = usize::try_from(axis).ok().filter(|axis| *axis < dims.len());
        let fits = n == 1 || axis.is_some_and(|axis| dims[axis] == n);
        if !fits || zero.values.len() != n {
            return Err(self.wrong(&format!("{name}: {n} scales do not fit the shape {dims:?}")));
        }
        let n_inner: usize = axis.map_or(1, |axis| dims[axis + 1..].iter().product());
        for (i, value) in values.iter_mut().enumerate() {
            let at = i / n_inner.max(1) % n;
            *value = (*value - zero.values[at]) * scale.values[at];
        }
        Ok(Array { dims, values })
    }

    fn constant(&self, name: &str) -> Result<Array> {
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
        let dims: Vec<usize> = dims.iter().map(|&n| usize::try_from(n).unwrap_or_default()).collect();
        let n: usize = dims.iter().product();
        if values.len() != n {
            return Err(self.wrong(&format!("{name}: expected {n} values, actual {}", values.len())));
        }
        Ok(Array { dims, values })
    }

    fn wrong(&self, message: &str) -> Error {
        Error::content(self.path, message)
    }
}
