//! What lies under a sound.
//!
//! Enters: recordings of the user's rooms, where there are any, and generated room noise. Leaves:
//! sounds over stretches of it, at a level. Powers of sounds add up, so all is done on frames of
//! powers.

use super::sounding::Sounding;
use crate::common::random::{Rng, uniform};
use crate::data::procedural;
use crate::error::Result;
use crate::train::student::{decibels, power_of};
use edge_frontend::FrontendConfig;
use rand::Rng as _;
use sounds::Sound;

/// Generated rooms and their length.
const N_ROOMS: usize = 4;
const ROOM_S: f64 = 8.0;
const ROOM_SEED: u64 = 71_000;
/// A recording is laid over room noise this far below its sound, so that it does not end in digital
/// silence.
const QUIET_DB: f32 = -40.0;
/// Of the further versions of a sound: range of its gain, and of what lies under it against it.
const GAIN_DB: f32 = 10.0;
const UNDER_DB: [f32; 2] = [-35.0, -5.0];

/// Stretches of background.
#[derive(Debug)]
pub struct Beds {
    n_mels: usize,
    /// `(n_frames, n_mels)` row-major each, powers.
    beds: Vec<Vec<f32>>,
}

impl Beds {
    /// Generated rooms, and `own` recordings' powers.
    ///
    /// # Errors
    ///
    /// If the front end refuses its configuration.
    pub fn new(frontend: &FrontendConfig, own: &[Vec<f32>]) -> Result<Self> {
        let rooms = procedural::render(vec![(Sound::RoomNoise, 0)], N_ROOMS, ROOM_S, ROOM_SEED, frontend)?;
        let power = |frames: &[f32]| frames.iter().map(|&value| power_of(value, frontend)).collect::<Vec<f32>>();
        let beds = rooms.iter().map(|clip| Ok(power(&clip.frames.all()?)));
        let mut beds = beds.collect::<Result<Vec<Vec<f32>>>>()?;
        beds.extend(own.iter().filter(|bed| bed.iter().sum::<f32>() > 0.0).cloned());
        Ok(Self { n_mels: frontend.n_mels, beds })
    }

    /// The sound as it was recorded, over a quiet room.
    pub fn plain(&self, sounding: &Sounding) -> Vec<f32> {
        let mut power = sounding.power.clone();
        self.add(&mut power, &self.beds[0], 0, level(sounding, self.n_mels) * decibels(QUIET_DB));
        power
    }

    /// Another version of it: louder or softer, over another background.
    pub fn varied(&self, sounding: &Sounding, rng: &mut Rng) -> Vec<f32> {
        let mut power = self.plain(sounding);
        let bed = &self.beds[rng.random_range(0..self.beds.len() as u32) as usize];
        let start = rng.random_range(0..(bed.len() / self.n_mels) as u32) as usize;
        let under = decibels(uniform(rng, UNDER_DB[0], UNDER_DB[1]));
        self.add(&mut power, bed, start, level(sounding, self.n_mels) * under);
        let gain = decibels(uniform(rng, -GAIN_DB, GAIN_DB));
        power.iter_mut().for_each(|p| *p *= gain);
        power
    }

    /// Adds `bed` from frame `start` on, as often as it takes, with the mean power `mean` a frame.
    fn add(&self, power: &mut [f32], bed: &[f32], start: usize, mean: f32) {
        let n_frames = bed.len() / self.n_mels;
        let gain = mean * n_frames as f32 / bed.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        for (i, frame) in power.chunks_exact_mut(self.n_mels).enumerate() {
            let at = (start + i) % n_frames * self.n_mels;
            frame.iter_mut().zip(&bed[at..]).for_each(|(p, b)| *p += gain * b);
        }
    }
}

/// Mean power a frame while it sounds.
fn level(sounding: &Sounding, n_mels: usize) -> f32 {
    let frames = &sounding.frames;
    sounding.power[frames.start * n_mels..frames.end * n_mels].iter().sum::<f32>() / frames.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, rng_for};

    #[test]
    fn the_sound_stays_and_what_is_around_it_is_filled() {
        let frontend = FrontendConfig::student();
        let beds = Beds::new(&frontend, &[vec![1.0; 3 * frontend.n_mels]]).unwrap();
        let mut power = vec![0.0; 30 * frontend.n_mels];
        power[10 * frontend.n_mels..20 * frontend.n_mels].fill(2.0);
        let sounding = Sounding { power, frames: 10..20 };
        let frame = |power: &[f32], at: usize| {
            power[at * frontend.n_mels..(at + 1) * frontend.n_mels].iter().sum::<f32>() / frontend.n_mels as f32
        };
        let plain = beds.plain(&sounding);
        assert!((frame(&plain, 15) - 2.0).abs() < 0.01);
        assert!(frame(&plain, 0) > 0.0 && frame(&plain, 0) < 0.01);
        let varied = beds.varied(&sounding, &mut rng_for(1, Purpose::Mix, 0));
        assert_eq!(varied, beds.varied(&sounding, &mut rng_for(1, Purpose::Mix, 0)));
        let ratio = frame(&varied, 15) / frame(&varied, 0);
        assert!(ratio > 2.0 && ratio < 1e4, "{ratio}");
    }
}
