//! Size and cost of a network.
//!
//! Enters: layers, a front end's bands and hop. Leaves: receptive field, parameters,
//! multiplications; nothing is computed.

use super::ConvLayer;

/// Size and cost of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Input frames that one output frame sees.
    pub receptive_field: usize,
    /// Trained values; batch norm folded.
    pub n_params: usize,
    /// Multiply-accumulates per second of sound, in millions.
    pub mmac_per_second: f64,
}

/// Input frames that one output frame sees.
pub fn receptive_field(layers: &[ConvLayer]) -> usize {
    let mut jump = 1;
    let mut field = 1;
    for layer in layers {
        field += (layer.span_t() - 1) * jump;
        jump *= layer.stride_t;
    }
    field
}

/// Output frames for `n_frames` input frames.
pub fn n_output_frames(layers: &[ConvLayer], n_frames: usize) -> usize {
    layers.iter().fold(n_frames, |n, layer| (n + layer.stride_t).saturating_sub(layer.span_t()) / layer.stride_t)
}

/// Size and cost of a network on `n_mels` bands at one frame every `hop_seconds`. The head is
/// counted once per frame.
pub fn cost(layers: &[ConvLayer], n_mels: usize, n_classes: usize, hop_seconds: f64) -> Cost {
    let (mut n_in, mut n_f, mut rate, mut n_params, mut mac) = (1, n_mels, 1.0 / hop_seconds, 0, 0.0);
    for layer in layers {
        let weights = layer.channels * n_in * layer.kernel_t * layer.kernel_f;
        rate /= layer.stride_t as f64;
        n_f = layer.out_f(n_f).unwrap_or(0);
        n_params += weights + layer.channels;
        mac += rate * (n_f * weights) as f64;
        n_in = layer.channels;
    }
    mac += rate * (n_in * n_classes) as f64;
    n_params += (n_in + 1) * n_classes;
    Cost { receptive_field: receptive_field(layers), n_params, mmac_per_second: mac / 1e6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Vec<ConvLayer> {
        let layer = |channels, kernel_t, kernel_f, stride_t, stride_f| ConvLayer {
            channels,
            kernel_t,
            kernel_f,
            dilation_t: 1,
            stride_t,
            stride_f,
            pad_f: None,
        };
        vec![layer(4, 4, 5, 2, 2), layer(6, 3, 3, 2, 2), layer(8, 3, 3, 2, 1)]
    }

    #[test]
    fn cost_counts_the_multiplications_of_each_layer() {
        let cost = cost(&layers(), 16, 3, 0.01);
        // Rates 50, 25, 12.5 frames per second; bands 8, 4, 4; and the head.
        let expected = 50.0 * 8.0 * 80.0 + 25.0 * 4.0 * 216.0 + 12.5 * 4.0 * 432.0 + 12.5 * 24.0;
        assert!((cost.mmac_per_second * 1e6 - expected).abs() < 1.0, "{cost:?}");
        assert_eq!(cost.n_params, 80 + 4 + 216 + 6 + 432 + 8 + 27);
        assert_eq!(cost.receptive_field, 4 + 2 * 2 + 2 * 4);
    }

    #[test]
    fn dilation_lengthens_the_field_and_costs_nothing() {
        let plain = layers();
        let mut dilated = plain.clone();
        dilated[1].dilation_t = 3;
        // Two more frames between taps, each of two of the input's, twice.
        let (a, b) = (cost(&plain, 16, 3, 0.01), cost(&dilated, 16, 3, 0.01));
        assert_eq!(b.receptive_field, a.receptive_field + 2 * 2 * 2);
        assert_eq!((a.n_params, a.mmac_per_second), (b.n_params, b.mmac_per_second));
        assert_eq!(n_output_frames(&dilated, b.receptive_field + 7), 1);
        assert_eq!(n_output_frames(&dilated, b.receptive_field - 1), 0);
        assert_eq!(n_output_frames(&dilated, b.receptive_field + 8), 2);
    }
}
