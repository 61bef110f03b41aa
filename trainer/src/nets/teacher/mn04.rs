//! EfficientAT mn04: MobileNetV3-Large of width 0.4 trained on AudioSet (Schmid et al., "Efficient
//! large-scale audio tagging via transformer-to-CNN knowledge distillation", ICASSP 2023), up to
//! its embedding.
//!
//! Enters: mono waves at 32 kHz, `(B, n_samples)`, or their mel powers. Leaves: embeddings `(B,
//! 384)`. Its front end is its own, computed here as its authors do; it has nothing to do with the
//! student's. Inference only, batch norm folded when loading.

use crate::error::{Error, Result};
use crate::nets::pickle;
use std::collections::HashMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Rate that the network expects, in Hz.
pub const SAMPLE_RATE: u32 = 32_000;
/// Shortest wave that the reflecting padding of the front end allows.
pub const SHORTEST: usize = 520;

/// Length of the Fourier transform.
pub const N_FFT: i64 = 1024;
/// Length of the window in samples.
pub const WINDOW: usize = 800;
/// Samples from one frame to the next: 10 ms.
pub const HOP: i64 = 320;
/// Bands of a frame.
pub const N_MELS: usize = 128;
const F_MAX_HZ: f64 = 15_000.0;
/// Factor of the previous sample in the pre-emphasis.
const EMPHASIS: f64 = 0.97;
const BN_EPSILON: f64 = 1e-3;

/// An inverted residual block: (has an expansion, stride, squeeze-and-excitation, hard swish
/// instead of ReLU).
type Block = (bool, i64, bool, bool);
/// MobileNetV3-Large (Howard et al. 2019, table 1); kernel sizes and channels are those of the
/// weights.
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
    /// Arithmetic of the convolutions.
    kind: Kind,
    device: Device,
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
        let network = Self { convolutions, linears, kind: Kind::Float, device: Device::Cpu };
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

    /// The same network on `device`, its convolutions in `kind`: bfloat16 is twice as fast.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate it.
    pub fn to(mut self, device: Device, kind: Kind) -> Result<Self> {
        for (weight, bias) in self.convolutions.values_mut() {
            (*weight, *bias) =
                (weight.f_to_device(device)?.f_to_kind(kind)?, bias.f_to_device(device)?.f_to_kind(kind)?);
        }
        for (weight, bias) in self.linears.values_mut() {
            (*weight, *bias) = (weight.f_to_device(device)?, bias.f_to_device(device)?);
        }
        (self.kind, self.device) = (kind, device);
        Ok(self)
    }

    /// Embeddings `(B, 384)` of waves `(B, n_samples)`.
    ///
    /// # Errors
    ///
    /// If the waves are shorter than [`SHORTEST`], or libtorch reports an error.
    pub fn embed(&self, waves: &Tensor) -> Result<Tensor> {
        self.embed_power(&mel_power(waves)?)
    }

    /// Embeddings `(B, 384)`, single precision, of mel powers `(B, n_frames, N_MELS)`, as
    /// [`mel_power`] leaves them.
    ///
    /// # Errors
    ///
    /// If the shape does not fit, or libtorch reports an error.
    pub fn embed_power(&self, power: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| {
            let log = power.f_to_device(self.device)?.f_add_scalar(1e-5)?.f_log()?;
            let input = log.f_add_scalar(4.5)?.f_div_scalar(5.0)?.f_transpose(1, 2)?.f_unsqueeze(1)?;
            let mut h = self.convolve("features.0", &input.f_to_kind(self.kind)?, 2)?.f_hardswish()?;
            for (i, block) in BLOCKS.iter().enumerate() {
                h = self.block(&format!("features.{}.block", i + 1), block, &h)?;
            }
            let h = self.convolve(&format!("features.{}", BLOCKS.len() + 1), &h, 1)?.f_hardswish()?;
            mean_over_map(&h)
        })
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
        let s = s.f_linear(&second.0, Some(&second.1))?.f_sigmoid()?.f_to_kind(self.kind)?;
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

/// Mel powers `(B, n_frames, N_MELS)` of waves `(B, n_samples)`: the authors' log-mel before offset
/// and logarithm. Frame `t` is centred on sample `t * HOP`.
///
/// # Errors
///
/// If the waves are shorter than [`SHORTEST`], or libtorch reports an error.
pub fn mel_power(waves: &Tensor) -> Result<Tensor> {
    let n = waves.size()[1];
    let emphasised = waves.f_narrow(1, 1, n - 1)?.f_sub(&waves.f_narrow(1, 0, n - 1)?.f_mul_scalar(EMPHASIS)?)?;
    let padded = emphasised.f_unsqueeze(1)?.f_reflection_pad1d([N_FFT / 2, N_FFT / 2])?.f_squeeze_dim(1)?;
    let frames = padded.f_unfold(1, N_FFT, HOP)?.f_mul(&window()?)?;
    let power = frames.f_fft_rfft(None::<i64>, -1, "backward")?.f_abs()?.f_square()?;
    Ok(power.f_matmul(&filters()?)?)
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

/// A frequency on the scale of the bands, which is HTK's but for a constant factor.
pub fn mel(hz: f64) -> f64 {
    1127.0 * (1.0 + hz / 700.0).ln()
}

/// The frequency at `mel` of that scale.
pub fn hz(mel: f64) -> f64 {
    700.0 * ((mel / 1127.0).exp() - 1.0)
}

/// Distance of the bands: band `m` is centred on `(m + 1) * mel_step()`, from [`mel`] 0 on.
pub fn mel_step() -> f64 {
    mel(F_MAX_HZ) / (N_MELS + 1) as f64
}

/// Factor of a power spectrum at `hz` by the pre-emphasis: `|1 - 0.97 e^(-iw)|^2`.
pub fn emphasis(hz: f64) -> f64 {
    let w = std::f64::consts::TAU * hz / f64::from(SAMPLE_RATE);
    1.0 - 2.0 * EMPHASIS * w.cos() + EMPHASIS * EMPHASIS
}

/// Triangles whose slopes are linear in mel (Kaldi), peak 1; the highest bin is left out, as Kaldi
/// does.
fn filters() -> Result<Tensor> {
    let step = mel_step();
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
