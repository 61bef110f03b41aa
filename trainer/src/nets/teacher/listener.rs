//! A teacher that hears what the student hears.
//!
//! Enters: mel powers of crops after all that was done to them. Leaves: their embeddings,
//! standardised as those of the clean clips. Runs on the training thread, in bfloat16: it is heard
//! by the hundred thousand.

use super::mn04::Mn04;
use super::{EMBEDDING_WIDTH, Statistics};
use crate::error::Result;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The teacher's network.
#[derive(Debug)]
pub struct Listener {
    network: Mn04,
    mean: Tensor,
    std: Tensor,
    device: Device,
}

impl Listener {
    /// Reads the weights at `path`; embeddings are standardised with `statistics`.
    ///
    /// # Errors
    ///
    /// If the weights cannot be read.
    pub fn load(path: &Path, statistics: &Statistics, device: Device) -> Result<Self> {
        Ok(Self {
            network: Mn04::load(path)?.to(device, Kind::BFloat16)?,
            mean: Tensor::f_from_slice(&statistics.mean)?.f_to_device(device)?,
            std: Tensor::f_from_slice(&statistics.std)?.f_to_device(device)?,
            device,
        })
    }

    /// Embeddings `(n, EMBEDDING_WIDTH)` of `n` crops `(n, n_frames, mn04::N_MELS)`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn hear(&self, crops: &[f32], n: usize) -> Result<Tensor> {
        let power = Tensor::f_from_slice(crops)?.f_view([n as i64, -1, super::mn04::N_MELS as i64])?;
        let embedding = self.network.embed_power(&power.f_to_device(self.device)?)?.f_to_kind(Kind::Float)?;
        debug_assert_eq!(embedding.size(), [n as i64, EMBEDDING_WIDTH as i64]);
        Ok(embedding.f_sub(&self.mean)?.f_div(&self.std)?)
    }
}
