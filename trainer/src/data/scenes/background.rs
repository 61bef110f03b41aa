//! What lies under a scene: stretches of recorded background and of generated room noise, one after
//! another.
//!
//! Enters: the pool's backgrounds. Leaves: a track as the microphone hears it, with its own noise,
//! at the level drawn. A recording that is too short is pieced together from itself, beginning
//! anywhere, with cross-fades.

use super::active::{from_db, mean_square, to_db};
use super::deck::Deck;
use super::fft::Fft;
use super::microphone::Microphone;
use super::pool::{Background, Pool};
use crate::common::random::{Purpose, Rng, normal, rng_for, uniform};
use crate::error::Result;
use rand::Rng as _;
use serde::Serialize;
use sounds::{Sound, TruthEvent};
use std::ops::Range;

/// Length of a bed.
const BED_S: (f32, f32) = (40.0, 120.0);
/// Cross-fade from one bed to the next.
const BED_FADE_S: f32 = 2.0;
/// Length of the pieces that a short recording is looped in.
const PIECE_S: (f32, f32) = (2.0, 6.0);
const PIECE_FADE_S: f32 = 0.25;
/// Share of beds that are generated where there are recordings.
const GENERATED: f32 = 0.25;
/// Generated room noise before it is looped.
const GENERATED_S: f32 = 20.0;
/// Deviation of a bed's level from the scene's, bounded at twice this.
const SPREAD_DB: f32 = 2.0;
/// Time from one level of a swelling bed to the next.
const SWELL_S: (f32, f32) = (1.5, 8.0);
/// Level of the room noise under all beds: it keeps loops from being each other's copies.
const UNDER_DB: f64 = -12.0;

/// One stretch of background.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Bed {
    source: String,
    from_s: f64,
    to_s: f64,
    /// Before the microphone, over the mean of all.
    level_db: f64,
    #[serde(skip)]
    like: Option<String>,
}

impl Bed {
    /// The label that it may have, with its time.
    pub(super) fn unsure(&self) -> Option<TruthEvent> {
        Some(TruthEvent { onset_s: self.from_s, offset_s: self.to_s, label: self.like.clone()? })
    }
}

/// How loud a track is: its RMS in dBFS, and the deviation of its swells in dB.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrackLevel {
    pub(super) level_dbfs: f64,
    pub(super) swell_db: f64,
}

/// A track of `n` samples.
pub(super) fn lay(
    pool: &Pool,
    level: TrackLevel,
    microphone: &Microphone,
    n: usize,
    fft: &mut Fft,
    rng: &mut Rng,
) -> Result<(Vec<f32>, Vec<Bed>)> {
    let rate = pool.sample_rate();
    let count = |seconds: f32| (seconds * rate as f32) as usize;
    let mut deck = Deck::new((0..pool.backgrounds().len()).collect());
    let (mut track, mut beds) = (vec![0.0; n], Vec::new());
    let fade = count(BED_FADE_S);
    let mut start = 0;
    while start < n {
        let (low, high) = BED_S;
        let end = (start + count(uniform(rng, low, high)) + fade).min(n);
        let recorded = deck.draw(rng).filter(|_| rng.random::<f32>() >= GENERATED);
        let level_db = f64::from((SPREAD_DB * normal(rng)).clamp(-2.0 * SPREAD_DB, 2.0 * SPREAD_DB));
        let (source, like, mut bed) = match recorded {
            Some(i) => {
                let Background { source, like, sound } = &pool.backgrounds()[i];
                let samples = |part| sound.samples(part);
                (source.clone(), like.clone(), extend(sound.len(), samples, end - start, rate, rng)?)
            }
            None => {
                let (source, samples) = room_noise(rate, rng);
                (source, None, extend_noise(&samples, end - start, rate, rng)?)
            }
        };
        if level.swell_db > 0.0 {
            swell(&mut bed, level.swell_db as f32, rate, rng);
        }
        scale(&mut bed, level_db);
        let fade_in = if start == 0 { 0 } else { fade };
        add(&mut track[start..end], &bed, fade_in, if end == n { 0 } else { fade });
        let at = |sample: usize| sample as f64 / f64::from(rate);
        beds.push(Bed { source, from_s: at(start), to_s: at(end), level_db, like });
        start = if end == n { n } else { end - fade };
    }
    let noise = room_noise(rate, rng).1;
    let mut under = extend_noise(&noise, n, rate, rng)?;
    scale(&mut under, UNDER_DB);
    add(&mut track, &under, 0, 0);
    drop(under);
    let filter = microphone.filter(rate, fft);
    fft.filter(&mut track, &filter);
    scale(&mut track, level.level_dbfs);
    microphone.hiss(&mut track, &mut rng_for(rng.random(), Purpose::Composition, 0));
    Ok((track, beds))
}

/// Generated room noise and its name.
fn room_noise(sample_rate: u32, rng: &mut Rng) -> (String, Vec<f32>) {
    let seed: u64 = rng.random();
    let samples = sounds::render(Sound::RoomNoise, sample_rate, GENERATED_S, seed);
    (format!("{}:{seed}", Sound::RoomNoise), samples)
}

fn extend_noise(noise: &[f32], n: usize, sample_rate: u32, rng: &mut Rng) -> Result<Vec<f32>> {
    extend(noise.len(), |part| Ok(noise[part].to_vec()), n, sample_rate, rng)
}

/// `n` samples of a recording of `length` samples, which `samples` gives, pieced together if it is
/// shorter.
fn extend(
    length: usize,
    samples: impl Fn(Range<usize>) -> Result<Vec<f32>>,
    n: usize,
    sample_rate: u32,
    rng: &mut Rng,
) -> Result<Vec<f32>> {
    if length >= n {
        let from = rng.random_range(0..=length - n);
        return samples(from..from + n);
    }
    let recording = samples(0..length)?;
    let count = |seconds: f32| (seconds * sample_rate as f32) as usize;
    let mut track = vec![0.0; n];
    let mut start = 0;
    while start < n {
        let length = count(uniform(rng, PIECE_S.0, PIECE_S.1)).min(recording.len());
        let fade = count(PIECE_FADE_S).min(length / 4);
        let from = rng.random_range(0..=recording.len() - length);
        let end = (start + length).min(n);
        let fade_out = if end == n { 0 } else { fade };
        add(&mut track[start..end], &recording[from..from + end - start], if start == 0 { 0 } else { fade }, fade_out);
        start = if end == n { n } else { end - fade };
    }
    Ok(track)
}

/// Adds `samples`, which are as long as `track`, with cross-fades that keep the power of unlike
/// signals.
fn add(track: &mut [f32], samples: &[f32], fade_in: usize, fade_out: usize) {
    let n = track.len();
    let quarter = |part: usize, whole: usize| (part as f32 / whole as f32 * std::f32::consts::FRAC_PI_2).sin();
    for (i, (out, &x)) in track.iter_mut().zip(samples).enumerate() {
        let mut gain = if i < fade_in { quarter(i, fade_in) } else { 1.0 };
        if n - i < fade_out {
            gain *= quarter(n - i, fade_out);
        }
        *out += gain * x;
    }
}

/// Lets the level of a bed wander: normally distributed levels of the deviation `depth_db`, bounded
/// at twice this, joined by half cosines in dB.
fn swell(samples: &mut [f32], depth_db: f32, sample_rate: u32, rng: &mut Rng) {
    let target = |rng: &mut Rng| (depth_db * normal(rng)).clamp(-2.0 * depth_db, 2.0 * depth_db);
    let mut level_db = target(rng);
    let mut start = 0;
    while start < samples.len() {
        let next_db = target(rng);
        let n = (uniform(rng, SWELL_S.0, SWELL_S.1) * sample_rate as f32) as usize;
        let end = (start + n).min(samples.len());
        for (i, x) in samples[start..end].iter_mut().enumerate() {
            let way = 0.5 - 0.5 * (i as f32 / n as f32 * std::f32::consts::PI).cos();
            *x *= 10f32.powf((level_db + (next_db - level_db) * way) / 20.0);
        }
        (level_db, start) = (next_db, end);
    }
}

/// Brings `samples` to an RMS in dBFS; digital silence stays.
fn scale(samples: &mut [f32], level_dbfs: f64) {
    let power = mean_square(samples);
    if power > 0.0 {
        let gain = from_db(level_dbfs - to_db(power)).sqrt() as f32;
        samples.iter_mut().for_each(|x| *x *= gain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scenes::active::Levels;

    const STEADY: TrackLevel = TrackLevel { level_dbfs: -50.0, swell_db: 0.0 };

    #[test]
    fn a_background_swells_as_far_as_it_shall_and_keeps_its_level() {
        let pool = Pool::silent_at(24_000);
        let microphone = Microphone::draw(&Default::default(), &mut rng_for(2, Purpose::Composition, 1));
        let spread_db = |swell_db: f64| {
            let (n, mut rng) = (24_000 * 300, rng_for(2, Purpose::Composition, 2));
            let level = TrackLevel { swell_db, ..STEADY };
            let (track, _) = lay(&pool, level, &microphone, n, &mut Fft::new(), &mut rng).unwrap();
            assert!((to_db(mean_square(&track)) + 50.0).abs() < 0.3);
            let levels: Vec<f64> = track.chunks_exact(12_000).map(|half| to_db(mean_square(half))).collect();
            let mean = levels.iter().sum::<f64>() / levels.len() as f64;
            (levels.iter().map(|level| (level - mean).powi(2)).sum::<f64>() / levels.len() as f64).sqrt()
        };
        let [steady, swelling] = [0.0, 6.0].map(spread_db);
        assert!(steady < 3.0 && swelling > steady + 1.5 && swelling < 8.0, "{steady} {swelling} dB");
    }

    #[test]
    fn a_looped_recording_has_no_holes_and_keeps_its_level() {
        let mut rng = rng_for(1, Purpose::Composition, 0);
        let recording: Vec<f32> = (0..30_000).map(|_| 0.1 * normal(&mut rng)).collect();
        for n in [20_000, 30_000, 400_000] {
            let track = extend_noise(&recording, n, 24_000, &mut rng).unwrap();
            assert_eq!(track.len(), n);
            for (i, piece) in track.chunks_exact(2400).enumerate() {
                let level = to_db(mean_square(piece));
                assert!((-22.5..-17.0).contains(&level), "{n}, {i}: {level} dB");
            }
        }
    }

    #[test]
    fn a_track_is_full_and_at_its_level() {
        let pool = Pool::silent_at(24_000);
        let mut fft = Fft::new();
        let microphone = Microphone::draw(&Default::default(), &mut rng_for(2, Purpose::Composition, 1));
        let n = 24_000 * 150;
        let (track, beds) =
            lay(&pool, STEADY, &microphone, n, &mut fft, &mut rng_for(2, Purpose::Composition, 2)).unwrap();
        assert!((to_db(mean_square(&track)) + 50.0).abs() < 0.3);
        assert!(beds.len() >= 2 && beds[0].from_s == 0.0 && beds[beds.len() - 1].to_s == 150.0, "{beds:?}");
        let full = Levels::of(&track, 24_000).stretches(-75.0, 0.1);
        assert!(full.len() == 1 && full[0] == (0..n), "{full:?}");
    }
}
