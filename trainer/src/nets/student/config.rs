//! Layers of the student.

use serde::{Deserialize, Serialize};

/// The streaming student: convolutions that are valid in time, the mean over frequency, a linear
/// head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudentConfig {
    /// Convolutions in order, each followed by batch norm and ReLU.
    pub layers: Vec<ConvLayer>,
}

impl StudentConfig {
    /// Log-mel frames from one output to the next: a pulse.
    pub fn pulse_frames(&self) -> usize {
        self.layers.iter().map(|layer| layer.stride_t).product()
    }

    /// Input frames that one output frame sees.
    pub fn receptive_field(&self) -> usize {
        super::receptive_field(&self.layers)
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
    /// Input frames from one tap of the kernel to the next along time: a kernel of k taps spans `(k
    /// - 1) dilation_t + 1` frames.
    #[serde(default = "one")]
    pub dilation_t: usize,
    /// Stride along time.
    #[serde(default = "one")]
    pub stride_t: usize,
    /// Stride along frequency.
    #[serde(default = "one")]
    pub stride_f: usize,
    /// Zero padding on both sides along frequency; half the kernel, rounded down, unless given.
    #[serde(default)]
    pub pad_f: Option<usize>,
}

impl ConvLayer {
    /// Input frames that one output frame sees.
    pub fn span_t(&self) -> usize {
        (self.kernel_t - 1) * self.dilation_t + 1
    }

    /// Zero padding on both sides along frequency.
    pub fn pad_f(&self) -> usize {
        self.pad_f.unwrap_or(self.kernel_f / 2)
    }

    /// Frequency cells of the output for `n_f` cells of the input; none if the kernel does not fit.
    pub fn out_f(&self, n_f: usize) -> Option<usize> {
        Some((n_f + 2 * self.pad_f()).checked_sub(self.kernel_f)? / self.stride_f + 1)
    }
}

fn one() -> usize {
    1
}
