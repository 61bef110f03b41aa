//! Logarithms of mel bands. Enter: band values; leave: the same values as the network takes them.
//! Runs on the worker thread.

use crate::FrontendConfig;

/// `(ln(x + log_offset) - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogScale {
    offset: f32,
    mean: f32,
    std: f32,
}

impl LogScale {
    /// With the offset, mean and standard deviation of `config`.
    pub fn new(config: &FrontendConfig) -> Self {
        Self { offset: config.log_offset as f32, mean: config.mean, std: config.std }
    }

    /// Replaces each of `bands` by its scaled logarithm.
    ///
    /// # Real-time
    ///
    /// Does not allocate.
    pub fn apply(&self, bands: &mut [f32]) {
        for value in bands {
            *value = ((*value + self.offset).ln() - self.mean) / self.std;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_the_logarithm_of_the_offset() {
        let config = FrontendConfig { mean: -3.0, std: 2.0, ..FrontendConfig::student() };
        let mut bands = [0.0, 1.0];
        LogScale::new(&config).apply(&mut bands);
        let expected = [0.0, 1.0].map(|x: f64| (((x + config.log_offset).ln() + 3.0) / 2.0) as f32);
        for (band, expected) in bands.iter().zip(expected) {
            assert!((band - expected).abs() < 1e-6, "{band} {expected}");
        }
    }
}
