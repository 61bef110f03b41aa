//! The Hann taper. Enters: a length; leaves: its coefficients. Used at construction only.

use std::f64::consts::TAU;

/// Periodic Hann window of `length` samples: `0.5 - 0.5 cos(2 pi n / length)` (scipy's
/// `fftbins=True`).
pub fn hann_periodic(length: usize) -> Vec<f32> {
    (0..length).map(|n| (0.5 - 0.5 * (TAU * n as f64 / length as f64).cos()) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_halves_add_up_to_one() {
        let window = hann_periodic(600);
        for n in 0..300 {
            assert!((window[n] + window[n + 300] - 1.0).abs() < 1e-6);
        }
        assert_eq!(window[0], 0.0);
        assert_eq!(window[300], 1.0);
    }
}
