//! Onset latency: how long after its beginning was a sound reported?

use crate::{Detection, Extent, Sound, by_class, pairs};

/// Seconds from the true onset of a sound to the moment at which its onset was reported, of each
/// class, over the sounds of all recordings that were found.
///
/// A detection belongs to the earliest sound of its class that it overlaps; a sound is found if a
/// detection belongs to it, and the one that was reported first counts. A detection that was
/// reported before the sound began was caused by something else and counts for none. What is
/// measured is stream time: how much of the recording had been heard at that moment. Computing
/// comes on top.
///
/// # Panics
///
/// When the lists differ in length or a class is not one of `n_classes`.
pub fn latency<T: AsRef<[Sound]>, D: AsRef<[Detection]>>(
    truth: &[T],
    detections: &[D],
    n_classes: usize,
) -> Vec<Vec<f64>> {
    let mut latencies = vec![Vec::new(); n_classes];
    for (truth, detections) in pairs(truth, detections) {
        let classes = by_class(truth, n_classes).into_iter().zip(by_class(detections, n_classes));
        for (latencies, (sounds, detections)) in latencies.iter_mut().zip(classes) {
            let mut t_found_s = vec![f64::INFINITY; sounds.len()];
            for detection in detections {
                if let Some(at) = sounds.iter().position(|sound| sound.overlap_s(&detection) > 0.0) {
                    t_found_s[at] = t_found_s[at].min(detection.t_reported_s);
                }
            }
            let late_s = sounds.iter().zip(t_found_s).map(|(sound, t_found_s)| t_found_s - sound.onset_s);
            latencies.extend(late_s.filter(|late_s| (0.0..f64::INFINITY).contains(late_s)));
        }
    }
    latencies
}

/// The value below which the share `q` of `values` lies, interpolated between neighbours; `None`
/// where there are none.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{detection, sound};

    #[test]
    fn the_first_report_of_a_sound_counts() {
        let truth = [[sound(0, 1.0, 3.0), sound(0, 4.0, 5.0), sound(0, 6.0, 7.0)]];
        // The first is found twice, the second only by an event that was reported during the first,
        // the third is missed.
        let found = [[detection(0, 2.0, 2.5), detection(0, 1.25, 4.5), detection(0, 7.0, 8.0)]];
        assert_eq!(latency(&truth, &found, 1), [[0.75]]);
    }

    #[test]
    fn what_was_reported_before_the_sound_began_is_no_answer_to_it() {
        assert_eq!(latency(&[[sound(0, 5.0, 6.0)]], &[[detection(0, 1.0, 5.5)]], 1), [Vec::<f64>::new()]);
        assert_eq!(latency(&[[sound(0, 5.0, 6.0)]], &[[detection(0, 4.75, 5.5)]], 1), [[0.25]]);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!([0.0, 0.5, 0.9, 1.0].map(|q| quantile(&values, q).unwrap()), [1.0, 2.5, 3.7, 4.0]);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
