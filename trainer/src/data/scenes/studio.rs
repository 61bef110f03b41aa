//! A sound on its way to the scene: a dry recording enters, what the microphone hears of it leaves,
//! with its extent.
//!
//! The extent is what the truth says, so it is taken from the sound as it is heard, reverberation
//! included: from the first to the last 5 ms that are within 30 dB of its loudest and at most 10 dB
//! below the background, which the SNR tells. Where a recording has noise of its own, it ends where
//! it reaches that. What lies further outside is cut off.

use super::active::{Levels, REACH_DB, mean_square, to_db};
use super::fft::Fft;
use super::microphone::Microphone;
use super::pool::{Pool, fade};
use super::room::Room;
use super::settings::SceneSettings;
use crate::common::random::Rng;
use std::ops::Range;

/// What is further below the background than this is not heard.
const UNHEARD_DB: f64 = 10.0;
/// A threshold is never nearer to the loudest level than this, or nothing would be left of a sound
/// below the background.
const LEAST_DB: f64 = 6.0;
/// What remains of a sound before its onset, and its fade.
const BEFORE_S: (f64, f64) = (0.03, 0.02);
/// What remains after its offset, and its fade.
const AFTER_S: (f64, f64) = (0.4, 0.3);

/// A sound as the microphone hears it, at no particular level.
pub(super) struct Voice {
    pub(super) samples: Vec<f32>,
    /// Where it is heard, of its samples.
    pub(super) extent: Range<usize>,
    /// Mean square where it is active.
    pub(super) power: f64,
    pub(super) snr_db: f64,
    pub(super) distance_m: f64,
}

/// The room and the microphone of a scene.
pub(super) struct Studio<'a> {
    pub(super) settings: &'a SceneSettings,
    pub(super) pool: &'a Pool,
    room: &'a Room,
    filter: Vec<f32>,
    fft: &'a mut Fft,
}

impl<'a> Studio<'a> {
    pub(super) fn new(
        settings: &'a SceneSettings,
        pool: &'a Pool,
        room: &'a Room,
        microphone: &Microphone,
        fft: &'a mut Fft,
    ) -> Self {
        let filter = microphone.filter(pool.sample_rate(), fft);
        Self { settings, pool, room, filter, fft }
    }

    /// Plays `dry`, whose own noise lies below `threshold_db`. What of it is active may come in
    /// several parts with longer pauses: of these `all` remain, or the one with the most energy.
    /// None if it is silent, as a stretch cut from a longer recording may be.
    pub(super) fn record(&mut self, dry: &[f32], threshold_db: f64, all: bool, rng: &mut Rng) -> Option<Voice> {
        let snr_db = self.settings.snr_db.draw(rng);
        let wanted_m = self.settings.distance_m.draw_log(rng);
        let (response, distance_m) = self.room.impulse_response(wanted_m, self.pool.sample_rate(), self.fft, rng);
        let cut_db = threshold_db - Levels::of(dry, self.pool.sample_rate()).loudest_db();
        let kernel = self.fft.convolve(&self.filter, &response);
        let mut samples = self.fft.convolve(dry, &kernel);
        let (parts, power) = self.parts(&samples, cut_db, snr_db, all);
        if parts.is_empty() {
            return None;
        }
        let extent = parts[0].start..parts[parts.len() - 1].end;
        let count = |seconds: f64| (seconds * f64::from(self.pool.sample_rate())) as usize;
        let from = extent.start.saturating_sub(count(BEFORE_S.0));
        let to = (extent.end + count(AFTER_S.0)).min(samples.len());
        samples.truncate(to);
        samples.drain(..from);
        // Neither fade reaches into the extent.
        let fades = (count(BEFORE_S.1).min(extent.start - from), count(AFTER_S.1).min(to - extent.end));
        fade(&mut samples, fades.0, fades.1);
        Some(Voice { samples, extent: extent.start - from..extent.end - from, power, snr_db, distance_m })
    }

    /// The active parts, and their mean square.
    fn parts(&self, samples: &[f32], cut_db: f64, snr_db: f64, all: bool) -> (Vec<Range<usize>>, f64) {
        let levels = Levels::of(samples, self.pool.sample_rate());
        let loudest = levels.loudest_db();
        let mut threshold = loudest + cut_db.clamp(-REACH_DB, -LEAST_DB);
        loop {
            let mut parts = levels.stretches(threshold, self.pool.gap_s());
            let energy = |part: &Range<usize>| mean_square(&samples[part.clone()]) * part.len() as f64;
            if !all {
                parts.sort_by(|a, b| energy(b).total_cmp(&energy(a)));
                parts.truncate(1);
            }
            let n_active: usize = parts.iter().map(ExactSizeIterator::len).sum();
            let power = parts.iter().map(energy).sum::<f64>() / n_active.max(1) as f64;
            // The background is `snr_db` below the active parts, and these are what is not too far
            // below the background: found in some rounds, for the threshold only rises.
            let heard = (to_db(power) - snr_db - UNHEARD_DB).min(loudest - LEAST_DB);
            if heard < threshold + 0.1 {
                return (parts, power);
            }
            threshold = heard;
        }
    }
}
