//! `[network]`: the layers of the student.

use serde::{Deserialize, Serialize};

/// The streaming student: convolutions that are valid in time, pooling over frequency, a linear head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Convolutions in order, each followed by batch norm and ReLU.
    pub layers: Vec<ConvLayer>,
    /// Dropout before the head.
    #[serde(default)]
    pub dropout: f64,
    /// How the bands that are left become one before the head.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pool: Pool,
}

/// Pooling over frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// Their mean.
    #[default]
    Mean,
    /// The largest of each channel.
    Max,
}

impl Network {
    /// Log-mel frames from one output to the next: a pulse.
    pub fn pulse_frames(&self) -> usize {
        self.layers.iter().map(|layer| layer.stride_t).product()
    }

    /// The option, if any, that only a single-precision network can have: the 8-bit one is convolutions and ReLUs.
    pub fn single_precision_option(&self) -> Option<&'static str> {
        if self.layers.iter().any(|layer| layer.residual) {
            return Some("residual");
        }
        if self.layers.iter().any(|layer| layer.squeeze > 0) {
            return Some("squeeze");
        }
        (self.pool == Pool::Max).then_some("pool")
    }
}

/// One convolution. Sizes are in cells of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvLayer {
    /// Output channels.
    pub channels: usize,
    /// Kernel along time; never padded.
    pub kernel_t: usize,
    /// Kernel along frequency.
    pub kernel_f: usize,
    /// Stride along time.
    #[serde(default = "one")]
    pub stride_t: usize,
    /// Stride along frequency.
    #[serde(default = "one")]
    pub stride_f: usize,
    /// Zero padding on both sides along frequency; half the kernel, rounded down, unless given.
    #[serde(default)]
    pub pad_f: Option<usize>,
    /// Whether the input is added after batch norm, before ReLU. The convolution being valid in time, the input is cut to its
    /// middle: output frame `t` gets input frame `t + skip_start`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub residual: bool,
    /// Squeeze-and-excitation (Hu et al. 2018, section 3) without context in time, after batch norm and before a skip path is
    /// added: at each time step, the mean over frequency goes through 1x1 convolutions to this many channels (ReLU) and back
    /// (sigmoid), and scales the channels. 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub squeeze: usize,
}

impl ConvLayer {
    /// Zero padding on both sides along frequency.
    pub fn pad_f(&self) -> usize {
        self.pad_f.unwrap_or(self.kernel_f / 2)
    }

    /// First frame of the input that a skip path takes: the kernel's middle, the earlier of two.
    pub fn skip_start(&self) -> usize {
        (self.kernel_t - 1) / 2
    }

    /// Frequency cells of the output for `n_f` cells of the input; none if the kernel does not fit.
    pub fn out_f(&self, n_f: usize) -> Option<usize> {
        Some((n_f + 2 * self.pad_f()).checked_sub(self.kernel_f)? / self.stride_f + 1)
    }
}

fn one() -> usize {
    1
}

/// Options that are off are not written: a checkpoint's header stays what it was before they existed.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
