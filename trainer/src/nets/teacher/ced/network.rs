//! The network's layers: patches of a log-mel spectrogram to tokens, and twelve blocks of a vision
//! transformer (Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021).
//!
//! Enters: decibels, `(B, n_frames, N_MELS)`. Leaves: embeddings of steps, `(B, T, D)`, D =
//! [`EMBEDDING_WIDTH`].

use super::onnx::Onnx;
use super::{EMBEDDING_WIDTH, MAX_STEPS, N_MELS, N_TAGS, PATCH};
use crate::error::Result;
use tch::{Device, Kind, Tensor};

const D: i64 = EMBEDDING_WIDTH as i64;
/// Patches over the bands of the spectrogram.
const N_BANDS: i64 = N_MELS / PATCH;
const N_BLOCKS: usize = 12;
const N_HEADS: i64 = 3;
/// Width of a block's hidden layer.
const HIDDEN: i64 = 4 * D;
const NORM_EPSILON: f64 = 1e-6;
const OUTPUT_NORM_EPSILON: f64 = 1e-5;
const BATCH_NORM_EPSILON: f64 = 1e-5;

/// Weight and bias of a linear layer, or scale and shift of a norm.
#[derive(Debug)]
struct Layer {
    weight: Tensor,
    bias: Tensor,
}

impl Layer {
    /// The linear layer whose tensors in the file are `name` and the one that is multiplied before.
    fn linear(file: &Onnx<'_>, name: &str, n_in: i64, n_out: i64) -> Result<Self> {
        let bias = format!("{name}.bias");
        Ok(Self { weight: file.weight_before(&bias, [n_out, n_in])?, bias: file.tensor(&bias, &[n_out])? })
    }

    /// Tensors `name.weight` of the shape `shape` and `name.bias`, of its first axis.
    fn named(file: &Onnx<'_>, name: &str, shape: &[i64]) -> Result<Self> {
        let weight = file.tensor(&format!("{name}.weight"), shape)?;
        Ok(Self { weight, bias: file.tensor(&format!("{name}.bias"), &shape[..1])? })
    }

    fn to(&self, device: Device, kind: Kind) -> Result<Self> {
        let to = |tensor: &Tensor| tensor.f_to_device(device)?.f_to_kind(kind);
        Ok(Self { weight: to(&self.weight)?, bias: to(&self.bias)? })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }

    fn normalise(&self, x: &Tensor, epsilon: f64) -> Result<Tensor> {
        let width = x.size().last().copied().unwrap_or_default();
        Ok(x.f_layer_norm([width].as_slice(), Some(&self.weight), Some(&self.bias), epsilon, true)?)
    }
}

/// Attention and hidden layer, each behind a norm and beside a shortcut.
#[derive(Debug)]
struct Block {
    norm1: Layer,
    qkv: Layer,
    projection: Layer,
    norm2: Layer,
    hidden: Layer,
    back: Layer,
}

impl Block {
    fn read(file: &Onnx<'_>, index: usize) -> Result<Self> {
        let name = |part: &str| format!("model.encoder.blocks.{index}.{part}");
        Ok(Self {
            norm1: Layer::named(file, &name("norm1"), &[D])?,
            qkv: Layer::linear(file, &name("attn.qkv"), D, 3 * D)?,
            projection: Layer::linear(file, &name("attn.proj"), D, D)?,
            norm2: Layer::named(file, &name("norm2"), &[D])?,
            hidden: Layer::linear(file, &name("mlp.fc1"), D, HIDDEN)?,
            back: Layer::linear(file, &name("mlp.fc2"), HIDDEN, D)?,
        })
    }

    fn to(&self, device: Device, kind: Kind) -> Result<Self> {
        Ok(Self {
            norm1: self.norm1.to(device, kind)?,
            qkv: self.qkv.to(device, kind)?,
            projection: self.projection.to(device, kind)?,
            norm2: self.norm2.to(device, kind)?,
            hidden: self.hidden.to(device, kind)?,
            back: self.back.to(device, kind)?,
        })
    }

    /// Tokens `(B, N, D)` after the block.
    fn forward(&self, mut tokens: Tensor) -> Result<Tensor> {
        let _ = tokens.f_add_(&self.attend(&self.norm1.normalise(&tokens, NORM_EPSILON)?)?)?;
        let mut h = self.hidden.apply(&self.norm2.normalise(&tokens, NORM_EPSILON)?)?;
        let _ = tokens.f_add_(&self.back.apply(&h.f_gelu_("none")?)?)?;
        Ok(tokens)
    }

    /// Attention of every token to all.
    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, n, _) = x.size3()?;
        let qkv = self.qkv.apply(x)?.f_view([batch, n, 3, N_HEADS, D / N_HEADS])?.f_permute([2, 0, 3, 1, 4])?;
        let [q, k, v] = [0, 1, 2].map(|part| qkv.f_select(0, part));
        // Its own scale is that of the network, 1 / sqrt(D / N_HEADS).
        let mixed =
            Tensor::f_scaled_dot_product_attention(&q?, &k?, &v?, None::<Tensor>, 0.0, false, None::<f64>, false)?;
        self.projection.apply(&mixed.f_transpose(1, 2)?.f_reshape([batch, n, D])?)
    }
}

/// All layers.
#[derive(Debug)]
pub(super) struct Network {
    /// Scale and shift of each mel band.
    bands: Layer,
    /// Of a patch, its bands before its frames.
    patches: Layer,
    /// `(1, 1, MAX_STEPS, D)`.
    time_position: Tensor,
    /// `(1, N_BANDS, 1, D)`.
    band_position: Tensor,
    blocks: Vec<Block>,
    norm: Layer,
    output_norm: Layer,
    output: Layer,
    kind: Kind,
}

impl Network {
    pub(super) fn read(file: &Onnx<'_>) -> Result<Self> {
        let patch = Layer::named(file, "model.encoder.patch_embed.proj", &[D, 1, PATCH, PATCH])?;
        let time_position = file.tensor("model.encoder.time_pos_embed", &[1, D, 1, MAX_STEPS as i64])?;
        Ok(Self {
            bands: folded_batch_norm(file)?,
            patches: Layer { weight: patch.weight.f_view([D, PATCH * PATCH])?, bias: patch.bias },
            time_position: time_position.f_permute([0, 2, 3, 1])?.f_contiguous()?,
            band_position: file.tensor("alias", &[1, D, N_BANDS, 1])?.f_permute([0, 2, 3, 1])?.f_contiguous()?,
            blocks: (0..N_BLOCKS).map(|i| Block::read(file, i)).collect::<Result<_>>()?,
            norm: Layer::named(file, "model.encoder.norm", &[D])?,
            output_norm: Layer::named(file, "model.outputlayer.0", &[D])?,
            output: Layer::named(file, "model.outputlayer.1", &[N_TAGS as i64, D])?,
            kind: Kind::Float,
        })
    }

    /// The same on `device`, patches and blocks in `kind`.
    pub(super) fn to(&self, device: Device, kind: Kind) -> Result<Self> {
        let to = |tensor: &Tensor| tensor.f_to_device(device)?.f_to_kind(kind);
        Ok(Self {
            bands: self.bands.to(device, Kind::Float)?,
            patches: self.patches.to(device, kind)?,
            time_position: to(&self.time_position)?,
            band_position: to(&self.band_position)?,
            blocks: self.blocks.iter().map(|block| block.to(device, kind)).collect::<Result<_>>()?,
            norm: self.norm.to(device, kind)?,
            output_norm: self.output_norm.to(device, Kind::Float)?,
            output: self.output.to(device, Kind::Float)?,
            kind,
        })
    }

    /// Tokens `(B, N_BANDS, n_steps, D)`, single precision.
    pub(super) fn tokens(&self, log_mel: &Tensor, n_steps: i64) -> Result<Tensor> {
        let batch = log_mel.size()[0];
        let bands = log_mel.f_narrow(1, 0, PATCH * n_steps)?.f_mul(&self.bands.weight)?.f_add_(&self.bands.bias)?;
        // (B, T, frame, band, bin) to (B, band, T, bin, frame).
        let patches = bands.f_to_kind(self.kind)?.f_view([batch, n_steps, PATCH, N_BANDS, PATCH])?;
        let patches = patches.f_permute([0, 3, 1, 4, 2])?.f_reshape([batch, N_BANDS, n_steps, PATCH * PATCH])?;
        let tokens = self.patches.apply(&patches)?.f_add_(&self.time_position.f_narrow(2, 0, n_steps)?)?;
        let mut tokens = tokens.f_add(&self.band_position)?.f_view([batch, N_BANDS * n_steps, D])?;
        for block in &self.blocks {
            tokens = block.forward(tokens)?;
        }
        let tokens = self.norm.normalise(&tokens, NORM_EPSILON)?.f_to_kind(Kind::Float)?;
        Ok(tokens.f_view([batch, N_BANDS, n_steps, D])?)
    }

    /// Posteriors `(.., N_TAGS)` of embeddings `(.., D)`.
    pub(super) fn posteriors(&self, embeddings: &Tensor) -> Result<Tensor> {
        let normalised = self.output_norm.normalise(embeddings, OUTPUT_NORM_EPSILON)?;
        Ok(self.output.apply(&normalised)?.f_sigmoid_()?)
    }
}

/// Scale and shift that the batch norm before the patches amounts to.
fn folded_batch_norm(file: &Onnx<'_>) -> Result<Layer> {
    let part = |part: &str| file.tensor(&format!("model.encoder.init_bn.{part}"), &[N_MELS]);
    let weight = part("weight")?.f_div(&part("running_var")?.f_add_scalar(BATCH_NORM_EPSILON)?.f_sqrt()?)?;
    let bias = part("bias")?.f_sub(&part("running_mean")?.f_mul(&weight)?)?;
    Ok(Layer { weight, bias })
}
