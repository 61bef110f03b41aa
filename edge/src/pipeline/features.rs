//! Log-mel frames that come without their samples: a frame before the normalisation enters, the
//! network's frame and how loud it is leave. On the worker thread. Allocates nothing after
//! construction.

use edge_frontend::{FrontendConfig, Power};

use super::level::BandLevel;

/// What such frames need.
pub(super) struct Features {
    /// A frame of silence, before the normalisation.
    silence: Box<[f32]>,
    band_level: BandLevel,
    power: Power,
    log_offset: f32,
    mean: f32,
    std: f32,
    /// The frame being normalised.
    frame: Box<[f32]>,
}

impl Features {
    /// For frames of `frontend`.
    pub(super) fn new(frontend: &FrontendConfig) -> Self {
        Features {
            silence: vec![(frontend.log_offset as f32).ln(); frontend.n_mels].into(),
            band_level: BandLevel::new(frontend),
            power: frontend.power,
            log_offset: frontend.log_offset as f32,
            mean: frontend.mean,
            std: frontend.std,
            frame: vec![0.0; frontend.n_mels].into(),
        }
    }

    /// Values of a frame.
    pub(super) fn n_mels(&self) -> usize {
        self.silence.len()
    }

    /// Makes frames before the normalisation those of sound whose samples are multiplied by `gain`:
    /// `ln(mel + log_offset)` becomes `ln(gain^p mel + log_offset)`, where p is 2 for powers and 1
    /// for magnitudes. Silence stays silence.
    pub(super) fn amplify(&self, frames: &mut [f32], gain: f32) {
        let factor = match self.power {
            Power::Magnitude => gain,
            Power::Power => gain * gain,
        };
        for value in frames {
            *value = ((value.exp() - self.log_offset).max(0.0) * factor + self.log_offset).ln();
        }
    }

    /// A frame, `(n_mels)`, or one of silence, normalised, and the mean square of its sound.
    pub(super) fn take(&mut self, raw: Option<&[f32]>) -> (&[f32], f64) {
        let raw = raw.unwrap_or(&self.silence);
        for (value, raw) in self.frame.iter_mut().zip(raw) {
            *value = (raw - self.mean) / self.std;
        }
        (&self.frame, self.band_level.mean_square(raw))
    }
}
