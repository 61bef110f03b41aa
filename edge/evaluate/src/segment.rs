//! Segment-based measures: was it known, second by second, what is to be heard?
//!
//! As `sed_eval.sound_event.SegmentBasedMetrics` counts: a class is there in every segment that a
//! sound of it touches, and was reported in every one that a detection touches.

use crate::{Counts, Detection, Extent, Sound, pairs};

/// Segments of each class that were right and wrong, added up over all recordings. Segments are
/// `segment_s` long, from the start of each recording; the last one holds its end at `duration_s`,
/// and what lies beyond does not count.
///
/// # Panics
///
/// When the lists differ in length or a class is not one of `n_classes`.
pub fn segment_based<T: AsRef<[Sound]>, D: AsRef<[Detection]>>(
    truth: &[T],
    detections: &[D],
    duration_s: &[f64],
    segment_s: f64,
    n_classes: usize,
) -> Vec<Counts> {
    assert_eq!(truth.len(), duration_s.len(), "one duration a recording");
    let mut counts = vec![Counts::default(); n_classes];
    for ((truth, detections), duration_s) in pairs(truth, detections).zip(duration_s) {
        let n_segments = (duration_s / segment_s).ceil() as usize;
        let (there, reported) =
            (touched(truth, n_segments, segment_s, n_classes), touched(detections, n_segments, segment_s, n_classes));
        for (class_id, counts) in counts.iter_mut().enumerate() {
            let class = class_id * n_segments..(class_id + 1) * n_segments;
            for (there, reported) in there[class.clone()].iter().zip(&reported[class]) {
                *counts += Counts {
                    tp: usize::from(*there && *reported),
                    fp: usize::from(!there && *reported),
                    fn_: usize::from(*there && !reported),
                };
            }
        }
    }
    counts
}

/// `(n_classes, n_segments)`, row-major.
fn touched<T: Extent>(extents: &[T], n_segments: usize, segment_s: f64, n_classes: usize) -> Vec<bool> {
    let mut touched = vec![false; n_classes * n_segments];
    for extent in extents {
        let row = &mut touched[extent.class_id() * n_segments..][..n_segments];
        let from = ((extent.onset_s() / segment_s).floor() as usize).min(n_segments);
        let to = ((extent.offset_s() / segment_s).ceil() as usize).min(n_segments);
        row[from..to.max(from)].fill(true);
    }
    touched
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{detection, sound};

    #[test]
    fn segments_are_touched_from_the_first_to_the_last() {
        let truth = [vec![sound(0, 0.5, 2.0), sound(1, 3.25, 3.5)], vec![sound(0, 1.0, 1.25)]];
        let found = [vec![detection(0, 1.75, 2.25), detection(0, 2.5, 2.75), detection(1, 3.75, 9.0)], vec![]];
        let counts = segment_based(&truth, &found, &[4.5, 2.0], 1.0, 2);
        // Class 0 is there in seconds 0 and 1, and reported in 1 and 2; class 1 is there in 3, and
        // reported in 3 and 4.
        assert_eq!(counts, [Counts { tp: 1, fp: 1, fn_: 2 }, Counts { tp: 1, fp: 1, fn_: 0 }]);
        let halves = segment_based(&truth[..1], &found[..1], &[4.5], 0.5, 2);
        assert_eq!(halves[1], Counts { tp: 0, fp: 2, fn_: 1 });
    }

    #[test]
    fn what_lies_beyond_the_end_does_not_count() {
        let counts = segment_based(&[[sound(0, 7.0, 8.0)]], &[[detection(0, 9.0, 10.0)]], &[6.0], 1.0, 1);
        assert_eq!(counts, [Counts::default()]);
    }
}
