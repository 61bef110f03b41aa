//! `[augment]`: what is done to a training clip.

use serde::{Deserialize, Serialize};

/// Augmentation, done on power spectra: sounds add up there, as they do in the air. A value of 0 switches a step off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// A crop is placed around a frame within this many dB of the clip's loudest.
    pub active_db: f32,
    /// Gain is uniform within plus and minus this.
    pub gain_db: f32,
    /// Time is stretched by exp(u), u uniform within plus and minus this (nearest frame).
    pub stretch: f32,
    /// Mel bands are shifted by up to this many bands either way (linear interpolation).
    pub mel_shift: f32,
    /// A random smooth equaliser within plus and minus this.
    pub eq_db: f32,
    /// Share of crops cut short around an active frame, with digital silence around: short sounds come so in recordings.
    pub surround: f32,
    /// Share of clips mixed with another.
    pub mixup: f32,
    /// Beta(a, a) distribution of the mixing weight.
    pub mixup_alpha: f32,
    /// Share of clips with background or coloured noise added.
    pub noise: f32,
    /// Signal-to-noise ratio of that noise: lowest and highest.
    pub noise_snr_db: [f32; 2],
    /// Share of a batch replaced by negatives (background, noise, near silence), where there is a background label.
    pub negatives: f32,
    /// SpecAugment: longest time mask in frames.
    pub time_mask: usize,
    /// SpecAugment: widest frequency mask in bands.
    pub freq_mask: usize,
    /// SpecAugment: number of frequency masks.
    pub n_freq_masks: usize,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            active_db: 12.0,
            gain_db: 10.0,
            stretch: 0.12,
            mel_shift: 2.0,
            eq_db: 4.0,
            surround: 0.1,
            mixup: 0.7,
            mixup_alpha: 0.4,
            noise: 0.5,
            noise_snr_db: [5.0, 35.0],
            negatives: 0.06,
            time_mask: 24,
            freq_mask: 10,
            n_freq_masks: 2,
        }
    }
}
