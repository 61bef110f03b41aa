//! The figures of the pooled predictions.
//!
//! Enters: the pool. Leaves: every figure and curve that a page shows of it. All figures are
//! computed together for each resample, so intervals of different figures are of the same
//! resamples.

mod bootstrap;
pub mod calibration;
mod classes;
mod det;
mod overall;

pub use bootstrap::{Bootstrap, Estimate};
pub use det::Det;
pub use overall::Unit;

use super::pool::Pool;
use calibration::{Answer, Calibration, bins, calibration_error};
use classes::N_FIGURES;
use overall::{Named, Overall};
use std::collections::BTreeSet;

/// Everything that is measured.
pub struct Figures {
    pub bootstrap: Bootstrap,
    pub overall: Vec<OverallFigure>,
    /// In the order of the labels.
    pub classes: Vec<ClassFigures>,
    /// `[label][taken for]`.
    pub confusion: Vec<Vec<u32>>,
    pub calibration: Calibration,
    /// Calibration error and mean negative log posterior of the labelled clips, before and after
    /// scaling.
    pub calibrated: [[Estimate; 2]; 2],
    /// Misses against false alarms, all classes together.
    pub det: Option<Det>,
}

/// A figure over all rows.
pub struct OverallFigure {
    pub named: Named,
    /// In the pool's precision.
    pub own: Estimate,
    /// In the other precision, and its difference from the pool's.
    pub other: Option<(Estimate, Estimate)>,
}

/// Figures of a class.
#[derive(Debug, Clone)]
pub struct ClassFigures {
    /// Recordings of it.
    pub n: usize,
    /// Sources of these.
    pub n_sources: usize,
    /// Precision, recall, F1, average precision.
    pub estimates: [Estimate; N_FIGURES],
    pub det: Option<Det>,
}

impl Figures {
    /// Measures `pool`.
    pub fn of(pool: &Pool, bootstrap: Bootstrap) -> Self {
        let (own, other_pool) = (Overall::new(pool), pool.other());
        let other = other_pool.as_ref().map(Overall::new);
        let calibration = Calibration::of(pool);
        let sources: Vec<usize> = pool.rows.iter().map(|row| row.source).collect();
        let estimates = bootstrap.estimates(&sources, |weights| {
            let (mut figures, by_class) = own.figures(weights);
            if let Some(other) = &other {
                let others = other.figures(weights).0;
                let differences: Vec<f64> = others.iter().zip(&figures).map(|(o, f)| o - f).collect();
                figures.extend(others);
                figures.extend(differences);
            }
            let sides = [&calibration.before, &calibration.after];
            figures.extend(sides.into_iter().flat_map(|answers| reliability(answers, weights)));
            figures.extend(by_class);
            figures
        });
        let names = own.names();
        let n = names.len();
        let (overall, rest) = estimates.split_at(if other.is_some() { 3 * n } else { n });
        let (calibrated, by_class) = rest.split_at(4);
        let figure = |(at, named): (usize, Named)| {
            let other = other.as_ref().map(|_| (overall[n + at], overall[2 * n + at]));
            OverallFigure { named, own: overall[at], other }
        };
        let class = |(class, &estimates): (usize, &[Estimate; N_FIGURES])| {
            let own: Vec<usize> = pool.rows.iter().filter(|r| r.label == class).map(|r| r.source).collect();
            let (n, n_sources) = (own.len(), own.into_iter().collect::<BTreeSet<_>>().len());
            ClassFigures { n, n_sources, estimates, det: det::of_classes(pool, &[class]) }
        };
        let classes: Vec<usize> = (0..pool.labels.len()).filter(|&class| Some(class) != pool.background).collect();
        Self {
            bootstrap,
            overall: names.into_iter().enumerate().map(figure).collect(),
            classes: by_class.as_chunks().0.iter().enumerate().map(class).collect(),
            confusion: classes::confusion(pool),
            det: det::of_classes(pool, &classes),
            calibrated: [[calibrated[0], calibrated[1]], [calibrated[2], calibrated[3]]],
            calibration,
        }
    }
}

/// Calibration error and mean negative log posterior of the labelled clips, which are the first
/// rows.
fn reliability(answers: &[Answer], weights: &[u32]) -> [f64; 2] {
    let weight = |at: usize| f64::from(weights[at]);
    let n: f64 = (0..answers.len()).map(weight).sum();
    let sum: f64 = answers.iter().enumerate().map(|(at, answer)| weight(at) * answer.log_posterior).sum();
    [calibration_error(&bins(answers, weight)), -sum / n]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::pool::{Row, Set, posteriors};
    use edge::engine::Precision;
    use edge_frontend::Activation;

    /// Rows of one data set with three classes, each row of a source of its own.
    pub fn pool(rows: &[(usize, [f64; 3])]) -> Pool {
        let row = |(source, &(label, logits)): (usize, &(usize, [f64; 3]))| Row {
            run: 0,
            id: format!("set/{source}.wav"),
            set: Some(0),
            source,
            label,
            posteriors: posteriors(Activation::Softmax, &logits, 1.0),
            logits: logits.to_vec(),
            other: None,
        };
        Pool {
            labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
            background: None,
            activation: Activation::Softmax,
            precision: Precision::F32,
            sets: vec![Set { name: "set".to_owned(), own: vec![0, 1] }],
            rows: rows.iter().enumerate().map(row).collect(),
        }
    }

    #[test]
    fn both_precisions_are_compared_on_the_same_resamples() {
        let mut pool = pool(&[(0, [1.0, 0.0, 2.0]), (0, [1.0, 0.0, 0.0]), (1, [0.0, 1.0, 0.0]), (1, [1.0, 0.0, 0.0])]);
        // Equal but for one row, which the 8-bit network gets wrong.
        pool.rows.iter_mut().for_each(|row| row.other = Some(row.logits.clone()));
        pool.rows[1].other = Some(vec![0.0, 1.0, 0.0]);
        let figures = Figures::of(&pool, Bootstrap { n_resamples: 400, seed: 3 });
        let [own, all] = [0, 1].map(|at| &figures.overall[at]);
        assert_eq!(own.own.value, 0.75, "the third class is not of the set");
        assert_eq!(all.own.value, 0.5);
        let (int8, difference) = own.other.unwrap();
        assert_eq!((int8.value, difference.value), (0.5, -0.25));
        assert_eq!(difference.high, 0.0, "no resample has the 8-bit network better");
        assert_eq!((figures.classes[0].n, figures.classes[0].n_sources), (2, 2));
    }
}
