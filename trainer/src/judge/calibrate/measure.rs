//! What a decision brings: material and decision values enter, figures leave.

use super::Material;
use edge::decide::Rules;
use edge::heard::{Heard, decide};
use edge_evaluate::{Collar, Counts, Detection, event_based, false_alarms, latency, macro_f1, micro, quantile};
use edge_frontend::{Decision, Manifest};
use rayon::prelude::*;
use serde::Serialize;

/// Of a report that is of some use: a second off at the beginning, and half of the length at the
/// end.
const WIDE: Collar = Collar { onset_s: 1.0, offset_s: 1.0, offset_share: 0.5 };

/// Figures of a decision on some material.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Event-based F1 over all events.
    pub event_f1: f64,
    /// The same with a collar of a second.
    pub event_f1_wide: f64,
    /// Mean over classes of the event-based F1.
    pub event_f1_macro: f64,
    /// Share of the sounds that were reported at least in part.
    pub found: f64,
    /// Reports an hour, in recordings with sounds, of what is not there at all.
    pub false_alarms_in_scenes: f64,
    /// Reports an hour in recordings without any sound of the classes.
    pub false_alarms: f64,
    /// How many those are.
    pub n_false_alarms: usize,
    /// Median and 95th percentile of the time from onset to report, seconds.
    pub latency_s: [f64; 2],
    /// Sounds in the material.
    pub n_sounds: usize,
    /// Length of the recordings with and without sounds.
    pub hours: [f64; 2],
    /// By label.
    pub classes: Vec<ClassMeasured>,
}

/// Figures of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassMeasured {
    /// The label.
    pub label: String,
    /// Event-based.
    #[serde(skip)]
    pub counts: Counts,
    /// Sounds of the class.
    pub n: usize,
    /// Event-based F1; none of a class that neither was there nor was reported.
    pub f1: Option<f64>,
    /// False alarms in recordings without any sound of the classes.
    pub n_false_alarms: usize,
}

/// Counts by class, for the search.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// Event-based, in scenes.
    pub counts: Vec<Counts>,
    /// The same with a wider collar.
    pub wide: Vec<Counts>,
    /// Sounds that were reported at least in part, and reports of what is not there at all, in
    /// scenes.
    pub found: Vec<Counts>,
    /// In quiet recordings.
    pub alarms: Vec<usize>,
}

/// Measures `decision` on `parts`.
pub fn measure(manifest: &Manifest, decision: &Decision, parts: &[&Material]) -> Measured {
    let rules = Rules::new(manifest, decision);
    let n_classes = manifest.labels.len();
    let (mut n_late, mut latencies, mut n_scene_alarms) = (0, Vec::new(), 0);
    for part in parts {
        let detections = detections(&rules, &part.scenes.heard);
        let found = latency(&part.scenes.truth, &detections, n_classes).concat();
        n_late += found.len();
        latencies.extend(found);
        n_scene_alarms += false_alarms(&part.scenes.truth, &detections, n_classes).iter().sum::<usize>();
    }
    let tally = tally(&rules, parts);
    let hours = [parts.iter().map(|p| p.scenes.hours()).sum::<f64>(), parts.iter().map(|p| p.quiet.hours()).sum()];
    let n_sounds: usize = parts.iter().flat_map(|part| &part.scenes.truth).map(Vec::len).sum();
    let n_false_alarms = tally.alarms.iter().sum();
    let classes = manifest.labels.iter().zip(tally.counts.iter().zip(&tally.alarms));
    let classes = classes.filter(|(label, _)| manifest.background.as_ref() != Some(label));
    Measured {
        event_f1: micro(&tally.counts).f1().unwrap_or(0.0),
        event_f1_wide: micro(&tally.wide).f1().unwrap_or(0.0),
        event_f1_macro: macro_f1(&tally.counts).unwrap_or(0.0),
        found: n_late as f64 / n_sounds.max(1) as f64,
        false_alarms_in_scenes: n_scene_alarms as f64 / hours[0].max(1e-9),
        false_alarms: n_false_alarms as f64 / hours[1].max(1e-9),
        n_false_alarms,
        latency_s: [0.5, 0.95].map(|q| quantile(&latencies, q).unwrap_or(f64::NAN)),
        n_sounds,
        hours,
        classes: classes
            .map(|(label, (counts, alarms))| ClassMeasured {
                label: label.clone(),
                counts: *counts,
                n: counts.n_truth(),
                f1: counts.f1(),
                n_false_alarms: *alarms,
            })
            .collect(),
    }
}

pub(super) fn tally(rules: &Rules, parts: &[&Material]) -> Tally {
    let n_classes = rules.classes.len();
    let of_part = |part: &&Material| {
        let found = detections(rules, &part.scenes.heard);
        let [counts, wide] =
            [Collar::default(), WIDE].map(|collar| event_based(&part.scenes.truth, &found, &collar, n_classes));
        let late = latency(&part.scenes.truth, &found, n_classes);
        let invented = false_alarms(&part.scenes.truth, &found, n_classes);
        let touched = counts.iter().zip(late.iter().zip(invented)).map(|(counts, (late, fp))| Counts {
            tp: late.len(),
            fp,
            fn_: counts.n_truth() - late.len(),
        });
        let touched = touched.collect::<Vec<_>>();
        let found = detections(rules, &part.quiet.heard);
        ([counts, wide, touched], false_alarms(&part.quiet.truth, &found, n_classes))
    };
    let none = || vec![Counts::default(); n_classes];
    let mut sum = Tally { counts: none(), wide: none(), found: none(), alarms: vec![0; n_classes] };
    for ([counts, wide, found], alarms) in parts.par_iter().map(of_part).collect::<Vec<_>>() {
        sum.counts.iter_mut().zip(counts).for_each(|(sum, counts)| *sum += counts);
        sum.wide.iter_mut().zip(wide).for_each(|(sum, counts)| *sum += counts);
        sum.found.iter_mut().zip(found).for_each(|(sum, counts)| *sum += counts);
        sum.alarms.iter_mut().zip(alarms).for_each(|(sum, alarms)| *sum += alarms);
    }
    sum
}

fn detections(rules: &Rules, heard: &[Heard]) -> Vec<Vec<Detection>> {
    heard.par_iter().map(|heard| decide(rules, heard)).collect()
}
