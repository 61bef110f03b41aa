//! Figures by class.
//!
//! Enters: the pool, and how often each row counts. Leaves: of each class precision, recall and F1
//! of the most likely class, and average precision of its posterior, one class against the rest;
//! and how often each class is taken for each other.

use crate::common::spread::Spread;
use crate::report::pool::Pool;

/// Figures of a class, in this order: precision, recall, F1, average precision.
pub const N_FIGURES: usize = 4;

/// What is the same for all weights.
pub struct Ranked {
    n_classes: usize,
    /// By row: its class, and the class that it is taken for.
    label: Vec<usize>,
    said: Vec<usize>,
    /// By class: the rows by descending posterior, with it.
    order: Vec<Vec<(usize, f64)>>,
}

impl Ranked {
    /// Ranks the rows of `pool`.
    pub fn new(pool: &Pool) -> Self {
        let order = |class: usize| {
            let mut rows: Vec<(usize, f64)> = pool.rows.iter().map(|r| r.posteriors[class]).enumerate().collect();
            rows.sort_by(|a, b| b.1.total_cmp(&a.1));
            rows
        };
        Self {
            n_classes: pool.labels.len(),
            label: pool.rows.iter().map(|row| row.label).collect(),
            said: pool.rows.iter().map(|row| row.said()).collect(),
            order: (0..pool.labels.len()).map(order).collect(),
        }
    }

    /// [`N_FIGURES`] a class; not a number where a figure is not defined.
    pub fn figures(&self, weights: &[u32]) -> Vec<f64> {
        // Of each class: recordings of it, those taken for it, and those that are both.
        let mut counts = vec![[0u32; 3]; self.n_classes];
        for ((&label, &said), &weight) in self.label.iter().zip(&self.said).zip(weights) {
            counts[label][0] += weight;
            counts[said][1] += weight;
            counts[label][2] += if label == said { weight } else { 0 };
        }
        let ratio = |a: u32, b: u32| f64::from(a) / f64::from(b);
        let of_class = |(class, [own, said, right]): (usize, [u32; 3])| {
            let f1 = ratio(2 * right, own + said);
            [ratio(right, said), ratio(right, own), f1, self.average_precision(class, own, weights)]
        };
        counts.into_iter().enumerate().flat_map(of_class).collect()
    }

    /// The step-wise sum of scikit-learn's `average_precision_score`: rows of equal posterior are
    /// one threshold.
    fn average_precision(&self, class: usize, n_own: u32, weights: &[u32]) -> f64 {
        let mut rows = self.order[class].iter().peekable();
        let (mut n_true, mut n_all, mut sum) = (0u32, 0u32, 0.0);
        while let Some(&(row, threshold)) = rows.next() {
            let own = |row: usize| if self.label[row] == class { weights[row] } else { 0 };
            let (mut new_true, mut new_all) = (own(row), weights[row]);
            while let Some(&(row, _)) = rows.next_if(|(_, posterior)| *posterior == threshold) {
                new_true += own(row);
                new_all += weights[row];
            }
            n_true += new_true;
            n_all += new_all;
            if new_true > 0 {
                sum += f64::from(new_true) * f64::from(n_true) / f64::from(n_all);
            }
        }
        sum / f64::from(n_own)
    }
}

/// How often each class, as a row, is taken for each class, as a column.
pub fn confusion(pool: &Pool) -> Vec<Vec<u32>> {
    let mut counts = vec![vec![0; pool.labels.len()]; pool.labels.len()];
    for row in &pool.rows {
        counts[row.label][row.said()] += 1;
    }
    counts
}

/// The mean of figure number `figure` over the classes for which it is defined.
pub fn mean_over_classes(figures: &[f64], figure: usize) -> f64 {
    Spread::of(figures.iter().copied().skip(figure).step_by(N_FIGURES).filter(|v| v.is_finite())).mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::scores::measure;
    use crate::report::figures::tests::pool;

    #[test]
    fn by_hand() {
        // Two rows of class 0, one of which is taken for class 1; one of class 1; class 2 is
        // absent.
        let pool = pool(&[(0, [2.0, 0.0, -9.0]), (0, [0.0, 1.0, -9.0]), (1, [0.0, 3.0, -9.0])]);
        let figures = Ranked::new(&pool).figures(&[1, 1, 1]);
        assert_eq!(figures[..3], [1.0, 0.5, 2.0 / 3.0]);
        assert_eq!(figures[4..7], [0.5, 1.0, 2.0 / 3.0]);
        assert_eq!((figures[3], figures[7]), (1.0, 1.0), "both classes rank their own rows first");
        assert!(figures[8..].iter().all(|f| f.is_nan()));
        assert_eq!(mean_over_classes(&figures, 1), 0.75);
        assert_eq!(confusion(&pool), [[1, 1, 0], [0, 1, 0], [0, 0, 0]]);
    }

    #[test]
    fn a_weight_is_a_repetition() {
        let rows = [(0, [2.0, 0.0, 1.0]), (0, [0.0, 1.0, 0.5]), (1, [0.0, 3.0, 0.0]), (2, [0.0, 0.1, 0.2])];
        let weighted = Ranked::new(&pool(&rows)).figures(&[3, 0, 1, 2]);
        let repeated = pool(&[rows[0], rows[0], rows[0], rows[2], rows[3], rows[3]]);
        assert_eq!(weighted, Ranked::new(&repeated).figures(&[1; 6]));
    }

    #[test]
    fn average_precision_is_that_of_the_measures() {
        let rows: Vec<(usize, [f64; 3])> =
            (0..60).map(|i| (i * 7 % 3, std::array::from_fn(|c| f64::from((i * (c * 5 + 3) % 17) as u8)))).collect();
        let pool = pool(&rows);
        let figures = Ranked::new(&pool).figures(&[1; 60]);
        let scores: Vec<f32> = pool.rows.iter().flat_map(|r| r.posteriors.iter().map(|&p| p as f32)).collect();
        let truth: Vec<usize> = rows.iter().map(|r| r.0).collect();
        let measures = measure(&scores, 3, &truth, None).unwrap();
        assert!((mean_over_classes(&figures, 3) - measures.map).abs() < 1e-6);
    }
}
