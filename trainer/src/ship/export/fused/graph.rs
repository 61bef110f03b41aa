//! The networks of a fusion as one ONNX graph.
//!
//! Enters: networks, each with its weight and with which of them it shares its backbone. Leaves:
//! the bytes of an ONNX file with input `log_mel` `[1, 1, n_frames, n_mels]` and output
//! `posteriors` `[1, n_classes]`. Batch norm is folded into the convolutions; the layers are those
//! of [`SlowFast`], whose forward pass is the reference.

use super::Member;
use crate::common::array::of_tensor;
use crate::error::{Error, Result};
use crate::nets::batch_norm::Norm;
use crate::nets::slowfast::{ALPHA, BN_EPSILON, N_STAGES, STRIDES, SlowFast, block_name, slow_frames};
use assemble::Array;
use assemble::onnx::{Graph, fixed, int, ints, sliding};
use tch::Tensor;
use tract_onnx::pb::AttributeProto;

/// Smallest range by which a patch is divided in scaling it to [0, 1], as in training.
const LEAST_RANGE: f64 = 1e-6;

/// An encoded fusion.
pub(super) struct Encoded {
    /// The ONNX file.
    pub(super) bytes: Vec<u8>,
    /// Values of all convolutions and heads, batch norm folded.
    pub(super) n_params: usize,
}

/// Encodes the weighted mean of `members`. `leaders[i]` is the first member with member `i`'s
/// backbone; there is at least one member, and all have the same classes and patch.
///
/// # Errors
///
/// If libtorch reports an error.
pub(super) fn encode(members: &[Member], leaders: &[usize], name: &str) -> Result<Encoded> {
    let mut graph = Graph::new(name);
    let first = members[0].network;
    graph.input("log_mel", vec![fixed(1), fixed(1), fixed(first.config().n_frames), fixed(first.config().n_mels)]);
    graph.output("posteriors", vec![fixed(1), fixed(first.n_classes())]);
    let scaled = members.iter().any(|m| m.min_max).then(|| min_max(&mut graph)).transpose()?;
    let mut features: Vec<String> = Vec::new();
    let mut terms = Vec::new();
    for (i, (member, &leader)) in members.iter().zip(leaders).enumerate() {
        let shared = if leader == i {
            let input = scaled.as_deref().filter(|_| member.min_max).unwrap_or("log_mel");
            Backbone { graph: &mut graph, network: member.network, prefix: format!("model{i}") }.write(input)?
        } else {
            features[leader].clone()
        };
        terms.push(head(&mut graph, member.network, &format!("model{i}"), &shared)?);
        features.push(shared);
    }
    let n_params = graph.n_params();
    fuse(&mut graph, members, &terms)?;
    Ok(Encoded { bytes: graph.encode(), n_params })
}

/// The patch scaled to [0, 1] by its smallest and largest value; a constant patch becomes zero.
fn min_max(graph: &mut Graph) -> Result<String> {
    let over = || vec![ints("axes", &[1, 2, 3]), int("keepdims", 1)];
    let low = graph.node("ReduceMin", "scale.low", &["log_mel"], over());
    let high = graph.node("ReduceMax", "scale.high", &["log_mel"], over());
    let range = graph.node("Sub", "scale.range", &[&high, &low], Vec::new());
    graph.floats("scale.least", &Array { dims: vec![1; 4], values: vec![LEAST_RANGE as f32] });
    let range = graph.node("Max", "scale.divisor", &[&range, "scale.least"], Vec::new());
    let above = graph.node("Sub", "scale.above", &["log_mel", &low], Vec::new());
    Ok(graph.node("Div", "scale", &[&above, &range], Vec::new()))
}

/// Posteriors `[1, n_classes]` of one model from its backbone's features `[1, n_features,
/// positions..]`: softmax at each position, then the mean over positions.
fn head(graph: &mut Graph, network: &SlowFast, prefix: &str, features: &str) -> Result<String> {
    let weight = get(network, "head.projection.weight")?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    let bias = get(network, "head.projection.bias")?;
    let attributes = sliding([1, 1], [1, 1], [0, 0]);
    let name = format!("{prefix}.head.projection");
    let logits = graph.convolution(&name, features, &of_tensor(&weight)?, &of_tensor(bias)?, attributes);
    let each = graph.node("Softmax", &format!("{prefix}.softmax"), &[&logits], vec![int("axis", 1)]);
    let mean = vec![ints("axes", &[2, 3]), int("keepdims", 0)];
    Ok(graph.node("ReduceMean", &format!("{prefix}.posteriors"), &[&each], mean))
}

/// The weighted mean of `terms`.
fn fuse(graph: &mut Graph, members: &[Member], terms: &[String]) -> Result<()> {
    let total: f64 = members.iter().map(|m| m.weight).sum();
    let mut sum: Option<String> = None;
    for (i, (member, term)) in members.iter().zip(terms).enumerate() {
        let is_last = i + 1 == members.len();
        let weight = format!("fusion.weight{i}");
        graph.floats(&weight, &Array { dims: vec![1; 2], values: vec![(member.weight / total) as f32] });
        let name = if sum.is_none() && is_last { "posteriors".to_owned() } else { format!("fusion.term{i}") };
        let weighted = graph.node("Mul", &name, &[term, &weight], Vec::new());
        sum = Some(match sum {
            None => weighted,
            Some(sum) => {
                let name = if is_last { "posteriors".to_owned() } else { format!("fusion.sum{i}") };
                graph.node("Add", &name, &[&sum, &weighted], Vec::new())
            }
        });
    }
    Ok(())
}

/// Everything of one network but its head.
struct Backbone<'a> {
    graph: &'a mut Graph,
    network: &'a SlowFast,
    prefix: String,
}

impl Backbone<'_> {
    /// Leaves the name of the features, `[1, n_features, positions in time, positions in
    /// frequency]`.
    fn write(mut self, input: &str) -> Result<String> {
        let frames = self.name("slow_frames");
        self.graph.integers(&frames, &slow_frames(self.network.config().n_frames));
        let slow = self.node("Gather", "slow_input", &[input, &frames], vec![int("axis", 2)]);
        let mut fast = self.stem(1, input)?;
        let mut slow = self.stem(0, &slow)?;
        for stage in 0..N_STAGES {
            let fuse = format!("s{}_fuse", stage + 1);
            let lateral = [format!("{fuse}.conv_f2s"), format!("{fuse}.bn")];
            let lateral = self.normalised(&lateral, &fast, [ALPHA as i64, 1])?;
            let lateral = self.relu(&fuse, &lateral);
            slow = self.node("Concat", &format!("{fuse}.concat"), &[&slow, &lateral], vec![int("axis", 1)]);
            slow = self.stage(stage, 0, slow)?;
            fast = self.stage(stage, 1, fast)?;
        }
        let mut pooled = Vec::new();
        for (pathway, (h, kernel)) in [slow, fast].iter().zip(self.network.config().pool()).enumerate() {
            let attributes = sliding(kernel, [1, 1], [0, 0]);
            pooled.push(self.node("AveragePool", &format!("head.pathway{pathway}_avgpool"), &[h], attributes));
        }
        Ok(self.node("Concat", "head.features", &[&pooled[0], &pooled[1]], vec![int("axis", 1)]))
    }

    fn stem(&mut self, pathway: usize, input: &str) -> Result<String> {
        let name = format!("s1.pathway{pathway}_stem");
        let h = self.normalised(&[format!("{name}.conv"), format!("{name}.bn")], input, [2, 2])?;
        let h = self.relu(&name, &h);
        Ok(self.node("MaxPool", &format!("{name}.pool"), &[&h], sliding([3, 3], [2, 2], [1, 1])))
    }

    fn stage(&mut self, stage: usize, pathway: usize, mut h: String) -> Result<String> {
        for block in 0..self.network.config().blocks()[stage] {
            let name = block_name(stage, pathway, block);
            let stride = [1, if block == 0 { STRIDES[stage] } else { 1 }];
            let layer = |part: &str| [format!("{name}.{part}"), format!("{name}.{part}_bn")];
            let mut branch = self.normalised(&layer("branch2.a"), &h, [1, 1])?;
            branch = self.relu(&format!("{name}.branch2.a"), &branch);
            branch = self.normalised(&layer("branch2.b"), &branch, stride)?;
            branch = self.relu(&format!("{name}.branch2.b"), &branch);
            branch = self.normalised(&layer("branch2.c"), &branch, [1, 1])?;
            if self.network.tensor(&format!("{name}.branch1.weight")).is_some() {
                h = self.normalised(&layer("branch1"), &h, stride)?;
            }
            let sum = self.node("Add", &format!("{name}.add"), &[&h, &branch], Vec::new());
            h = self.relu(&name, &sum);
        }
        Ok(h)
    }

    /// A convolution, padded so that a stride of 1 keeps the size, with the batch norm after it;
    /// `names` are theirs.
    fn normalised(&mut self, names: &[String; 2], input: &str, stride: [i64; 2]) -> Result<String> {
        let [convolution, norm] = names;
        let kernel = get(self.network, &format!("{convolution}.weight"))?;
        let part = |part: &str| get(self.network, &format!("{norm}.{part}"));
        let norm = Norm {
            weight: part("weight")?,
            bias: part("bias")?,
            mean: part("running_mean")?,
            variance: part("running_var")?,
            epsilon: BN_EPSILON,
        };
        let (weight, bias) = norm.fold(kernel)?;
        let size = weight.size();
        let attributes = sliding([size[2], size[3]], stride, [size[2] / 2, size[3] / 2]);
        let name = self.name(convolution);
        Ok(self.graph.convolution(&name, input, &of_tensor(&weight)?, &of_tensor(&bias)?, attributes))
    }

    fn relu(&mut self, name: &str, input: &str) -> String {
        self.node("Relu", &format!("{name}.relu"), &[input], Vec::new())
    }

    fn node(&mut self, op_type: &str, name: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.name(name);
        self.graph.node(op_type, &name, inputs, attributes)
    }

    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }
}

fn get<'a>(network: &'a SlowFast, name: &str) -> Result<&'a Tensor> {
    network.tensor(name).ok_or_else(|| Error::Usage(format!("the network has no tensor {name:?}")))
}
