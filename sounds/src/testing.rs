//! Measures for the unit tests.

use crate::math::TAU;

/// Mean power of the sine at `hz` in `samples` (amplitude a has power a^2 / 2), seen through a Hann
/// window.
pub(crate) fn power_at(samples: &[f32], sample_rate: f32, hz: f32) -> f32 {
    let n = samples.len() as f32;
    let (mut re, mut im) = (0.0, 0.0);
    for (i, x) in samples.iter().enumerate() {
        let window = 1.0 - (TAU * i as f32 / n).cos();
        let phase = TAU * (hz / sample_rate * i as f32).fract();
        re += window * x * phase.cos();
        im += window * x * phase.sin();
    }
    2.0 * (re * re + im * im) / (n * n)
}
