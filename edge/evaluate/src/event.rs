//! Event-based measures: was each sound reported once, with the right beginning and end?
//!
//! As `sed_eval.sound_event.EventBasedMetrics` counts with its default, the optimal matching: of
//! all ways to pair detections with sounds of their class such that onset and offset fit, one with
//! the most pairs.

use crate::{Counts, Detection, Sound, by_class, pairs};

/// How exact a detection must be. A difference equal to the limit is within it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Collar {
    /// Largest difference of the onsets, seconds.
    pub onset_s: f64,
    /// Largest difference of the offsets, seconds.
    pub offset_s: f64,
    /// Or, where that is more, this share of the sound's length.
    pub offset_share: f64,
}

impl Default for Collar {
    /// 200 ms, and for the offset half of the sound's length if that is more.
    fn default() -> Self {
        Collar { onset_s: 0.2, offset_s: 0.2, offset_share: 0.5 }
    }
}

impl Collar {
    /// Whether `detection` is at the time of `sound`, for any classes.
    pub fn fits(&self, sound: &Sound, detection: &Detection) -> bool {
        let most_s = self.offset_s.max(self.offset_share * (sound.offset_s - sound.onset_s));
        (sound.onset_s - detection.onset_s).abs() <= self.onset_s
            && (sound.offset_s - detection.offset_s).abs() <= most_s
    }
}

/// Hits, false alarms and misses of each class, added up over all recordings.
///
/// # Panics
///
/// When the lists differ in length or a class is not one of `n_classes`.
pub fn event_based<T: AsRef<[Sound]>, D: AsRef<[Detection]>>(
    truth: &[T],
    detections: &[D],
    collar: &Collar,
    n_classes: usize,
) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); n_classes];
    for (truth, detections) in pairs(truth, detections) {
        let classes = by_class(truth, n_classes).into_iter().zip(by_class(detections, n_classes));
        for (counts, (sounds, detections)) in counts.iter_mut().zip(classes) {
            let tp = pair_up(&sounds, &detections, collar).into_iter().flatten().count();
            *counts += Counts { tp, fp: detections.len() - tp, fn_: sounds.len() - tp };
        }
    }
    counts
}

/// The sound that each detection is paired with, such that as many pairs are made as can be:
/// augmenting paths, one sound after the other. Both lists are by onset.
pub(super) fn pair_up(sounds: &[Sound], detections: &[Detection], collar: &Collar) -> Vec<Option<usize>> {
    // Only neighbours in time can fit. Twice the collar, so that rounding cannot cut off one that
    // fits exactly.
    let near = |sound: &Sound| {
        let from = detections.partition_point(|d| d.onset_s < sound.onset_s - 2.0 * collar.onset_s);
        let near = detections[from..].iter().take_while(|d| d.onset_s <= sound.onset_s + 2.0 * collar.onset_s);
        near.enumerate().filter(|(_, d)| collar.fits(sound, d)).map(|(at, _)| from + at).collect()
    };
    let fitting: Vec<Vec<usize>> = sounds.iter().map(near).collect();
    let mut sound_of = vec![None; detections.len()];
    let mut visited = vec![usize::MAX; detections.len()];
    for sound in 0..sounds.len() {
        augment(sound, sound, &fitting, &mut sound_of, &mut visited);
    }
    sound_of
}

/// Finds a detection for `sound`, perhaps by giving the sounds that have one others. `visited`
/// holds the last `round` in which a detection was tried.
fn augment(
    sound: usize,
    round: usize,
    fitting: &[Vec<usize>],
    sound_of: &mut [Option<usize>],
    visited: &mut [usize],
) -> bool {
    for &detection in &fitting[sound] {
        if visited[detection] == round {
            continue;
        }
        visited[detection] = round;
        if sound_of[detection].is_none_or(|other| augment(other, round, fitting, sound_of, visited)) {
            sound_of[detection] = Some(sound);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{detection, sound};

    fn counts(truth: &[Sound], detections: &[Detection]) -> Vec<Counts> {
        event_based(&[truth], &[detections], &Collar::default(), 2)
    }

    #[test]
    fn a_sound_is_found_where_onset_offset_and_class_fit() {
        let truth = [sound(0, 1.0, 2.0), sound(1, 5.0, 5.25)];
        let cases = [
            (detection(0, 1.125, 2.5), 1, "half of the length late"),
            (detection(0, 1.125, 2.5 + 1e-9), 0, "more than half of the length late"),
            (detection(0, 1.25, 2.0), 0, "begins too late"),
            (detection(1, 1.0, 2.0), 0, "another class"),
            (detection(1, 4.875, 5.375), 1, "short sounds have the collar"),
            (detection(1, 5.0, 5.5), 0, "beyond the collar"),
        ];
        for (detection, tp, case) in cases {
            let total: Counts = counts(&truth, &[detection]).into_iter().sum();
            assert_eq!(total, Counts { tp, fp: 1 - tp, fn_: 2 - tp }, "{case}");
        }
    }

    #[test]
    fn as_many_pairs_as_possible_are_made() {
        // First come, first served would give the first sound the only detection that fits the
        // second.
        let truth = [sound(0, 1.0, 2.0), sound(0, 1.25, 2.25)];
        let detections = [detection(0, 1.125, 2.0), detection(0, 0.875, 2.0)];
        assert_eq!(counts(&truth, &detections)[0], Counts { tp: 2, fp: 0, fn_: 0 });
        assert_eq!(counts(&truth, &[detections[0], detections[0], detections[0]])[0], Counts { tp: 2, fp: 1, fn_: 0 });
    }

    #[test]
    fn detections_of_another_recording_do_not_count() {
        let truth = [vec![sound(0, 1.0, 2.0)], vec![]];
        let counts = event_based(&truth, &[vec![], vec![detection(0, 1.0, 2.0)]], &Collar::default(), 1);
        assert_eq!(counts, [Counts { tp: 0, fp: 1, fn_: 1 }]);
    }

    /// The most pairs by trying all.
    fn most_pairs(sounds: &[Sound], detections: &[Detection], collar: &Collar) -> usize {
        let Some((first, rest)) = sounds.split_first() else { return 0 };
        let without = most_pairs(rest, detections, collar);
        let with = (0..detections.len()).filter(|&at| collar.fits(first, &detections[at])).map(|at| {
            let mut left = detections.to_vec();
            left.remove(at);
            1 + most_pairs(rest, &left, collar)
        });
        with.fold(without, usize::max)
    }

    proptest! {
        #[test]
        fn no_way_of_pairing_makes_more(
            sounds in prop::collection::vec((0..16u32, 1..8u32), 0..6),
            found in prop::collection::vec((0..16u32, 1..8u32), 0..6),
        ) {
            let s = |n: u32| f64::from(n) / 8.0;
            let truth: Vec<Sound> = sounds.iter().map(|&(on, len)| sound(0, s(on), s(on + len))).collect();
            let detections: Vec<Detection> = found.iter().map(|&(on, len)| detection(0, s(on), s(on + len))).collect();
            let collar = Collar { onset_s: 0.25, ..Collar::default() };
            let tp = event_based(&[&truth], &[&detections], &collar, 1)[0].tp;
            prop_assert_eq!(tp, most_pairs(&truth, &detections, &collar));
        }
    }
}
