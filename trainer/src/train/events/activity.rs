//! Where a recording sounds, by its level.
//!
//! Enters: the power of each frame. Leaves: the stretches in which there is something to hear, so that truth is the sound and not its
//! padding.

use crate::train::augment::decibels;
use std::ops::Range;

/// A frame sounds if it is within this of the loudest...
const RANGE_DB: f32 = 30.0;
/// ...and this far over the recording's own noise floor...
const OVER_FLOOR_DB: f32 = 6.0;
/// ...which nothing within this of the loudest is taken for: a steady sound has no other floor.
const STEADY_DB: f32 = 12.0;
/// Share of the frames that are quieter than the noise floor.
const FLOOR_SHARE: usize = 10;

/// The stretches of frames that sound. Those closer than `gap` frames are one: knife blows are one chopping.
pub fn active(powers: &[f32], gap: usize) -> Vec<Range<usize>> {
    let mut sorted = powers.to_vec();
    sorted.sort_by(f32::total_cmp);
    let (Some(&loudest), Some(&floor)) = (sorted.last(), sorted.get(sorted.len() / FLOOR_SHARE)) else {
        return Vec::new();
    };
    let below = |db: f32| loudest * decibels(-db);
    let threshold = (floor * decibels(OVER_FLOOR_DB)).clamp(below(RANGE_DB), below(STEADY_DB));
    let mut stretches: Vec<Range<usize>> = Vec::new();
    for (t, _) in powers.iter().enumerate().filter(|(_, power)| **power > 0.0 && **power >= threshold) {
        match stretches.last_mut() {
            Some(last) if t - last.end < gap.max(1) => last.end = t + 1,
            _ => stretches.push(t..t + 1),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_left_out_and_short_pauses_are_kept() {
        let mut powers = vec![0.0; 300];
        powers[50..60].fill(1.0);
        powers[100..105].fill(0.1);
        powers[250..260].fill(0.01);
        // 20 dB down still sounds, 30.1 dB does not.
        powers[280] = 0.00098;
        assert_eq!(active(&powers, 60), [50..105, 250..260]);
        assert_eq!(active(&powers, 0), [50..60, 100..105, 250..260]);
        assert!(active(&[0.0; 10], 5).is_empty() && active(&[], 5).is_empty());
    }

    #[test]
    fn a_noise_floor_is_no_sound_and_a_steady_sound_is() {
        let mut powers = vec![0.05; 100];
        powers[40..50].fill(1.0);
        assert_eq!(active(&powers, 10), std::slice::from_ref(&(40..50)));
        let steady: Vec<f32> = (0..100).map(|t| 1.0 + 0.5 * (t as f32).sin()).collect();
        assert_eq!(active(&steady, 10), std::slice::from_ref(&(0..100)));
    }
}
