//! The measures of EPIC-SOUNDS, equal to scikit-learn's where that defines them.
//!
//! Enters: scores `(N, n_classes)` and the class of each row. Leaves: top-1 and top-5 accuracy, and
//! means over classes of accuracy, average precision and area under the ROC curve, in O(n_classes N
//! log N).
//!
//! What others leave open is decided so:
//!
//! - The rank of a class in its row is the number of classes with a greater score, plus the lower
//!   class ids with the same one. A row counts for top-k if its class has a rank below k. So equal
//!   scores are won by the lower id, as by `numpy.argmax`, and with k classes or fewer every row
//!   counts.
//! - A class is present if a row is of it. mCA is `balanced_accuracy_score` of the class of rank 0.
//! - Average precision is the step-wise sum of `average_precision_score`: rows of equal score are
//!   one threshold. A class that all rows have is at 1.
//! - ROC area is that of `roc_auc_score`: a pair of equal scores counts half. It is undefined for a
//!   class that all rows have, which is then left out of mAUC; mAUC is none if no class is left.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Measures of one set of scores; shares, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Rows measured.
    pub n: usize,
    /// Rows left out because they are of the redacted class.
    pub n_redacted: usize,
    /// Classes that a row has scores of.
    pub n_classes: usize,
    /// Classes present, over which mCA and mAP are means.
    pub n_present: usize,
    /// Share of rows whose class has the greatest score.
    pub top1: f64,
    /// Share of rows whose class is among the five greatest scores.
    pub top5: f64,
    /// Mean over classes present of top-1 accuracy among their rows.
    pub mca: f64,
    /// Mean over classes present of average precision, one class against the rest.
    pub map: f64,
    /// Mean over classes present of the area under the ROC curve, one class against the rest; none
    /// if all rows are of one class.
    pub mauc: Option<f64>,
}

impl Measures {
    /// The measures in one line; shares in percent, mAUC as it is.
    pub fn line(&self) -> String {
        let [top1, top5, mca, map] = [self.top1, self.top5, self.mca, self.map].map(|share| share * 100.0);
        let mauc = self.mauc.map_or("-".to_owned(), |a| format!("{a:.3}"));
        format!("top-1 {top1:.2}  top-5 {top5:.2}  mCA {mca:.2}  mAP {map:.2}  mAUC {mauc}  of {} segments", self.n)
    }
}

/// Measures `scores` `(N, n_classes)`, row-major, views summed, against `truth`, the class of each
/// row.
///
/// Rows of class `redact` are left out; its column stays, so that taking another class for it is
/// still a mistake, and the means are over the classes that remain. The challenge does so with
/// class 13, `background`.
///
/// # Errors
///
/// If sizes do not fit each other, a class is not below `n_classes`, a score is not finite, or no
/// row is left.
pub fn measure(scores: &[f32], n_classes: usize, truth: &[usize], redact: Option<usize>) -> Result<Measures> {
    check(scores, n_classes, truth, redact)?;
    let kept: Vec<usize> = (0..truth.len()).filter(|&row| Some(truth[row]) != redact).collect();
    if kept.is_empty() {
        return Err(Error::Usage("no rows are left to be measured".to_owned()));
    }
    let mut classes = vec![Class::default(); n_classes];
    let mut n_top5 = 0;
    for &row in &kept {
        let rank = rank(&scores[row * n_classes..][..n_classes], truth[row]);
        classes[truth[row]].n += 1;
        classes[truth[row]].n_top1 += usize::from(rank == 0);
        n_top5 += usize::from(rank < 5);
    }
    let mut order = kept.clone();
    for (id, class) in classes.iter_mut().enumerate().filter(|(_, class)| class.n > 0) {
        let score = |row: usize| scores[row * n_classes + id];
        order.sort_unstable_by(|&a, &b| score(b).total_cmp(&score(a)));
        let ranked = order.iter().map(|&row| (score(row), truth[row] == id));
        (class.average_precision, class.auc) = curve(ranked, class.n, kept.len());
    }
    let present = || classes.iter().filter(|class| class.n > 0);
    Ok(Measures {
        n: kept.len(),
        n_redacted: truth.len() - kept.len(),
        n_classes,
        n_present: present().count(),
        top1: present().map(|class| class.n_top1).sum::<usize>() as f64 / kept.len() as f64,
        top5: n_top5 as f64 / kept.len() as f64,
        mca: mean(present().map(|class| class.n_top1 as f64 / class.n as f64)).unwrap_or_default(),
        map: mean(present().map(|class| class.average_precision)).unwrap_or_default(),
        mauc: mean(present().filter_map(|class| class.auc)),
    })
}

#[derive(Clone, Default)]
struct Class {
    n: usize,
    n_top1: usize,
    average_precision: f64,
    auc: Option<f64>,
}

fn check(scores: &[f32], n_classes: usize, truth: &[usize], redact: Option<usize>) -> Result<()> {
    if n_classes.checked_mul(truth.len()) != Some(scores.len()) {
        let message = format!("{} scores for {} rows of {n_classes} classes", scores.len(), truth.len());
        return Err(Error::Usage(message));
    }
    if let Some(row) = truth.iter().position(|&class| class >= n_classes) {
        return Err(Error::Usage(format!("row {row}: class {} of {n_classes} classes", truth[row])));
    }
    if let Some(class) = redact.filter(|&class| class >= n_classes) {
        return Err(Error::Usage(format!("class {class} is to be left out, but scores are of {n_classes} classes")));
    }
    if let Some(at) = scores.iter().position(|s| !s.is_finite()) {
        return Err(Error::Usage(format!(
            "row {}: score of class {} is {}",
            at / n_classes,
            at % n_classes,
            scores[at]
        )));
    }
    Ok(())
}

/// Rank of `class` in its row, from 0.
pub(super) fn rank(row: &[f32], class: usize) -> usize {
    let own = row[class];
    row.iter().enumerate().filter(|&(id, &score)| score > own || (score == own && id < class)).count()
}

/// Average precision and ROC area of `n` rows by descending score, `n_positive` of which are of the
/// class.
fn curve(ranked: impl Iterator<Item = (f32, bool)>, n_positive: usize, n: usize) -> (f64, Option<f64>) {
    let mut ranked = ranked.peekable();
    let (mut n_true, mut n_false) = (0_u64, 0_u64);
    let (mut precision_sum, mut twice_area) = (0.0, 0_u64);
    while let Some((threshold, first)) = ranked.next() {
        let (mut new_true, mut new_false) = (u64::from(first), u64::from(!first));
        while let Some((_, positive)) = ranked.next_if(|&(score, _)| score == threshold) {
            new_true += u64::from(positive);
            new_false += u64::from(!positive);
        }
        // Trapezoid between two thresholds.
        twice_area += new_false * (2 * n_true + new_true);
        n_true += new_true;
        n_false += new_false;
        precision_sum += new_true as f64 * (n_true as f64 / (n_true + n_false) as f64);
    }
    let n_negative = n - n_positive;
    let auc = twice_area as f64 / (2.0 * n_positive as f64 * n_negative as f64);
    (precision_sum / n_positive as f64, (n_negative > 0).then_some(auc))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0, 0.0), |(n, sum), value| (n + 1, sum + value));
    (n > 0).then(|| sum / f64::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng as _, SeedableRng};

    #[test]
    fn by_hand() {
        // Class 0: rows 0, 1; class 1: rows 2, 3; class 2 is absent.
        let scores = [
            0.7, 0.2, 0.1, // right
            0.3, 0.6, 0.1, // wrong
            0.4, 0.5, 0.1, // right
            0.5, 0.1, 0.4, // wrong
        ];
        let m = measure(&scores, 3, &[0, 0, 1, 1], None).unwrap();
        assert_eq!((m.n, m.n_redacted, m.n_classes, m.n_present), (4, 0, 3, 2));
        assert_eq!((m.top1, m.top5, m.mca), (0.5, 1.0, 0.5));
        // Class 0, descending: .7 yes, .5 no, .4 no, .3 yes: AP = (1 + 2/4) / 2; of 4 pairs, 2 are
        // in order. Class 1, descending: .6 no, .5 yes, .2 no, .1 yes: AP = (1/2 + 2/4) / 2; of 4
        // pairs, 1 is in order.
        assert!((m.map - (0.75 + 0.5) / 2.0).abs() < 1e-15);
        assert!((m.mauc.unwrap() - (0.5 + 0.25) / 2.0).abs() < 1e-15);
    }

    #[test]
    fn equal_scores_are_won_by_the_lower_id() {
        let constant = [0.25; 12];
        assert_eq!([0, 1, 5].map(|class| rank(&constant[..6], class)), [0, 1, 5]);
        assert_eq!(rank(&[0.0, -0.0, 1.0], 1), 2);
        let m = measure(&constant, 6, &[0, 5], None).unwrap();
        assert_eq!((m.top1, m.top5, m.mca), (0.5, 0.5, 0.5));
        // One threshold: precision is the class's share; each pair counts half.
        assert_eq!((m.map, m.mauc), (0.5, Some(0.5)));
    }

    #[test]
    fn zeros_of_either_sign_are_one_threshold() {
        let m = measure(&[0.0, 1.0, -0.0, 1.0, 0.0, 1.0], 2, &[0, 1, 1], None).unwrap();
        // Class 0: AP 1/3, area 1/2; class 1: AP 2/3, area 1/2.
        assert!((m.map - 0.5).abs() < 1e-15);
        assert_eq!(m.mauc, Some(0.5));
    }

    #[test]
    fn where_no_curve_is_defined() {
        let m = measure(&[0.2, 0.8, 0.3, 0.7], 2, &[1, 1], None).unwrap();
        assert_eq!((m.top1, m.map, m.mauc), (1.0, 1.0, None));
        let m = measure(&[0.5], 1, &[0], None).unwrap();
        assert_eq!((m.top1, m.top5, m.mca, m.map, m.mauc), (1.0, 1.0, 1.0, 1.0, None));
    }

    #[test]
    fn a_redacted_class_keeps_its_column() {
        let scores = [0.9, 0.0, 0.1, 0.2, 0.0, 0.8, 0.1, 0.7, 0.2];
        let m = measure(&scores, 3, &[0, 0, 2], Some(2)).unwrap();
        assert_eq!((m.n, m.n_redacted, m.n_present), (2, 1, 1));
        assert_eq!(m.top1, 0.5, "row 1 is still taken for class 2");
        assert_eq!(m.mauc, None, "rows of class 2 are no negatives any more");
    }

    #[test]
    fn what_cannot_be_measured() {
        let message = |scores: &[f32], n_classes, truth: &[usize], redact| {
            measure(scores, n_classes, truth, redact).unwrap_err().to_string()
        };
        assert!(message(&[0.0; 3], 2, &[0, 1], None).contains("3 scores for 2 rows of 2 classes"));
        assert!(message(&[0.0; 4], 2, &[0, 2], None).contains("row 1: class 2 of 2"));
        assert!(message(&[0.0; 4], 2, &[0, 1], Some(13)).contains("class 13"));
        assert!(message(&[0.0, 0.0, 0.0, f32::NAN], 2, &[0, 1], None).contains("row 1: score of class 1 is NaN"));
        assert!(message(&[], 2, &[], None).contains("no rows"));
        assert!(message(&[0.0; 4], 2, &[1, 1], Some(1)).contains("no rows"));
    }

    /// The definitions, pair by pair and threshold by threshold, in O(N^2).
    fn slow(scores: &[f32], n_classes: usize, truth: &[usize]) -> (f64, Option<f64>) {
        let (mut precisions, mut areas) = (Vec::new(), Vec::new());
        for class in 0..n_classes {
            let score = |row: usize| scores[row * n_classes + class];
            let (of, rest): (Vec<usize>, Vec<usize>) = (0..truth.len()).partition(|&row| truth[row] == class);
            if of.is_empty() {
                continue;
            }
            let precision = |row: &usize| {
                let above = |rows: &[usize]| rows.iter().filter(|&&other| score(other) >= score(*row)).count() as f64;
                above(&of) / (above(&of) + above(&rest))
            };
            precisions.push(of.iter().map(precision).sum::<f64>() / of.len() as f64);
            let pairs = of.iter().flat_map(|&a| rest.iter().map(move |&b| (a, b)));
            let won = pairs.map(|(a, b)| if score(a) > score(b) { 1.0 } else { f64::from(score(a) == score(b)) / 2.0 });
            if !rest.is_empty() {
                areas.push(won.sum::<f64>() / (of.len() * rest.len()) as f64);
            }
        }
        (mean(precisions.into_iter()).unwrap(), mean(areas.into_iter()))
    }

    #[test]
    fn curves_are_what_their_definitions_say() {
        for seed in 0..300 {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let (n, n_classes) = (rng.random_range(1..40), rng.random_range(1..7));
            let n_levels = if seed % 2 == 0 { 4 } else { 1 << 20 };
            let scores: Vec<f32> = (0..n * n_classes).map(|_| rng.random_range(0..n_levels) as f32 / 7.0).collect();
            let truth: Vec<usize> = (0..n).map(|_| rng.random_range(0..n_classes)).collect();
            let m = measure(&scores, n_classes, &truth, None).unwrap();
            let (map, mauc) = slow(&scores, n_classes, &truth);
            assert!((m.map - map).abs() < 1e-12, "seed {seed}: {} {map}", m.map);
            match (m.mauc, mauc) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-12, "seed {seed}: {a} {b}"),
                (a, b) => assert_eq!(a, b, "seed {seed}"),
            }
        }
    }
}
