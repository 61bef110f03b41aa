//! What could be better with sound that is heard: samples enter on the worker thread, hints leave.
//!
//! | hint | when |
//! |---|---|
//! | looks muted | for ten seconds, nothing exceeds two steps of 16 bits |
//! | level too low | for a minute, nothing exceeds -40 dBFS |
//! | narrow band | in twenty loud seconds, there is next to nothing above 6 kHz |
//! | channels cancel, or differ | see [`Balance`] |
//!
//! A quiet night looks like a microphone whose gain is too low: so these are hints, and the next
//! loud sound takes them back.

use super::Hearing;
use super::hearing::Hint;
use crate::fault::Fault;
use crate::mono::Balance;

/// Two steps of 16 bits.
const MUTED: f32 = 2.5 / 32_768.0;

/// -40 dBFS.
const LOW: f32 = 0.01;

/// A second counts as loud from this mean square on: -50 dBFS.
const LOUD: f32 = 1e-5;

/// What is fainter than the strongest band by this much is nothing: 70 dB.
const NOTHING: f64 = 1e-7;

/// Sound that ends below this lacks what many labels are recognised by, Hz.
const NARROW_HZ: f64 = 6_000.0;

/// Samples from which the spectrum of a second is computed.
const N_FFT: usize = 512;

/// How long sound is watched before a hint is given, seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// As good as silent.
    pub(super) muted: u32,
    /// Faint.
    low: u32,
    /// Loud, for its spectrum.
    loud: u32,
}

impl Patience {
    /// Of a daemon, to which a night may be quiet.
    pub(super) const DAEMON: Self = Patience { muted: 10, low: 60, loud: 20 };

    /// For a person who makes sounds and waits.
    pub(super) const TRIAL: Self = Patience { muted: 2, low: 4, loud: 2 };
}

/// What is known of samples besides their values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampleInfo {
    /// How many of them were no numbers, and are 0 now.
    pub(crate) n_non_finite: u64,
    /// Samples per second.
    pub(crate) sample_rate: u32,
    /// What they will be multiplied by.
    pub(crate) gain: f32,
    /// Whether they come as they are recorded.
    pub(crate) is_live: bool,
}

/// Watches the sound of one source.
#[derive(Debug)]
pub(super) struct Hints {
    patience: Patience,
    /// Of the second under way.
    peak: f32,
    energy: f32,
    n_samples: u32,
    /// Its first samples.
    head: Vec<f32>,
    /// Seconds in a row that were as good as silent, and that were faint.
    n_muted: u32,
    n_low: u32,
    /// The loudest of the faint ones.
    low_peak: f32,
    /// Sums of the spectra of loud seconds, up to half the rate, and how many.
    spectrum: Vec<f64>,
    n_loud: u32,
}

impl Hints {
    pub(super) fn new(patience: Patience) -> Self {
        Hints {
            patience,
            peak: 0.0,
            energy: 0.0,
            n_samples: 0,
            head: Vec::with_capacity(N_FFT),
            n_muted: 0,
            n_low: 0,
            low_peak: 0.0,
            spectrum: vec![0.0; N_FFT / 2],
            n_loud: 0,
        }
    }

    /// Takes the next samples.
    pub(super) fn add(&mut self, samples: &[f32]) {
        for &sample in samples {
            self.peak = self.peak.max(sample.abs());
            self.energy += sample * sample;
        }
        self.n_samples += samples.len() as u32;
        let n = samples.len().min(N_FFT - self.head.len());
        self.head.extend_from_slice(&samples[..n]);
    }

    /// A second has ended: tells `hearing` what could be better.
    pub(super) fn end_second(&mut self, info: SampleInfo, balance: Option<&Balance>, hearing: &Hearing) {
        let peak = self.peak;
        let mean_square = self.energy / self.n_samples.max(1) as f32;
        // All zeros are another matter, which is reported as such.
        let count = |n: u32, holds: bool| if holds { n + 1 } else { 0 };
        self.n_muted = count(self.n_muted, peak > 0.0 && peak <= MUTED);
        self.n_low = count(self.n_low, peak > MUTED && peak * info.gain < LOW);
        self.low_peak = if self.n_low > 1 { self.low_peak.max(peak) } else { peak };
        let news = |hint, holds: bool, fault: &dyn Fn() -> Fault| hearing.hint(hint, holds.then(fault));
        news(Hint::Muted, self.n_muted >= self.patience.muted, &|| {
            Fault::new("looks-muted", "there is nothing but the noise of the last bit: is the source muted?")
        });
        news(Hint::Quiet, self.n_low >= self.patience.low, &|| {
            let dbfs = 20.0 * (self.low_peak * info.gain).log10();
            let text = match self.patience.low {
                60 => format!(
                    "nothing has been louder than {dbfs:.0} dBFS for a minute; unless the room was quiet, turn the \
                     source's gain up, or set gain_db"
                ),
                _ => format!(
                    "nothing was louder than {dbfs:.0} dBFS; unless the room was quiet, turn the source's gain up, or set \
                     gain_db"
                ),
            };
            Fault::new("level-too-low", text)
        });
        if let Some(balance) = balance {
            news(Hint::Cancelling, balance.is_cancelling(), &|| {
                let text = "the channels cancel each other, as with opposite polarity: set channels = 1";
                Fault::new("channels-cancel", text)
            });
            let unequal = balance.unequal();
            news(Hint::Unequal, unequal.is_some(), &|| {
                let (loudest, faintest) = unequal.unwrap_or_default();
                let text = format!(
                    "channel {loudest} is more than 20 dB louder than channel {faintest}: one of them may be noise, \
                     or not connected; set channels to the one that is right"
                );
                Fault::new("channels-differ", text)
            });
        }
        if mean_square > LOUD && self.head.len() == N_FFT {
            self.add_spectrum();
            if self.n_loud >= self.patience.loud {
                self.end_spectrum(info.sample_rate, hearing);
            }
        }
        (self.peak, self.energy, self.n_samples) = (0.0, 0.0, 0);
        self.head.clear();
    }

    /// Adds the power spectrum of the second's first samples. By the definition: once per second,
    /// that is cheap.
    fn add_spectrum(&mut self) {
        let step = std::f64::consts::TAU / N_FFT as f64;
        let table: Vec<f64> = (0..N_FFT).map(|n| (step * n as f64).cos()).collect();
        let cos = |n: usize| table[n % N_FFT];
        let tapered: Vec<f64> =
            self.head.iter().enumerate().map(|(n, &x)| f64::from(x) * (0.5 - 0.5 * cos(n))).collect();
        for (bin, power) in self.spectrum.iter_mut().enumerate() {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, x) in tapered.iter().enumerate() {
                re += x * cos(bin * n);
                im += x * cos(bin * n + N_FFT / 4);
            }
            *power += re * re + im * im;
        }
        self.n_loud += 1;
    }

    fn end_spectrum(&mut self, sample_rate: u32, hearing: &Hearing) {
        let strongest = self.spectrum.iter().copied().fold(0.0, f64::max);
        let top = self.spectrum.iter().rposition(|&power| power > NOTHING * strongest).unwrap_or(0);
        let top_hz = top as f64 * f64::from(sample_rate) / N_FFT as f64;
        let fault = (top_hz < NARROW_HZ).then(|| {
            let text = format!(
                "there is no sound above {:.1} kHz, as over a telephone: many sounds are recognised by higher \
                 frequencies; if the source can do better, set it to 16 kHz or more",
                top_hz / 1000.0
            );
            Fault::new("narrow-band", text)
        });
        hearing.hint(Hint::NarrowBand, fault);
        self.spectrum.fill(0.0);
        self.n_loud = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mono::{Channels, Mono};

    fn noise(n: usize) -> f32 {
        let state = (n as u32).wrapping_mul(2_654_435_761).wrapping_add(12_345);
        let state = (state ^ state >> 15).wrapping_mul(2_246_822_519);
        ((state ^ state >> 13) >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Hints after `n_seconds` of mono sound.
    fn hints(n_seconds: usize, gain: f32, sample: impl Fn(usize) -> f32) -> Vec<String> {
        let rate = 16_000;
        let (mut hints, hearing) = (Hints::new(Patience::DAEMON), Hearing::of("ear"));
        let info = SampleInfo { n_non_finite: 0, sample_rate: rate as u32, gain, is_live: true };
        for second in 0..n_seconds {
            let samples: Vec<f32> = (second * rate..(second + 1) * rate).map(&sample).collect();
            samples.chunks(1000).for_each(|block| hints.add(block));
            hints.end_second(info, None, &hearing);
        }
        hearing.snapshot().capture_hints
    }

    #[test]
    fn sound_as_it_should_be_gets_no_hint() {
        assert!(hints(70, 1.0, |n| 0.1 * noise(n)).is_empty());
        // A quiet room in which something is heard now and then.
        assert!(hints(100, 1.0, |n| if n / 16_000 % 30 == 0 { 0.1 } else { 1e-3 } * noise(n)).is_empty());
    }

    #[test]
    fn what_is_too_faint_is_said_and_gain_helps() {
        let faint = |n| 0.002 * noise(n);
        assert!(hints(59, 1.0, faint).is_empty());
        let said = hints(61, 1.0, faint);
        assert!(said.len() == 1 && said[0].contains("-54 dBFS") && said[0].contains("gain_db"), "{said:?}");
        assert!(hints(61, 10.0, faint).is_empty());
        let said = hints(12, 1.0, |n| (2.0 * noise(n)).round() / 32_768.0);
        assert!(said.len() == 1 && said[0].contains("muted"), "{said:?}");
    }

    #[test]
    fn sound_of_8_khz_is_found_out() {
        // Tones up to 3.4 kHz alone.
        let tones = |n: usize| {
            let tone = |hz: f64| (std::f64::consts::TAU * hz * n as f64 / 16_000.0).sin();
            (0.05 * [300.0, 700.0, 1900.0, 3400.0].map(tone).iter().sum::<f64>()) as f32
        };
        let said = hints(25, 1.0, tones);
        assert!(said.len() == 1 && said[0].contains("no sound above 3."), "{said:?}");
    }

    #[test]
    fn channels_that_cancel_are_said() {
        let frames: Vec<f32> = (0..5_000).flat_map(|n| [0.1 * noise(n), -0.1 * noise(n)]).collect();
        let mut mono = Mono::of(2, &Channels::Mean, 1_000);
        frames.chunks(500).for_each(|block| mono.mix(block, |_| {}));
        let hearing = Hearing::of("ear");
        let info = SampleInfo { n_non_finite: 0, sample_rate: 1_000, gain: 1.0, is_live: true };
        Hints::new(Patience::DAEMON).end_second(info, Some(&mono.balance()), &hearing);
        assert!(hearing.snapshot().capture_hints[0].contains("cancel each other"));
    }
}
