//! How fast bytes may leave: the time enters, a number of bytes leaves. For a line with a slower
//! part after it, such as a radio bridge, or one that others share.

/// A limit of bytes per second, evened out over [`BURST_MS`].
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    bytes_per_s: Option<u32>,
    /// Thousandths of a byte that may leave now.
    credit: u32,
    /// Of the last call, ms.
    last_ms: Option<u32>,
}

/// What was not used for this long is forfeited, so that a silence is not followed by a flood.
pub const BURST_MS: u32 = 20;

impl Pace {
    /// No limit: the port's own.
    pub const fn unlimited() -> Self {
        Self { bytes_per_s: None, credit: 0, last_ms: None }
    }

    /// At most this many bytes per second; from 50 on, so that one byte fits into a burst.
    ///
    /// # Panics
    ///
    /// Below 50 and above 4 million, where the sums would not fit.
    pub const fn bytes_per_s(limit: u32) -> Self {
        assert!(limit >= 1000 / BURST_MS && limit <= 4_000_000);
        Self { bytes_per_s: Some(limit), credit: 0, last_ms: None }
    }

    /// Bytes that may leave at `now_ms`, of a clock that may wrap.
    pub(crate) fn allowance(&mut self, now_ms: u32) -> usize {
        let Some(limit) = self.bytes_per_s else {
            return usize::MAX;
        };
        let elapsed_ms = self.last_ms.map_or(BURST_MS, |last_ms| now_ms.wrapping_sub(last_ms)).min(BURST_MS);
        self.last_ms = Some(now_ms);
        self.credit = (self.credit + limit * elapsed_ms).min(limit * BURST_MS);
        (self.credit / 1000) as usize
    }

    /// So many bytes of the allowance have left.
    pub(crate) fn spend(&mut self, n_bytes: usize) {
        let spent = u32::try_from(n_bytes).unwrap_or(u32::MAX).saturating_mul(1000);
        self.credit = self.credit.saturating_sub(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_brings_the_bytes_of_a_second_whatever_the_calls() {
        for step_ms in [1, 3, 7, 19] {
            let mut pace = Pace::bytes_per_s(11_520);
            let start_ms = u32::MAX - 5_000;
            pace.allowance(start_ms);
            pace.spend(usize::MAX);
            let n_steps = 10_000 / step_ms;
            let n_bytes: usize = (1..=n_steps)
                .map(|step| {
                    let n_bytes = pace.allowance(start_ms.wrapping_add(step * step_ms));
                    pace.spend(n_bytes);
                    n_bytes
                })
                .sum();
            let expected = (11_520 * n_steps * step_ms / 1000) as usize;
            assert!(n_bytes.abs_diff(expected) <= 1, "{step_ms} ms: {n_bytes} {expected}");
        }
    }

    #[test]
    fn a_silence_is_followed_by_one_burst() {
        let mut pace = Pace::bytes_per_s(50_000);
        pace.allowance(0);
        pace.spend(usize::MAX);
        assert_eq!(pace.allowance(60_000), 1_000);
        pace.spend(1_000);
        assert_eq!(pace.allowance(60_000), 0);
    }

    #[test]
    fn no_limit_is_none() {
        let mut pace = Pace::unlimited();
        pace.spend(1 << 30);
        assert_eq!(pace.allowance(0), usize::MAX);
    }
}
