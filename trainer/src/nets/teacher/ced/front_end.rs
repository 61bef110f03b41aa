//! The network's own log-mel spectrogram.
//!
//! Enters: mono waves at 16 kHz, `(B, n_samples)`. Leaves: decibels, `(B, n_frames, N_MELS)`.
//! Window and filters are the constants of the network's file, which rounded them to 8 bits, so
//! that the network hears what it hears there.

use super::{HOP, N_FFT};
use crate::common::array::to_tensor;
use crate::error::Result;
use assemble::ced::{LEAST_POWER, Weights};
use tch::{Device, Kind, Tensor};

/// Window and filters.
#[derive(Debug)]
pub(super) struct FrontEnd {
    /// Hann, `(N_FFT)`.
    window: Tensor,
    /// `(N_FFT / 2 + 1, N_MELS)`.
    filters: Tensor,
}

impl FrontEnd {
    pub(super) fn of(weights: &Weights) -> Result<Self> {
        Ok(Self { window: to_tensor(&weights.window)?, filters: to_tensor(&weights.filters)? })
    }

    pub(super) fn to(&self, device: Device) -> Result<Self> {
        Ok(Self { window: self.window.f_to_device(device)?, filters: self.filters.f_to_device(device)? })
    }

    /// `10 log10(max(power, 1e-10))` of each band, `(B, n_frames, N_MELS)`; frame `t` is centred on
    /// sample `HOP * t`, the wave mirrored at its ends. No limit below the loudest band.
    pub(super) fn log_mel(&self, samples: &Tensor) -> Result<Tensor> {
        const N: i64 = N_FFT as i64;
        let padded = samples.f_unsqueeze(1)?.f_reflection_pad1d([N / 2, N / 2])?.f_squeeze_dim(1)?;
        let frames = padded.f_unfold(1, N, HOP as i64)?.f_mul(&self.window)?;
        let spectrum = frames.f_fft_rfft(None::<i64>, -1, "backward")?.f_view_as_real()?;
        let power = spectrum.f_square()?.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?;
        Ok(power.f_matmul(&self.filters)?.f_clamp_min_(LEAST_POWER)?.f_log10_()?.f_mul_scalar_(10.0)?)
    }
}
