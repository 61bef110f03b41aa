//! The whole network as an ONNX file: log-mel frames to tokens, twelve blocks of a vision
//! transformer (Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021), and the head.
//!
//! Input `log_mel` `[1, 1, 16 * patch_steps, 64]`, as the front end normalises it; output `logits`
//! `[1, n_labels]`. The graph uses the operators of opset 17 alone. All arithmetic on weights here
//! is that of single precision without library functions, so the same files give the same bytes on
//! every machine.

use crate::Array;
use crate::ced::{self, ATTENTION_SCALE, Block, EMBEDDING_WIDTH as D, N_BANDS, N_HEADS, N_MELS, PATCH, Weights};
use crate::head::{Head, HeadShape, Linear};
use crate::onnx::{Graph, fixed, float, int, ints};
use edge_frontend::FrontendConfig;

/// Width of a head of the attention.
const WIDTH: usize = D / N_HEADS;

/// The bytes of the file, called `name`, for frames of `frontend`.
pub fn encode(weights: &Weights, head: &Head, frontend: &FrontendConfig, name: &str) -> Vec<u8> {
    let mut graph = Graph::new(name);
    let shape = head.shape;
    let mut tokens = patches(&mut graph, weights, frontend, shape.patch_steps);
    for (i, block) in weights.blocks.iter().enumerate() {
        tokens = transformed(&mut graph, &format!("block{i}"), block, &tokens, shape.patch_steps * N_BANDS);
    }
    let tokens = norm(&mut graph, "norm", &weights.norm, &tokens);
    let seen = seen(&mut graph, &tokens, shape);
    let hidden = dense(&mut graph, "hidden", &head.hidden, &seen);
    let hidden = graph.node("Relu", "rectified", &[&hidden], Vec::new());
    let output = dense(&mut graph, "logits", &head.output, &hidden);
    graph.input("log_mel", [1, 1, shape.patch_steps * PATCH, N_MELS].map(fixed).to_vec());
    graph.output(&output, [1, head.n_labels()].map(fixed).to_vec());
    graph.encode()
}

/// Tokens `(4 * n_steps, 192)`: the bands of a step one after another, lowest first.
fn patches(graph: &mut Graph, weights: &Weights, frontend: &FrontendConfig, n_steps: usize) -> String {
    // Decibels and batch norm are one factor and one offset for each mel band.
    let (factor, offset) = ced::decibels(frontend);
    let (scale, shift) = (&weights.mels.weight.values, &weights.mels.bias.values);
    graph.floats("mels.weight", &Array::vector(scale.iter().map(|s| factor * s).collect()));
    graph.floats("mels.bias", &Array::vector((0..N_MELS).map(|m| offset * scale[m] + shift[m]).collect()));
    graph.node("Mul", "mels.scaled", &["log_mel", "mels.weight"], Vec::new());
    let mels = graph.node("Add", "mels", &["mels.scaled", "mels.bias"], Vec::new());
    // The network's patches have mel bands before frames, the daemon's frames the other way round.
    let turned = (0..D).flat_map(|d| {
        let at = move |frame: usize, mel: usize| (d * PATCH + mel) * PATCH + frame;
        (0..PATCH).flat_map(move |frame| (0..PATCH).map(move |mel| at(frame, mel)))
    });
    let values = turned.map(|i| weights.patches.weight.values[i]).collect();
    let weight = Array { dims: vec![D, 1, PATCH, PATCH], values };
    let size = [PATCH as i64; 2];
    let attributes = vec![ints("kernel_shape", &size), ints("strides", &size)];
    let patches = graph.convolution("patches", &mels, &weight, &weights.patches.bias, attributes);
    let ordered = graph.node("Transpose", "patches.ordered", &[&patches], vec![ints("perm", &[0, 2, 3, 1])]);
    let tokens = reshape(graph, "patches.tokens", &ordered, &[(n_steps * N_BANDS) as i64, D as i64]);
    let (time, band) = (&weights.time_position, &weights.band_position);
    let position = |i: usize| {
        let (step, row, d) = (i / D / N_BANDS, i / D % N_BANDS, i % D);
        time.values[d * time.dims[1] + step] + band.values[d * band.dims[1] + row]
    };
    let values = (0..n_steps * N_BANDS * D).map(position).collect();
    graph.floats("positions", &Array { dims: vec![n_steps * N_BANDS, D], values });
    graph.node("Add", "tokens", &[&tokens, "positions"], Vec::new())
}

/// Tokens `(n, 192)` after a block.
fn transformed(graph: &mut Graph, name: &str, block: &Block, tokens: &str, n: usize) -> String {
    let part = |part: &str| format!("{name}.{part}");
    let x = norm(graph, &part("norm1"), &block.norm1, tokens);
    // Queries, keys and values each have a product of their own. The attention's scale, a power of
    // two, goes to the queries.
    let [queries, keys, values] =
        [("queries", 0, ATTENTION_SCALE), ("keys", 1, 1.0), ("values", 2, 1.0)].map(|(what, third, factor)| {
            let at = |row: usize, column: usize| row * 3 * D + third * D + column;
            let columns = |row: usize| (0..D).map(move |column| factor * block.qkv.weight.values[at(row, column)]);
            let weight = Array { dims: vec![D, D], values: (0..D).flat_map(columns).collect() };
            let bias = (0..D).map(|column| factor * block.qkv.bias.values[at(0, column)]).collect();
            let product = linear(graph, &part(what), &weight, &Array::vector(bias), &x);
            let split =
                reshape(graph, &part(&format!("{what}.split")), &product, &[n as i64, N_HEADS as i64, WIDTH as i64]);
            let order: [i64; 3] = if what == "keys" { [1, 2, 0] } else { [1, 0, 2] };
            graph.node("Transpose", &part(&format!("{what}.heads")), &[&split], vec![ints("perm", &order)])
        });
    let scores = graph.node("MatMul", &part("scores"), &[&queries, &keys], Vec::new());
    let shares = graph.node("Softmax", &part("shares"), &[&scores], vec![int("axis", -1)]);
    let mixed = graph.node("MatMul", &part("mixed"), &[&shares, &values], Vec::new());
    let joined = graph.node("Transpose", &part("joined"), &[&mixed], vec![ints("perm", &[1, 0, 2])]);
    let joined = reshape(graph, &part("joined.flat"), &joined, &[n as i64, D as i64]);
    let projection = &block.projection;
    let attended = linear(graph, &part("projection"), &projection.weight, &projection.bias, &joined);
    let tokens = graph.node("Add", &part("attended"), &[tokens, &attended], Vec::new());
    let x = norm(graph, &part("norm2"), &block.norm2, &tokens);
    let hidden = linear(graph, &part("hidden"), &block.hidden.weight, &block.hidden.bias, &x);
    let active = gelu(graph, &part("gelu"), &hidden);
    let back = linear(graph, &part("back"), &block.back.weight, &block.back.bias, &active);
    graph.node("Add", &part("tokens"), &[&tokens, &back], Vec::new())
}

/// What the head sees of tokens `(4 * patch_steps, 192)`: `(1, n_in)`.
fn seen(graph: &mut Graph, tokens: &str, shape: HeadShape) -> String {
    let steps = [shape.patch_steps as i64, N_BANDS as i64, D as i64];
    let by_step = reshape(graph, "tokens.by_step", tokens, &steps);
    let mean = |graph: &mut Graph, name: &str, value: &str, axis: i64, keep: i64| {
        graph.node("ReduceMean", name, &[value], vec![ints("axes", &[axis]), int("keepdims", keep)])
    };
    let embeddings = mean(graph, "embeddings", &by_step, 1, 0);
    let whole = mean(graph, "embeddings.mean", &embeddings, 0, 1);
    let first = shape.step() - shape.context_steps / 2;
    graph.integers("context.first", &[first as i64]);
    graph.integers("context.end", &[(first + shape.context_steps) as i64]);
    graph.integers("context.axis", &[0]);
    let inputs = [&embeddings, "context.first", "context.end", "context.axis"];
    let context = graph.node("Slice", "context", &inputs, Vec::new());
    let context = reshape(graph, "context.flat", &context, &[1, (shape.context_steps * D) as i64]);
    graph.node("Concat", "seen", &[&context, &whole], vec![int("axis", 1)])
}

fn reshape(graph: &mut Graph, name: &str, value: &str, dims: &[i64]) -> String {
    let shape = format!("{name}.shape");
    graph.integers(&shape, dims);
    graph.node("Reshape", name, &[value, &shape], Vec::new())
}

/// `x weight + bias`, weight `(n_in, n_out)`.
fn linear(graph: &mut Graph, name: &str, weight: &Array, bias: &Array, x: &str) -> String {
    let [weight_name, bias_name, product] = ["weight", "bias", "product"].map(|part| format!("{name}.{part}"));
    graph.floats(&weight_name, weight);
    graph.floats(&bias_name, bias);
    graph.node("MatMul", &product, &[x, &weight_name], Vec::new());
    graph.node("Add", name, &[&product, &bias_name], Vec::new())
}

/// A layer of the head.
fn dense(graph: &mut Graph, name: &str, layer: &Linear, x: &str) -> String {
    let [n_out, n_in] = [layer.weight.dims[0], layer.weight.dims[1]];
    let values = (0..n_in).flat_map(|i| (0..n_out).map(move |o| layer.weight.values[o * n_in + i])).collect();
    linear(graph, name, &Array { dims: vec![n_in, n_out], values }, &layer.bias, x)
}

fn norm(graph: &mut Graph, name: &str, layer: &ced::Layer, x: &str) -> String {
    let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
    graph.floats(&weight, &layer.weight);
    graph.floats(&bias, &layer.bias);
    let attributes = vec![int("axis", -1), float("epsilon", ced::NORM_EPSILON)];
    graph.node("LayerNormalization", name, &[x, &weight, &bias], attributes)
}

/// `x / 2 (1 + erf(x / sqrt(2)))`.
fn gelu(graph: &mut Graph, name: &str, x: &str) -> String {
    let part = |part: &str| format!("{name}.{part}");
    graph.scalar(&part("root"), std::f32::consts::FRAC_1_SQRT_2);
    graph.scalar(&part("one"), 1.0);
    graph.scalar(&part("half"), 0.5);
    graph.node("Mul", &part("scaled"), &[x, &part("root")], Vec::new());
    graph.node("Erf", &part("erf"), &[&part("scaled")], Vec::new());
    graph.node("Add", &part("raised"), &[&part("erf"), &part("one")], Vec::new());
    graph.node("Mul", &part("halved"), &[x, &part("half")], Vec::new());
    graph.node("Mul", name, &[&part("halved"), &part("raised")], Vec::new())
}
