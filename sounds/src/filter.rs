//! Second-order filters, after R. Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter
//! coefficients".

use crate::math::{self, TAU};

/// A second-order section in transposed direct form II.
#[derive(Clone, Copy)]
pub(crate) struct Biquad {
    b: [f32; 3],
    a: [f32; 2],
    state: [f32; 2],
}

impl Biquad {
    pub(crate) fn low_pass(sample_rate: f32, hz: f32, q: f32) -> Self {
        let (cos, alpha) = angle(sample_rate, hz, q);
        let b = 0.5 * (1.0 - cos);
        Self::normalised([b, 2.0 * b, b], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
    }

    pub(crate) fn high_pass(sample_rate: f32, hz: f32, q: f32) -> Self {
        let (cos, alpha) = angle(sample_rate, hz, q);
        let b = 0.5 * (1.0 + cos);
        Self::normalised([b, -2.0 * b, b], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
    }

    /// Band pass with a gain of 1 at its centre.
    pub(crate) fn band_pass(sample_rate: f32, hz: f32, q: f32) -> Self {
        let (cos, alpha) = angle(sample_rate, hz, q);
        Self::normalised([alpha, 0.0, -alpha], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
    }

    /// Shelf that raises everything above `hz` by `gain_db`.
    pub(crate) fn high_shelf(sample_rate: f32, hz: f32, gain_db: f32) -> Self {
        let (cos, alpha) = angle(sample_rate, hz, core::f32::consts::FRAC_1_SQRT_2);
        let a = math::from_db(gain_db / 2.0);
        let root = 2.0 * a.sqrt() * alpha;
        Self::normalised(
            [
                a * ((a + 1.0) + (a - 1.0) * cos + root),
                -2.0 * a * ((a - 1.0) + (a + 1.0) * cos),
                a * ((a + 1.0) + (a - 1.0) * cos - root),
            ],
            [
                (a + 1.0) - (a - 1.0) * cos + root,
                2.0 * ((a - 1.0) - (a + 1.0) * cos),
                (a + 1.0) - (a - 1.0) * cos - root,
            ],
        )
    }

    pub(crate) fn process(&mut self, x: f32) -> f32 {
        let y = self.b[0] * x + self.state[0];
        self.state[0] = self.b[1] * x - self.a[0] * y + self.state[1];
        self.state[1] = self.b[2] * x - self.a[1] * y;
        y
    }

    /// The section `to` with this one's state: a filter that moves while it sounds.
    pub(crate) fn retuned(self, to: &Self) -> Self {
        Self { state: self.state, ..*to }
    }

    pub(crate) fn run(mut self, samples: &mut [f32]) {
        for x in samples {
            *x = self.process(*x);
        }
    }

    fn normalised(b: [f32; 3], a: [f32; 3]) -> Self {
        Self { b: b.map(|b| b / a[0]), a: [a[1] / a[0], a[2] / a[0]], state: [0.0; 2] }
    }
}

/// Up to twelve sections side by side, each run twice and weighted, their outputs summed. Laid out
/// so that the compiler turns it into vector code.
pub(crate) struct Bank {
    gain: [f32; LANES],
    b: [[f32; LANES]; 3],
    a: [[f32; LANES]; 2],
    state: [[[f32; LANES]; 2]; 2],
}

const LANES: usize = 12;

impl Bank {
    /// Of `(section, gain)`; what exceeds twelve is left out.
    pub(crate) fn new(sections: &[(Biquad, f32)]) -> Self {
        let zero = [0.0; LANES];
        let mut bank = Self { gain: zero, b: [zero; 3], a: [zero; 2], state: [[zero; 2]; 2] };
        for (lane, (section, gain)) in sections.iter().take(LANES).enumerate() {
            bank.gain[lane] = *gain;
            for (bank, b) in bank.b.iter_mut().zip(section.b) {
                bank[lane] = b;
            }
            for (bank, a) in bank.a.iter_mut().zip(section.a) {
                bank[lane] = a;
            }
        }
        bank
    }

    pub(crate) fn process(&mut self, x: f32) -> f32 {
        let mut signal = [x; LANES];
        for state in &mut self.state {
            for lane in 0..LANES {
                let x = signal[lane];
                let y = self.b[0][lane] * x + state[0][lane];
                state[0][lane] = self.b[1][lane] * x - self.a[0][lane] * y + state[1][lane];
                state[1][lane] = self.b[2][lane] * x - self.a[1][lane] * y;
                signal[lane] = y;
            }
        }
        let mut sum = [0.0; 4];
        for (lane, y) in signal.iter().enumerate() {
            sum[lane % 4] += self.gain[lane] * y;
        }
        (sum[0] + sum[2]) + (sum[1] + sum[3])
    }
}

/// `(cos w0, alpha)` of the cookbook; corner frequencies are kept below Nyquist, so that a design
/// made for 48 kHz also runs at a lower rate.
fn angle(sample_rate: f32, hz: f32, q: f32) -> (f32, f32) {
    let w0 = TAU * (hz / sample_rate).min(0.49);
    (math::cos(w0), math::sin(w0) / (2.0 * q))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gain(mut filter: Biquad, hz: f32) -> f32 {
        let n = 24_000;
        let out: Vec<f32> = (0..n).map(|i| filter.process(math::sin(TAU * hz * i as f32 / 24_000.0))).collect();
        math::rms(&out[n / 2..]) * core::f32::consts::SQRT_2
    }

    #[test]
    fn gains_at_the_corner_and_far_away_are_the_cookbook_s() {
        let q = core::f32::consts::FRAC_1_SQRT_2;
        assert!((gain(Biquad::low_pass(24_000.0, 1000.0, q), 1000.0) - q).abs() < 0.01);
        assert!(gain(Biquad::low_pass(24_000.0, 1000.0, q), 8000.0) < 0.01);
        assert!(gain(Biquad::high_pass(24_000.0, 1000.0, q), 100.0) < 0.011);
        assert!((gain(Biquad::band_pass(24_000.0, 2000.0, 4.0), 2000.0) - 1.0).abs() < 0.01);
        let shelf = gain(Biquad::high_shelf(24_000.0, 1000.0, -12.0), 9000.0);
        assert!((shelf - math::from_db(-12.0)).abs() < 0.02, "{shelf}");
    }
}
