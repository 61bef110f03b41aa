//! Recordings into memory: a file of any rate and channel count enters, mono pieces at the pool's
//! rate leave.

use super::{Background, Piece, folder};
use crate::error::{Error, Result};
use crate::tools::scenes::active::{Active, active};
use rayon::prelude::*;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Below this recordings are cut, first order: rumble and DC count for no level. The lowest band of
/// the features starts at 50 Hz.
const LOW_CUT_HZ: f64 = 40.0;
/// Samples before a piece's onset that fade it in.
const FADE_IN_S: f64 = 0.003;
/// Samples after its offset that fade it out.
const FADE_OUT_S: f64 = 0.01;
/// Shorter stretches of background cannot be looped.
const SHORTEST_BACKGROUND_S: f64 = 0.5;

/// The sounding pieces of the recording at `path`; none if it is silent.
pub(super) fn pieces(path: &Path, sample_rate: u32, gap_s: f64) -> Result<Vec<Piece>> {
    let samples = read(path, sample_rate)?;
    let pieces = active(&samples, sample_rate, gap_s);
    Ok(pieces.into_iter().map(|active| piece(&samples, &active, sample_rate)).collect())
}

/// Cuts a piece out, with its fades.
fn piece(samples: &[f32], active: &Active, sample_rate: u32) -> Piece {
    let count = |seconds: f64| (seconds * f64::from(sample_rate)) as usize;
    let Range { start, end } = active.range;
    let (from, to) = (start.saturating_sub(count(FADE_IN_S)), (end + count(FADE_OUT_S)).min(samples.len()));
    let mut piece = samples[from..to].to_vec();
    fade(&mut piece, count(FADE_IN_S), count(FADE_OUT_S));
    Piece { samples: piece, from_s: from as f64 / f64::from(sample_rate), threshold_db: active.threshold_db }
}

/// Fades the ends by half cosines.
pub(in crate::tools::scenes) fn fade(samples: &mut [f32], fade_in: usize, fade_out: usize) {
    let gain = |i: usize, n: usize| 0.5 - 0.5 * ((i as f32 + 0.5) / n as f32 * std::f32::consts::PI).cos();
    samples.iter_mut().take(fade_in).enumerate().for_each(|(i, x)| *x *= gain(i, fade_in));
    samples.iter_mut().rev().take(fade_out).enumerate().for_each(|(i, x)| *x *= gain(i, fade_out));
}

/// The stretches that `part` names (by the number of samples) of the recordings, which lie below
/// `root`.
pub(super) fn backgrounds(
    files: &[PathBuf],
    root: &Path,
    sample_rate: u32,
    part: impl Fn(usize) -> Range<usize> + Sync,
) -> Result<Vec<Background>> {
    files
        .par_iter()
        .map(|path| {
            let samples = read(path, sample_rate)?;
            let samples = samples[part(samples.len())].to_vec();
            if (samples.len() as f64) < SHORTEST_BACKGROUND_S * f64::from(sample_rate) {
                return Err(Error::content(path, format!("background is shorter than {SHORTEST_BACKGROUND_S} s")));
            }
            if active(&samples, sample_rate, 1.0).is_empty() {
                return Err(Error::content(path, "background is silent"));
            }
            Ok(Background { source: folder::name_below(path, root), samples })
        })
        .collect()
}

fn read(path: &Path, sample_rate: u32) -> Result<Vec<f32>> {
    let audio = edge::audio::decode_file(path)?;
    let mut samples = if audio.sample_rate == sample_rate {
        audio.samples
    } else {
        edge_frontend::resample(audio.sample_rate, sample_rate, &audio.samples)?
    };
    cut_low(&mut samples, sample_rate);
    Ok(samples)
}

/// Takes rumble and DC away.
pub(crate) fn cut_low(samples: &mut [f32], sample_rate: u32) {
    // y[n] = x[n] - x[n-1] + r y[n-1]
    let r = (-std::f64::consts::TAU * LOW_CUT_HZ / f64::from(sample_rate)).exp();
    let (mut before, mut y) = (0.0, 0.0);
    for x in samples {
        let now = f64::from(*x);
        y = now - before + r * y;
        before = now;
        *x = y as f32;
    }
}
