//! Figures of the whole.
//!
//! Enters: the pool, and how often each row counts. Leaves: accuracy and loss of each data set, means over classes, calibration and
//! false alarms, in the order of their names.

use super::calibration::{Answer, bins, calibration_error};
use super::classes::{Ranked, mean_over_classes};
use crate::report::pool::{Pool, log_posteriors, most_likely};

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share, in percent.
    Percent,
    /// A plain number.
    Number,
}

/// Name, unit and meaning of a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it is.
    pub name: String,
    /// How it is written.
    pub unit: Unit,
    /// Whether more is better.
    pub more_is_better: bool,
}

/// What is the same for all weights.
pub struct Overall<'a> {
    pool: &'a Pool,
    ranked: Ranked,
    answers: Vec<Answer>,
    right_own: Vec<bool>,
    /// Of stretches of background: whether some other class reaches one half.
    alarm: Vec<bool>,
}

impl<'a> Overall<'a> {
    /// Prepares the rows of `pool`.
    pub fn new(pool: &'a Pool) -> Self {
        let answer = |row: &crate::report::pool::Row| Answer {
            confidence: row.posteriors[row.said()],
            right: row.is_right(),
            log_posterior: log_posteriors(pool.activation, &row.logits, 1.0)[row.label],
        };
        let own = |row: &crate::report::pool::Row| {
            row.set.is_some_and(|set| most_likely(&row.logits, pool.sets[set].own.iter().copied()) == row.label)
        };
        let alarm = |row: &crate::report::pool::Row| {
            row.posteriors.iter().enumerate().any(|(class, &p)| Some(class) != pool.background && p >= 0.5)
        };
        Self {
            ranked: Ranked::new(pool),
            answers: pool.rows.iter().map(answer).collect(),
            right_own: pool.rows.iter().map(own).collect(),
            alarm: pool.rows.iter().map(alarm).collect(),
            pool,
        }
    }

    /// What [`Overall::figures`] leaves.
    pub fn names(&self) -> Vec<Named> {
        let named = |name: String, unit, more_is_better| Named { name, unit, more_is_better };
        let mut names = Vec::new();
        for set in &self.pool.sets {
            let own = set.own.len();
            names.push(named(format!("{}: top-1 among its {own} classes", set.name), Unit::Percent, true));
            let all = self.pool.labels.len();
            names.push(named(format!("{}: top-1 among all {all} classes", set.name), Unit::Percent, true));
            names.push(named(format!("{}: negative log posterior", set.name), Unit::Number, false));
        }
        names.push(named("F1, mean over classes".to_owned(), Unit::Percent, true));
        names.push(named("average precision, mean over classes".to_owned(), Unit::Percent, true));
        names.push(named("calibration error (ECE)".to_owned(), Unit::Percent, false));
        if self.has_background() {
            names.push(named("background: seconds with a false alarm".to_owned(), Unit::Percent, false));
        }
        names
    }

    /// The figures with row `i` counted `weights[i]` times.
    pub fn figures(&self, weights: &[u32]) -> Vec<f64> {
        let weight = |row: usize| f64::from(weights[row]);
        let rows = || self.pool.rows.iter().enumerate();
        let mut figures = Vec::new();
        for set in 0..self.pool.sets.len() {
            let of_set = || rows().filter(|(_, row)| row.set == Some(set)).map(|(at, _)| at);
            let n: f64 = of_set().map(weight).sum();
            let mean = |value: &dyn Fn(usize) -> f64| of_set().map(|at| weight(at) * value(at)).sum::<f64>() / n;
            figures.push(mean(&|at| f64::from(u8::from(self.right_own[at]))));
            figures.push(mean(&|at| f64::from(u8::from(self.answers[at].right))));
            figures.push(mean(&|at| -self.answers[at].log_posterior));
        }
        let classes = self.ranked.figures(weights);
        figures.extend([mean_over_classes(&classes, 2), mean_over_classes(&classes, 3)]);
        let of_clip = |at: usize| if self.pool.rows[at].set.is_some() { weight(at) } else { 0.0 };
        figures.push(calibration_error(&bins(&self.answers, of_clip)));
        if self.has_background() {
            let windows = || rows().filter(|(_, row)| row.set.is_none()).map(|(at, _)| at);
            let n: f64 = windows().map(weight).sum();
            figures.push(windows().filter(|&at| self.alarm[at]).map(weight).sum::<f64>() / n);
        }
        figures
    }

    fn has_background(&self) -> bool {
        self.pool.rows.iter().any(|row| row.set.is_none())
    }
}
