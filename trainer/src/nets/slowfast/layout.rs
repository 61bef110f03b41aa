//! The tensors of the network: names, shapes and roles, in the order in which a published
//! checkpoint lists them.

use super::config::{FAST_KERNEL, FUSION_RATIO, SLOW_KERNELS, STRIDES, SlowFastConfig};
use tch::Tensor;

/// A tensor of the network.
#[derive(Debug)]
pub struct Named {
    /// As in published checkpoints, for example `s2.pathway0_res0.branch2.a.weight`.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// The value; in single precision.
    pub value: Tensor,
}

/// What a tensor is in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Kernel of a convolution, `(out, in, time, frequency)`.
    Kernel,
    /// Scale of a batch norm.
    NormWeight,
    /// Offset of a batch norm.
    NormBias,
    /// Running mean of a batch norm.
    NormMean,
    /// Running variance of a batch norm.
    NormVariance,
    /// Weight of the head, `(n_classes, n_features)`.
    HeadWeight,
    /// Bias of the head.
    HeadBias,
}

impl Role {
    /// Whether gradients can flow into it.
    pub fn is_trainable(self) -> bool {
        !matches!(self, Role::NormMean | Role::NormVariance)
    }

    /// Whether it belongs to a batch norm.
    pub fn is_norm(self) -> bool {
        matches!(self, Role::NormWeight | Role::NormBias | Role::NormMean | Role::NormVariance)
    }

    /// Whether it belongs to the head.
    pub fn is_head(self) -> bool {
        matches!(self, Role::HeadWeight | Role::HeadBias)
    }
}

/// A tensor yet to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) shape: Vec<i64>,
    /// The batch norm that ends a block: starts at zero, so that the block starts as the identity.
    pub(super) ends_block: bool,
}

/// All tensors of a network.
pub(super) fn layout(config: &SlowFastConfig, n_classes: usize) -> Vec<Spec> {
    let mut specs = Specs(Vec::new());
    let width = |pathway| config.width(pathway) as i64;
    for (pathway, kernel_t) in [(0, 1), (1, 5)] {
        let stem = format!("s1.pathway{pathway}_stem");
        specs.convolution(&format!("{stem}.conv"), [width(pathway), 1, kernel_t, 7]);
        specs.norm(&format!("{stem}.bn"), width(pathway), false);
    }
    let mut n_in = [width(0), width(1)];
    for (stage, &slow_kernel) in SLOW_KERNELS.iter().enumerate() {
        let lateral = n_in[1] * FUSION_RATIO as i64;
        let fuse = format!("s{}_fuse", stage + 1);
        specs.convolution(&format!("{fuse}.conv_f2s"), [lateral, n_in[1], 7, 1]);
        specs.norm(&format!("{fuse}.bn"), lateral, false);
        n_in[0] += lateral;
        for (pathway, n_in) in n_in.iter_mut().enumerate() {
            let kernel_t = if pathway == 0 { slow_kernel } else { FAST_KERNEL };
            let [inner, out] = [config.n_inner(pathway, stage), config.n_out(pathway, stage)].map(|n| n as i64);
            for block in 0..config.blocks()[stage] {
                let name = block_name(stage, pathway, block);
                if has_shortcut(*n_in, out, stage, block) {
                    specs.convolution(&format!("{name}.branch1"), [out, *n_in, 1, 1]);
                    specs.norm(&format!("{name}.branch1_bn"), out, false);
                }
                specs.convolution(&format!("{name}.branch2.a"), [inner, *n_in, kernel_t, 1]);
                specs.norm(&format!("{name}.branch2.a_bn"), inner, false);
                specs.convolution(&format!("{name}.branch2.b"), [inner, inner, 1, 3]);
                specs.norm(&format!("{name}.branch2.b_bn"), inner, false);
                specs.convolution(&format!("{name}.branch2.c"), [out, inner, 1, 1]);
                specs.norm(&format!("{name}.branch2.c_bn"), out, true);
                *n_in = out;
            }
        }
    }
    let (n_classes, n_features) = (n_classes as i64, config.n_features() as i64);
    specs.add("head.projection.weight".to_owned(), Role::HeadWeight, &[n_classes, n_features], false);
    specs.add("head.projection.bias".to_owned(), Role::HeadBias, &[n_classes], false);
    specs.0
}

/// Name of a residual block; stages and blocks count from 0.
pub(crate) fn block_name(stage: usize, pathway: usize, block: usize) -> String {
    format!("s{}.pathway{pathway}_res{block}", stage + 2)
}

/// Whether the block's shape changes, so that its shortcut is a convolution.
fn has_shortcut(n_in: i64, n_out: i64, stage: usize, block: usize) -> bool {
    n_in != n_out || (block == 0 && STRIDES[stage] != 1)
}

struct Specs(Vec<Spec>);

impl Specs {
    fn add(&mut self, name: String, role: Role, shape: &[i64], ends_block: bool) {
        self.0.push(Spec { name, role, shape: shape.to_vec(), ends_block });
    }

    fn convolution(&mut self, name: &str, shape: [i64; 4]) {
        self.add(format!("{name}.weight"), Role::Kernel, &shape, false);
    }

    fn norm(&mut self, name: &str, n: i64, ends_block: bool) {
        for (part, role) in [
            ("weight", Role::NormWeight),
            ("bias", Role::NormBias),
            ("running_mean", Role::NormMean),
            ("running_var", Role::NormVariance),
        ] {
            self.add(format!("{name}.{part}"), role, &[n], ends_block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_network_has_26_million_parameters() {
        let n_params = |width_per_group| {
            let config = SlowFastConfig { width_per_group, ..Default::default() };
            let trainable = layout(&config, 44).into_iter().filter(|s| s.role.is_trainable());
            trainable.map(|s| s.shape.iter().product::<i64>()).sum::<i64>() as f64 / 1e6
        };
        // EPIC-SOUNDS recipe: 26.07 M at width 64, 6.56 M at 32, 1.66 M at 16.
        for (width, expected) in [(64, 26.07), (32, 6.56), (16, 1.66)] {
            assert!((n_params(width) - expected).abs() < 0.006, "width {width}: {} M", n_params(width));
        }
    }

    #[test]
    fn names_are_unique() {
        for depth in [50, 101] {
            let specs = layout(&SlowFastConfig { depth, ..Default::default() }, 44);
            let mut names: Vec<_> = specs.iter().map(|s| &s.name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), specs.len());
        }
    }
}
