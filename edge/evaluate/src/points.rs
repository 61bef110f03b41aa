//! The thresholds at which an evaluation computes what would have been reported.

/// As many as DCASE's evaluations take.
pub const N_OPERATING_POINTS: usize = 50;

/// The thresholds of the operating points: 0.01, 0.03 .. 0.99.
pub fn operating_points() -> impl DoubleEndedIterator<Item = f32> + ExactSizeIterator {
    (0..N_OPERATING_POINTS).map(|at| (at as f32 + 0.5) / N_OPERATING_POINTS as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_cover_the_unit_interval_evenly() {
        let points: Vec<f32> = operating_points().collect();
        assert_eq!((points.len(), points[0]), (50, 0.01));
        assert!(
            (points[49] - 0.99).abs() < 1e-6 && points.windows(2).all(|pair| (pair[1] - pair[0] - 0.02).abs() < 1e-6)
        );
    }
}
