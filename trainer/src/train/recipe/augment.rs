//! `[augment]`: what is done to a training crop.

use serde::{Deserialize, Serialize};

/// Augmentation, done on power spectra: sounds add up there, as they do in the air. A value of 0
/// switches a step off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Gain is uniform within plus and minus this many dB.
    pub gain_db: f32,
    /// A random smooth equaliser within plus and minus this many dB.
    pub eq_db: f32,
    /// Mel bands are shifted by up to this many bands either way: of a student by linear
    /// interpolation, of SlowFast by whole bands.
    pub mel_shift: f32,
    /// Share of a student's crops, or of SlowFast's batches, that are mixed with another.
    pub mixup: f32,
    /// Beta(a, a) distribution of the mixing weight.
    pub mixup_alpha: f32,
    /// SpecAugment: number of time masks; a student has one at most.
    pub n_time_masks: usize,
    /// SpecAugment: longest time mask in frames.
    pub time_mask: usize,
    /// SpecAugment: number of frequency masks.
    pub n_freq_masks: usize,
    /// SpecAugment: widest frequency mask in bands.
    pub freq_mask: usize,

    /// Student: a crop is placed around a frame within this many dB of the clip's loudest.
    pub active_db: f32,
    /// Student: time is stretched by exp(u), u uniform within plus and minus this (nearest frame).
    pub stretch: f32,
    /// Student: share of crops cut short around an active frame, with digital silence around.
    pub surround: f32,
    /// Student: share of crops with background or coloured noise added.
    pub noise: f32,
    /// Student: signal-to-noise ratio of that noise in dB, lowest and highest.
    pub noise_snr_db: [f32; 2],
    /// Student: share of a batch replaced by background, noise or near silence, where there is a
    /// background label.
    pub negatives: f32,

    /// SlowFast: farthest that SpecAugment's time warp moves a point in time, in frames.
    pub time_warp: usize,
    /// SlowFast: share of batches whose views get a rectangle of another view.
    pub cutmix: f32,
    /// SlowFast: Beta(a, a) distribution of the share that is kept.
    pub cutmix_alpha: f32,
    /// SlowFast: whether each view is scaled to [0, 1], in evaluation, too.
    pub min_max: bool,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            gain_db: 0.0,
            eq_db: 0.0,
            mel_shift: 0.0,
            mixup: 0.0,
            mixup_alpha: 0.4,
            n_time_masks: 0,
            time_mask: 0,
            n_freq_masks: 0,
            freq_mask: 0,
            active_db: 12.0,
            stretch: 0.0,
            surround: 0.0,
            noise: 0.0,
            noise_snr_db: [5.0, 35.0],
            negatives: 0.0,
            time_warp: 0,
            cutmix: 0.0,
            cutmix_alpha: 1.0,
            min_max: false,
        }
    }
}

impl Augment {
    /// The first option that is on and that a student does not have.
    pub(super) fn of_slowfast_alone(&self) -> Option<&'static str> {
        let on = [("time_warp", self.time_warp > 0), ("cutmix", self.cutmix > 0.0), ("min_max", self.min_max)];
        on.into_iter().find(|(_, on)| *on).map(|(key, _)| key)
    }

    /// The first option that is on and that a stage on scenes does not have.
    pub(super) fn of_clips_alone(&self) -> Option<&'static str> {
        let on = [
            ("gain_db", self.gain_db > 0.0),
            ("mixup", self.mixup > 0.0),
            ("n_time_masks", self.n_time_masks > 0),
            ("surround", self.surround > 0.0),
            ("noise", self.noise > 0.0),
            ("negatives", self.negatives > 0.0),
        ];
        on.into_iter().find(|(_, on)| *on).map(|(key, _)| key)
    }

    /// The first option that is on and that SlowFast does not have.
    pub(super) fn of_student_alone(&self) -> Option<&'static str> {
        let on = [
            ("stretch", self.stretch > 0.0),
            ("surround", self.surround > 0.0),
            ("noise", self.noise > 0.0),
            ("negatives", self.negatives > 0.0),
        ];
        on.into_iter().find(|(_, on)| *on).map(|(key, _)| key)
    }
}
