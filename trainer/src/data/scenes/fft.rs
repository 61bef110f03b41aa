//! Convolution by Fourier transform.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// Plans transforms and keeps the plans.
pub(super) struct Fft(RealFftPlanner<f32>);

const MATCHING: &str = "the buffers were made by the plan";

impl Fft {
    pub(super) fn new() -> Self {
        Self(RealFftPlanner::new())
    }

    /// Bins 0 to n/2 of the real `samples`, n of them.
    pub(super) fn forward(&mut self, mut samples: Vec<f32>) -> Vec<Complex<f32>> {
        let plan = self.0.plan_fft_forward(samples.len());
        let mut spectrum = plan.make_output_vec();
        plan.process(&mut samples, &mut spectrum).expect(MATCHING);
        spectrum
    }

    /// The `n` samples of a spectrum, scaled so that it undoes [`Fft::forward`]. The first and the
    /// last bin of an even `n` are taken as real: rounding leaves a trace of an imaginary part
    /// there, and realfft refuses it.
    pub(super) fn inverse(&mut self, mut spectrum: Vec<Complex<f32>>, n: usize) -> Vec<f32> {
        let plan = self.0.plan_fft_inverse(n);
        let mut samples = plan.make_output_vec();
        for end in [0, n / 2] {
            spectrum[end].im = 0.0;
        }
        plan.process(&mut spectrum, &mut samples).expect(MATCHING);
        let scale = 1.0 / n as f32;
        samples.iter_mut().for_each(|x| *x *= scale);
        samples
    }

    /// `samples` convolved with `kernel`, with the tail: one less than both lengths together.
    pub(super) fn convolve(&mut self, samples: &[f32], kernel: &[f32]) -> Vec<f32> {
        let mut out = samples.to_vec();
        out.resize((samples.len() + kernel.len()).saturating_sub(1), 0.0);
        self.filter(&mut out, kernel);
        out
    }

    /// Convolves in place and lets the tail fall, by overlap-add.
    pub(super) fn filter(&mut self, samples: &mut [f32], kernel: &[f32]) {
        if let [gain] = kernel {
            samples.iter_mut().for_each(|x| *x *= gain);
            return;
        }
        let n = (2 * kernel.len()).max(4096).next_power_of_two();
        let padded = |samples: &[f32]| [samples, &vec![0.0; n - samples.len()]].concat();
        let response = self.forward(padded(kernel));
        // What the blocks so far add to those that follow.
        let mut carry = vec![0.0; kernel.len() - 1];
        for chunk in samples.chunks_mut(n - kernel.len() + 1) {
            let mut spectrum = self.forward(padded(chunk));
            spectrum.iter_mut().zip(&response).for_each(|(x, h)| *x *= h);
            let mut time = self.inverse(spectrum, n);
            time.iter_mut().zip(&carry).for_each(|(x, carried)| *x += carried);
            let (done, rest) = time.split_at(chunk.len());
            chunk.copy_from_slice(done);
            carry.copy_from_slice(&rest[..kernel.len() - 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, rng_for, uniform};

    #[test]
    fn it_equals_the_sum_of_products() {
        let mut rng = rng_for(1, Purpose::Composition, 0);
        for (n, n_kernel) in [(10_000, 700), (300, 900), (5, 3), (4000, 1), (1, 2)] {
            let x: Vec<f32> = (0..n).map(|_| uniform(&mut rng, -1.0, 1.0)).collect();
            let h: Vec<f32> = (0..n_kernel).map(|_| uniform(&mut rng, -1.0, 1.0)).collect();
            let y = Fft::new().convolve(&x, &h);
            assert_eq!(y.len(), n + n_kernel - 1);
            for (i, y) in y.iter().enumerate() {
                let taps = i.saturating_sub(n - 1)..(i + 1).min(n_kernel);
                let slow: f64 = taps.map(|k| f64::from(h[k]) * f64::from(x[i - k])).sum();
                assert!((f64::from(*y) - slow).abs() < 1e-3, "{n} {n_kernel} {i}: {y} {slow}");
            }
        }
    }
}
