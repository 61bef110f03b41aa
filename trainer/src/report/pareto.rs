//! Pareto fronts: which of several things nothing else beats in both respects.
//!
//! Enters: cost and accuracy of each. Leaves: a mark for each.

/// Whether each point `(cost, accuracy)` is on the front: no other is at least as cheap and at
/// least as accurate and better in one of the two. Equal points are on it together.
pub fn front(points: &[(f64, f64)]) -> Vec<bool> {
    let beats = |a: &(f64, f64), b: &(f64, f64)| a.0 <= b.0 && a.1 >= b.1 && a != b;
    points.iter().map(|point| !points.iter().any(|other| beats(other, point))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staircase_is_its_own_front() {
        assert_eq!(front(&[(3.0, 0.9), (1.0, 0.7), (2.0, 0.8)]), [true; 3]);
        assert_eq!(front(&[]), [true; 0]);
    }

    #[test]
    fn what_is_dearer_and_no_better_is_off() {
        // The second is dearer and worse than the first, the fourth dearer and worse than the
        // third.
        assert_eq!(front(&[(1.0, 0.8), (2.0, 0.7), (3.0, 0.9), (4.0, 0.85)]), [true, false, true, false]);
    }

    #[test]
    fn a_tie_in_one_respect_is_decided_by_the_other() {
        assert_eq!(front(&[(1.0, 0.8), (1.0, 0.9)]), [false, true]);
        assert_eq!(front(&[(1.0, 0.8), (2.0, 0.8)]), [true, false]);
        assert_eq!(front(&[(1.0, 0.8), (1.0, 0.8), (2.0, 0.8)]), [true, true, false]);
    }
}
