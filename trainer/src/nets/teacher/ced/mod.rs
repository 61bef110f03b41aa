//! CED-tiny: a vision transformer distilled from an ensemble on AudioSet (Dinkel et al., "CED:
//! consistent ensemble distillation for audio tagging", ICASSP 2024), 5.5 million parameters,
//! Apache-2.0.
//!
//! Enters: mono waves at 16 kHz, `(B, n_samples)`. Leaves: an embedding and the posteriors of
//! AudioSet's classes for every step of 160 ms, and those of the whole waves. The classes' names
//! stand in [`super::audioset`]. The weights are those of the ONNX file in the crate `soundevents`
//! 0.5.0, which `make ced` brings; they were rounded to 8 bits there, the arithmetic is in floating
//! point. Inference only.
//!
//! A step sees the whole wave, and a network of this kind wants two seconds or more of it: long
//! recordings are best heard in pieces of nearly ten seconds.

mod front_end;
mod network;

use crate::error::{Error, Result};
use assemble::ced::Weights;
use front_end::FrontEnd;
use network::Network;
use std::path::Path;
use tch::{Device, Kind, Tensor};

pub use assemble::ced::{
    EMBEDDING_WIDTH, HOP, MAX_STEPS, N_FFT, N_MELS, N_TAGS, PATCH, SAMPLE_RATE, SHA256, STEP_S, VARIABLE, place,
};

/// What the network hears of waves.
#[derive(Debug)]
pub struct Heard {
    /// `(B, T, EMBEDDING_WIDTH)`, single precision: the mean over the four frequency bands of a
    /// step's tokens.
    pub embeddings: Tensor,
    /// `(B, T, N_TAGS)`, 0 to 1: the output layer applied to each step's embedding. The network was
    /// trained on the mean over all steps alone.
    pub posteriors: Tensor,
}

/// The network with its weights.
#[derive(Debug)]
pub struct Ced {
    front_end: FrontEnd,
    network: Network,
    device: Device,
}

/// Steps of a wave of `n_samples`: those whose 16 frames are all there. A rest of less than a step
/// is not heard.
pub fn n_steps(n_samples: usize) -> usize {
    let n_frames = n_samples / HOP + 1;
    n_frames / PATCH
}

impl Ced {
    /// Reads the network from the file at `path`, see [`place`].
    ///
    /// # Errors
    ///
    /// If the file is missing or is not exactly the crate's.
    pub fn load(path: &Path) -> Result<Self> {
        Self::of(&Weights::load(path)?)
    }

    /// The network of its weights.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate it.
    pub fn of(weights: &Weights) -> Result<Self> {
        Ok(Self { front_end: FrontEnd::of(weights)?, network: Network::of(weights)?, device: Device::Cpu })
    }

    /// The same network on `device`, its blocks in `kind`. Front end and output layer stay in
    /// single precision.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate it.
    pub fn to(self, device: Device, kind: Kind) -> Result<Self> {
        Ok(Self { front_end: self.front_end.to(device)?, network: self.network.to(device, kind)?, device })
    }

    /// Log-mel spectrogram `(B, n_samples / HOP + 1, N_MELS)` in dB of waves `(B, n_samples)`, as
    /// the network's own front end computes it: -100 for silence, no limit below the loudest band.
    ///
    /// # Errors
    ///
    /// If the shape is another, or the waves have less than `N_FFT / 2 + 1` samples: so much is
    /// mirrored at their ends.
    pub fn log_mel(&self, samples: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| self.front_end.log_mel(&samples.f_to_device(self.device)?.f_to_kind(Kind::Float)?))
    }

    /// Embeddings and posteriors of each of the [`n_steps`] of waves `(B, n_samples)`.
    ///
    /// # Errors
    ///
    /// If the waves have no step or more than [`MAX_STEPS`], or libtorch reports an error.
    pub fn hear(&self, samples: &Tensor) -> Result<Heard> {
        let embeddings = self.embed(samples)?;
        Ok(Heard { posteriors: self.posteriors(&embeddings)?, embeddings })
    }

    /// The embeddings of [`hear`](Self::hear) alone, `(B, T, EMBEDDING_WIDTH)`.
    ///
    /// # Errors
    ///
    /// As [`hear`](Self::hear).
    pub fn embed(&self, samples: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| Ok(self.tokens(samples)?.f_mean_dim([1i64].as_slice(), false, Kind::Float)?))
    }

    /// Tokens `(B, 4, T, EMBEDDING_WIDTH)` of waves `(B, n_samples)`, lowest frequencies first.
    ///
    /// # Errors
    ///
    /// As [`hear`](Self::hear).
    pub fn tokens(&self, samples: &Tensor) -> Result<Tensor> {
        let (_, n_samples) = samples.size2()?;
        let n_steps = n_steps(n_samples as usize);
        if !(1..=MAX_STEPS).contains(&n_steps) {
            let seconds = n_samples as f64 / f64::from(SAMPLE_RATE);
            let message =
                format!("CED-tiny takes waves of 1 to {MAX_STEPS} steps of {STEP_S} s, not of {seconds:.2} s");
            return Err(Error::Usage(message));
        }
        tch::no_grad(|| self.network.tokens(&self.log_mel(samples)?, n_steps as i64))
    }

    /// Tokens `(B, 4, n_frames / 16, EMBEDDING_WIDTH)` of log-mel frames `(B, n_frames, N_MELS)` in
    /// dB, of any front end.
    ///
    /// # Errors
    ///
    /// If there is no step or more than [`MAX_STEPS`], or libtorch reports an error.
    pub fn tokens_of_frames(&self, decibels: &Tensor) -> Result<Tensor> {
        let (_, n_frames, _) = decibels.size3()?;
        let n_steps = n_frames as usize / PATCH;
        if !(1..=MAX_STEPS).contains(&n_steps) {
            return Err(Error::Usage(format!("CED-tiny takes 1 to {MAX_STEPS} steps at once, not {n_steps}")));
        }
        tch::no_grad(|| self.network.tokens(&decibels.f_to_device(self.device)?, n_steps as i64))
    }

    /// Posteriors `(.., N_TAGS)` of embeddings `(.., EMBEDDING_WIDTH)`: of a step's, or of the mean
    /// over steps.
    ///
    /// # Errors
    ///
    /// If the shape does not fit.
    pub fn posteriors(&self, embeddings: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| self.network.posteriors(&embeddings.f_to_device(self.device)?))
    }

    /// Posteriors `(B, N_TAGS)` of whole waves `(B, n_samples)`: what the network was made for.
    ///
    /// # Errors
    ///
    /// As [`hear`](Self::hear).
    pub fn tags(&self, samples: &Tensor) -> Result<Tensor> {
        self.posteriors(&self.embed(samples)?.f_mean_dim([1i64].as_slice(), false, Kind::Float)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_of_less_than_a_step_is_not_heard() {
        let cases = [(0, 0), (2399, 0), (2400, 1), (4959, 1), (4960, 2), (153_600, 60), (161_280, 63), (163_679, 63)];
        for (n_samples, expected) in cases {
            assert_eq!(n_steps(n_samples), expected, "{n_samples}");
        }
    }
}
