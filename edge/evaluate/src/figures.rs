//! All measures of some recordings at once: truth and detections enter, the figures that people and
//! programs are shown leave.

use serde::Serialize;

use crate::{
    Collar, Counts, Detection, Scenario, Sound, TIOU_THRESHOLDS, event_based, false_alarms, found, latency, macro_f1,
    micro, operating_points, per_hour, psds, quantile, segment_based, tiou_map,
};

/// Length of the segments of the segment-based measures, seconds.
pub const SEGMENT_S: f64 = 1.0;

/// Recordings whose sounds are known, and what was detected in them. The lists have one member a
/// recording.
#[derive(Debug, Clone, Copy)]
pub struct Evaluation<'a> {
    /// The model's labels.
    pub labels: &'a [String],
    /// The one that stands for none of the others.
    pub background: Option<usize>,
    /// What is there.
    pub truth: &'a [Vec<Sound>],
    /// What was reported.
    pub detections: &'a [Vec<Detection>],
    /// How long the recordings are, seconds.
    pub duration_s: &'a [f64],
    /// What would be reported at each of [`operating_points`], `[threshold][recording]`, as
    /// `edge::heard::sweep` has it.
    pub points: &'a [Vec<Vec<Detection>>],
}

/// Everything that is measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Length of all recordings, seconds.
    pub duration_s: f64,
    /// Sounds that are there.
    pub n_sounds: usize,
    /// Events that were reported.
    pub n_detections: usize,
    /// Sounds that an event of their class overlaps.
    pub found: Share,
    /// Events that overlap no sound of their class.
    pub false_alarms: Rate,
    /// False positives of the event-based measures: events that are not one to one with a sound
    /// within the collars.
    pub event_false_positives: Rate,
    /// From the true onset to the report.
    pub latency: Latency,
    /// Event-based, with the collars of [`Collar::default`].
    pub event: Scores,
    /// Segment-based, in segments of [`SEGMENT_S`].
    pub segment: Scores,
    /// Polyphonic sound detection scores of DCASE's scenarios.
    pub psds: PsdsValues,
    /// Mean average precision of the reported events.
    pub tiou_map: Option<Precisions>,
    /// Those classes that are there or were reported.
    pub classes: Vec<ClassFigures>,
    /// What other thresholds would give, the same for all classes.
    pub operating_points: Vec<PointFigures>,
}

/// A part of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub n: usize,
    /// Of how many, in [0, 1]; none of nothing.
    pub share: Option<f64>,
}

/// How often something happened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// How many times in all.
    pub n: usize,
    /// How many times per hour.
    pub per_hour: f64,
}

/// How late reports are, seconds of stream time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Sounds that were found, see [`latency`].
    pub n: usize,
    /// Half of them were reported earlier.
    pub median_s: Option<f64>,
    /// 95 % of them were reported earlier.
    pub p95_s: Option<f64>,
}

/// What the counts of hits, false alarms and misses amount to; nothing where there is nothing to
/// count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scores {
    /// Harmonic mean of precision and recall over all decisions.
    pub f1_micro: Option<f64>,
    /// Mean of the classes' F1, over those that are there.
    pub f1_macro: Option<f64>,
    /// Share of what was reported that is right.
    pub precision: Option<f64>,
    /// Share of what is there that was reported.
    pub recall: Option<f64>,
    /// Hits.
    pub tp: usize,
    /// False alarms.
    pub fp: usize,
    /// Misses.
    #[serde(rename = "fn")]
    pub fn_: usize,
}

/// PSDS by scenario.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PsdsValues {
    /// [`Scenario::ONE`]
    pub scenario_1: Option<f64>,
    /// [`Scenario::TWO`]
    pub scenario_2: Option<f64>,
}

/// Mean average precision, by threshold and their mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Precisions {
    /// Temporal intersection over union.
    pub thresholds: Vec<f64>,
    /// At each of them.
    pub map: Vec<f64>,
    /// The mean.
    pub average: f64,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Its name.
    pub label: String,
    /// See [`Figures::n_sounds`].
    pub n_sounds: usize,
    /// See [`Figures::n_detections`].
    pub n_detections: usize,
    /// See [`Figures::found`].
    pub found: Share,
    /// See [`Figures::false_alarms`].
    pub false_alarms: Rate,
    /// See [`Figures::event_false_positives`].
    pub event_false_positives: Rate,
    /// See [`Figures::latency`].
    pub latency: Latency,
    /// See [`Figures::event`].
    pub event: Scores,
    /// See [`Figures::segment`].
    pub segment: Scores,
    /// Average precision, the mean over the thresholds of [`Figures::tiou_map`].
    pub average_precision: Option<f64>,
}

/// One threshold for all classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PointFigures {
    /// `threshold_on` of all classes.
    pub threshold_on: f32,
    /// See [`Figures::event`].
    pub event: Scores,
    /// See [`Figures::found`].
    pub found: Share,
    /// See [`Figures::false_alarms`].
    pub false_alarms: Rate,
}

impl Evaluation<'_> {
    /// Measures everything.
    ///
    /// # Panics
    ///
    /// When the lists differ in length or a class has no label.
    pub fn figures(&self) -> Figures {
        let Evaluation { truth, detections, duration_s, points, .. } = *self;
        let n = self.labels.len();
        let event = event_based(truth, detections, &Collar::default(), n);
        let segment = segment_based(truth, detections, duration_s, SEGMENT_S, n);
        let (n_found, n_false) = (found(truth, detections, n), false_alarms(truth, detections, n));
        let latencies = latency(truth, detections, n);
        let map = tiou_map(truth, detections, n, self.background, &TIOU_THRESHOLDS);
        let rate = |n: usize| Rate { n, per_hour: per_hour(n, duration_s) };
        let class = |class_id: usize| {
            let aps = map.iter().flat_map(|map| &map.ap).filter_map(|ap| ap[class_id]);
            ClassFigures {
                label: self.labels[class_id].clone(),
                n_sounds: event[class_id].n_truth(),
                n_detections: event[class_id].n_reported(),
                found: share(n_found[class_id], event[class_id].n_truth()),
                false_alarms: rate(n_false[class_id]),
                event_false_positives: rate(event[class_id].fp),
                latency: summary(&latencies[class_id]),
                event: scores(&event[class_id..=class_id]),
                segment: scores(&segment[class_id..=class_id]),
                average_precision: mean(aps),
            }
        };
        let is_there = |class_id: &usize| event[*class_id] != Counts::default();
        let total = micro(&event);
        let value = |scenario: &Scenario| psds(truth, points, duration_s, scenario, n).map(|psds| psds.value);
        Figures {
            duration_s: duration_s.iter().sum(),
            n_sounds: total.n_truth(),
            n_detections: total.n_reported(),
            found: share(n_found.iter().sum(), total.n_truth()),
            false_alarms: rate(n_false.iter().sum()),
            event_false_positives: rate(total.fp),
            latency: summary(&latencies.concat()),
            event: scores(&event),
            segment: scores(&segment),
            psds: PsdsValues { scenario_1: value(&Scenario::ONE), scenario_2: value(&Scenario::TWO) },
            tiou_map: map.as_ref().map(|map| Precisions {
                thresholds: TIOU_THRESHOLDS.to_vec(),
                map: map.map.clone(),
                average: map.average,
            }),
            classes: (0..n).filter(is_there).map(class).collect(),
            operating_points: operating_points().zip(points).map(|(on, point)| self.point(on, point)).collect(),
        }
    }

    fn point(&self, threshold_on: f32, detections: &[Vec<Detection>]) -> PointFigures {
        let n = self.labels.len();
        let event = event_based(self.truth, detections, &Collar::default(), n);
        let n_false = false_alarms(self.truth, detections, n).iter().sum();
        PointFigures {
            threshold_on,
            event: scores(&event),
            found: share(found(self.truth, detections, n).iter().sum(), micro(&event).n_truth()),
            false_alarms: Rate { n: n_false, per_hour: per_hour(n_false, self.duration_s) },
        }
    }
}

fn scores(classes: &[Counts]) -> Scores {
    let total = micro(classes);
    Scores {
        f1_micro: total.f1(),
        f1_macro: macro_f1(classes),
        precision: total.precision(),
        recall: total.recall(),
        tp: total.tp,
        fp: total.fp,
        fn_: total.fn_,
    }
}

fn share(n: usize, of: usize) -> Share {
    Share { n, share: (of > 0).then(|| n as f64 / of as f64) }
}

fn summary(late_s: &[f64]) -> Latency {
    Latency { n: late_s.len(), median_s: quantile(late_s, 0.5), p95_s: quantile(late_s, 0.95) }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{detection, sound};

    #[test]
    fn figures_are_those_of_the_measures() {
        let labels = ["bell", "door", "tap"].map(str::to_string);
        let truth = [vec![sound(0, 1.0, 3.0), sound(0, 10.0, 12.0), sound(1, 20.0, 21.0)], vec![]];
        let detections = [vec![detection(0, 1.0, 3.0), detection(0, 10.5, 12.0)], vec![detection(2, 5.0, 6.0)]];
        let points = vec![detections.to_vec(); 50];
        let duration_s = [1200.0, 600.0];
        let evaluation = Evaluation {
            labels: &labels,
            background: None,
            truth: &truth,
            detections: &detections,
            duration_s: &duration_s,
            points: &points,
        };
        let figures = evaluation.figures();
        assert_eq!((figures.n_sounds, figures.n_detections, figures.found.n), (3, 3, 2));
        assert_eq!(figures.found.share, Some(2.0 / 3.0));
        assert_eq!(figures.false_alarms, Rate { n: 1, per_hour: 2.0 });
        assert_eq!(figures.event_false_positives, Rate { n: 2, per_hour: 4.0 });
        assert_eq!((figures.event.tp, figures.event.fp, figures.event.fn_), (1, 2, 2));
        assert_eq!((figures.latency.n, figures.latency.median_s), (2, Some(0.75)));
        let classes: Vec<(&str, usize, usize)> =
            figures.classes.iter().map(|c| (c.label.as_str(), c.n_sounds, c.n_detections)).collect();
        assert_eq!(classes, [("bell", 2, 2), ("door", 1, 0), ("tap", 0, 1)]);
        assert_eq!(figures.classes[2].event.f1_macro, None);
        assert_eq!(figures.classes[0].average_precision, Some(1.0));
        assert_eq!((figures.operating_points.len(), figures.operating_points[7].found.n), (50, 2));
        let json = serde_json::to_value(&figures).unwrap();
        assert_eq!((&json["event"]["fn"], &json["psds"]["scenario_1"]), (&2.into(), &figures.psds.scenario_1.into()));
    }

    #[test]
    fn of_a_recording_without_sounds_only_false_alarms_are_told() {
        let labels = ["bell".to_string()];
        let detections = [vec![detection(0, 1.0, 3.0)]];
        let evaluation = Evaluation {
            labels: &labels,
            background: None,
            truth: &[vec![]],
            detections: &detections,
            duration_s: &[1800.0],
            points: &[],
        };
        let figures = evaluation.figures();
        assert_eq!(figures.false_alarms, Rate { n: 1, per_hour: 2.0 });
        assert_eq!((figures.found.share, figures.psds.scenario_1, figures.tiou_map), (None, None, None));
        assert_eq!((figures.event.recall, figures.event.f1_macro, figures.latency.median_s), (None, None, None));
    }
}
