//! CED-tiny: a vision transformer distilled from an ensemble on AudioSet (Dinkel et al., "CED:
//! consistent ensemble distillation for audio tagging", ICASSP 2024), 5.5 million parameters,
//! Apache-2.0.
//!
//! Enters: the ONNX file in the crate `soundevents` 0.5.0, which `make ced` brings. Leaves: its
//! weights by layer. They were rounded to 8 bits there; the arithmetic is in floating point.

use crate::onnx::Constants;
use crate::{Array, Error, Result, sha256};
use edge_frontend::{FrontendConfig, MelNorm, MelScale, Power};
use std::path::{Path, PathBuf};

/// Rate that the network expects, in Hz.
pub const SAMPLE_RATE: u32 = 16_000;
/// Duration of a step of 16 frames.
pub const STEP_S: f64 = 0.16;
/// Values of an embedding.
pub const EMBEDDING_WIDTH: usize = 192;
/// Classes of AudioSet.
pub const N_TAGS: usize = 527;
/// Most steps that the network has positions for: 10.08 s.
pub const MAX_STEPS: usize = 63;
/// Mel bands of a frame.
pub const N_MELS: usize = 64;
/// Length of the Fourier transform and its window.
pub const N_FFT: usize = 512;
/// Samples from one frame to the next: 10 ms.
pub const HOP: usize = 160;
/// Frames and mel bands of a patch.
pub const PATCH: usize = 16;
/// Patches over the mel bands of a step.
pub const N_BANDS: usize = N_MELS / PATCH;
/// Blocks of the transformer.
pub const N_BLOCKS: usize = 12;
/// Heads of a block's attention.
pub const N_HEADS: usize = 3;
/// Width of a block's hidden layer.
pub const HIDDEN: usize = 4 * EMBEDDING_WIDTH;
/// Added to variances by the norms of blocks and the one after them.
pub const NORM_EPSILON: f32 = 1e-6;
/// Added to variances by the norm before the output layer.
pub const OUTPUT_NORM_EPSILON: f32 = 1e-5;
const BATCH_NORM_EPSILON: f32 = 1e-5;
/// Scale of the attention's products: `1 / sqrt(64)`, of heads of 64 values.
pub const ATTENTION_SCALE: f32 = 0.125;
/// Least power of a mel band, -100 dB.
pub const LEAST_POWER: f64 = 1e-10;

/// Environment variable that names the network's file.
pub const VARIABLE: &str = "EARWITNESS_CED";
const FILE: &str = "earwitness/ced-tiny.onnx";
/// SHA-256 of the file.
pub const SHA256: &str = "3890f227660be71886ff48633d11a731993e0206db8a486781412c28a0873435";

const D: usize = EMBEDDING_WIDTH;

/// Weight and bias of a layer: of a linear one the weight is `(n_in, n_out)`, of a norm it is the
/// scale.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Factors.
    pub weight: Array,
    /// Added after them.
    pub bias: Array,
}

/// Attention and hidden layer, each after a norm and beside a shortcut.
#[derive(Debug, Clone)]
pub struct Block {
    /// Norm before the attention, `(192)`.
    pub norm1: Layer,
    /// Queries, keys and values of three heads, `(192, 576)`.
    pub qkv: Layer,
    /// After the attention, `(192, 192)`.
    pub projection: Layer,
    /// Norm before the hidden layer, `(192)`.
    pub norm2: Layer,
    /// `(192, 768)`, with GELU after it.
    pub hidden: Layer,
    /// `(768, 192)`.
    pub back: Layer,
}

/// All weights of the network.
#[derive(Debug, Clone)]
pub struct Weights {
    /// Hann window of its own front end, `(512)`.
    pub window: Array,
    /// Mel filters of its own front end, `(257, 64)`.
    pub filters: Array,
    /// Scale and shift of each mel band in decibels, `(64)`: its batch norm.
    pub mels: Layer,
    /// Of a patch, `(192, 16, 16)`: mel bands before frames.
    pub patches: Layer,
    /// `(192, 63)`.
    pub time_position: Array,
    /// `(192, 4)`.
    pub band_position: Array,
    /// In order.
    pub blocks: Vec<Block>,
    /// Norm after the blocks.
    pub norm: Layer,
    /// Norm before the output layer.
    pub output_norm: Layer,
    /// From an embedding to the logits of AudioSet's classes, `(527, 192)`.
    pub output: Layer,
}

/// Where the network's file is expected: what [`VARIABLE`] says, else in the user's cache folder,
/// where `make ced` puts it.
pub fn place() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let in_home = || variable("HOME").unwrap_or_default().join(".cache");
    variable(VARIABLE).unwrap_or_else(|| variable("XDG_CACHE_HOME").unwrap_or_else(in_home).join(FILE))
}

/// The daemon's front end with the network's own parameters. Its frames are not centred on the
/// beginning of the sound. Mean and deviation are those of `models/home`; [`decibels`] takes them
/// back.
pub fn front_end() -> FrontendConfig {
    FrontendConfig {
        sample_rate: SAMPLE_RATE,
        n_fft: N_FFT,
        win_length: N_FFT,
        hop_length: HOP,
        n_mels: N_MELS,
        f_min_hz: 0.0,
        f_max_hz: 8000.0,
        mel_scale: MelScale::Htk,
        mel_norm: MelNorm::None,
        power: Power::Power,
        log_offset: LEAST_POWER,
        centre_padding: false,
        mean: -4.0,
        std: 4.8,
    }
}

/// Factor and offset that make decibels of the values of `frontend`: `10 log10(power)` is
/// `10 / ln(10)` times `mean + std * value`.
pub fn decibels(frontend: &FrontendConfig) -> (f32, f32) {
    let in_ln = 10.0 / std::f32::consts::LN_10;
    (in_ln * frontend.std, in_ln * frontend.mean)
}

impl Weights {
    /// Reads the file at `path`, see [`place`].
    ///
    /// # Errors
    ///
    /// If the file is missing or is not exactly the crate's.
    pub fn load(path: &Path) -> Result<Self> {
        let remedy = "CED-tiny, which `make ced` brings; EARWITNESS_CED names it if it lies elsewhere";
        let bytes =
            std::fs::read(path).map_err(|e| Error::content(path, format!("{e}: this file should be {remedy}")))?;
        let is = sha256(&bytes);
        if is != SHA256 {
            let cause = format!("has the SHA-256 {is}, expected {SHA256}: it is damaged or of another version than");
            return Err(Error::content(path, format!("{cause} {remedy}")));
        }
        Self::read(&Constants::decode(&bytes, path)?)
    }

    fn read(file: &Constants) -> Result<Self> {
        let patches = named(file, "model.encoder.patch_embed.proj", &[D, 1, PATCH, PATCH])?;
        let reshaped = |array: Array, dims: &[usize]| Array { dims: dims.to_vec(), ..array };
        Ok(Self {
            window: file.get("val_45", &[N_FFT])?,
            filters: file.get("mel_transform.mel_scale.fb", &[N_FFT / 2 + 1, N_MELS])?,
            mels: folded_batch_norm(file)?,
            patches: Layer { weight: reshaped(patches.weight, &[D, PATCH, PATCH]), ..patches },
            time_position: reshaped(file.get("model.encoder.time_pos_embed", &[1, D, 1, MAX_STEPS])?, &[D, MAX_STEPS]),
            band_position: reshaped(file.get("alias", &[1, D, N_BANDS, 1])?, &[D, N_BANDS]),
            blocks: (0..N_BLOCKS).map(|i| block(file, i)).collect::<Result<_>>()?,
            norm: named(file, "model.encoder.norm", &[D])?,
            output_norm: named(file, "model.outputlayer.0", &[D])?,
            output: named(file, "model.outputlayer.1", &[N_TAGS, D])?,
        })
    }
}

fn block(file: &Constants, index: usize) -> Result<Block> {
    let name = |part: &str| format!("model.encoder.blocks.{index}.{part}");
    let linear = |part: &str, n_in: usize, n_out: usize| {
        let bias = format!("{}.bias", name(part));
        Ok(Layer { weight: file.weight_before(&bias, [n_in, n_out])?, bias: file.get(&bias, &[n_out])? })
    };
    Ok(Block {
        norm1: named(file, &name("norm1"), &[D])?,
        qkv: linear("attn.qkv", D, 3 * D)?,
        projection: linear("attn.proj", D, D)?,
        norm2: named(file, &name("norm2"), &[D])?,
        hidden: linear("mlp.fc1", D, HIDDEN)?,
        back: linear("mlp.fc2", HIDDEN, D)?,
    })
}

/// Tensors `name.weight` of the shape `dims` and `name.bias`, of its first axis.
fn named(file: &Constants, name: &str, dims: &[usize]) -> Result<Layer> {
    let weight = file.get(&format!("{name}.weight"), dims)?;
    Ok(Layer { weight, bias: file.get(&format!("{name}.bias"), &dims[..1])? })
}

/// Scale and shift that the batch norm before the patches amounts to.
fn folded_batch_norm(file: &Constants) -> Result<Layer> {
    let part = |part: &str| Ok(file.get(&format!("model.encoder.init_bn.{part}"), &[N_MELS])?.values);
    let (scale, shift, mean, variance): (Vec<f32>, Vec<f32>, Vec<f32>, Vec<f32>) =
        (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
    let weight: Vec<f32> =
        scale.iter().zip(variance).map(|(scale, var)| scale / (var + BATCH_NORM_EPSILON).sqrt()).collect();
    let bias = (0..N_MELS).map(|m| shift[m] - mean[m] * weight[m]).collect();
    Ok(Layer { weight: Array::vector(weight), bias: Array::vector(bias) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_or_another_names_cause_and_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ced-tiny.onnx");
        let message = |path: &Path| Weights::load(path).unwrap_err().to_string();
        let missing = message(&path);
        assert!(missing.contains("No such file") && missing.contains("make ced"), "{missing}");
        std::fs::write(&path, b"another").unwrap();
        let other = message(&path);
        assert!(other.contains("damaged or of another version") && other.contains("make ced"), "{other}");
    }

    #[test]
    fn values_of_the_front_end_become_decibels() {
        let frontend = front_end();
        frontend.validate().unwrap();
        let (factor, offset) = decibels(&frontend);
        for power in [1e-10f32, 1e-3, 2.0] {
            let value = (power.ln() - frontend.mean) / frontend.std;
            assert!((factor * value + offset - 10.0 * power.log10()).abs() < 1e-4, "{power}");
        }
    }
}
