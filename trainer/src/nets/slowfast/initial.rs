//! Fresh weights.

use super::layout::{Role, Spec};
use crate::common::random::{Purpose, normal, rng_for};
use crate::error::Result;
use tch::{Device, Kind, Tensor};

/// Standard deviation of the head's fresh weights.
const HEAD_STD: f32 = 0.01;

/// The value that tensor number `place` starts from: He's initialisation by fan-out for kernels (He
/// et al. 2015; "MSRA fill"), ones and zeros for batch norms, zero for the scale of the one that
/// ends a block, a narrow normal for the head.
pub(super) fn initial(spec: &Spec, seed: u64, place: u64) -> Result<Tensor> {
    let options = (Kind::Float, Device::Cpu);
    let fan_out = || (spec.shape[0] * spec.shape[2] * spec.shape[3]) as f32;
    Ok(match spec.role {
        Role::Kernel => draw(&spec.shape, (2.0 / fan_out()).sqrt(), seed, place)?,
        Role::HeadWeight => draw(&spec.shape, HEAD_STD, seed, place)?,
        Role::NormWeight if spec.ends_block => Tensor::f_zeros(&spec.shape[..], options)?,
        Role::NormWeight | Role::NormVariance => Tensor::f_ones(&spec.shape[..], options)?,
        Role::NormBias | Role::NormMean | Role::HeadBias => Tensor::f_zeros(&spec.shape[..], options)?,
    })
}

fn draw(shape: &[i64], std: f32, seed: u64, place: u64) -> Result<Tensor> {
    let mut rng = rng_for(seed, Purpose::Weights, place);
    let values: Vec<f32> = (0..shape.iter().product::<i64>()).map(|_| std * normal(&mut rng)).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view(shape)?)
}
