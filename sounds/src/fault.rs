//! What a recording chain adds by itself: hum on its cables, overload of its input. And a small
//! loudspeaker, which is such a chain in the room.

use crate::filter::Biquad;
use crate::math::{self, TAU};
use crate::music;
use crate::noise;
use crate::render;
use crate::room;
use crate::sound::Sound;
use crate::take::Take;
use crate::voice;

/// Mains hum and the buzz of what cuts the mains' wave, steady or through a loose contact.
pub(crate) fn mains_hum(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    // Grids keep their frequency within some tenths of a per cent.
    let mains_hz = rng.pick(&[50.0, 60.0]) * rng.uniform(0.997, 1.003);
    crate::machine::hum(take, &mut rng, mains_hz, 1.0);
    let (fundamental, buzz) = (rng.log_uniform(0.05, 2.0), rng.log_uniform(0.02, 2.5));
    let sharp = rng.log_uniform(15.0, 90.0);
    let mut shape = Biquad::band_pass(rate, rng.log_uniform(500.0, 3500.0), rng.uniform(0.4, 1.2));
    let mut phase = rng.unit();
    for out in &mut take.samples {
        phase += mains_hz / rate;
        phase -= math::floor(phase);
        let half = 2.0 * phase - math::floor(2.0 * phase);
        *out += fundamental * math::sin(TAU * phase) + buzz * shape.process(3.0 * math::exp(-sharp * half));
    }
    if rng.chance(0.3) {
        let contact = noise::drift(&mut rng, rate, n, 3.0, 9.0);
        for (x, contact) in take.samples.iter_mut().zip(&contact) {
            *x *= contact.min(1.5);
        }
    }
}

/// What an overdriven microphone may stand before.
const OVERDRIVING: [Sound; 10] = [
    Sound::Footsteps,
    Sound::Typing,
    Sound::Babble,
    Sound::Vacuum,
    Sound::Beep,
    Sound::Door,
    Sound::Wind,
    Sound::Chords,
    Sound::Knocking,
    Sound::Alarm,
];

/// A sound without a class, too loud for its microphone: 6 to 36 dB beyond full scale.
pub(crate) fn overdriven(take: &mut Take) {
    let mut rng = take.rng.fork();
    let sound = rng.pick(&OVERDRIVING);
    let place = render::play(sound, take);
    room::place(&mut take.samples, take.sample_rate, &mut rng, place);
    let (beyond_db, uneven) = (rng.uniform(6.0, 36.0), rng.uniform(0.6, 1.0));
    let gain = math::from_db(beyond_db) / math::peak(&take.samples).max(1e-9);
    for x in &mut take.samples {
        *x = (gain * *x).clamp(-uneven, 1.0);
    }
}

/// A radio in the room: talk with music beneath or in turn, levelled hard, through a small
/// loudspeaker.
pub(crate) fn radio(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let (mut talk, mut song) = (Take::new(rate, n, rng.fork()), Take::new(rate, n, rng.fork()));
    voice::babble(&mut talk);
    music::melody(&mut song);
    let beneath = math::from_db(rng.uniform(-30.0, -8.0));
    let (talk_rms, song_rms) = (math::rms(&talk.samples).max(1e-9), math::rms(&song.samples).max(1e-9));
    let mut fader = Biquad::low_pass(rate, 1.0, 0.5);
    let mut forward = 0.0;
    let mut until = 0;
    for i in 0..n {
        if i == until {
            // The song comes forward now and then, and the talk is silent.
            forward = if rng.chance(0.35) { 1.0 } else { 0.0 };
            until += take.count(rng.uniform(2.0, 9.0)).max(1);
        }
        let forward = fader.process(forward);
        let song = song.samples[i] / song_rms * (beneath + (1.0 - beneath) * forward);
        take.samples[i] += talk.samples[i] / talk_rms * (1.0 - forward) + song;
    }
    let mut envelope = 0.1_f32;
    let (rise, fall) = (1.0 / (0.005 * rate), 1.0 / (0.4 * rate));
    for x in &mut take.samples {
        let size = x.abs();
        envelope += (size - envelope) * if size > envelope { rise } else { fall };
        let levelled = *x / (0.3 + envelope);
        *x = levelled / (1.0 + 0.5 * levelled.abs());
    }
    Biquad::high_pass(rate, rng.log_uniform(160.0, 420.0), 1.2).run(&mut take.samples);
    Biquad::low_pass(rate, rng.log_uniform(2800.0, 6500.0), 0.9).run(&mut take.samples);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn overload_holds_samples_at_full_scale() {
        for seed in 0..8 {
            let mut take = Take::new(24_000.0, 72_000, Rng::new(seed));
            overdriven(&mut take);
            assert_eq!(math::peak(&take.samples), 1.0, "seed {seed}");
            let held = take.samples.windows(2).filter(|pair| pair[0] == pair[1] && pair[0].abs() >= 0.6).count();
            assert!(held > 0, "seed {seed}");
        }
    }

    #[test]
    fn what_overdrives_is_known_to_trainings() {
        assert!(OVERDRIVING.iter().all(|sound| sound.label().is_none() && !sound.is_reserved()));
    }
}
