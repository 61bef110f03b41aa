//! Layers of the student.

use edge_frontend::{Activation, FrontendConfig, Network, NetworkKind};
use serde::{Deserialize, Serialize};

/// The streaming student: convolutions that are valid in time, the mean over frequency, a linear
/// head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudentConfig {
    /// Convolutions in order, each followed by batch norm and ReLU.
    pub layers: Vec<ConvLayer>,
    /// From logits to posteriors: `softmax`, if classes exclude each other, or `sigmoid`, if each
    /// is on its own.
    #[serde(default = "softmax")]
    pub activation: Activation,
    /// Time from the middle of the slot that an output stands for to the end of its receptive
    /// field, in ms. Half of the field unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookahead_ms: Option<f64>,
}

impl StudentConfig {
    /// A softmax on the middle of the field.
    pub fn new(layers: Vec<ConvLayer>) -> Self {
        Self { layers, activation: Activation::Softmax, lookahead_ms: None }
    }

    /// How a manifest describes the network.
    pub fn described(&self) -> Network {
        let (field, pulse_frames) = (self.receptive_field(), self.pulse_frames());
        Network {
            kind: NetworkKind::Stream,
            pulse_frames,
            receptive_field_frames: field,
            output_delay: field.div_ceil(pulse_frames) - 1,
            activation: self.activation,
            lookahead_ms: self.lookahead_ms,
        }
    }

    /// The log-mel frame at which the middle of the slot of an output lies, counted from the first
    /// frame of the output's field; output j stands for frame `j pulse_frames + slot` of the input.
    ///
    /// With R frames of the field, hop h, window w and look-ahead L, all in ms, this is `R - 1 - (L
    /// - w / 2) / h`: where the daemon places the slot, as frame k has its middle at `k h + w / 2`
    /// of the field, which ends at `(R - 1) h + w`. It is `(R - 1) / 2` without a look-ahead, and
    /// in general no whole number: the slot of an output with a pulse of p frames reaches from
    /// `slot - p / 2` to `slot + p / 2`.
    pub fn slot(&self, frontend: &FrontendConfig) -> f64 {
        self.described().slot_frames(frontend)
    }

    /// The middle of the slot of an output, in seconds from the beginning of its field.
    pub fn slot_centre_s(&self, frontend: &FrontendConfig) -> f64 {
        let window_s = frontend.win_length as f64 / f64::from(frontend.sample_rate);
        self.slot(frontend) * frontend.hop_seconds() + window_s / 2.0
    }

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

fn softmax() -> Activation {
    Activation::Softmax
}

fn one() -> usize {
    1
}
