//! The search for decision values.
//!
//! Enters: material and a decision to start from. Leaves: a decision under the constraint.
//!
//! Classes do not influence each other in the decide stage, so that one replay with the same value
//! for all classes tries it for each. One value is searched after the other (coordinate descent),
//! for all classes at once. What places an event (window, end, gap, least duration) is judged by
//! where events begin and end, the threshold by what is found and what is invented
//! ([`Judge`]).
//!
//! A class has few sounds in some hours of scenes; what is best for those is not what is best for
//! others. So its finds are counted together with [`PRIOR_SOUNDS`] of all classes' sounds: it
//! leaves the common choice where its own sounds say so. Its false alarms are its own: a few
//! classes raise most of them, and would make all others deaf. Window and threshold come last,
//! together, because a longer window allows a lower threshold: each alarm costs something, and that
//! price is raised until the constraint is kept.

use super::measure::{Tally, tally};
use super::{Goal, Material};
use edge::decide::Rules;
use edge_evaluate::{Counts, macro_f1, micro};
use edge_frontend::{Activation, ClassDecision, ClassValues, Decision, Manifest};
use std::collections::BTreeMap;

/// Thresholds that are tried.
const THRESHOLDS: [f32; 18] =
    [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.36, 0.42, 0.5, 0.58, 0.66, 0.74, 0.82, 0.88, 0.93, 0.96, 0.98, 0.99];
/// Thresholds at which an event ends, as shares of those at which it begins.
const OFF_SHARES: [f32; 6] = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9];
/// Frames that are tried.
const WINDOWS: [u32; 5] = [1, 2, 4, 8, 12];
const DURATIONS: [u32; 5] = [1, 2, 3, 5, 8];
const GAPS: [u32; 4] = [3, 6, 9, 12];
/// Energies below which nothing begins that are tried with a softmax.
const ENERGIES: [f32; 9] = [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0];
/// Share of the strict collar's F1 in what is searched for; the rest is the wide one's.
const STRICT: f64 = 0.7;
/// Price of a false alarm an hour, in F1 of the class, before the constraint is known.
const FIRST_PRICE: f64 = 0.05;
/// Sounds of all classes that are counted with a class's own.
const PRIOR_SOUNDS: f64 = 30.0;
/// Prices that are tried for the constraint: each higher by a tenth.
const PRICE_STEP: f64 = 1.1;
const N_PRICES: i32 = 160;

/// What values are judged by.
#[derive(Debug, Clone, Copy)]
enum Judge {
    /// Where events begin and end: event-based F1 of the usual collar and of a wider one.
    Bounds,
    /// What is found and what is invented: F1 where any overlap counts.
    Finds,
}

impl Judge {
    fn value(self, tally: &Tally, class: usize) -> f64 {
        match self {
            // Where nothing fits the strict collar yet, the wide one says which way is better.
            Judge::Bounds => {
                let [strict, wide] = [&tally.counts, &tally.wide].map(|counts| shrunk_f1(counts, class));
                STRICT * strict + (1.0 - STRICT) * wide
            }
            Judge::Finds => shrunk_f1(&tally.found, class),
        }
    }
}

/// Searches from `decision`, whose temperature stays. Classes without a sound in the scenes get the
/// threshold that their false alarms ask for, or the values for all classes if they are not
/// reported.
pub fn search(manifest: &Manifest, mut decision: Decision, parts: &[&Material], goal: &Goal) -> Decision {
    let quiet_hours: f64 = parts.iter().map(|part| part.quiet.hours()).sum();
    let trial = Trial { manifest, parts, quiet_hours };
    let labels = || manifest.labels.iter().filter(|label| manifest.background.as_ref() != Some(*label));
    let started = |label: &String| {
        let reported = decision.classes.get(label).and_then(|class| class.reported);
        (label.clone(), ClassDecision { reported, ..complete(decision.of_class(label)) })
    };
    decision.classes = labels().map(started).collect();
    let period_ms = Rules::new(manifest, &decision).frame_period_s * 1e3;
    // The least number of milliseconds that is this many frames.
    let frames_ms = |n: u32| (f64::from(n) * period_ms).floor() as u32;
    let windows: Vec<u32> = WINDOWS.iter().map(|n| frames_ms(*n)).filter(|ms| *ms <= goal.max_window_ms).collect();

    for _ in 0..2 {
        trial.improve(Judge::Finds, &mut decision, &THRESHOLDS, set_thresholds);
        if manifest.network.activation == Activation::Softmax {
            decision.min_energy = trial.least_energy(&decision);
        }
        trial.improve(Judge::Bounds, &mut decision, &windows, |class, ms| class.window_ms = Some(ms));
        trial.improve(Judge::Bounds, &mut decision, &OFF_SHARES, |class, share| {
            class.threshold_off = class.threshold_on.map(|on| rounded(on * share));
        });
        trial.improve(Judge::Bounds, &mut decision, &GAPS.map(frames_ms), |class, ms| class.min_gap_ms = Some(ms));
        trial.improve(Judge::Bounds, &mut decision, &DURATIONS.map(frames_ms), |class, ms| {
            class.min_duration_ms = Some(ms);
        });
    }
    trial.constrain(&mut decision, &windows, goal.max_false_alarms);
    // Nothing is known about a label that neither sounds in the scenes nor is reported.
    let silent = manifest.labels.iter().enumerate().filter(|(at, _)| !trial.has_sounds(*at));
    for (_, label) in silent {
        if let Some(class) = decision.classes.get_mut(label).filter(|class| class.reported == Some(false)) {
            *class = ClassDecision { reported: class.reported, ..ClassDecision::default() };
        }
    }
    common(&mut decision);
    decision
}

struct Trial<'a> {
    manifest: &'a Manifest,
    parts: &'a [&'a Material],
    quiet_hours: f64,
}

/// The same value tried for all classes.
struct Tried {
    decision: Decision,
    tally: Tally,
}

impl Trial<'_> {
    /// Whether a class sounds anywhere in the scenes.
    fn has_sounds(&self, class: usize) -> bool {
        self.parts.iter().flat_map(|part| part.scenes.truth.iter().flatten()).any(|sound| sound.class_id == class)
    }

    /// Gives each class the one of `values` that is best for it.
    fn improve<T: Copy>(
        &self,
        judge: Judge,
        decision: &mut Decision,
        values: &[T],
        set: impl Fn(&mut ClassDecision, T),
    ) {
        let options = self.options(decision, values, set);
        for (class, at) in self.cheapest(judge, &options, FIRST_PRICE) {
            let label = &self.manifest.labels[class];
            if let Some(chosen) = options[at].decision.classes.get(label) {
                decision.classes.insert(label.clone(), chosen.clone());
            }
        }
    }

    /// The energy below which nothing begins that is best for all classes together; none if that
    /// is.
    fn least_energy(&self, decision: &Decision) -> Option<f32> {
        let value = |min_energy: &Option<f32>| {
            let decision = Decision { min_energy: *min_energy, ..decision.clone() };
            let tally = tally(&Rules::new(self.manifest, &decision), self.parts);
            let n_alarms: usize = tally.alarms.iter().sum();
            // The price is one of a class's F1: of the mean over classes it is so much less.
            let price = FIRST_PRICE / self.manifest.labels.len() as f64;
            macro_f1(&tally.counts).unwrap_or(0.0) - price * n_alarms as f64 / self.quiet_hours.max(1e-9)
        };
        let options = std::iter::once(None).chain(ENERGIES.iter().copied().map(Some));
        options.map(|energy| (value(&energy), energy)).max_by(|a, b| a.0.total_cmp(&b.0)).and_then(|(_, energy)| energy)
    }

    fn options<T: Copy>(&self, decision: &Decision, values: &[T], set: impl Fn(&mut ClassDecision, T)) -> Vec<Tried> {
        let tried = values.iter().map(|value| {
            let mut decision = decision.clone();
            decision.classes.values_mut().for_each(|class| set(class, *value));
            let tally = tally(&Rules::new(self.manifest, &decision), self.parts);
            Tried { decision, tally }
        });
        tried.collect()
    }

    /// Sets windows and thresholds so that where there are no sounds no more than
    /// `max_false_alarms` an hour are left: the lowest price of a false alarm at which that is so.
    fn constrain(&self, decision: &mut Decision, windows: &[u32], max_false_alarms: f64) {
        let thresholds = strict_thresholds();
        let values = windows.iter().flat_map(|window| thresholds.iter().map(move |on| (*window, *on)));
        let options = self.options(decision, &values.collect::<Vec<_>>(), |class, (window, on)| {
            class.window_ms = Some(window);
            set_thresholds(class, on);
        });
        let n_allowed = max_false_alarms * self.quiet_hours;
        let prices = (0..N_PRICES).map(|k| 1e-3 * PRICE_STEP.powi(k));
        for price in std::iter::once(0.0).chain(prices) {
            let chosen = self.cheapest(Judge::Finds, &options, price);
            let n_alarms: usize = chosen.iter().map(|(class, at)| options[*at].tally.alarms[*class]).sum();
            for (class, at) in chosen {
                let label = &self.manifest.labels[class];
                let values = options[at].decision.classes.get(label).cloned().unwrap_or_default();
                decision.classes.insert(label.clone(), values);
            }
            if n_alarms as f64 <= n_allowed {
                return;
            }
        }
    }

    /// For each class the option that `judge` likes best, less the price of its false alarms; of
    /// equal ones the middle one. A class for which all are equal is left out: it keeps what it
    /// has.
    fn cheapest(&self, judge: Judge, options: &[Tried], price: f64) -> Vec<(usize, usize)> {
        let labels = self.manifest.labels.iter().enumerate();
        let classes = labels.filter(|(_, label)| self.manifest.background.as_ref() != Some(*label));
        let value = |class: usize, tried: &Tried| {
            let an_hour = tried.tally.alarms[class] as f64 / self.quiet_hours.max(1e-9);
            judge.value(&tried.tally, class) - price * an_hour
        };
        let best = classes.filter_map(|(class, _)| {
            let values: Vec<f64> = options.iter().map(|tried| value(class, tried)).collect();
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let equal: Vec<usize> = (0..values.len()).filter(|at| values[*at] >= most - 1e-9).collect();
            (equal.len() < values.len()).then(|| (class, equal[equal.len() / 2]))
        });
        best.collect()
    }
}

/// F1 of a class's decisions and of as many of all classes' as go with [`PRIOR_SOUNDS`] sounds. 0
/// where there is nothing.
fn shrunk_f1(counts: &[Counts], class: usize) -> f64 {
    let all = micro(counts);
    let share = PRIOR_SOUNDS / all.n_truth().max(1) as f64;
    let sum = |of: fn(&Counts) -> usize| of(&counts[class]) as f64 + share * of(&all) as f64;
    let right = 2.0 * sum(|c| c.tp);
    right / (right + sum(|c| c.fp) + sum(|c| c.fn_)).max(1e-9)
}

/// Thresholds for the constraint, 0.4 of a logit apart: those of before end where it begins to
/// bite.
fn strict_thresholds() -> Vec<f32> {
    (-7..=30).map(|k| finely_rounded(1.0 / (1.0 + (-0.4 * k as f32).exp()))).collect()
}

/// The threshold at which an event begins; that at which it ends keeps its ratio to it.
fn set_thresholds(class: &mut ClassDecision, on: f32) {
    let share = class.threshold_off.unwrap_or(0.5) / class.threshold_on.unwrap_or(1.0);
    (class.threshold_on, class.threshold_off) = (Some(on), Some(rounded(on * share).min(on)));
}

fn complete(values: ClassValues) -> ClassDecision {
    ClassDecision {
        window_ms: Some(values.window_ms),
        threshold_on: Some(values.threshold_on),
        threshold_off: Some(values.threshold_off),
        min_duration_ms: Some(values.min_duration_ms),
        min_gap_ms: Some(values.min_gap_ms),
        cooldown_ms: None,
        max_duration_ms: None,
        reported: None,
    }
}

/// Sets the values for all classes, which also hold for a class that a user adds, to the medians of
/// the classes that have values, and leaves out of the classes what does not differ. The window
/// stays: here it is chosen together with the threshold, which a class that a user adds does not
/// share.
fn common(decision: &mut Decision) {
    fn median<T: Copy + PartialOrd>(
        classes: &BTreeMap<String, ClassDecision>,
        of: impl Fn(&ClassDecision) -> Option<T>,
    ) -> Option<T> {
        let mut values: Vec<T> = classes.values().filter_map(of).collect();
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        values.get(values.len() / 2).copied()
    }
    let classes = &decision.classes;
    let min_duration_ms = median(classes, |class| class.min_duration_ms).unwrap_or(decision.min_duration_ms);
    let min_gap_ms = median(classes, |class| class.min_gap_ms).unwrap_or(decision.min_gap_ms);
    let threshold_on = median(classes, |class| class.threshold_on).unwrap_or(decision.threshold_on);
    let share = median(classes, |class| Some(class.threshold_off? / class.threshold_on?)).unwrap_or(0.5);
    decision.min_duration_ms = min_duration_ms;
    decision.min_gap_ms = min_gap_ms;
    decision.threshold_on = threshold_on;
    decision.threshold_off = rounded(threshold_on * share);
    for class in decision.classes.values_mut() {
        class.window_ms = class.window_ms.filter(|ms| *ms != decision.window_ms);
        class.min_duration_ms = class.min_duration_ms.filter(|ms| *ms != min_duration_ms);
        class.min_gap_ms = class.min_gap_ms.filter(|ms| *ms != min_gap_ms);
    }
}

fn rounded(threshold: f32) -> f32 {
    ((threshold * 1e3).round() / 1e3).max(1e-3)
}

/// To five digits: close to 1, the third is a matter of a logit.
fn finely_rounded(threshold: f32) -> f32 {
    ((threshold * 1e5).round() / 1e5).clamp(1e-5, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::calibrate::{Recordings, calibrate, measure};
    use edge::heard::Heard;
    use edge_evaluate::Sound;

    /// One class and the background, told apart by a sigmoid.
    fn manifest() -> Manifest {
        let text = include_str!("../../../../tests/fixtures/tiny/manifest.toml");
        let mut manifest = Manifest::parse(text).unwrap();
        manifest.network.activation = Activation::Sigmoid;
        manifest
    }

    /// A recording in which class 2 has the logit `peak` for a second every ten seconds, and
    /// `floor` elsewhere.
    fn heard(seconds: usize, peak: f32, floor: f32) -> Heard {
        let period_s = Rules::new(&manifest(), &manifest().decision).frame_period_s;
        let n = (seconds as f64 / period_s) as usize;
        let t = |at: usize| at as f64 * period_s;
        let value = |at: usize| if t(at) % 10.0 >= 5.0 && t(at) % 10.0 < 6.0 { peak } else { floor };
        Heard {
            duration_s: seconds as f64,
            n_classes: 3,
            t_start_s: (0..n).map(t).collect(),
            t_heard_s: (0..n).map(|at| t(at) + 0.3).collect(),
            level_dbfs: vec![-30.0; n],
            logits: (0..n).flat_map(|at| [-8.0, -8.0, value(at)]).collect(),
            detections: Vec::new(),
        }
    }

    fn material(name: &str, peak: f32, foreign: f32) -> Material {
        let slot_s = Rules::new(&manifest(), &manifest().decision).slot_offset_s;
        let sounds = (0..60).map(|k| f64::from(k) * 10.0 + 5.0 + slot_s);
        let sounds = sounds.map(|at| Sound { class_id: 2, onset_s: at, offset_s: at + 1.0 }).collect();
        Material {
            name: name.to_owned(),
            scenes: Recordings { heard: vec![heard(600, peak, -4.0)], truth: vec![sounds] },
            quiet: Recordings { heard: vec![heard(3600, foreign, -4.0)], truth: vec![Vec::new()] },
        }
    }

    fn goal() -> Goal {
        Goal { max_false_alarms: 1.0, max_window_ms: 960 }
    }

    #[test]
    fn the_threshold_comes_to_lie_between_foreign_sounds_and_own_ones() {
        let parts = [material("a", 3.0, 0.5), material("b", 3.0, 0.5)];
        let calibration = calibrate(&manifest(), &parts, &[], &goal()).unwrap();
        assert!(calibration.own.event_f1 > 0.95, "{:?}", calibration.own);
        assert_eq!(calibration.own.n_false_alarms, 0);
        assert_eq!(calibration.held_out.len(), 2);
        assert!(calibration.held_out.iter().all(|(_, m)| m.event_f1 > 0.95 && m.n_false_alarms == 0));
    }

    #[test]
    fn a_label_that_neither_sounds_nor_is_reported_has_the_values_for_all_classes() {
        let mut manifest = manifest();
        let unreported = ClassDecision { reported: Some(false), ..ClassDecision::default() };
        manifest.decision.classes.insert("noise".to_owned(), unreported.clone());
        let calibration = calibrate(&manifest, &[material("a", 3.0, 0.5)], &[], &goal()).unwrap();
        assert_eq!(calibration.decision.classes["noise"], unreported);
        assert!(calibration.decision.classes["tone"].threshold_on.is_some());
    }

    #[test]
    fn the_limit_is_kept_at_the_cost_of_finds_and_no_more_is_paid_than_it_asks() {
        // Foreign sounds look just like own ones: either both are reported or none.
        let part = material("a", 3.0, 3.0);
        let strict = calibrate(&manifest(), std::slice::from_ref(&part), &[], &goal()).unwrap();
        assert!(strict.own.false_alarms <= 1.0 && strict.own.event_f1 < 0.1, "{:?}", strict.own);
        let generous = Goal { max_false_alarms: 1000.0, ..goal() };
        let generous = calibrate(&manifest(), std::slice::from_ref(&part), &[], &generous).unwrap();
        assert!(generous.own.event_f1 > 0.95 && generous.own.n_false_alarms > 300, "{:?}", generous.own);
    }

    #[test]
    fn tests_have_no_part_in_the_choice() {
        let part = material("a", 3.0, 0.5);
        let other = material("a", 3.0, 3.0);
        let calibration = calibrate(&manifest(), std::slice::from_ref(&part), std::slice::from_ref(&other), &goal());
        let calibration = calibration.unwrap();
        let again = measure(&manifest(), &calibration.decision, &[&other]);
        assert_eq!(calibration.held_out, [("a".to_owned(), again)]);
        assert!(calibration.held_out[0].1.n_false_alarms > 300);
    }

    #[test]
    fn a_class_of_few_sounds_is_judged_with_all_and_one_of_many_by_its_own() {
        let counts = |tp, fp, fn_| Counts { tp, fp, fn_ };
        let all = [counts(2, 0, 0), counts(300, 100, 100), counts(0, 0, 1000)];
        let (few, many) = (shrunk_f1(&all, 0), shrunk_f1(&all, 1));
        let together = micro(&all).f1().unwrap();
        assert!((few - together).abs() < 0.1 && few > together, "{few} {together}");
        assert!((many - 0.75).abs() < 0.05 && many < 0.75, "{many}");
        assert_eq!(shrunk_f1(&[Counts::default()], 0), 0.0);
    }
}
