//! Figures over all rows.
//!
//! Enters: the pool, and how often each row counts. Leaves: accuracy and loss of each data set,
//! means over classes, calibration and false alarms, in the order of their names; and the figures
//! of each class, which the means are of.

use super::calibration::{Answer, bins, calibration_error};
use super::classes::{Ranked, mean_over_classes};
use crate::report::pool::{Pool, Row, most_likely};

/// How a figure is written: a share in percent, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Percent,
    Number,
}

/// Name and unit of a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub unit: Unit,
    pub more_is_better: bool,
}

/// What is the same for all weights.
pub struct Overall<'a> {
    pool: &'a Pool,
    ranked: Ranked,
    answers: Vec<Answer>,
    /// By data set: its rows, and whether the most likely of the set's own classes is right.
    sets: Vec<Vec<(usize, bool)>>,
    /// Stretches of background, and whether some other class reaches one half.
    background: Vec<(usize, bool)>,
}

impl<'a> Overall<'a> {
    /// Prepares the rows of `pool`.
    pub fn new(pool: &'a Pool) -> Self {
        let own = |row: &Row, own: &[usize]| most_likely(&row.logits, own.iter().copied()) == row.label;
        let alarm = |row: &Row| row.posteriors.iter().enumerate().any(|(c, &p)| Some(c) != pool.background && p >= 0.5);
        let rows = |set: Option<usize>, holds: &dyn Fn(&Row) -> bool| {
            pool.rows.iter().enumerate().filter(|(_, r)| r.set == set).map(|(at, r)| (at, holds(r))).collect()
        };
        Self {
            ranked: Ranked::new(pool),
            answers: pool.rows.iter().map(|row| Answer::of(pool.activation, row, 1.0)).collect(),
            sets: pool.sets.iter().enumerate().map(|(at, set)| rows(Some(at), &|row| own(row, &set.own))).collect(),
            background: rows(None, &alarm),
            pool,
        }
    }

    /// Names of what [`Overall::figures`] leaves.
    pub fn names(&self) -> Vec<Named> {
        let mut names = Vec::new();
        let mut add = |name: String, unit, more_is_better| names.push(Named { name, unit, more_is_better });
        for set in &self.pool.sets {
            let (set, own, all) = (&set.name, set.own.len(), self.pool.labels.len());
            add(format!("{set}: top-1 among its {own} classes"), Unit::Percent, true);
            add(format!("{set}: top-1 among all {all} classes"), Unit::Percent, true);
            add(format!("{set}: negative log posterior"), Unit::Number, false);
        }
        add("F1, mean over classes".to_owned(), Unit::Percent, true);
        add("average precision, mean over classes".to_owned(), Unit::Percent, true);
        add("calibration error (ECE)".to_owned(), Unit::Percent, false);
        if !self.background.is_empty() {
            add("background: seconds with a false alarm".to_owned(), Unit::Percent, false);
        }
        names
    }

    /// The figures with row `i` counted `weights[i]` times; and those of the classes.
    pub fn figures(&self, weights: &[u32]) -> (Vec<f64>, Vec<f64>) {
        let weight = |row: usize| f64::from(weights[row]);
        let mean = |rows: &[(usize, bool)], value: &dyn Fn(usize, bool) -> f64| {
            let n: f64 = rows.iter().map(|&(at, _)| weight(at)).sum();
            rows.iter().map(|&(at, holds)| weight(at) * value(at, holds)).sum::<f64>() / n
        };
        let share = |holds: bool| f64::from(u8::from(holds));
        let mut figures = Vec::new();
        for rows in &self.sets {
            figures.push(mean(rows, &|_, own| share(own)));
            figures.push(mean(rows, &|at, _| share(self.answers[at].right)));
            figures.push(mean(rows, &|at, _| -self.answers[at].log_posterior));
        }
        let classes = self.ranked.figures(weights);
        figures.extend([mean_over_classes(&classes, 2), mean_over_classes(&classes, 3)]);
        let of_clip = |at: usize| if self.pool.rows[at].set.is_some() { weight(at) } else { 0.0 };
        figures.push(calibration_error(&bins(&self.answers, of_clip)));
        if !self.background.is_empty() {
            figures.push(mean(&self.background, &|_, alarm| share(alarm)));
        }
        (figures, classes)
    }
}
