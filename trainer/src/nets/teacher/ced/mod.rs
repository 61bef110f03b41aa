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
mod onnx;

use crate::error::{Error, Result};
use front_end::FrontEnd;
use network::Network;
use onnx::Onnx;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Rate that the network expects, in Hz.
pub const SAMPLE_RATE: u32 = 16_000;
/// Duration of a step. Step `t` is made of the frames centred on `STEP_S * t` to `STEP_S * t +
/// 0.15` seconds.
pub const STEP_S: f64 = 0.16;
/// Values of an embedding.
pub const EMBEDDING_WIDTH: usize = 192;
/// Classes of AudioSet.
pub const N_TAGS: usize = 527;
/// Most steps that the network has positions for: 10.08 s.
pub const MAX_STEPS: usize = 63;
/// Bands of a frame.
pub const N_MELS: i64 = 64;
/// Length of the Fourier transform and its window.
pub const N_FFT: i64 = 512;
/// Samples from one frame to the next: 10 ms.
pub const HOP: i64 = 160;
/// Frames and bands of a patch.
const PATCH: i64 = 16;

/// Environment variable that names the network's file.
pub const VARIABLE: &str = "EARWITNESS_CED";
const FILE: &str = "earwitness/ced-tiny.onnx";
/// SHA-256 of the file.
pub const SHA256: &str = "3890f227660be71886ff48633d11a731993e0206db8a486781412c28a0873435";

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

/// Where the network's file is expected: what [`VARIABLE`] says, else in the user's cache folder,
/// where `make ced` puts it.
pub fn place() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let in_home = || variable("HOME").unwrap_or_default().join(".cache");
    variable(VARIABLE).unwrap_or_else(|| variable("XDG_CACHE_HOME").unwrap_or_else(in_home).join(FILE))
}

/// Steps of a wave of `n_samples`: those whose 16 frames are all there. A rest of less than a step
/// is not heard.
pub fn n_steps(n_samples: usize) -> usize {
    let n_frames = n_samples / HOP as usize + 1;
    n_frames / PATCH as usize
}

impl Ced {
    /// Reads the network from the file at `path`, see [`place`].
    ///
    /// # Errors
    ///
    /// If the file is missing or is not exactly the crate's.
    pub fn load(path: &Path) -> Result<Self> {
        let remedy = "CED-tiny, which `make ced` brings; EARWITNESS_CED names it";
        let bytes = std::fs::read(path)
            .map_err(|e| Error::content(path, format!("{e}: this file should be {remedy} if it lies elsewhere")))?;
        let is: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if is != SHA256 {
            let cause = format!("has the SHA-256 {is}, expected {SHA256}: it is damaged or of another version than");
            return Err(Error::content(path, format!("{cause} {remedy} if it lies elsewhere")));
        }
        let file = Onnx::decode(&bytes, path)?;
        Ok(Self { front_end: FrontEnd::read(&file)?, network: Network::read(&file)?, device: Device::Cpu })
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
                format!("CED-tiny hears waves of 1 to {MAX_STEPS} steps of {STEP_S} s, not of {seconds:.2} s");
            return Err(Error::Usage(message));
        }
        tch::no_grad(|| self.network.tokens(&self.log_mel(samples)?, n_steps as i64))
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

    #[test]
    fn a_file_that_is_missing_or_another_names_cause_and_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ced-tiny.onnx");
        let message = |path: &Path| Ced::load(path).unwrap_err().to_string();
        let missing = message(&path);
        assert!(missing.contains("No such file") && missing.contains("make ced"), "{missing}");
        std::fs::write(&path, b"another").unwrap();
        let other = message(&path);
        assert!(other.contains("damaged or of another version") && other.contains("make ced"), "{other}");
    }
}
