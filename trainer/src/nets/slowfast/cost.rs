//! What a view costs.

use super::config::{ALPHA, N_STAGES, STRIDES, SlowFastConfig};
use super::layout::{Role, layout};

/// Size and cost of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Trained values.
    pub n_params: usize,
    /// Multiply-accumulates for one view, in millions.
    pub mmac_a_view: f64,
}

/// Size and cost of a network for `n_classes` classes. Products in convolutions and head count,
/// sums and norms do not.
pub fn cost(config: &SlowFastConfig, n_classes: usize) -> Cost {
    let (mut n_params, mut mac) = (0, 0.0);
    for spec in layout(config, n_classes) {
        let n: i64 = spec.shape.iter().product();
        if spec.role.is_trainable() {
            n_params += n as usize;
        }
        let places = match spec.role {
            Role::Kernel => places(config, &spec.name),
            Role::HeadWeight => 1,
            _ => 0,
        };
        mac += (n as usize * places) as f64;
    }
    Cost { n_params, mmac_a_view: mac / 1e6 }
}

/// Output positions of the convolution called `name`.
fn places(config: &SlowFastConfig, name: &str) -> usize {
    let slow = name.contains("pathway0") || name.contains("_fuse");
    let (t, f) = (config.n_frames / if slow { ALPHA } else { 1 }, config.n_mels);
    if name.starts_with("s1.") {
        return t / 2 * (f / 2);
    }
    // Name `s2.` is the first stage, `s1_fuse` stands in front of it.
    let number = name[1..2].parse::<usize>().unwrap_or(1);
    let n_strided = if name.contains("_fuse") { number } else { number - 1 };
    let strides = &STRIDES[..n_strided.min(N_STAGES)];
    let before: i64 =
        if name.contains("_fuse") { STRIDES[..number - 1].iter().product() } else { strides.iter().product() };
    // The first convolution of a stage's first block still sees the bands of the stage before.
    let unstrided = name.ends_with("res0.branch2.a.weight") && number >= 2;
    let before = if unstrided { before / STRIDES[number - 2] } else { before };
    t / 4 * (f / 4 / before as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_those_measured() {
        // EPIC-SOUNDS recipe: 4.31 GMAC a view at width 64, 1.08 at 32, 0.27 at 16.
        for (width_per_group, expected) in [(64, 4.31), (32, 1.08), (16, 0.27)] {
            let cost = cost(&SlowFastConfig { width_per_group, ..Default::default() }, 44);
            assert!((cost.mmac_a_view / 1e3 - expected).abs() < 0.006, "width {width_per_group}: {cost:?}");
        }
    }
}
