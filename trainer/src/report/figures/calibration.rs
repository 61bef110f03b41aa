//! Whether a posterior is the share of cases in which it is right.
//!
//! Enters: labelled clips with their logits. Leaves: a reliability diagram with its expected
//! calibration error (Naeini et al. 2015; bins of equal width, the posterior of the most likely
//! class), before and after temperature scaling (Guo et al. 2017). The temperature for a clip is
//! fitted on other folds, or, of a single fold, on other sources: never on the clip itself.

use crate::common::golden_section::minimise;
use crate::report::pool::{Pool, Row, log_posteriors, posteriors};
use edge_frontend::Activation;

/// Bins of the diagram.
pub const N_BINS: usize = 10;
/// Parts that a single fold is divided into by source.
const N_PARTS: usize = 5;
/// Temperatures are sought between these.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// Answers about each labelled clip, in the pool's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    pub before: Vec<Answer>,
    /// With the logits divided by the temperature of the clip's part.
    pub after: Vec<Answer>,
    pub temperatures: Vec<f64>,
    /// Whether the parts are folds; otherwise they are groups of sources.
    pub by_fold: bool,
}

/// The most likely class of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Its posterior.
    pub confidence: f64,
    pub right: bool,
    /// Natural logarithm of the right class' posterior.
    pub log_posterior: f64,
}

/// Answers within a range of confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    /// Number of answers, by weight.
    pub n: f64,
    /// Mean.
    pub confidence: f64,
    /// Share that is right.
    pub accuracy: f64,
}

impl Calibration {
    /// Of all labelled clips of `pool`.
    pub fn of(pool: &Pool) -> Self {
        let clips: Vec<&Row> = pool.rows.iter().filter(|row| row.set.is_some()).collect();
        let by_fold = pool.n_runs() > 1;
        let part = |row: &Row| if by_fold { row.run } else { row.source % N_PARTS };
        let mut parts: Vec<usize> = clips.iter().map(|row| part(row)).collect();
        parts.sort_unstable();
        parts.dedup();
        let fitted = parts.iter().map(|&p| {
            let others: Vec<&Row> = clips.iter().copied().filter(|row| part(row) != p).collect();
            temperature(pool.activation, &others)
        });
        let temperatures: Vec<f64> = fitted.collect();
        let of_part = |row: &Row| temperatures[parts.binary_search(&part(row)).unwrap_or(0)];
        let answers = |temperature: &dyn Fn(&Row) -> f64| -> Vec<Answer> {
            clips.iter().map(|row| Answer::of(pool.activation, row, temperature(row))).collect()
        };
        Self { before: answers(&|_| 1.0), after: answers(&of_part), by_fold, temperatures }
    }
}

impl Answer {
    /// About `row`, its logits divided by `temperature`.
    pub fn of(activation: Activation, row: &Row, temperature: f64) -> Self {
        let said = row.said();
        Self {
            confidence: posteriors(activation, &row.logits, temperature)[said],
            right: said == row.label,
            log_posterior: log_posteriors(activation, &row.logits, temperature)[row.label],
        }
    }
}

/// The reliability diagram of answers, each counted `weight` times.
pub fn bins(answers: &[Answer], weight: impl Fn(usize) -> f64) -> [Bin; N_BINS] {
    let mut bins = [Bin::default(); N_BINS];
    for (at, answer) in answers.iter().enumerate() {
        let bin = &mut bins[((answer.confidence * N_BINS as f64) as usize).min(N_BINS - 1)];
        bin.n += weight(at);
        bin.confidence += weight(at) * answer.confidence;
        bin.accuracy += weight(at) * f64::from(u8::from(answer.right));
    }
    bins.map(|bin| Bin { n: bin.n, confidence: bin.confidence / bin.n, accuracy: bin.accuracy / bin.n })
}

/// Expected calibration error: the mean distance of accuracy from confidence.
pub fn calibration_error(bins: &[Bin]) -> f64 {
    let n: f64 = bins.iter().map(|bin| bin.n).sum();
    let filled = bins.iter().filter(|bin| bin.n > 0.0);
    filled.map(|bin| bin.n * (bin.accuracy - bin.confidence).abs()).sum::<f64>() / n
}

/// The temperature with the least mean negative log likelihood, which is convex in its inverse; 1
/// if there are no rows.
fn temperature(activation: Activation, rows: &[&Row]) -> f64 {
    if rows.is_empty() {
        return 1.0;
    }
    let loss = |log: f64| -rows.iter().map(|row| log_likelihood(activation, row, log.exp())).sum::<f64>();
    minimise(TEMPERATURES.map(f64::ln), 1e-4, loss).exp()
}

/// Of a row's label; of independent classes, that all others are absent, too.
fn log_likelihood(activation: Activation, row: &Row, temperature: f64) -> f64 {
    let mut log = log_posteriors(activation, &row.logits, temperature)[row.label];
    if activation == Activation::Sigmoid {
        // log(1 - sigmoid(x)) is log sigmoid(-x).
        let negated: Vec<f64> = row.logits.iter().map(|l| -l).collect();
        let absent = log_posteriors(activation, &negated, temperature);
        log += absent.iter().enumerate().filter(|(class, _)| *class != row.label).map(|(_, l)| l).sum::<f64>();
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figures::tests::pool;

    fn answers(of: &[(f64, bool)]) -> Vec<Answer> {
        of.iter().map(|&(confidence, right)| Answer { confidence, right, log_posterior: 0.0 }).collect()
    }

    #[test]
    fn the_error_is_that_by_hand() {
        // Bin 0.9-1: two right of two at 0.95; bin 0.6-0.7: one right of three at 0.62, 0.64 and
        // 0.66; 1 belongs to the last bin.
        let answers = answers(&[(0.9, true), (1.0, true), (0.62, false), (0.64, true), (0.66, false)]);
        let bins = bins(&answers, |_| 1.0);
        assert_eq!((bins[9].n, bins[6].n), (2.0, 3.0));
        assert!((bins[9].confidence - 0.95).abs() < 1e-12 && bins[9].accuracy == 1.0);
        let expected = (2.0 * 0.05 + 3.0 * (0.64 - 1.0 / 3.0)) / 5.0;
        assert!((calibration_error(&bins) - expected).abs() < 1e-12);
        assert!(calibration_error(&super::bins(&answers[..2], |_| 0.0)).is_nan());
    }

    /// Rows whose logits are `factor` times those of a calibrated network: with odds of e^2, 1 of
    /// 8.4 is wrong.
    fn overconfident(factor: f64) -> Vec<(usize, [f64; 3])> {
        let row = |i: usize| (usize::from(i % 1000 < 119), [factor, -factor, -1e3]);
        (0..4000).map(row).collect()
    }

    #[test]
    fn scaling_finds_the_factor_of_overconfident_logits() {
        for factor in [0.5, 1.0, 3.0] {
            let pool = pool(&overconfident(factor));
            let rows: Vec<&Row> = pool.rows.iter().collect();
            let found = temperature(Activation::Softmax, &rows);
            assert!((found / factor - 1.0).abs() < 0.01, "{found} of {factor}");
        }
        assert_eq!(temperature(Activation::Softmax, &[]), 1.0);
    }

    #[test]
    fn a_clip_is_scaled_by_what_others_say() {
        // Two folds; the second is overconfident by 3, so the first is scaled by 3 and the second
        // by 1.
        let mut pool = pool(&[overconfident(1.0), overconfident(3.0)].concat());
        pool.rows[4000..].iter_mut().for_each(|row| row.run = 1);
        let calibration = Calibration::of(&pool);
        assert!(calibration.by_fold);
        assert!((calibration.temperatures[0] - 3.0).abs() < 0.05, "{:?}", calibration.temperatures);
        assert!((calibration.temperatures[1] - 1.0).abs() < 0.02, "{:?}", calibration.temperatures);
        assert_eq!((calibration.before.len(), calibration.after.len()), (8000, 8000));
        assert!(calibration.after[0].confidence < calibration.before[0].confidence - 0.1);
    }

    #[test]
    fn independent_classes_have_a_temperature_of_their_own() {
        let rows: Vec<(usize, [f64; 3])> = (0..400).map(|i| (usize::from(i % 8 == 0), [4.0, -4.0, -4.0])).collect();
        let mut pool = pool(&rows);
        pool.activation = Activation::Sigmoid;
        let rows: Vec<&Row> = pool.rows.iter().collect();
        let found = temperature(Activation::Sigmoid, &rows);
        // Of class 0 and 1, 1 in 8 is wrong, of class 2 none: odds of 2800 to 200 in all.
        let share: f64 = (2.0 * 350.0 + 400.0) / 1200.0;
        assert!((4.0 / found - (share / (1.0 - share)).ln()).abs() < 0.01, "{found}");
    }
}
