//! Modal synthesis: a force signal enters, the sum of a body's damped modes leaves.
//!
//! A struck body is a bank of two-pole resonators (J.-M. Adrien, "The missing link: modal
//! synthesis", 1991). All strikes of one body share its bank, so the cost does not depend on how
//! often it is hit.

use crate::math::{self, TAU};
use crate::rng::Rng;

/// How a material loses its vibration: amplitude decay (1/s) = `base` + pi f `loss`.
///
/// The linear law and its reading of materials follow R. Klatzky, D. Pai and E. Krotkov,
/// "Perception of material from contact sounds", Presence 9(4), 2000; `loss` is their tan(phi).
/// Values are those of household objects as they lie about, not of freely hung samples.
#[derive(Clone, Copy)]
pub(crate) struct Material {
    /// 1/s; air and support.
    pub(crate) base: f32,
    /// Dimensionless internal friction.
    pub(crate) loss: f32,
}

pub(crate) const WOOD: Material = Material { base: 25.0, loss: 0.022 };
pub(crate) const METAL: Material = Material { base: 3.0, loss: 0.0012 };
pub(crate) const CERAMIC: Material = Material { base: 9.0, loss: 0.0032 };
pub(crate) const GLASS: Material = Material { base: 6.0, loss: 0.0018 };
pub(crate) const PLASTIC: Material = Material { base: 40.0, loss: 0.045 };

/// Bending modes of a free-free bar over its lowest, `(b_n / b_1)^2` with cos(b) cosh(b) = 1; N.
/// Fletcher and T. Rossing, "The Physics of Musical Instruments", 2nd ed., section 2.15. Cutlery,
/// sticks, knife blades.
pub(crate) const BAR: &[f32] = &[1.0, 2.757, 5.404, 8.933, 13.345, 18.638, 24.814, 31.872];

/// Modes of a free circular plate over its lowest; A. Leissa, "Vibration of plates", NASA SP-160,
/// table 2.6. Plates, lids.
pub(crate) const DISC: &[f32] = &[1.0, 1.73, 2.33, 3.91, 4.11, 6.30, 6.71, 7.34, 8.80, 10.1, 11.4, 13.9];

/// Modes of a cup or glass with `height` in units of its radius: w^2 ~ ((n^2 - 1)^2 + (b /
/// height)^4) / (1 + 1/n^2), b = 1.875; A. French, "In vino veritas: a study of wineglass
/// acoustics", Am. J. Phys. 51, 1983.
pub(crate) fn vessel(height: f32, n_modes: usize) -> Vec<f32> {
    let squared = |n: f32| {
        let ring = n * n - 1.0;
        let bend = 1.875 / height;
        (ring * ring + bend * bend * bend * bend) / (1.0 + 1.0 / (n * n))
    };
    (0..n_modes).map(|i| (squared(i as f32 + 2.0) / squared(2.0)).sqrt()).collect()
}

/// Modes of a simply supported rectangular panel of side ratio `aspect`: f ~ m^2 + (aspect n)^2;
/// Fletcher and Rossing, section 3.14. Boards, doors, boxes.
pub(crate) fn panel(aspect: f32, n_modes: usize) -> Vec<f32> {
    let mut ratios: Vec<f32> = (1..=8_u8)
        .flat_map(|m| (1..=8_u8).map(move |n| (f32::from(m), aspect * f32::from(n))))
        .map(|(m, n)| (m * m + n * n) / (1.0 + aspect * aspect))
        .collect();
    ratios.sort_by(f32::total_cmp);
    ratios.truncate(n_modes);
    ratios
}

#[derive(Clone, Copy)]
struct Mode {
    hz: f32,
    /// 1/s.
    decay: f32,
    gain: f32,
}

/// A body that rings when struck.
pub(crate) struct Body {
    modes: Vec<Mode>,
}

impl Body {
    /// `lowest_hz` times `ratios`, each mode a little off its place and with a random gain (where
    /// it is struck and heard).
    pub(crate) fn new(rng: &mut Rng, lowest_hz: f32, ratios: &[f32], material: Material) -> Self {
        let modes = ratios
            .iter()
            .map(|ratio| {
                let hz = lowest_hz * ratio * (1.0 + 0.025 * rng.normal());
                Mode {
                    hz,
                    decay: (material.base + 0.5 * TAU * hz * material.loss) * rng.log_uniform(0.7, 1.4),
                    gain: rng.uniform(0.25, 1.0),
                }
            })
            .collect();
        Self { modes }
    }

    /// Adds `decay` (1/s) to every mode: a hand that holds the body, a table that it lies on.
    pub(crate) fn damped(mut self, decay: f32) -> Self {
        for mode in &mut self.modes {
            mode.decay += decay;
        }
        self
    }

    /// Adds the body's response to `force` to `out`. A unit impulse starts each mode at its gain
    /// times `gain`.
    pub(crate) fn ring(&self, sample_rate: f32, force: &[f32], out: &mut [f32], gain: f32) {
        for modes in self.modes.chunks(LANES) {
            let mut bank = Bank::new(modes, sample_rate, gain);
            for (out, &x) in out.iter_mut().zip(force) {
                *out += bank.process(x);
            }
        }
    }
}

const LANES: usize = 8;

/// Eight modes side by side, which the compiler turns into vector code.
struct Bank {
    a1: [f32; LANES],
    a2: [f32; LANES],
    b: [f32; LANES],
    y1: [f32; LANES],
    y2: [f32; LANES],
}

impl Bank {
    fn new(modes: &[Mode], sample_rate: f32, gain: f32) -> Self {
        let zero = [0.0; LANES];
        let mut bank = Self { a1: zero, a2: zero, b: zero, y1: zero, y2: zero };
        for (i, mode) in modes.iter().filter(|mode| mode.hz < 0.45 * sample_rate).enumerate() {
            let (w, r) = (TAU * mode.hz / sample_rate, math::exp(-mode.decay / sample_rate));
            bank.a1[i] = 2.0 * r * math::cos(w);
            bank.a2[i] = -r * r;
            // h[n] = b r^n sin((n + 1) w) / sin(w)
            bank.b[i] = gain * mode.gain * math::sin(w);
        }
        bank
    }

    fn process(&mut self, x: f32) -> f32 {
        // The offset keeps decayed modes out of the subnormal numbers, which are slow.
        let x = x + 1e-15;
        let y: [f32; LANES] =
            core::array::from_fn(|i| self.a1[i] * self.y1[i] + self.a2[i] * self.y2[i] + self.b[i] * x);
        self.y2 = self.y1;
        self.y1 = y;
        ((y[0] + y[4]) + (y[1] + y[5])) + ((y[2] + y[6]) + (y[3] + y[7]))
    }
}

/// A blow: a half sine of `contact_s` (Hertz's law of contact, nearly) with impulse `velocity`,
/// `roughness` of which is broken into noise. Short contacts are hard and bright, long ones soft
/// and dull.
pub(crate) struct Strike {
    pub(crate) contact_s: f32,
    pub(crate) velocity: f32,
    pub(crate) roughness: f32,
}

impl Strike {
    /// Adds the blow to the `force` track at `at_s`.
    pub(crate) fn add(&self, rng: &mut Rng, sample_rate: f32, force: &mut [f32], at_s: f32) {
        let start = (at_s.max(0.0) * sample_rate) as usize;
        let n = ((self.contact_s * sample_rate) as usize).max(1);
        // The half sine's sum over n samples is 2 n / pi.
        let scale = self.velocity * 0.25 * TAU / n as f32;
        for (i, force) in force.iter_mut().skip(start).take(n).enumerate() {
            let pulse = math::sin(0.5 * TAU * (i as f32 + 0.5) / n as f32);
            *force += scale * pulse * (1.0 + self.roughness * 3.0 * rng.bipolar());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decay_time(material: Material) -> usize {
        let mut rng = Rng::new(5);
        let mut force = vec![0.0; 48_000];
        let strike = Strike { contact_s: 0.0002, velocity: 1.0, roughness: 0.0 };
        strike.add(&mut rng, 24_000.0, &mut force, 0.0);
        let mut out = vec![0.0; force.len()];
        Body::new(&mut rng, 900.0, BAR, material).ring(24_000.0, &force, &mut out, 1.0);
        let floor = 0.01 * math::peak(&out);
        out.iter().rposition(|x| x.abs() > floor).unwrap()
    }

    #[test]
    fn metal_rings_longest_and_plastic_shortest() {
        let times = [METAL, GLASS, CERAMIC, WOOD, PLASTIC].map(decay_time);
        assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "{times:?}");
        assert!(times[0] > 5 * times[3], "{times:?}");
    }

    #[test]
    fn a_mode_sounds_at_its_frequency_and_amplitude() {
        let mode = Mode { hz: 1000.0, decay: 0.0, gain: 0.5 };
        let mut force = vec![0.0; 24_000];
        force[0] = 1.0;
        let mut out = vec![0.0; force.len()];
        Body { modes: vec![mode] }.ring(24_000.0, &force, &mut out, 1.0);
        let rising = out.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
        assert!((999..=1001).contains(&rising), "{rising}");
        assert!((math::peak(&out) - 0.5).abs() < 0.01);
    }

    #[test]
    fn panels_and_vessels_start_at_one_and_ascend() {
        for ratios in [panel(1.4, 12), vessel(2.0, 6), BAR.to_vec(), DISC.to_vec()] {
            assert!((ratios[0] - 1.0).abs() < 1e-6);
            assert!(ratios.windows(2).all(|pair| pair[1] > pair[0]), "{ratios:?}");
        }
    }
}
