//! What the pooled predictions come to.
//!
//! Enters: the pool. Leaves: every figure and curve that a page shows of it, with intervals.

pub mod bootstrap;
pub mod calibration;
pub mod classes;
pub mod det;
pub mod overall;

pub use bootstrap::{Bootstrap, Estimate};

use super::pool::Pool;
use calibration::Calibration;
use det::Det;
use overall::{Named, Overall};

/// Everything that is measured.
pub struct Figures {
    /// How the intervals are made.
    pub bootstrap: Bootstrap,
    /// Of the whole.
    pub overall: Vec<OverallFigure>,
    /// Of each class.
    pub classes: Vec<ClassFigures>,
    /// `[label][taken for]`.
    pub confusion: Vec<Vec<u32>>,
    /// Reliability.
    pub calibration: Calibration,
    /// Calibration error before and after scaling.
    pub calibration_errors: [Estimate; 2],
    /// Mean negative log posterior before and after scaling.
    pub losses: [Estimate; 2],
    /// Misses against false alarms, all classes together.
    pub det: Option<Det>,
}

/// A figure of the whole.
pub struct OverallFigure {
    /// What it is.
    pub named: Named,
    /// In the pool's precision.
    pub own: Estimate,
    /// In the other precision, and the difference of it from the pool's: of the same resamples.
    pub other: Option<(Estimate, Estimate)>,
}

/// Figures of a class.
#[derive(Debug, Clone)]
pub struct ClassFigures {
    /// Recordings of it.
    pub n: usize,
    /// Sources that these are of.
    pub n_sources: usize,
    /// Of the recordings taken for it, the share that is of it.
    pub precision: Estimate,
    /// Of its recordings, the share that is taken for it.
    pub recall: Estimate,
    /// Harmonic mean of the two.
    pub f1: Estimate,
    /// Of its posterior as a ranking.
    pub average_precision: Estimate,
    /// Misses against false alarms.
    pub det: Option<Det>,
}

impl Figures {
    /// Measures `pool`.
    pub fn of(pool: &Pool, bootstrap: Bootstrap) -> Self {
        let sources = pool.sources();
        let ranked = classes::Ranked::new(pool);
        let by_class = bootstrap.estimates(&sources, |weights| ranked.figures(weights));
        let by_class = by_class.chunks_exact(classes::N_FIGURES).enumerate().map(|(class, figures)| {
            let mut own: Vec<usize> = pool.rows.iter().filter(|r| r.label == class).map(|r| r.source).collect();
            let n = own.len();
            own.sort_unstable();
            own.dedup();
            ClassFigures {
                n,
                n_sources: own.len(),
                precision: figures[0],
                recall: figures[1],
                f1: figures[2],
                average_precision: figures[3],
                det: det::of_class(pool, class),
            }
        });
        let calibration = Calibration::of(pool);
        let [calibration_errors, losses] = calibrated(pool, &calibration, bootstrap);
        Self {
            bootstrap,
            overall: overall(pool, bootstrap),
            classes: by_class.collect(),
            confusion: classes::confusion(pool),
            det: det::of_all(pool),
            calibration,
            calibration_errors,
            losses,
        }
    }
}

/// Calibration error and loss, each before and after scaling.
fn calibrated(pool: &Pool, calibration: &Calibration, bootstrap: Bootstrap) -> [[Estimate; 2]; 2] {
    let sources: Vec<usize> = pool.clips().map(|row| row.source).collect();
    let figures = |weights: &[u32]| {
        let sides = [&calibration.before, &calibration.after];
        let weight = |at: usize| f64::from(weights[at]);
        let n: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        let error = sides.map(|answers| calibration::calibration_error(&calibration::bins(answers, weight)));
        let loss = sides
            .map(|answers| -answers.iter().enumerate().map(|(at, a)| weight(at) * a.log_posterior).sum::<f64>() / n);
        [error, loss].concat()
    };
    let e = bootstrap.estimates(&sources, figures);
    [[e[0], e[1]], [e[2], e[3]]]
}

/// The figures of the whole in one precision, or in both with their differences.
fn overall(pool: &Pool, bootstrap: Bootstrap) -> Vec<OverallFigure> {
    let own = Overall::new(pool);
    let names = own.names();
    let other_pool = pool.other();
    let other = other_pool.as_ref().map(Overall::new);
    let estimates = bootstrap.estimates(&pool.sources(), |weights| {
        let mut figures = own.figures(weights);
        if let Some(other) = &other {
            let others = other.figures(weights);
            let differences: Vec<f64> = others.iter().zip(&figures).map(|(o, f)| o - f).collect();
            figures.extend(others);
            figures.extend(differences);
        }
        figures
    });
    let n = names.len();
    let figure = |(at, named): (usize, Named)| {
        let other = other.as_ref().map(|_| (estimates[n + at], estimates[2 * n + at]));
        OverallFigure { named, own: estimates[at], other }
    };
    names.into_iter().enumerate().map(figure).collect()
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
            n_sources: rows.len(),
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
