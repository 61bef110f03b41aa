//! Interleaved frames of any sample type and channel count enter, mono f32 samples in [-1, 1] leave. Runs wherever
//! samples are captured.
//!
//! # Real-time
//!
//! [`Mono::mix`] never allocates: it works through blocks of any length in pieces of a fixed scratch buffer.

use dasp_sample::{FromSample, Sample};

/// Samples mixed at once; an ordinary device block fits.
const SCRATCH_LEN: usize = 2048;

/// Mixes channels to their mean.
pub struct Mono {
    n_channels: usize,
    scale: f32,
    scratch: Box<[f32]>,
}

impl Mono {
    /// For frames of `n_channels`.
    ///
    /// # Panics
    ///
    /// When `n_channels` is zero.
    pub fn new(n_channels: usize) -> Self {
        assert!(n_channels > 0, "a frame has at least one channel");
        Mono { n_channels, scale: 1.0 / n_channels as f32, scratch: vec![0.0; SCRATCH_LEN].into() }
    }

    /// Converts `interleaved`, frame by frame, and hands the mono samples to `on_block` in order. An incomplete frame
    /// at the end is ignored.
    pub fn mix<T>(&mut self, interleaved: &[T], mut on_block: impl FnMut(&[f32]))
    where
        T: Sample,
        f32: FromSample<T>,
    {
        for piece in interleaved.chunks(SCRATCH_LEN * self.n_channels) {
            let mut n = 0;
            for (mono, frame) in self.scratch.iter_mut().zip(piece.chunks_exact(self.n_channels)) {
                let sum: f32 = frame.iter().map(|sample| sample.to_sample::<f32>()).sum();
                *mono = sum * self.scale;
                n += 1;
            }
            on_block(&self.scratch[..n]);
        }
    }
}

#[cfg(test)]
mod tests {
    use dasp_sample::I24;

    use super::*;

    fn mixed<T>(n_channels: usize, interleaved: &[T]) -> Vec<f32>
    where
        T: Sample,
        f32: FromSample<T>,
    {
        let mut all = Vec::new();
        Mono::new(n_channels).mix(interleaved, |block| all.extend_from_slice(block));
        all
    }

    #[test]
    fn every_format_is_centred_and_scaled() {
        assert_eq!(mixed(1, &[0_i16, i16::MIN, 1 << 14]), [0.0, -1.0, 0.5]);
        assert_eq!(mixed(1, &[1_u16 << 15, 0, 3 << 14]), [0.0, -1.0, 0.5]);
        assert_eq!(mixed(1, &[0_i32, i32::MIN, 1 << 30]), [0.0, -1.0, 0.5]);
        assert_eq!(mixed(1, &[128_u8, 0, 192]), [0.0, -1.0, 0.5]);
        assert_eq!(mixed(1, &[0.0_f64, -1.0, 0.5]), [0.0, -1.0, 0.5]);
        let half: I24 = 0.5_f32.to_sample();
        assert_eq!(mixed(1, &[half]), [0.5]);
    }

    #[test]
    fn channels_are_averaged_and_a_torn_frame_is_ignored() {
        assert_eq!(mixed(2, &[0.5_f32, -0.5, 1.0, 0.0, 0.25]), [0.0, 0.5]);
        assert_eq!(mixed(8, &[1.0_f32; 16]), [1.0, 1.0]);
    }

    #[test]
    fn long_blocks_pass_in_order() {
        let interleaved: Vec<f32> = (0..3 * SCRATCH_LEN + 5).flat_map(|n| [n as f32, n as f32]).collect();
        let wanted: Vec<f32> = (0..3 * SCRATCH_LEN + 5).map(|n| n as f32).collect();
        assert_eq!(mixed(2, &interleaved), wanted);
    }
}
