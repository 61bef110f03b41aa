//! The hum of the mains: samples enter, its frequency and level leave.
//!
//! A second of sound is tapered (Hann) and measured at the mains' frequency and its first
//! harmonics, and beside them: a hum is what stands out from its neighbourhood in most seconds.

/// Frequencies of the mains, Hz, and how many harmonics are looked at.
const MAINS_HZ: [f64; 2] = [50.0, 60.0];
const N_HARMONICS: usize = 4;

/// Beside a harmonic, Hz: further than the width of the taper's main lobe at one second, 2 Hz.
const BESIDE_HZ: [f64; 4] = [-7.0, -4.0, 4.0, 7.0];

/// A hum is louder than its neighbourhood by this, and than this of full scale: 15 dB, -65 dBFS.
const STANDS_OUT: f64 = 31.6;
const AUDIBLE: f64 = 3.2e-7;

/// Seconds that must agree.
const N_SECONDS: usize = 2;

/// A hum that can be heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hum {
    /// The mains' frequency.
    pub mains_hz: f64,
    /// Root mean square, dB of full scale.
    pub level_dbfs: f64,
}

/// Looks for the hum in each second.
#[derive(Debug)]
pub(super) struct HumMeter {
    sample_rate: u32,
    second: Vec<f32>,
    /// By second: the louder hum, if there is one.
    found: Vec<Option<Hum>>,
}

impl HumMeter {
    pub(super) fn new(sample_rate: u32) -> Self {
        HumMeter { sample_rate, second: Vec::with_capacity(sample_rate as usize), found: Vec::new() }
    }

    pub(super) fn push(&mut self, samples: &[f32]) {
        for &sample in samples {
            self.second.push(sample);
            if self.second.len() >= self.sample_rate as usize {
                let found = MAINS_HZ.into_iter().filter_map(|mains_hz| self.look(mains_hz));
                self.found.push(found.max_by(|a, b| a.level_dbfs.total_cmp(&b.level_dbfs)));
                self.second.clear();
            }
        }
    }

    /// The hum that more than half of the seconds have, at its level in the faintest of them: what
    /// comes and goes is another sound.
    pub(super) fn hum(&self) -> Option<Hum> {
        let of = |mains_hz: f64| {
            let hums: Vec<Hum> = self.found.iter().flatten().filter(|hum| hum.mains_hz == mains_hz).copied().collect();
            let is_steady = hums.len() >= N_SECONDS && hums.len() * 2 > self.found.len();
            hums.into_iter().filter(|_| is_steady).min_by(|a, b| a.level_dbfs.total_cmp(&b.level_dbfs))
        };
        MAINS_HZ.into_iter().find_map(of)
    }

    fn look(&self, mains_hz: f64) -> Option<Hum> {
        let mut mean_square = 0.0;
        for harmonic in 1..=N_HARMONICS {
            let hz = mains_hz * harmonic as f64;
            let here = self.power(hz);
            let beside = BESIDE_HZ.map(|away| self.power(hz + away)).into_iter().fold(0.0, f64::max);
            if here > STANDS_OUT * beside {
                mean_square += here;
            }
        }
        (mean_square > AUDIBLE).then(|| Hum { mains_hz, level_dbfs: 10.0 * mean_square.log10() })
    }

    /// Mean square of a tone of `hz` in the second, by the definition of the Fourier transform.
    fn power(&self, hz: f64) -> f64 {
        let n = self.second.len() as f64;
        let step = std::f64::consts::TAU * hz / f64::from(self.sample_rate);
        let taper = std::f64::consts::TAU / n;
        let (mut re, mut im) = (0.0, 0.0);
        for (at, &x) in self.second.iter().enumerate() {
            let x = f64::from(x) * (0.5 - 0.5 * (taper * at as f64).cos());
            let (sin, cos) = (step * at as f64).sin_cos();
            re += x * cos;
            im -= x * sin;
        }
        // The taper's mean is a half; a tone of amplitude a has the square a^2 / 2.
        let amplitude = 2.0 * re.hypot(im) / (n * 0.5);
        amplitude * amplitude / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8_000;

    fn hum(seconds: usize, sample: impl Fn(f64) -> f64) -> Option<Hum> {
        let mut meter = HumMeter::new(RATE);
        let samples: Vec<f32> =
            (0..seconds * RATE as usize).map(|n| sample(n as f64 / f64::from(RATE)) as f32).collect();
        samples.chunks(777).for_each(|block| meter.push(block));
        meter.hum()
    }

    fn tone(hz: f64, t_s: f64) -> f64 {
        (std::f64::consts::TAU * hz * t_s).sin()
    }

    fn noise(t_s: f64) -> f64 {
        let state = ((t_s * f64::from(RATE)).round() as u32).wrapping_mul(2_654_435_761);
        let state = (state ^ state >> 15).wrapping_mul(2_246_822_519);
        f64::from((state ^ state >> 13) >> 8) / f64::from(1 << 23) - 1.0
    }

    #[test]
    fn a_hum_is_found_with_its_frequency_and_level() {
        for mains_hz in MAINS_HZ {
            let found =
                hum(3, |t| 0.01 * tone(mains_hz, t) + 0.005 * tone(3.0 * mains_hz, t) + 1e-3 * noise(t)).unwrap();
            assert_eq!(found.mains_hz, mains_hz);
            // 0.01^2 / 2 + 0.005^2 / 2
            assert!((found.level_dbfs - -42.0).abs() < 0.3, "{found:?}");
        }
    }

    #[test]
    fn noise_music_and_what_comes_and_goes_are_no_hum() {
        assert_eq!(hum(3, |t| 0.1 * noise(t)), None);
        assert_eq!(hum(3, |t| 0.1 * tone(440.0, t) + 0.1 * tone(130.8, t)), None);
        assert_eq!(hum(4, |t| if t < 1.0 { 0.1 * tone(50.0, t) } else { 0.01 * noise(t) }), None);
        assert_eq!(hum(3, |_| 0.0), None);
    }
}
