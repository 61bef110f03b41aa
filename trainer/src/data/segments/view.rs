//! Which samples of a segment a view takes.
//!
//! Enters: a segment's annotated start and stop, and the view wanted. Leaves: the range of the
//! recording's samples. Only arithmetic: whether the recording has these samples is the store's
//! matter.

use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use std::ops::Range;

/// A view of a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View {
    /// Training: a number in `[0, 1)`, drawn for this view. A segment of `n` samples that is as
    /// long as a view of `v` begins at sample `floor(draw * (n - v + 1))` of it; a shorter one is
    /// taken whole.
    Start(f64),
    /// Testing: start `index` of `n_views` starts, `linspace(0, n - v, n_views)` truncated to whole
    /// samples; the same for every index where the segment is shorter than a view.
    Test {
        /// Which of the starts, below `n_views`.
        index: usize,
        /// How many starts there are.
        n_views: usize,
    },
}

/// Lengths of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewLength {
    /// Samples that a segment must have to be cut: 1.999 s, 47,976 samples at 24 kHz.
    pub n_samples: u64,
    /// Frames of a view's features, 400.
    pub n_frames: usize,
}

impl ViewLength {
    /// The length of views of `seconds`.
    ///
    /// # Errors
    ///
    /// If `seconds` is not a positive number or the front end does not pad: then a short segment
    /// may have no frame at all.
    pub fn new(seconds: f64, frontend: &FrontendConfig) -> Result<Self> {
        frontend.validate()?;
        if !frontend.centre_padding {
            return Err(Error::Usage("frontend: centre_padding must be true for views of segments".into()));
        }
        let n_samples = (seconds * f64::from(frontend.sample_rate)).round();
        if !(2.0..=1e9).contains(&n_samples) {
            return Err(Error::Usage(format!("view_seconds is {seconds}, expected a positive length")));
        }
        // The slice that is taken of a longer segment lacks the view's last sample.
        let n_frames = frontend.n_frames(n_samples as usize - 1);
        Ok(Self { n_samples: n_samples as u64, n_frames })
    }

    /// The recording's samples that `view` takes of the segment `start..stop`, which may lie past
    /// the recording's end.
    ///
    /// # Panics
    ///
    /// If a test view's `index` is not below its `n_views`.
    pub fn slice(&self, start: u64, stop: u64, view: View) -> Range<u64> {
        if let View::Test { index, n_views } = view {
            assert!(index < n_views, "view {index} of {n_views}");
        }
        let n = stop - start;
        if n < self.n_samples {
            return start..stop;
        }
        let spare = n - self.n_samples;
        let offset = match view {
            View::Start(draw) => ((draw * (spare + 1) as f64) as u64).min(spare),
            View::Test { index, n_views } => linspace(spare as f64, n_views, index) as u64,
        };
        start + offset..start + offset + self.n_samples - 1
    }

    /// Whether `view` is the same whenever it is asked for.
    pub fn is_fixed(&self, start: u64, stop: u64, view: View) -> bool {
        stop - start <= self.n_samples || matches!(view, View::Test { .. })
    }
}

/// Value `index` of numpy's `linspace(0, stop, n)`, by its arithmetic: a step times the index, but
/// the last value itself.
fn linspace(stop: f64, n: usize, index: usize) -> f64 {
    if n == 1 {
        0.0
    } else if index + 1 == n {
        stop
    } else {
        stop / (n - 1) as f64 * index as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn official() -> ViewLength {
        ViewLength::new(1.999, &FrontendConfig::epic_sounds()).unwrap()
    }

    #[test]
    fn the_recipe_s_lengths() {
        assert_eq!(official(), ViewLength { n_samples: 47_976, n_frames: 400 });
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(ViewLength::new(bad, &FrontendConfig::epic_sounds()).is_err(), "{bad}");
        }
        assert!(ViewLength::new(1.999, &FrontendConfig::student()).is_err());
    }

    #[test]
    fn slices_lack_the_view_s_last_sample() {
        let length = official();
        // One sample shorter than a view: whole, and as long as the slice of a longer one.
        assert_eq!(length.slice(100, 100 + 47_975, View::Start(0.9)), 100..48_075);
        assert_eq!(length.slice(100, 100 + 47_976, View::Start(0.9)), 100..48_075);
        assert_eq!(length.slice(100, 100 + 47_977, View::Start(0.0)), 100..48_075);
        assert_eq!(length.slice(100, 100 + 47_977, View::Start(0.999)), 101..48_076);
        assert_eq!(length.slice(7, 12, View::Test { index: 4, n_views: 5 }), 7..12);
    }

    #[test]
    fn five_test_starts_are_truncated() {
        let length = official();
        let starts = |n: u64, n_views| -> Vec<u64> {
            (0..n_views).map(|index| length.slice(1000, 1000 + n, View::Test { index, n_views }).start - 1000).collect()
        };
        assert_eq!(starts(47_976, 5), [0, 0, 0, 0, 0]);
        assert_eq!(starts(47_976 + 6, 5), [0, 1, 3, 4, 6]);
        assert_eq!(starts(100_001, 5), [0, 13_006, 26_012, 39_018, 52_025]);
        assert_eq!(starts(100_001, 1), [0]);
        // numpy: np.linspace(0, 1_000_003, 10).astype(int)
        assert_eq!(
            starts(1_047_979, 10),
            [0, 111_111, 222_222, 333_334, 444_445, 555_557, 666_668, 777_780, 888_891, 1_000_003]
        );
    }

    #[test]
    fn draws_cover_every_start_evenly() {
        let length = official();
        let starts: Vec<u64> =
            (0..700).map(|i| length.slice(0, 47_976 + 6, View::Start(f64::from(i) / 700.0)).start).collect();
        assert_eq!(starts, (0..700).map(|i| i / 100).collect::<Vec<u64>>());
        let last = length.slice(0, u64::from(u32::MAX), View::Start(1.0 - f64::EPSILON / 2.0));
        assert_eq!(last.start, u64::from(u32::MAX) - 47_976);
    }
}
