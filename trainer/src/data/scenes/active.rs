//! Where a recording sounds, by level.
//!
//! Enters: mono samples. Leaves: stretches of them. A stretch begins and ends with a frame of 5 ms,
//! so it is exact to that; sounding frames closer than a gap are one stretch.

use std::ops::Range;

/// Length of a frame.
const FRAME_S: f64 = 0.005;
/// Frames on each side of one that smooth its level: 25 ms in all, so that noise does not cross a
/// threshold by chance.
const SMOOTH: usize = 2;
/// A sound reaches this far below its loudest frame.
pub(super) const REACH_DB: f64 = 30.0;
/// A recording whose loudest level is not further than this above its quiet one sounds throughout:
/// a fan, rain.
const STEADY_DB: f64 = 15.0;
/// In others, what sounds is this far above the quiet level (the tenth percentile), which is the
/// recording's own noise.
const OVER_QUIET_DB: f64 = 8.0;
/// Where what is quieter holds more than this share of the energy after all, it is the sound and
/// the loud part an accident: a clink in running water. In Kitchen20 and ESC-10 that is so in 40 of
/// 1,200 clips.
const QUIET_SHARE: f64 = 0.2;
/// Stretches whose loudest frame is further than this below the recording's are by-noise, no event.
const FAINT_DB: f64 = 15.0;
/// Recordings whose loudest level is below this are silent.
const SILENT_DBFS: f64 = -80.0;

/// Levels of a recording, frame by frame.
pub(super) struct Levels {
    /// Mean squares.
    frames: Vec<f64>,
    /// The same, smoothed.
    smooth: Vec<f64>,
    frame_length: usize,
    n_samples: usize,
}

impl Levels {
    pub(super) fn of(samples: &[f32], sample_rate: u32) -> Self {
        let frame_length = ((FRAME_S * f64::from(sample_rate)).round() as usize).max(1);
        let frames: Vec<f64> = samples.chunks(frame_length).map(mean_square).collect();
        let smooth = (0..frames.len())
            .map(|i| {
                let near = &frames[i.saturating_sub(SMOOTH)..(i + SMOOTH + 1).min(frames.len())];
                near.iter().sum::<f64>() / near.len() as f64
            })
            .collect();
        Self { frames, smooth, frame_length, n_samples: samples.len() }
    }

    /// Of the smoothed levels, in dBFS.
    pub(super) fn loudest_db(&self) -> f64 {
        self.loudest_in(0..self.n_samples)
    }

    /// The same within `range` of samples.
    fn loudest_in(&self, range: Range<usize>) -> f64 {
        let frames = range.start / self.frame_length..range.end.div_ceil(self.frame_length);
        to_db(self.smooth[frames].iter().fold(0.0, |a, &b| a.max(b)))
    }

    /// The level that a tenth of the time stays below.
    fn quiet_db(&self) -> f64 {
        let mut sorted = self.smooth.clone();
        sorted.sort_by(f64::total_cmp);
        to_db(sorted.get(sorted.len() / 10).copied().unwrap_or(0.0))
    }

    /// Stretches of samples that are louder than `threshold_db`; pauses shorter than `gap_s` belong
    /// to them.
    pub(super) fn stretches(&self, threshold_db: f64, gap_s: f64) -> Vec<Range<usize>> {
        let threshold = from_db(threshold_db);
        let gap = (gap_s / FRAME_S).round() as usize;
        let mut stretches: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while let Some(start) = (at..self.smooth.len()).find(|&i| self.smooth[i] >= threshold) {
            let end = (start..self.smooth.len()).find(|&i| self.smooth[i] < threshold).unwrap_or(self.smooth.len());
            at = end;
            // Smoothing widens a stretch; its ends are those of its own frames.
            let loud = |i: &usize| self.frames[*i] >= threshold;
            let first = (start..end).find(loud).unwrap_or(start);
            let last = (first..end).rev().find(loud).unwrap_or(end - 1);
            match stretches.last_mut() {
                Some(before) if first - before.end < gap => before.end = last + 1,
                _ => stretches.push(first..last + 1),
            }
        }
        let sample = |frame: usize| (frame * self.frame_length).min(self.n_samples);
        stretches.into_iter().map(|frames| sample(frames.start)..sample(frames.end)).collect()
    }
}

/// A sounding stretch of a recording.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Active {
    /// Samples.
    pub(crate) range: Range<usize>,
    /// Level that it was cut off at, dBFS.
    pub(crate) threshold_db: f64,
}

/// The sounding stretches of a recording; none if it is silent.
pub(crate) fn active(samples: &[f32], sample_rate: u32, gap_s: f64) -> Vec<Active> {
    let levels = Levels::of(samples, sample_rate);
    let loudest = levels.loudest_db();
    if loudest < SILENT_DBFS {
        return Vec::new();
    }
    let quiet = levels.quiet_db();
    let mut threshold = loudest - REACH_DB;
    if loudest - quiet >= STEADY_DB {
        let over_noise = threshold.max(quiet + OVER_QUIET_DB);
        let loud = levels.stretches(over_noise, gap_s);
        let energy = |part: &[f32]| mean_square(part) * part.len() as f64;
        let inside: f64 = loud.iter().map(|range| energy(&samples[range.clone()])).sum();
        if inside >= (1.0 - QUIET_SHARE) * energy(samples) {
            threshold = over_noise;
        }
    }
    levels
        .stretches(threshold, gap_s)
        .into_iter()
        .filter(|range| levels.loudest_in(range.clone()) >= loudest - FAINT_DB)
        .map(|range| Active { range, threshold_db: threshold })
        .collect()
}

/// Mean square; 0 for an empty slice.
pub(super) fn mean_square(samples: &[f32]) -> f64 {
    samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / samples.len().max(1) as f64
}

/// Power to dB; digital silence is -200.
pub(super) fn to_db(power: f64) -> f64 {
    10.0 * power.max(1e-20).log10()
}

/// dB to power.
pub(super) fn from_db(db: f64) -> f64 {
    10f64.powf(db / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, Rng, rng_for, uniform};

    const RATE: u32 = 24_000;

    fn noise(rng: &mut Rng, seconds: f64, db: f64) -> Vec<f32> {
        let amplitude = (3.0 * from_db(db)).sqrt() as f32;
        (0..(seconds * f64::from(RATE)) as usize).map(|_| uniform(rng, -amplitude, amplitude)).collect()
    }

    fn seconds(active: &[Active]) -> Vec<(f64, f64)> {
        let at = |sample: usize| sample as f64 / f64::from(RATE);
        active.iter().map(|a| (at(a.range.start), at(a.range.end))).collect()
    }

    fn assert_near(found: &[(f64, f64)], expected: &[(f64, f64)]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (a, b) in found.iter().zip(expected) {
            assert!((a.0 - b.0).abs() <= 0.006 && (a.1 - b.1).abs() <= 0.006, "{found:?}, expected {expected:?}");
        }
    }

    /// Bursts of -20 dBFS at `(from_s, to_s)` in 6 s of noise.
    fn bursts(noise_db: f64, at: &[(f64, f64)]) -> Vec<f32> {
        let mut rng = rng_for(1, Purpose::Composition, 0);
        let mut samples = noise(&mut rng, 6.0, noise_db);
        for &(from_s, to_s) in at {
            let start = (from_s * f64::from(RATE)) as usize;
            for (x, burst) in samples[start..].iter_mut().zip(noise(&mut rng, to_s - from_s, -20.0)) {
                *x += burst;
            }
        }
        samples
    }

    #[test]
    fn padding_and_noise_are_left_out_and_short_pauses_are_not() {
        let truth = [(0.503, 1.2), (2.9, 3.31), (4.1, 4.4)];
        for noise_db in [-200.0, -60.0, -40.0] {
            let found = seconds(&active(&bursts(noise_db, &truth), RATE, 1.0));
            // 0.79 s apart are the second and the third.
            assert_near(&found, &[(0.503, 1.2), (2.9, 4.4)]);
            assert_near(&seconds(&active(&bursts(noise_db, &truth), RATE, 0.3)), &truth);
        }
    }

    #[test]
    fn a_steady_sound_is_one_stretch_and_silence_none() {
        let mut rng = rng_for(2, Purpose::Composition, 0);
        assert_near(&seconds(&active(&noise(&mut rng, 4.0, -30.0), RATE, 1.0)), &[(0.0, 4.0)]);
        assert_eq!(active(&noise(&mut rng, 4.0, -95.0), RATE, 1.0), []);
        assert_eq!(active(&[0.0; 5000], RATE, 1.0), []);
        assert_eq!(active(&[], RATE, 1.0), []);
    }

    #[test]
    fn a_click_in_a_steady_sound_is_not_the_sound() {
        let mut samples = noise(&mut rng_for(3, Purpose::Composition, 0), 4.0, -40.0);
        for (i, x) in samples[30_000..30_600].iter_mut().enumerate() {
            *x += 0.15 * (-(i as f32) / 150.0).exp();
        }
        assert_near(&seconds(&active(&samples, RATE, 1.0)), &[(0.0, 4.0)]);
    }

    #[test]
    fn a_faint_second_sound_is_no_event() {
        let mut samples = bursts(-70.0, &[(1.0, 1.5), (4.0, 4.5)]);
        samples[90_000..].iter_mut().for_each(|x| *x *= 0.1);
        assert_near(&seconds(&active(&samples, RATE, 1.0)), &[(1.0, 1.5)]);
    }
}
