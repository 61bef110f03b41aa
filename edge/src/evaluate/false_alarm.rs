//! False alarms: how often was something reported that was not there at all?

use super::{Detection, Extent, Sound, by_class, pairs};

/// Detections of each class that overlap no sound of their class at all, added up over all recordings. A detection that is too early, too long or
/// one of several for one sound is none of them; it may be a false positive of [`event_based`](super::event_based) all the same.
///
/// # Panics
///
/// When the lists differ in length or a class is none of `n_classes`.
pub fn false_alarms<T: AsRef<[Sound]>, D: AsRef<[Detection]>>(
    truth: &[T],
    detections: &[D],
    n_classes: usize,
) -> Vec<usize> {
    let mut n_alarms = vec![0; n_classes];
    for (truth, detections) in pairs(truth, detections) {
        let sounds = by_class(truth, n_classes);
        for detection in detections {
            let n = &mut n_alarms[detection.class_id];
            *n += usize::from(!sounds[detection.class_id].iter().any(|sound| sound.overlap_s(detection) > 0.0));
        }
    }
    n_alarms
}

/// How often `n` in recordings of these durations are in an hour; 0 where there is no time.
pub fn per_hour(n: usize, duration_s: &[f64]) -> f64 {
    let total_s: f64 = duration_s.iter().sum();
    if total_s > 0.0 { n as f64 * 3600.0 / total_s } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{detection, sound};
    use super::*;

    #[test]
    fn only_what_overlaps_nothing_of_its_class_is_a_false_alarm() {
        let truth = [vec![sound(0, 1.0, 2.0), sound(1, 4.0, 5.0)], vec![]];
        let found = [
            vec![detection(0, 1.75, 9.0), detection(0, 2.0, 3.0), detection(1, 1.0, 2.0), detection(1, 4.0, 4.5)],
            vec![detection(0, 1.0, 2.0)],
        ];
        assert_eq!(false_alarms(&truth, &found, 2), [2, 1]);
        assert_eq!(per_hour(3, &[1800.0, 5400.0]), 1.5);
        assert_eq!(per_hour(0, &[]), 0.0);
    }
}
