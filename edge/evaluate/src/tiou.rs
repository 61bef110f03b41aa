//! Mean average precision at temporal intersection over union (tIoU), as the detection task of
//! EPIC-SOUNDS measures.
//!
//! For each class, the detections of all recordings are taken by falling score. One is right if,
//! among the sounds of its class and recording that no better-scored one has taken, there is one
//! whose tIoU with it reaches the threshold; of several it takes the one with the highest tIoU. A
//! class's average precision is the area under its precision by recall, where the precision at a
//! recall is the highest at that recall or a higher one. The mean is over the classes that are
//! there.

use crate::{Detection, Extent, Sound, pairs};

/// The thresholds of EPIC-SOUNDS.
pub const TIOU_THRESHOLDS: [f64; 5] = [0.1, 0.2, 0.3, 0.4, 0.5];

/// Average precisions.
#[derive(Debug, Clone, PartialEq)]
pub struct TiouMap {
    /// By threshold and class, `None` for a class that is not there.
    pub ap: Vec<Vec<Option<f64>>>,
    /// By threshold, the mean over classes.
    pub map: Vec<f64>,
    /// The mean over thresholds.
    pub average: f64,
}

/// Mean average precision at each of `thresholds`; `None` where no sound is there. The class
/// `background` does not count.
///
/// # Panics
///
/// When the lists differ in length, a class is not one of `n_classes`, or there is no threshold.
pub fn tiou_map<T: AsRef<[Sound]>, D: AsRef<[Detection]>>(
    truth: &[T],
    detections: &[D],
    n_classes: usize,
    background: Option<usize>,
    thresholds: &[f64],
) -> Option<TiouMap> {
    let mut sounds = vec![Vec::new(); n_classes];
    let mut ranked = vec![Vec::new(); n_classes];
    for (recording, (truth, detections)) in pairs(truth, detections).enumerate() {
        truth.iter().for_each(|sound| sounds[sound.class_id].push((recording, *sound)));
        detections.iter().for_each(|detection| ranked[detection.class_id].push((recording, *detection)));
    }
    for class in &mut ranked {
        // Stable: what has the same score stays in the order of recordings and reports.
        class.sort_by(|(_, a): &(usize, Detection), (_, b)| b.score.total_cmp(&a.score));
    }
    let is_there = |class_id: usize| Some(class_id) != background && !sounds[class_id].is_empty();
    let at_threshold = |&threshold: &f64| -> Vec<Option<f64>> {
        let ap = |class_id: usize| average_precision(&sounds[class_id], &ranked[class_id], threshold);
        (0..n_classes).map(|class_id| is_there(class_id).then(|| ap(class_id))).collect()
    };
    let ap: Vec<Vec<Option<f64>>> = thresholds.iter().map(at_threshold).collect();
    let map = ap.iter().map(|classes| mean(classes.iter().flatten())).collect::<Option<Vec<f64>>>()?;
    let average = mean(map.iter())?;
    Some(TiouMap { ap, map, average })
}

fn mean<'a>(values: impl Iterator<Item = &'a f64>) -> Option<f64> {
    let (n, sum) = values.fold((0, 0.0), |(n, sum), value| (n + 1, sum + value));
    (n > 0).then(|| sum / f64::from(n))
}

/// One class; `ranked` by falling score.
fn average_precision(sounds: &[(usize, Sound)], ranked: &[(usize, Detection)], threshold: f64) -> f64 {
    let mut taken = vec![false; sounds.len()];
    // Precision at each detection that is right: with each of them recall grows by one sound.
    let (mut precisions, mut n_right) = (Vec::new(), 0);
    for (rank, (recording, detection)) in ranked.iter().enumerate() {
        let free = sounds.iter().enumerate().filter(|(at, (of, _))| of == recording && !taken[*at]);
        let best = free.map(|(at, (_, sound))| (at, tiou(sound, detection))).fold(None, better);
        if let Some((at, _)) = best.filter(|(_, tiou)| *tiou >= threshold) {
            taken[at] = true;
            n_right += 1;
            precisions.push(f64::from(n_right) / (rank + 1) as f64);
        }
    }
    let mut best = 0.0_f64;
    let envelope = precisions.iter().rev().map(|precision| {
        best = best.max(*precision);
        best
    });
    // A sum of nothing would be -0.
    envelope.fold(0.0, |sum, precision| sum + precision) / sounds.len() as f64
}

fn better(best: Option<(usize, f64)>, next: (usize, f64)) -> Option<(usize, f64)> {
    best.filter(|(_, tiou)| *tiou >= next.1).or(Some(next))
}

/// Common time over the time of both.
pub(super) fn tiou(a: &impl Extent, b: &impl Extent) -> f64 {
    let common = a.overlap_s(b).max(0.0);
    let both = (a.offset_s() - a.onset_s()) + (b.offset_s() - b.onset_s()) - common;
    common / both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{detection, sound};

    fn scored(score: f32, detection: Detection) -> Detection {
        Detection { score, ..detection }
    }

    #[test]
    fn precision_is_averaged_over_recall() {
        let truth = [vec![sound(0, 0.0, 1.0), sound(0, 4.0, 5.0)], vec![sound(0, 0.0, 1.0)]];
        let found = [
            // Right; the same sound again; another recording's.
            vec![scored(0.9, detection(0, 0.0, 1.0)), scored(0.8, detection(0, 0.0, 0.75))],
            vec![scored(0.7, detection(0, 0.0, 0.5)), scored(0.6, detection(0, 4.0, 5.0))],
        ];
        let map = tiou_map(&truth, &found, 1, None, &[0.5, 0.6]).unwrap();
        // Precisions 1/1 and 2/3 at recalls 1/3 and 2/3; the second one's tIoU is 0.5.
        assert!((map.map[0] - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert!((map.map[1] - 1.0 / 3.0).abs() < 1e-12);
        assert!((map.average - (map.map[0] + map.map[1]) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_lower_precision_before_a_higher_one_does_not_hurt() {
        let truth = [[sound(0, 0.0, 1.0), sound(0, 2.0, 3.0)]];
        let found = [[
            scored(0.9, detection(0, 8.0, 9.0)),
            scored(0.8, detection(0, 0.0, 1.0)),
            scored(0.7, detection(0, 2.0, 3.0)),
        ]];
        assert!((tiou_map(&truth, &found, 1, None, &[0.5]).unwrap().map[0] - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_second_best_sound_is_taken_where_the_best_is_gone() {
        let truth = [[sound(0, 0.0, 2.0), sound(0, 1.0, 3.0)]];
        let found = [[scored(0.9, detection(0, 0.0, 2.0)), scored(0.8, detection(0, 0.0, 2.0))]];
        assert_eq!(tiou_map(&truth, &found, 1, None, &[0.3]).unwrap().map, [1.0]);
        assert_eq!(tiou_map(&truth, &found, 1, None, &[0.4]).unwrap().map, [0.5]);
    }

    #[test]
    fn background_and_absent_classes_do_not_count() {
        let truth = [[sound(0, 0.0, 1.0), sound(2, 0.0, 1.0)]];
        let found = [[detection(0, 0.0, 1.0), detection(1, 0.0, 1.0)]];
        let map = tiou_map(&truth, &found, 3, Some(2), &[0.5]).unwrap();
        assert_eq!((map.ap, map.average), (vec![vec![Some(1.0), None, None]], 1.0));
        assert_eq!(tiou_map(&[[]; 1], &found, 3, None, &[0.5]), None);
        let missed = tiou_map(&truth, &[[]; 1], 3, None, &[0.5]).unwrap();
        assert!(missed.average == 0.0 && missed.average.is_sign_positive());
    }
}
