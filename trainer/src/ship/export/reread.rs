//! A network from the file that this crate wrote.
//!
//! Enters: the bytes of `model.onnx` or `model.int8.onnx`. Leaves: the student it was made of, so
//! that a training can start from a model whose checkpoint is gone; or the same file with another
//! head. The head is in single precision in both files, and the convolutions before it are not
//! touched.

use crate::error::{Error, Result};
use crate::nets::student::{BN_EPSILON, Student};
use crate::nets::student::{ConvLayer, StudentConfig};
use assemble::onnx::fixed;
use prost::Message as _;
use std::collections::HashMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, type_proto};

const HEAD: [&str; 2] = ["head.weight", "head.bias"];

/// The student in the single-precision file with the bytes `file`; `path` is named in errors. Batch
/// norm was folded into its convolutions, so its own has no effect. The file does not say what the
/// outputs are: a softmax on the middle of the field, unless [`Student::reading`] says otherwise.
///
/// # Errors
///
/// If the file is not such a network: another program's, of 8 bits, or with other nodes than
/// convolutions.
pub fn student(file: &[u8], path: &Path, n_mels: usize) -> Result<Student> {
    let graph = graph(file, path)?;
    let mut layers = Vec::new();
    let mut values = HashMap::new();
    for node in graph.node.iter().filter(|node| node.name != "logits") {
        match node.op_type.as_str() {
            "Conv" if node.name == "head" => {}
            "Conv" if node.name == format!("conv{}", layers.len()) => {
                let [weight, bias] = ["weight", "bias"].map(|part| floats(&graph, &format!("{}.{part}", node.name)));
                let (weight, bias) = (weight.map_err(wrong(path))?, bias.map_err(wrong(path))?);
                layers.push(layer(node, &weight.size()).map_err(wrong(path))?);
                take_layer(&mut values, &node.name, &weight, &bias)?;
            }
            "Relu" => {}
            other => {
                let message = format!("node {:?} ({other}): only plain convolutions can be started from", node.name);
                return Err(Error::content(path, message));
            }
        }
    }
    let (weight, bias) = head(file, path)?;
    let n_classes = weight.size()[0] as usize;
    values.extend([(HEAD[0].to_owned(), weight), (HEAD[1].to_owned(), bias)]);
    let network = StudentConfig::new(layers);
    let mut student = Student::new(&network, n_mels, n_classes, 0, 0, Device::Cpu)?;
    student.fill(&values, "", path)?;
    student.frozen_copy()
}

/// The head of either file: weight `(C, channels)` and bias `(C)`. That of the 8-bit file was
/// trained further with its convolutions.
///
/// # Errors
///
/// If there is none.
pub fn head(file: &[u8], path: &Path) -> Result<(Tensor, Tensor)> {
    let graph = graph(file, path)?;
    let [weight, bias] = HEAD.map(|name| floats(&graph, name).map_err(wrong(path)));
    Ok((weight?.f_flatten(1, -1)?, bias?))
}

/// The file with the bytes `file` and the head `weight` `(C, channels)`, `bias` `(C)` instead of
/// its own.
///
/// # Errors
///
/// If the file has no head of as many channels, or libtorch reports an error.
pub fn with_head(file: &[u8], path: &Path, (weight, bias): (&Tensor, &Tensor), name: &str) -> Result<Vec<u8>> {
    let mut model = decode(file, path)?;
    let graph = model.graph.as_mut().ok_or_else(|| Error::content(path, "holds no graph"))?;
    let [n_classes, n_channels] = [0, 1].map(|axis| weight.size()[axis]);
    let is = floats(graph, HEAD[0]).map_err(wrong(path))?.size();
    if is.get(1) != Some(&n_channels) {
        return Err(Error::content(path, format!("its head has the shape {is:?}, expected {n_channels} channels")));
    }
    for (name, value, dims) in [(HEAD[0], weight, vec![n_classes, n_channels, 1, 1]), (HEAD[1], bias, vec![n_classes])]
    {
        let flat = Vec::<f32>::try_from(&value.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?)?;
        let initializer = graph.initializer.iter_mut().find(|tensor| tensor.name == name);
        let initializer = initializer.ok_or_else(|| Error::content(path, format!("holds no {name}")))?;
        initializer.raw_data = flat.iter().flat_map(|v| v.to_le_bytes()).collect();
        initializer.dims = dims;
    }
    let output = graph.output.first_mut().and_then(|output| output.r#type.as_mut());
    if let Some(type_proto::Value::TensorType(tensor)) = output.and_then(|output| output.value.as_mut())
        && let Some(classes) = tensor.shape.as_mut().and_then(|shape| shape.dim.get_mut(1))
    {
        *classes = fixed(n_classes as usize);
    }
    name.clone_into(&mut graph.name);
    Ok(model.encode_to_vec())
}

fn decode(file: &[u8], path: &Path) -> Result<ModelProto> {
    ModelProto::decode(file).map_err(|e| Error::content(path, format!("not an ONNX file: {e}")))
}

fn graph(file: &[u8], path: &Path) -> Result<GraphProto> {
    decode(file, path)?.graph.ok_or_else(|| Error::content(path, "holds no graph"))
}

fn wrong(path: &Path) -> impl FnOnce(String) -> Error + '_ {
    move |message| Error::content(path, message)
}

/// The constant called `name`, in single precision.
fn floats(graph: &GraphProto, name: &str) -> std::result::Result<Tensor, String> {
    let found = graph.initializer.iter().find(|tensor| tensor.name == name);
    let TensorProto { dims, raw_data, data_type, .. } =
        found.ok_or_else(|| format!("holds no {name}: not written by this program"))?;
    let n_values: i64 = dims.iter().product();
    if *data_type != DataType::Float as i32 || raw_data.len() as i64 != 4 * n_values {
        return Err(format!("{name} is not in single precision"));
    }
    let values: Vec<f32> = raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Tensor::f_from_slice(&values).and_then(|t| t.f_view(&dims[..])).map_err(|e| format!("{name}: {e}"))
}

/// A convolution with a weight of the shape `(out, in, kernel_t, kernel_f)`.
fn layer(node: &NodeProto, shape: &[i64]) -> std::result::Result<ConvLayer, String> {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name).map(|a| &a.ints[..]);
    let (&[channels, _, kernel_t, kernel_f], Some(&[stride_t, stride_f]), Some(&[0, pad_f, 0, _])) =
        (shape, attribute("strides"), attribute("pads"))
    else {
        return Err(format!("node {:?} is not a convolution over time and frequency that is valid in time", node.name));
    };
    let dilation_t = match attribute("dilations") {
        None => 1,
        Some(&[dilation_t, 1]) => dilation_t,
        Some(other) => return Err(format!("node {:?} has the dilations {other:?}, expected [n, 1]", node.name)),
    };
    let [channels, kernel_t, kernel_f, dilation_t, stride_t, stride_f, pad_f] =
        [channels, kernel_t, kernel_f, dilation_t, stride_t, stride_f, pad_f].map(|n| n as usize);
    Ok(ConvLayer { channels, kernel_t, kernel_f, dilation_t, stride_t, stride_f, pad_f: Some(pad_f) })
}

/// Weight and bias with a batch norm that changes nothing.
fn take_layer(values: &mut HashMap<String, Tensor>, name: &str, weight: &Tensor, bias: &Tensor) -> Result<()> {
    let no_scale = (1.0 + BN_EPSILON).sqrt();
    let parts = [
        ("weight", weight.f_permute([0, 2, 3, 1])?),
        ("bn.weight", bias.f_full_like(no_scale)?),
        ("bn.bias", bias.shallow_clone()),
        ("bn.mean", bias.f_zeros_like()?),
        ("bn.variance", bias.f_ones_like()?),
    ];
    values.extend(parts.map(|(part, value)| (format!("{name}.{part}"), value)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::onnx;
    use super::*;

    fn network() -> StudentConfig {
        let first =
            ConvLayer { channels: 4, kernel_t: 4, kernel_f: 5, dilation_t: 1, stride_t: 8, stride_f: 2, pad_f: None };
        let second = ConvLayer { kernel_t: 2, dilation_t: 3, stride_t: 1, ..first };
        StudentConfig::new(vec![first, second])
    }

    #[test]
    fn a_written_network_is_read_back_and_takes_another_head() {
        let network = network();
        let written = Student::new(&network, 16, 3, 0, 7, Device::Cpu).unwrap();
        let (path, x) = (Path::new("model.onnx"), Tensor::randn([1, 40, 16], (Kind::Float, Device::Cpu)));
        let file = onnx::encode(&written, &[0, 1, 2], "written").unwrap();
        let read = student(&file, path, 16).unwrap();
        let difference = (written.frame_logits(&x).unwrap() - read.frame_logits(&x).unwrap()).abs().max();
        assert!(difference.double_value(&[]) < 1e-6, "{difference}");

        let head = (Tensor::ones([5, 4], (Kind::Float, Device::Cpu)), Tensor::arange(5, (Kind::Float, Device::Cpu)));
        let other = student(&with_head(&file, path, (&head.0, &head.1), "other").unwrap(), path, 16).unwrap();
        assert_eq!(other.n_classes(), 5);
        assert_eq!(other.param("head.bias").unwrap(), &head.1);
        assert_eq!(other.param("conv0.weight").unwrap(), read.param("conv0.weight").unwrap());

        let narrow = Tensor::ones([5, 3], (Kind::Float, Device::Cpu));
        let message = with_head(&file, path, (&narrow, &head.1), "other").unwrap_err().to_string();
        assert!(message.contains("expected 3 channels"), "{message}");
        let message = student(b"\xff\xff", path, 16).unwrap_err().to_string();
        assert!(message.contains("model.onnx: not an ONNX file"), "{message}");
    }

    #[test]
    fn networks_with_more_than_convolutions_are_refused() {
        let written = Student::new(&network(), 16, 3, 0, 7, Device::Cpu).unwrap();
        let mut file = ModelProto::decode(&onnx::encode(&written, &[0, 1, 2], "written").unwrap()[..]).unwrap();
        let nodes = &mut file.graph.as_mut().unwrap().node;
        nodes.iter_mut().find(|node| node.op_type == "Relu").unwrap().op_type = "Sigmoid".to_owned();
        let message = student(&file.encode_to_vec(), Path::new("model.onnx"), 16).unwrap_err().to_string();
        assert!(message.contains("only plain convolutions"), "{message}");
    }
}
