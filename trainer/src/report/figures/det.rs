//! Misses against false alarms.
//!
//! Enters: posteriors of recordings that are of a class and of others. Leaves: the detection error
//! trade-off (Martin et al. 1997): for every threshold the share of own recordings below it and the
//! share of others at or above it; and where the two are equal.

use crate::report::pool::Pool;

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Det {
    /// Share of false alarms and share of misses, from the highest threshold to the lowest.
    pub points: Vec<(f64, f64)>,
    /// Equal error rate.
    pub equal_error: f64,
    /// Trials of recordings that are of the class, and of others.
    pub n_own: usize,
    pub n_others: usize,
}

/// The curve of trials `(posterior, of the class)`; none without trials of both kinds.
fn det(mut trials: Vec<(f64, bool)>) -> Option<Det> {
    trials.sort_by(|a, b| b.0.total_cmp(&a.0));
    let n_own = trials.iter().filter(|t| t.1).count();
    let n_others = trials.len() - n_own;
    if n_own == 0 || n_others == 0 {
        return None;
    }
    let (mut n_found, mut n_false) = (0, 0);
    let mut points = vec![(0.0, 1.0)];
    for (at, &(posterior, own)) in trials.iter().enumerate() {
        n_found += usize::from(own);
        n_false += usize::from(!own);
        if trials.get(at + 1).is_none_or(|next| next.0 != posterior) {
            points.push((n_false as f64 / n_others as f64, 1.0 - n_found as f64 / n_own as f64));
        }
    }
    Some(Det { equal_error: equal_error(&points), points, n_own, n_others })
}

/// Where the line through the points crosses the diagonal.
fn equal_error(points: &[(f64, f64)]) -> f64 {
    let Some(after) = points.iter().position(|(false_alarms, misses)| false_alarms >= misses) else { return f64::NAN };
    let (a, b) = (points[after.saturating_sub(1)], points[after]);
    // The difference is below 0 at `a` and not at `b`.
    let share = (a.1 - a.0) / ((a.1 - a.0) + (b.0 - b.1));
    if share.is_finite() { a.0 + (b.0 - a.0) * share } else { b.0 }
}

/// The curve of `classes` together: every row is a trial of each.
pub fn of_classes(pool: &Pool, classes: &[usize]) -> Option<Det> {
    det(pool.rows.iter().flat_map(|row| classes.iter().map(|&c| (row.posteriors[c], row.label == c))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let trials =
            vec![(0.9, true), (0.8, false), (0.7, true), (0.6, false), (0.6, true), (0.1, false), (0.0, false)];
        let det = det(trials).unwrap();
        let third = 1.0 / 3.0;
        let expected =
            [(0.0, 1.0), (0.0, 2.0 * third), (0.25, 2.0 * third), (0.25, third), (0.5, 0.0), (0.75, 0.0), (1.0, 0.0)];
        assert_eq!(det.points.len(), expected.len());
        for (point, expected) in det.points.iter().zip(expected) {
            assert!((point.0 - expected.0).abs() < 1e-12 && (point.1 - expected.1).abs() < 1e-12, "{point:?}");
        }
        assert_eq!((det.n_own, det.n_others), (3, 4));
        // From (1/4, 1/3) to (1/2, 0): equal at 2/7.
        assert!((det.equal_error - 2.0 / 7.0).abs() < 1e-12, "{}", det.equal_error);
    }

    #[test]
    fn the_ends() {
        let perfect = det(vec![(0.9, true), (0.1, false)]).unwrap();
        assert_eq!(perfect.equal_error, 0.0);
        let blind = det(vec![(0.5, true), (0.5, false)]).unwrap();
        assert_eq!((blind.equal_error, blind.points), (0.5, vec![(0.0, 1.0), (1.0, 0.0)]));
        assert_eq!(det(vec![(0.5, true)]), None);
        assert_eq!(det(vec![]), None);
    }
}
