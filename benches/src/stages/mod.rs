//! The stages, prepared to do their work piece by piece.

mod capture;
mod front_end;
mod recognition;

pub(crate) use capture::{conversion, ring};
pub(crate) use front_end::{log, log_mel, mel, resample, stft};
pub(crate) use recognition::{chain, decide, engine, publish};
