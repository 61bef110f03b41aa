//! The network's layers: patches of a log-mel spectrogram to tokens, and twelve blocks of a vision
//! transformer (Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021).
//!
//! Enters: decibels, `(B, n_frames, N_MELS)`. Leaves: embeddings of steps, `(B, T, D)`, D =
//! [`EMBEDDING_WIDTH`].

use crate::common::array::to_tensor;
use crate::error::Result;
use assemble::ced::{self, EMBEDDING_WIDTH, NORM_EPSILON, OUTPUT_NORM_EPSILON, Weights};
use tch::{Device, Kind, Tensor};

const D: i64 = EMBEDDING_WIDTH as i64;
const N_BANDS: i64 = ced::N_BANDS as i64;
const N_HEADS: i64 = ced::N_HEADS as i64;
const PATCH: i64 = ced::PATCH as i64;

/// Weight and bias of a linear layer, or scale and shift of a norm.
#[derive(Debug)]
struct Layer {
    weight: Tensor,
    bias: Tensor,
}

impl Layer {
    /// A layer whose weight is as it is in the file: norms, and layers `(n_out, n_in)`.
    fn of(layer: &ced::Layer) -> Result<Self> {
        Ok(Self { weight: to_tensor(&layer.weight)?, bias: to_tensor(&layer.bias)? })
    }

    /// A linear layer of a block, `(n_in, n_out)` in the file.
    fn linear(layer: &ced::Layer) -> Result<Self> {
        let Self { weight, bias } = Self::of(layer)?;
        Ok(Self { weight: weight.f_tr()?.f_contiguous()?, bias })
    }

    fn to(&self, device: Device, kind: Kind) -> Result<Self> {
        let to = |tensor: &Tensor| tensor.f_to_device(device)?.f_to_kind(kind);
        Ok(Self { weight: to(&self.weight)?, bias: to(&self.bias)? })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }

    fn normalise(&self, x: &Tensor, epsilon: f32) -> Result<Tensor> {
        let width = x.size().last().copied().unwrap_or_default();
        Ok(x.f_layer_norm([width].as_slice(), Some(&self.weight), Some(&self.bias), f64::from(epsilon), true)?)
    }
}

/// Attention and hidden layer, each after a norm and beside a shortcut.
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
    fn of(block: &ced::Block) -> Result<Self> {
        Ok(Self {
            norm1: Layer::of(&block.norm1)?,
            qkv: Layer::linear(&block.qkv)?,
            projection: Layer::linear(&block.projection)?,
            norm2: Layer::of(&block.norm2)?,
            hidden: Layer::linear(&block.hidden)?,
            back: Layer::linear(&block.back)?,
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
    pub(super) fn of(weights: &Weights) -> Result<Self> {
        let patches = Layer::of(&weights.patches)?;
        let position = |position, axes: [i64; 4]| -> Result<Tensor> {
            Ok(to_tensor(position)?.f_tr()?.f_contiguous()?.f_view(axes)?)
        };
        Ok(Self {
            bands: Layer::of(&weights.mels)?,
            patches: Layer { weight: patches.weight.f_view([D, PATCH * PATCH])?, bias: patches.bias },
            time_position: position(&weights.time_position, [1, 1, -1, D])?,
            band_position: position(&weights.band_position, [1, N_BANDS, 1, D])?,
            blocks: weights.blocks.iter().map(Block::of).collect::<Result<_>>()?,
            norm: Layer::of(&weights.norm)?,
            output_norm: Layer::of(&weights.output_norm)?,
            output: Layer::of(&weights.output)?,
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
