//! Hits, false alarms and misses of a class, and the usual measures of them.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// How many decisions were right and wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Reported and there.
    pub tp: usize,
    /// Reported and not there.
    pub fp: usize,
    /// There and not reported.
    pub fn_: usize,
}

impl Counts {
    /// How many were there.
    pub fn n_truth(&self) -> usize {
        self.tp + self.fn_
    }

    /// How many were reported.
    pub fn n_reported(&self) -> usize {
        self.tp + self.fp
    }

    /// Share of what was reported that was there; `None` where nothing was reported.
    pub fn precision(&self) -> Option<f64> {
        share(self.tp, self.n_reported())
    }

    /// Share of what was there that was reported; `None` where nothing was there.
    pub fn recall(&self) -> Option<f64> {
        share(self.tp, self.n_truth())
    }

    /// Harmonic mean of precision and recall; `None` where nothing was there and nothing reported.
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.tp, 2 * self.tp + self.fp + self.fn_)
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Add for Counts {
    type Output = Counts;

    fn add(self, other: Counts) -> Counts {
        Counts { tp: self.tp + other.tp, fp: self.fp + other.fp, fn_: self.fn_ + other.fn_ }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        *self = *self + other;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(counts: I) -> Counts {
        counts.fold(Counts::default(), Add::add)
    }
}

/// All classes together: each decision counts the same.
pub fn micro(classes: &[Counts]) -> Counts {
    classes.iter().copied().sum()
}

/// Mean F1 of the classes that are there at all: each class counts the same, and one that was never
/// reported counts as 0. `None` where nothing is there.
///
/// This is the class-wise average of sed_eval with `empty_system_output_handling = "zero_score"`;
/// by default sed_eval leaves classes out that are there and were never reported.
pub fn macro_f1(classes: &[Counts]) -> Option<f64> {
    let f1: Vec<f64> = classes.iter().filter(|class| class.n_truth() > 0).filter_map(Counts::f1).collect();
    (!f1.is_empty()).then(|| f1.iter().sum::<f64>() / f1.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_their_formulas() {
        let counts = Counts { tp: 3, fp: 1, fn_: 2 };
        assert_eq!((counts.precision(), counts.recall()), (Some(0.75), Some(0.6)));
        let (p, r) = (0.75, 0.6);
        assert!((counts.f1().unwrap() - 2.0 * p * r / (p + r)).abs() < 1e-12);
        assert_eq!(Counts::default().f1(), None);
        assert_eq!(
            (Counts { fp: 2, ..Default::default() }.recall(), Counts { fp: 2, ..Default::default() }.f1()),
            (None, Some(0.0))
        );
    }

    #[test]
    fn only_classes_that_are_there_have_a_part_in_the_macro_average() {
        let classes = [
            Counts { tp: 1, fp: 1, fn_: 1 },
            Counts { tp: 0, fp: 5, fn_: 0 },
            Counts { tp: 0, fp: 0, fn_: 3 },
            Counts::default(),
        ];
        assert_eq!(macro_f1(&classes), Some(0.25));
        assert_eq!(micro(&classes), Counts { tp: 1, fp: 6, fn_: 4 });
        assert_eq!(macro_f1(&classes[1..2]), None);
    }
}
