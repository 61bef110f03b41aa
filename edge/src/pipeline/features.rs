//! Log-mel frames that come without their samples: a frame before the normalisation enters, the
//! network's frame and how loud it is leave. On the worker thread. Allocates nothing after
//! construction.

use edge_frontend::FrontendConfig;

use super::level::BandLevel;

/// What such frames need.
pub(super) struct Features {
    /// A frame of silence, before the normalisation.
    silence: Box<[f32]>,
    band_level: BandLevel,
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
            mean: frontend.mean,
            std: frontend.std,
            frame: vec![0.0; frontend.n_mels].into(),
        }
    }

    /// Values of a frame.
    pub(super) fn n_mels(&self) -> usize {
        self.silence.len()
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
