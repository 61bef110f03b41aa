//! What overlaps what: sounds that were found at all, reports of what was not there at all, and
//! which class was taken for which.

use crate::{Detection, Extent, Sound, by_class, pairs};

/// Sounds of each class that a detection of their class overlaps, however inexact, added up over
/// all recordings.
///
/// # Panics
///
/// When the lists differ in length or a class is not one of `n_classes`.
pub fn found<T: AsRef<[Sound]>, D: AsRef<[Detection]>>(truth: &[T], detections: &[D], n_classes: usize) -> Vec<usize> {
    let mut n_found = vec![0; n_classes];
    for (truth, detections) in pairs(truth, detections) {
        count(&mut n_found, truth, &by_class(detections, n_classes), true);
    }
    n_found
}

/// Detections of each class that overlap no sound of their class at all, added up over all
/// recordings. A detection that is too early, too long or one of several for one sound is not
/// counted; it may be a false positive of [`event_based`](crate::event_based) all the same.
///
/// # Panics
///
/// When the lists differ in length or a class is not one of `n_classes`.
pub fn false_alarms<T: AsRef<[Sound]>, D: AsRef<[Detection]>>(
    truth: &[T],
    detections: &[D],
    n_classes: usize,
) -> Vec<usize> {
    let mut n_alarms = vec![0; n_classes];
    for (truth, detections) in pairs(truth, detections) {
        count(&mut n_alarms, detections, &by_class(truth, n_classes), false);
    }
    n_alarms
}

/// Adds to `counts` those of `extents` that overlap one of the `others` of their class, or those
/// that do not.
fn count<E: Extent, O: Extent>(counts: &mut [usize], extents: &[E], others: &[Vec<O>], overlapping: bool) {
    for extent in extents {
        let any = others[extent.class_id()].iter().any(|other| other.overlap_s(extent) > 0.0);
        counts[extent.class_id()] += usize::from(any == overlapping);
    }
}

/// Which class was detected while which was to be heard, `(n_classes + 1, n_classes + 1)`: a row
/// for each true class, a column for each detected one, the last of both for nothing.
///
/// A detection counts once, in the row of its own class if it overlaps a sound of that; else of the
/// class of the sound that it overlaps most; else of nothing. A sound that no detection of its
/// class overlaps counts in the column of nothing.
///
/// # Panics
///
/// When the lists differ in length or a class is not one of `n_classes`.
pub fn confusion<T: AsRef<[Sound]>, D: AsRef<[Detection]>>(
    truth: &[T],
    detections: &[D],
    n_classes: usize,
) -> Vec<Vec<usize>> {
    let mut matrix = vec![vec![0; n_classes + 1]; n_classes + 1];
    for (truth, detections) in pairs(truth, detections) {
        for detection in detections {
            let overlaps = truth.iter().map(|sound| (sound, sound.overlap_s(detection))).filter(|(_, s)| *s > 0.0);
            let own = |sound: &Sound| sound.class_id == detection.class_id;
            let most = overlaps.max_by(|(a, a_s), (b, b_s)| own(a).cmp(&own(b)).then(a_s.total_cmp(b_s)));
            matrix[most.map_or(n_classes, |(sound, _)| sound.class_id)][detection.class_id] += 1;
        }
        let detected = by_class(detections, n_classes);
        let missed = truth.iter().filter(|sound| !detected[sound.class_id].iter().any(|d| d.overlap_s(*sound) > 0.0));
        missed.for_each(|sound| matrix[sound.class_id][n_classes] += 1);
    }
    matrix
}

/// How often `n` in recordings of these durations are in an hour; 0 where there is no time.
pub fn per_hour(n: usize, duration_s: &[f64]) -> f64 {
    let total_s: f64 = duration_s.iter().sum();
    if total_s > 0.0 { n as f64 * 3600.0 / total_s } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{detection, sound};

    #[test]
    fn only_what_overlaps_nothing_of_its_class_is_a_false_alarm() {
        let truth = [vec![sound(0, 1.0, 2.0), sound(1, 4.0, 5.0)], vec![]];
        let detected = [
            vec![detection(0, 1.75, 9.0), detection(0, 2.0, 3.0), detection(1, 1.0, 2.0), detection(1, 4.0, 4.5)],
            vec![detection(0, 1.0, 2.0)],
        ];
        assert_eq!(false_alarms(&truth, &detected, 2), [2, 1]);
        assert_eq!(per_hour(3, &[1800.0, 5400.0]), 1.5);
        assert_eq!(per_hour(0, &[]), 0.0);
    }

    #[test]
    fn a_sound_is_found_by_any_detection_of_its_class_that_overlaps_it() {
        let truth = [[sound(0, 1.0, 2.0), sound(0, 4.0, 5.0), sound(1, 1.0, 2.0)]];
        assert_eq!(found(&truth, &[[detection(0, 1.75, 4.25), detection(0, 4.5, 4.75)]], 2), [2, 0]);
        assert_eq!(found(&truth, &[[detection(0, 2.0, 4.0), detection(1, 0.0, 9.0)]], 2), [0, 1]);
    }

    #[test]
    fn detections_are_confused_with_what_they_overlap_most() {
        let truth = [vec![sound(0, 0.0, 2.0), sound(1, 1.5, 5.0)], vec![sound(1, 0.0, 1.0)]];
        let detected = [
            // Its own class, though it overlaps the other one more; twice the wrong one; nothing.
            vec![detection(0, 1.75, 5.0), detection(2, 1.0, 4.0), detection(2, 0.0, 1.75), detection(1, 7.0, 8.0)],
            vec![],
        ];
        let expected = vec![vec![1, 0, 1, 0], vec![0, 0, 1, 2], vec![0; 4], vec![0, 1, 0, 0]];
        assert_eq!(confusion(&truth, &detected, 3), expected);
    }
}
