//! EfficientAT mn04: MobileNetV3-Large of width 0.4 trained on AudioSet (Schmid et al., "Efficient large-scale audio tagging
//! via transformer-to-CNN knowledge distillation", ICASSP 2023), up to its embedding.
//!
//! Enters: mono waves at 32 kHz, `(B, n_samples)`. Leaves: embeddings `(B, 384)`. Its front end is its own, computed here as its
//! authors do; it has nothing to do with the student's. Inference only, batch norm folded when loading.

use crate::error::{Error, Result};
use crate::pickle;
use std::collections::HashMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Rate that the network expects, in Hz.
pub const SAMPLE_RATE: u32 = 32_000;
/// Shortest wave that the reflecting padding of the front end allows.
pub const SHORTEST: usize = 520;

const N_FFT: i64 = 1024;
const WINDOW: usize = 800;
const HOP: i64 = 320;
const N_MELS: usize = 128;
const F_MAX_HZ: f64 = 15_000.0;
const BN_EPSILON: f64 = 1e-3;

/// An inverted residual block: (has an expansion, stride, squeeze-and-excitation, hard swish instead of ReLU).
type Block = (bool, i64, bool, bool);
/// MobileNetV3-Large (Howard et al. 2019, table 1); kernel sizes and channels are those of the weights.
const BLOCKS: [Block; 15] = [
    (false, 1, false, false),
    (true, 2, false, false),
    (true, 1, false, false),
    (true, 2, true, false),
    (true, 1, true, false),
    (true, 1, true, false),
    (true, 2, false, true),
    (true, 1, false, true),
    (true, 1, false, true),
    (true, 1, false, true),
    (true, 1, true, true),
    (true, 1, true, true),
    (true, 2, true, true),
    (true, 1, true, true),
    (true, 1, true, true),
];

/// The network with its weights.
#[derive(Debug)]
pub struct Mn04 {
    /// Folded convolutions by name: weight and bias.
    convolutions: HashMap<String, (Tensor, Tensor)>,
    /// Linear layers of the squeeze-and-excitation units.
    linears: HashMap<String, (Tensor, Tensor)>,
    /// `(n_fft)`: the Hann window in the middle of the frame.
    window: Tensor,
    /// `(n_fft / 2 + 1, n_mels)`.
    filters: Tensor,
}

impl Mn04 {
    /// Reads the authors' weights.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or lacks a tensor.
    pub fn load(path: &Path) -> Result<Self> {
        let state = pickle::read_state_dict(path)?;
        let get =
            |name: &str| state.get(name).ok_or_else(|| Error::content(path, format!("tensor {name:?} is missing")));
        let (mut convolutions, mut linears) = (HashMap::new(), HashMap::new());
        for name in state.keys() {
            if let Some(unit) = name.strip_suffix(".1.running_var") {
                let part = |part: &str| get(&format!("{unit}.{part}"));
                let scale = part("1.weight")?.f_div(&part("1.running_var")?.f_add_scalar(BN_EPSILON)?.f_sqrt()?)?;
                let bias = part("1.bias")?.f_sub(&part("1.running_mean")?.f_mul(&scale)?)?;
                let weight = part("0.weight")?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
                convolutions.insert(unit.to_owned(), (weight, bias));
            } else if let Some(unit) = name.strip_suffix(".weight").filter(|u| u.contains(".conc_se_layers.")) {
                let bias = get(&format!("{unit}.bias"))?;
                linears.insert(unit.to_owned(), (get(name)?.shallow_clone(), bias.shallow_clone()));
            }
        }
        let network = Self { convolutions, linears, window: window()?, filters: filters()? };
        for i in 0..=BLOCKS.len() + 1 {
            let unit =
                if i == 0 || i > BLOCKS.len() { format!("features.{i}") } else { format!("features.{i}.block.0") };
            network
                .convolutions
                .get(&unit)
                .ok_or_else(|| Error::content(path, format!("layer {unit:?} is missing")))?;
        }
        Ok(network)
    }

    /// Embeddings `(B, 384)` of waves `(B, n_samples)`.
    ///
    /// # Errors
    ///
    /// If the waves are shorter than [`SHORTEST`], or libtorch reports an error.
    pub fn embed(&self, waves: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| {
            let mut h = self.convolve("features.0", &self.log_mel(waves)?, 2)?.f_hardswish()?;
            for (i, block) in BLOCKS.iter().enumerate() {
                h = self.block(&format!("features.{}.block", i + 1), block, &h)?;
            }
            let h = self.convolve(&format!("features.{}", BLOCKS.len() + 1), &h, 1)?.f_hardswish()?;
            mean_over_map(&h)
        })
    }

    /// The authors' log-mel `(B, 1, n_mels, n_frames)`.
    fn log_mel(&self, waves: &Tensor) -> Result<Tensor> {
        let n = waves.size()[1];
        let emphasised = waves.f_narrow(1, 1, n - 1)?.f_sub(&waves.f_narrow(1, 0, n - 1)?.f_mul_scalar(0.97)?)?;
        let padded = emphasised.f_unsqueeze(1)?.f_reflection_pad1d([N_FFT / 2, N_FFT / 2])?.f_squeeze_dim(1)?;
        let frames = padded.f_unfold(1, N_FFT, HOP)?.f_mul(&self.window)?;
        let power = frames.f_fft_rfft(None::<i64>, -1, "backward")?.f_abs()?.f_square()?;
        let log = power.f_matmul(&self.filters)?.f_add_scalar(1e-5)?.f_log()?;
        Ok(log.f_add_scalar(4.5)?.f_div_scalar(5.0)?.f_transpose(1, 2)?.f_unsqueeze(1)?)
    }

    fn block(&self, name: &str, &(expands, stride, squeezes, swish): &Block, input: &Tensor) -> Result<Tensor> {
        let activate = |h: Tensor| Ok::<_, Error>(if swish { h.f_hardswish()? } else { h.f_relu()? });
        let (mut h, mut part) = (input.shallow_clone(), 0);
        if expands {
            h = activate(self.convolve(&format!("{name}.{part}"), &h, 1)?)?;
            part += 1;
        }
        h = activate(self.convolve(&format!("{name}.{part}"), &h, stride)?)?;
        part += 1;
        if squeezes {
            h = self.squeeze(&format!("{name}.{part}.conc_se_layers.0"), &h)?;
            part += 1;
        }
        h = self.convolve(&format!("{name}.{part}"), &h, 1)?;
        Ok(if stride == 1 && h.size()[1] == input.size()[1] { h.f_add(input)? } else { h })
    }

    fn squeeze(&self, name: &str, h: &Tensor) -> Result<Tensor> {
        let [first, second] = ["fc1", "fc2"].map(|fc| &self.linears[&format!("{name}.{fc}")]);
        let s = mean_over_map(h)?.f_linear(&first.0, Some(&first.1))?.f_relu()?;
        let s = s.f_linear(&second.0, Some(&second.1))?.f_sigmoid()?;
        Ok(h.f_mul(&s.f_unsqueeze(-1)?.f_unsqueeze(-1)?)?)
    }

    /// Convolution with folded batch norm; depthwise where the weights are.
    fn convolve(&self, name: &str, h: &Tensor, stride: i64) -> Result<Tensor> {
        let (weight, bias) = &self.convolutions[name];
        let [_, n_in, kernel, _] = weight.size()[..] else { unreachable!("convolutions have four dimensions") };
        let groups = h.size()[1] / n_in;
        let padding = (kernel - 1) / 2;
        Ok(h.f_conv2d(weight, Some(bias), [stride, stride], [padding, padding], [1, 1], groups)?)
    }
}

fn mean_over_map(h: &Tensor) -> Result<Tensor> {
    Ok(h.f_mean_dim([2i64, 3].as_slice(), false, Kind::Float)?)
}

/// A symmetric Hann window in the middle of a frame of zeros.
fn window() -> Result<Tensor> {
    let mut values = vec![0f32; N_FFT as usize];
    let start = (N_FFT as usize - WINDOW) / 2;
    for (n, value) in values[start..start + WINDOW].iter_mut().enumerate() {
        let phase = std::f64::consts::TAU * n as f64 / (WINDOW - 1) as f64;
        *value = (0.5 - 0.5 * phase.cos()) as f32;
    }
    Ok(Tensor::f_from_slice(&values)?.f_to_device(Device::Cpu)?)
}

/// Triangles whose slopes are linear in mel (Kaldi), peak 1; the highest bin is left out, as Kaldi does.
fn filters() -> Result<Tensor> {
    let mel = |hz: f64| 1127.0 * (1.0 + hz / 700.0).ln();
    let step = mel(F_MAX_HZ) / (N_MELS + 1) as f64;
    let n_bins = N_FFT as usize / 2 + 1;
    let mut values = vec![0f32; n_bins * N_MELS];
    for bin in 0..n_bins - 1 {
        let at = mel(bin as f64 * f64::from(SAMPLE_RATE) / N_FFT as f64) / step;
        for band in 0..N_MELS {
            let (rise, fall) = (at - band as f64, (band + 2) as f64 - at);
            values[bin * N_MELS + band] = rise.min(fall).max(0.0) as f32;
        }
    }
    Ok(Tensor::f_from_slice(&values)?.f_view([n_bins as i64, N_MELS as i64])?)
}
