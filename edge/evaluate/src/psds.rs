//! Polyphonic sound detection score: how good are the detections over all thresholds?
//!
//! Bilen et al. 2020, "A framework for the robust evaluation of sound event detection" (arXiv
//! 1910.08440), with the counting of the package psds_eval. A detection passes the detection
//! tolerance criterion (DTC) if the sounds of its class cover enough of it; a sound is found if
//! such detections cover enough of it (ground-truth criterion, GTC). A detection that fails the DTC
//! is a false positive, and a cross trigger of every other class whose sounds cover enough of it
//! (CTTC). Each threshold gives each class a rate of found sounds and an effective rate of false
//! positives; the score is the area under the mean of the classes' curves, less their spread, up to
//! a highest rate.
//!
//! Classes that are not in the truth take no part. Sounds of one class that overlap are one, and so
//! are detections.

use crate::{Detection, Extent, Sound};

/// What detections must fulfil, and what errors cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scenario {
    /// Share of a detection that sounds of its class must cover.
    pub dtc: f64,
    /// Share of a sound that detections must cover.
    pub gtc: f64,
    /// Share of a detection that another class's sounds must cover to make it a cross trigger.
    pub cttc: f64,
    /// What a cross trigger costs beside being a false positive.
    pub alpha_ct: f64,
    /// What the spread over classes costs.
    pub alpha_st: f64,
    /// Effective false positives per hour up to which the curve counts.
    pub e_max: f64,
}

impl Scenario {
    /// DCASE's scenario 1: react fast, and say well when.
    pub const ONE: Scenario = Scenario { dtc: 0.7, gtc: 0.7, cttc: 0.3, alpha_ct: 0.0, alpha_st: 1.0, e_max: 100.0 };

    /// DCASE's scenario 2: do not confuse classes.
    pub const TWO: Scenario = Scenario { dtc: 0.1, gtc: 0.1, cttc: 0.3, alpha_ct: 0.5, alpha_st: 1.0, e_max: 100.0 };
}

/// A score and its curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Psds {
    /// In [0, 1].
    pub value: f64,
    /// Effective false positives per hour and the effective rate of found sounds from there on, by
    /// the former. Begins at 0.
    pub curve: Vec<(f64, f64)>,
}

/// The score of the detections at several thresholds, `points[threshold][recording]`; `None` where
/// nothing is in the truth.
///
/// # Panics
///
/// When the lists differ in length or a class is not one of `n_classes`.
pub fn psds<T: AsRef<[Sound]>>(
    truth: &[T],
    points: &[Vec<Vec<Detection>>],
    duration_s: &[f64],
    scenario: &Scenario,
    n_classes: usize,
) -> Option<Psds> {
    assert_eq!(truth.len(), duration_s.len(), "one duration a recording");
    let truth: Vec<Vec<Vec<Span>>> = truth.iter().map(|truth| spans(truth.as_ref(), n_classes)).collect();
    let classes: Vec<usize> =
        (0..n_classes).filter(|&class_id| truth.iter().any(|recording| !recording[class_id].is_empty())).collect();
    if classes.is_empty() {
        return None;
    }
    let task = Task {
        sounds: truth.iter().map(|recording| classes.iter().map(|&id| recording[id].clone()).collect()).collect(),
        duration_s,
        scenario,
    };
    let points: Vec<Vec<Point>> = points.iter().map(|detections| task.point(detections, &classes, n_classes)).collect();
    let curve = curve(&points, classes.len(), scenario.alpha_st);
    let mut area = 0.0;
    for (at, (from, height)) in curve.iter().enumerate() {
        let to = curve.get(at + 1).map_or(f64::INFINITY, |next| next.0);
        area += (to.min(scenario.e_max) - from).max(0.0) * height;
    }
    Some(Psds { value: area / scenario.e_max, curve })
}

/// The classes that are in the truth, numbered without the others.
struct Task<'a> {
    /// By recording and class.
    sounds: Vec<Vec<Vec<Span>>>,
    duration_s: &'a [f64],
    scenario: &'a Scenario,
}

/// What one class does at one threshold: effective false positives per hour, share of sounds found.
type Point = (f64, f64);

impl Task<'_> {
    /// One threshold: the classes' points.
    fn point(&self, detections: &[Vec<Detection>], classes: &[usize], n_classes: usize) -> Vec<Point> {
        let n = classes.len();
        let (mut n_found, mut n_false, mut n_cross) = (vec![0_usize; n], vec![0_usize; n], vec![0_usize; n * n]);
        assert_eq!(detections.len(), self.sounds.len(), "one list of detections a recording");
        for ((sounds, detections), &duration_s) in self.sounds.iter().zip(detections).zip(self.duration_s) {
            let detections = spans(detections, n_classes);
            for (class, &class_id) in classes.iter().enumerate() {
                let mut covered = vec![0.0; sounds[class].len()];
                for detection in &detections[class_id] {
                    if detection.covered_by(&sounds[class]) >= self.scenario.dtc {
                        add_coverage(&sounds[class], detection, &mut covered);
                        continue;
                    }
                    n_false[class] += usize::from(detection.onset_s < duration_s && detection.offset_s > 0.0);
                    for other in (0..n).filter(|&other| self.scenario.alpha_ct > 0.0 && other != class) {
                        n_cross[class * n + other] +=
                            usize::from(detection.covered_by(&sounds[other]) >= self.scenario.cttc);
                    }
                }
                n_found[class] += covered.iter().filter(|covered| **covered >= self.scenario.gtc).count();
            }
        }
        let hours = self.duration_s.iter().sum::<f64>() / 3600.0;
        let of_class = |class: usize| {
            let cross = (0..n).filter(|&other| other != class).map(|other| {
                let sounding_s: f64 = self.sounds.iter().flat_map(|sounds| &sounds[other]).map(Span::length_s).sum();
                n_cross[class * n + other] as f64 * 3600.0 / sounding_s
            });
            let n_sounds: usize = self.sounds.iter().map(|sounds| sounds[class].len()).sum();
            // A single class has no others to be confused with.
            let cross = cross.sum::<f64>() / (n - 1).max(1) as f64;
            (n_false[class] as f64 / hours + self.scenario.alpha_ct * cross, n_found[class] as f64 / n_sounds as f64)
        };
        (0..n).map(of_class).collect()
    }
}

/// The mean over classes of the share of sounds found, less its standard deviation, by effective
/// false positives.
///
/// A class's own curve is a staircase: at a rate, the highest share of a threshold with that rate
/// or a lower one. Each begins at the origin.
fn curve(points: &[Vec<Point>], n_classes: usize, alpha_st: f64) -> Vec<(f64, f64)> {
    let stairs: Vec<Vec<Point>> = (0..n_classes).map(|class| staircase(points.iter().map(|p| p[class]))).collect();
    let mut rates: Vec<f64> = stairs.iter().flatten().map(|(rate, _)| *rate).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let mut steps = vec![0; n_classes];
    let mut curve = Vec::with_capacity(rates.len());
    for rate in rates {
        let shares = stairs.iter().zip(&mut steps).map(|(stair, step)| {
            while stair.get(*step + 1).is_some_and(|next| next.0 <= rate) {
                *step += 1;
            }
            stair[*step].1
        });
        let shares: Vec<f64> = shares.collect();
        let mean = shares.iter().sum::<f64>() / n_classes as f64;
        let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / n_classes as f64;
        curve.push((rate, (mean - alpha_st * variance.sqrt()).max(0.0)));
    }
    curve
}

/// The steps of one class, by rate: (0, ..) first, each higher than the one before.
fn staircase(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut points: Vec<Point> = points.chain([(0.0, 0.0)]).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut steps: Vec<Point> = Vec::new();
    for point in points {
        if steps.last().is_none_or(|last| point.1 > last.1) {
            steps.push(point);
        }
    }
    steps
}

/// Some seconds of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    onset_s: f64,
    offset_s: f64,
}

impl Span {
    fn length_s(&self) -> f64 {
        self.offset_s - self.onset_s
    }

    fn overlap_s(&self, other: &Span) -> f64 {
        self.offset_s.min(other.offset_s) - self.onset_s.max(other.onset_s)
    }

    /// Share of it that lies in `spans`, which follow each other.
    fn covered_by(&self, spans: &[Span]) -> f64 {
        touching(spans, self).map(|at| self.overlap_s(&spans[at]) / self.length_s()).sum()
    }
}

/// Adds to each of `sounds` the share of it that `detection` covers.
fn add_coverage(sounds: &[Span], detection: &Span, covered: &mut [f64]) {
    for at in touching(sounds, detection) {
        covered[at] += sounds[at].overlap_s(detection) / sounds[at].length_s();
    }
}

/// Which of `spans`, which follow each other, have time in common with `span`.
fn touching(spans: &[Span], span: &Span) -> std::ops::Range<usize> {
    let from = spans.partition_point(|other| other.offset_s <= span.onset_s);
    from..from + spans[from..].partition_point(|other| other.onset_s < span.offset_s)
}

/// By class, what overlaps joined, what has no length left out.
fn spans<T: Extent>(extents: &[T], n_classes: usize) -> Vec<Vec<Span>> {
    let mut classes: Vec<Vec<Span>> = vec![Vec::new(); n_classes];
    for extent in extents.iter().filter(|extent| extent.offset_s() > extent.onset_s()) {
        classes[extent.class_id()].push(Span { onset_s: extent.onset_s(), offset_s: extent.offset_s() });
    }
    for class in &mut classes {
        class.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
        class.dedup_by(|next, last| {
            let overlaps = next.onset_s < last.offset_s;
            if overlaps {
                last.offset_s = last.offset_s.max(next.offset_s);
            }
            overlaps
        });
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{detection, sound};

    const HOUR: f64 = 3600.0;

    fn value(truth: &[Sound], points: &[Vec<Detection>], scenario: &Scenario) -> f64 {
        let points: Vec<_> = points.iter().map(|detections| vec![detections.clone()]).collect();
        psds(&[truth], &points, &[HOUR], scenario, 3).unwrap().value
    }

    #[test]
    fn the_area_is_that_of_the_staircase() {
        let truth = [sound(0, 0.0, 10.0), sound(0, 20.0, 30.0)];
        let wrong = |n: usize| (0..n).map(|at| detection(0, 100.0 + 2.0 * at as f64, 101.0 + 2.0 * at as f64));
        let strict = vec![detection(0, 0.0, 10.0)];
        let loose: Vec<_> = [detection(0, 0.0, 10.0), detection(0, 20.0, 30.0)].into_iter().chain(wrong(25)).collect();
        // Half of the sounds from 0 false positives per hour on, all from 25.
        let scenario = Scenario { alpha_st: 0.0, ..Scenario::ONE };
        assert!((value(&truth, &[strict.clone(), loose.clone()], &scenario) - (0.25 * 0.5 + 0.75)).abs() < 1e-12);
        // A single class has no spread.
        assert!((value(&truth, &[loose, strict], &Scenario::ONE) - (0.25 * 0.5 + 0.75)).abs() < 1e-12);
        assert_eq!(value(&truth, &[wrong(200).collect(), vec![]], &Scenario::ONE), 0.0);
    }

    #[test]
    fn the_criteria_want_enough_in_common() {
        let scenario = Scenario { alpha_st: 0.0, ..Scenario::ONE };
        let truth = [sound(0, 0.0, 10.0)];
        let cases = [
            (vec![detection(0, 0.0, 7.0)], 1.0),
            (vec![detection(0, 0.0, 6.5)], 0.0),
            (vec![detection(0, 0.0, 4.0), detection(0, 5.0, 9.0)], 1.0),
            // Not enough of the detection is in the sound: a false positive, and the sound is not
            // found.
            (vec![detection(0, 0.0, 16.0)], 0.0),
        ];
        for (detections, expected) in cases {
            assert!(
                (value(&truth, std::slice::from_ref(&detections), &scenario) - expected).abs() < 1e-12,
                "{detections:?}"
            );
        }
    }

    #[test]
    fn spread_and_cross_triggers_cost() {
        let truth = [sound(0, 0.0, 10.0), sound(1, 20.0, 30.0)];
        let one = vec![detection(0, 0.0, 10.0)];
        let mean_only = Scenario { alpha_st: 0.0, ..Scenario::ONE };
        assert!((value(&truth, std::slice::from_ref(&one), &mean_only) - 0.5).abs() < 1e-12);
        assert!(value(&truth, &[one], &Scenario::ONE).abs() < 1e-12, "mean 0.5, standard deviation 0.5");
        // A detection of class 0 on class 1: one false positive an hour, and a cross trigger in 10
        // s of class 1.
        let crossed = vec![detection(0, 0.0, 10.0), detection(0, 21.0, 29.0), detection(1, 20.0, 30.0)];
        let curve = psds(&[&truth], &[vec![crossed]], &[HOUR], &Scenario::TWO, 3).unwrap().curve;
        assert_eq!(curve.last().unwrap(), &(1.0 + 0.5 * 360.0, 1.0));
    }

    #[test]
    fn classes_that_are_not_there_take_no_part_and_overlaps_are_joined() {
        let truth = [sound(0, 0.0, 6.0), sound(0, 5.0, 10.0)];
        let found = vec![detection(0, 0.0, 10.0), detection(2, 0.0, 10.0), detection(1, 3.0, 4.0)];
        assert!((value(&truth, &[found], &Scenario::TWO) - 1.0).abs() < 1e-12);
        assert_eq!(psds(&[[]; 1], &[], &[HOUR], &Scenario::ONE, 3), None);
    }
}
