//! Recordings into memory: a file of any rate and channel count enters, mono pieces at the pool's
//! rate leave.

use super::listing::Generated;
use super::sound::Shelf;
use super::{Background, Piece};
use crate::data::scenes::active::{Active, active};
use crate::error::{Error, Result};
use edge::audio::Audio;
use std::ops::Range;
use std::path::Path;

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
pub(super) fn pieces(path: &Path, shelf: &Shelf, gap_s: f64) -> Result<Vec<Piece>> {
    let samples = read(path, shelf.sample_rate)?;
    let pieces = active(&samples, shelf.sample_rate, gap_s);
    Ok(pieces.into_iter().map(|active| piece(Some(path), &samples, &active, shelf)).collect())
}

/// The sounding pieces of a clip of the generator.
pub(super) fn generated(clip: &Generated, shelf: &Shelf, gap_s: f64) -> Vec<Piece> {
    let mut samples = sounds::render(clip.sound, shelf.sample_rate, clip.seconds as f32, clip.seed);
    cut_low(&mut samples, shelf.sample_rate);
    let pieces = active(&samples, shelf.sample_rate, gap_s);
    pieces.into_iter().map(|active| piece(None, &samples, &active, shelf)).collect()
}

/// Cuts a piece out, with its fades. What comes from no file stays in memory.
fn piece(path: Option<&Path>, samples: &[f32], active: &Active, shelf: &Shelf) -> Piece {
    let rate = f64::from(shelf.sample_rate);
    let count = |seconds: f64| (seconds * rate) as usize;
    let Range { start, end } = active.range;
    let (from, to) = (start.saturating_sub(count(FADE_IN_S)), (end + count(FADE_OUT_S)).min(samples.len()));
    Piece {
        sound: shelf.place(path, samples, from..to, (count(FADE_IN_S), count(FADE_OUT_S))),
        from_s: from as f64 / rate,
        threshold_db: active.threshold_db,
    }
}

/// Fades the ends by half cosines.
pub(in crate::data::scenes) fn fade(samples: &mut [f32], fade_in: usize, fade_out: usize) {
    let gain = |i: usize, n: usize| 0.5 - 0.5 * ((i as f32 + 0.5) / n as f32 * std::f32::consts::PI).cos();
    samples.iter_mut().take(fade_in).enumerate().for_each(|(i, x)| *x *= gain(i, fade_in));
    samples.iter_mut().rev().take(fade_out).enumerate().for_each(|(i, x)| *x *= gain(i, fade_out));
}

/// The stretches `parts` (by the number of samples; one may be empty) of the recording at `path` as
/// backgrounds; those that are too short to be looped are left out. None if the recording is
/// silent.
pub(super) fn backgrounds(
    path: &Path,
    source: &str,
    like: Option<&String>,
    shelf: &Shelf,
    parts: impl Fn(usize) -> [Range<usize>; 2],
) -> Result<Vec<Background>> {
    let samples = read(path, shelf.sample_rate)?;
    if active(&samples, shelf.sample_rate, 1.0).is_empty() {
        return Ok(Vec::new());
    }
    let shortest = (SHORTEST_BACKGROUND_S * f64::from(shelf.sample_rate)) as usize;
    let place = |range: Range<usize>| Background {
        source: source.to_owned(),
        like: like.cloned(),
        sound: shelf.place(Some(path), &samples, range, (0, 0)),
    };
    Ok(parts(samples.len()).into_iter().filter(|range| range.len() >= shortest).map(place).collect())
}

/// The impulse responses of the recording at `path`, one per channel, at `sample_rate`.
pub(super) fn responses(path: &Path, sample_rate: u32) -> Result<Vec<Vec<f32>>> {
    let first = edge::audio::decode_channel(path, 0)?;
    let others = (1..first.n_channels).map(|channel| Ok(edge::audio::decode_channel(path, channel)?));
    let channels: Vec<_> = std::iter::once(Ok(first)).chain(others).collect::<Result<_>>()?;
    let at_rate =
        |audio: &Audio| Ok(edge_frontend::resample(usual_rate(audio.sample_rate), sample_rate, &audio.samples)?);
    channels.iter().map(at_rate).collect()
}

/// Mono samples at `sample_rate`, without rumble and DC.
pub(super) fn read(path: &Path, sample_rate: u32) -> Result<Vec<f32>> {
    let audio = edge::audio::decode_file(path)?;
    let rate = usual_rate(audio.sample_rate);
    let mut samples =
        if rate == sample_rate { audio.samples } else { edge_frontend::resample(rate, sample_rate, &audio.samples)? };
    cut_low(&mut samples, sample_rate);
    Ok(samples)
}

/// The rate that recordings of an odd one, such as 11,127 Hz, are taken for: at most 0.2 % away
/// from it, and a resampler needs whole blocks of both rates.
fn usual_rate(sample_rate: u32) -> u32 {
    sample_rate.next_multiple_of(25) - if sample_rate % 25 <= 12 && !sample_rate.is_multiple_of(25) { 25 } else { 0 }
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

/// An error for a background that cannot be used.
pub(super) fn unusable(path: &Path) -> Error {
    Error::content(path, format!("background is silent or shorter than {SHORTEST_BACKGROUND_S} s"))
}
