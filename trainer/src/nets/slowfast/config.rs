//! Sizes of the network.

use serde::{Deserialize, Serialize};

/// Slow frames are one in this many (alpha).
pub(crate) const ALPHA: usize = 4;
/// The fast pathway's width is the slow one's divided by this (`BETA_INV`).
pub(super) const BETA_INV: usize = 8;
/// Channels of a lateral connection, in multiples of the fast pathway's.
pub(super) const FUSION_RATIO: usize = 2;
/// Stages of residual blocks.
pub(crate) const N_STAGES: usize = 4;
/// Kernels over time of the slow pathway's blocks, by stage.
pub(super) const SLOW_KERNELS: [i64; N_STAGES] = [1, 1, 3, 3];
/// Kernel over time of the fast pathway's blocks.
pub(super) const FAST_KERNEL: i64 = 3;
/// Strides over frequency, by stage.
pub(crate) const STRIDES: [i64; N_STAGES] = [1, 2, 2, 2];
/// Time stride of stem and pool together.
const STEM_STRIDE: usize = 4;
/// Frequency stride of the whole network.
const MEL_STRIDE: usize = 32;

/// What distinguishes one SlowFast from another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlowFastConfig {
    /// Channels of the slow pathway's stem: 64 as published; 32 or 16 for small machines. A
    /// multiple of 8.
    pub width_per_group: usize,
    /// Layers: 50 or 101.
    pub depth: usize,
    /// Frames of a view, a multiple of 16. The head averages over as many positions as such a view
    /// leaves.
    pub n_frames: usize,
    /// Mel bands of a view, a multiple of 32.
    pub n_mels: usize,
}

impl Default for SlowFastConfig {
    fn default() -> Self {
        Self { width_per_group: 64, depth: 50, n_frames: 400, n_mels: 128 }
    }
}

impl SlowFastConfig {
    /// Says which key is out of range, and how.
    ///
    /// # Errors
    ///
    /// The key and a message.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let width = self.width_per_group;
        let multiple = |key, value: usize, of: usize| {
            let holds = value > 0 && value.is_multiple_of(of);
            if holds { Ok(()) } else { Err((key, format!("must be a multiple of {of}, is {value}"))) }
        };
        multiple("width_per_group", width, BETA_INV)?;
        multiple("n_frames", self.n_frames, STEM_STRIDE * ALPHA)?;
        multiple("n_mels", self.n_mels, MEL_STRIDE)?;
        let known = matches!(self.depth, 50 | 101);
        if known { Ok(()) } else { Err(("depth", format!("must be 50 or 101, is {}", self.depth))) }
    }

    /// Blocks of each stage (He et al. 2016, table 1).
    pub(crate) fn blocks(&self) -> [usize; N_STAGES] {
        if self.depth == 101 { [3, 4, 23, 3] } else { [3, 4, 6, 3] }
    }

    /// Width of the stem of pathway 0 (slow) or 1 (fast).
    pub(super) fn width(&self, pathway: usize) -> usize {
        if pathway == 0 { self.width_per_group } else { self.width_per_group / BETA_INV }
    }

    /// Channels that leave a stage of a pathway.
    pub(super) fn n_out(&self, pathway: usize, stage: usize) -> usize {
        self.width(pathway) * (4 << stage)
    }

    /// Channels inside the blocks of a stage of a pathway.
    pub(super) fn n_inner(&self, pathway: usize, stage: usize) -> usize {
        self.width(pathway) << stage
    }

    /// Values that the head sees: 2,304 at width 64.
    pub fn n_features(&self) -> usize {
        self.n_out(0, N_STAGES - 1) + self.n_out(1, N_STAGES - 1)
    }

    /// Time and frequency over which the head averages, by pathway: (25, 4) and (100, 4) for 400
    /// frames and 128 bands.
    pub(crate) fn pool(&self) -> [[i64; 2]; 2] {
        let mels = (self.n_mels / MEL_STRIDE) as i64;
        let fast = (self.n_frames / STEM_STRIDE) as i64;
        [[fast / ALPHA as i64, mels], [fast, mels]]
    }
}

/// Frames of a view of `n_frames` that the slow pathway sees: `linspace(0, n_frames - 1, n_frames /
/// 4)`, truncated.
pub fn slow_frames(n_frames: usize) -> Vec<i64> {
    let n = n_frames / ALPHA;
    // In whole numbers: floor(k (n_frames - 1) / (n - 1)), free of rounding.
    (0..n).map(|k| (k * (n_frames - 1) / (n - 1).max(1)) as i64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_pathway_has_no_even_stride() {
        let frames = slow_frames(400);
        assert_eq!(frames.len(), 100);
        assert_eq!(&frames[..3], [0, 4, 8]);
        // EPIC-SOUNDS recipe: ..., 128, 133, ..., 399.
        assert_eq!(&frames[32..34], [128, 133]);
        assert_eq!(frames[99], 399);
    }

    #[test]
    fn sizes_are_those_published() {
        let config = SlowFastConfig::default();
        assert_eq!(config.n_features(), 2304);
        assert_eq!(config.pool(), [[25, 4], [100, 4]]);
        config.check().unwrap();
        let refused = |config: SlowFastConfig| config.check().unwrap_err().0;
        assert_eq!(refused(SlowFastConfig { width_per_group: 20, ..Default::default() }), "width_per_group");
        assert_eq!(refused(SlowFastConfig { width_per_group: 0, ..Default::default() }), "width_per_group");
        assert_eq!(refused(SlowFastConfig { depth: 34, ..Default::default() }), "depth");
        assert_eq!(refused(SlowFastConfig { n_frames: 398, ..Default::default() }), "n_frames");
        assert_eq!(refused(SlowFastConfig { n_mels: 100, ..Default::default() }), "n_mels");
    }
}
