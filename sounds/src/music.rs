//! Tones in keys and metres: held chords, plucked strings with drums, a whistled tune.

use crate::filter::Biquad;
use crate::formant::harmonics;
use crate::math::{self, TAU};
use crate::noise;
use crate::rng::Rng;
use crate::take::Take;

/// Semitones above the tonic.
const MAJOR: [f32; 7] = [0.0, 2.0, 4.0, 5.0, 7.0, 9.0, 11.0];
const MINOR: [f32; 7] = [0.0, 2.0, 3.0, 5.0, 7.0, 8.0, 10.0];

/// `degree` of `scale` over `tonic_hz` in equal temperament, octaves further where it exceeds the
/// scale.
fn pitch(tonic_hz: f32, scale: &[f32; 7], degree: usize) -> f32 {
    tonic_hz * math::pow(2.0, (scale[degree % 7] + 12.0 * (degree / 7) as f32) / 12.0)
}

/// Held chords of an organ, strings or a piano, one after another.
pub(crate) fn chords(take: &mut Take) {
    let mut rng = take.rng.fork();
    let scale = rng.pick(&[MAJOR, MINOR]);
    let tonic_hz = rng.log_uniform(98.0, 233.0);
    let tilt = rng.uniform(0.9, 1.9);
    let timbre = match rng.whole(0, 2) {
        0 => Timbre { amplitudes: vec![1.0, 0.7, 0.5, 0.4, 0.0, 0.3, 0.0, 0.25], attack_s: 0.015, decay_s: 60.0 },
        1 => Timbre { amplitudes: series(20, tilt), attack_s: rng.uniform(0.08, 0.3), decay_s: 60.0 },
        _ => Timbre { amplitudes: series(12, tilt + 0.3), attack_s: 0.004, decay_s: rng.uniform(0.5, 1.6) },
    };
    let chord_s = rng.uniform(0.7, 2.4);
    let mut at_s = rng.uniform(0.0, 0.1);
    while at_s < take.seconds() {
        let root = rng.pick(&[0, 3, 4, 5, 1]);
        let held_s = chord_s * rng.uniform(0.85, 1.0);
        for third in 0..rng.whole(3, 4) {
            let hz = pitch(tonic_hz, &scale, root + 2 * third);
            let voice = timbre.tone(take, &mut rng, hz, held_s);
            take.add(at_s + rng.uniform(0.0, 0.015), &voice, rng.uniform(0.6, 1.0));
        }
        let bass = timbre.tone(take, &mut rng, 0.5 * pitch(tonic_hz, &scale, root), held_s);
        take.add(at_s, &bass, 0.8);
        at_s += chord_s;
    }
}

/// Amplitudes k^-tilt.
fn series(n: usize, tilt: f32) -> Vec<f32> {
    (1..=n).map(|k| math::pow(k as f32, -tilt)).collect()
}

struct Timbre {
    /// Of the harmonics.
    amplitudes: Vec<f32>,
    attack_s: f32,
    /// Time constant.
    decay_s: f32,
}

impl Timbre {
    /// One note: two slightly detuned sources, as in a section or a tremulant.
    fn tone(&self, take: &Take, rng: &mut Rng, hz: f32, held_s: f32) -> Vec<f32> {
        let (rate, n) = (take.sample_rate, take.count(held_s + RELEASE_S));
        let n_heard = ((0.45 * rate / hz) as usize).min(self.amplitudes.len());
        let amplitudes = &self.amplitudes[..n_heard];
        let mut phases = [rng.unit(), rng.unit()];
        let detuned = 1.0 + rng.uniform(0.0005, 0.004);
        let steps = [hz / rate, hz * detuned / rate];
        let decay = math::exp(-1.0 / (self.decay_s * rate));
        let (attack, release, held) = (self.attack_s * rate, RELEASE_S * rate, held_s * rate);
        let mut gain = 0.5;
        (0..n)
            .map(|i| {
                let i = i as f32;
                let edge = (i / attack).min(1.0) * ((held + release - i) / release).clamp(0.0, 1.0);
                gain *= decay;
                let mut sum = 0.0;
                for (phase, step) in phases.iter_mut().zip(steps) {
                    sum += harmonics(*phase, amplitudes);
                    *phase += step;
                    *phase -= math::floor(*phase);
                }
                gain * edge * sum
            })
            .collect()
    }
}

const RELEASE_S: f32 = 0.08;

/// A tune on plucked strings over an arpeggio, mostly with drums.
pub(crate) fn melody(take: &mut Take) {
    let mut rng = take.rng.fork();
    let scale = rng.pick(&[MAJOR, MINOR]);
    let tonic_hz = rng.log_uniform(110.0, 247.0);
    let beat_s = 60.0 / rng.uniform(75.0, 165.0);
    let drums = rng.chance(0.65);
    let drum_gain = rng.uniform(0.3, 1.2);
    let bright = rng.uniform(0.2, 0.9);
    let (mut root, mut degree, mut eighth) = (0, 7, 0_usize);
    let mut at_s = rng.uniform(0.0, 0.08);
    while at_s < take.seconds() {
        let beat = eighth % 8;
        if beat == 0 {
            root = rng.pick(&[0, 3, 4, 5]);
        }
        let arpeggio = pitch(tonic_hz, &scale, root + rng.pick(&[0, 2, 4, 7]));
        let string = pluck(take, &mut rng, arpeggio, 1.2 * beat_s, bright);
        take.add(at_s, &string, 0.5);
        if rng.chance(if beat.is_multiple_of(2) { 0.75 } else { 0.35 }) {
            degree = (degree + rng.whole(0, 4)).saturating_sub(2).clamp(5, 16);
            let string = pluck(take, &mut rng, pitch(tonic_hz, &scale, degree), 2.0 * beat_s, bright);
            take.add(at_s, &string, 0.9);
        }
        if drums {
            drum(take, &mut rng, at_s, beat, drum_gain);
        }
        at_s += 0.5 * beat_s;
        eighth += 1;
    }
}

/// A plucked string: a period of noise round a loop that averages neighbours (K. Karplus and A.
/// Strong, "Digital synthesis of plucked-string and drum timbres", Computer Music Journal 7(2),
/// 1983), read between samples to be in tune.
fn pluck(take: &Take, rng: &mut Rng, hz: f32, long_s: f32, bright: f32) -> Vec<f32> {
    let (rate, n) = (take.sample_rate, take.count(long_s));
    let period = (rate / hz - 0.5).max(2.0);
    let (whole, part) = (period as usize, period - math::floor(period));
    let mut low = 0.0;
    let mut line: Vec<f32> = (0..=whole)
        .map(|_| {
            low += bright * (rng.bipolar() - low);
            low
        })
        .collect();
    let loss = math::from_db(-60.0 / (hz * rng.uniform(1.5, 5.0)));
    let (mut at, mut before) = (0, 0.0);
    (0..n)
        .map(|i| {
            let next = (at + 1) % line.len();
            // Of the line's oldest two values, the one `period` ago lies between them.
            let delayed = part * line[at] + (1.0 - part) * line[next];
            line[at] = loss * 0.5 * (delayed + before);
            before = delayed;
            at = next;
            delayed * ((n - i) as f32 / (0.02 * rate)).min(1.0)
        })
        .collect()
}

/// What a drummer plays on this eighth of a bar: kick on one and three, snare on two and four,
/// hi-hat throughout.
fn drum(take: &mut Take, rng: &mut Rng, at_s: f32, beat: usize, gain: f32) {
    let rate = take.sample_rate;
    if beat.is_multiple_of(4) {
        let n = take.count(0.22);
        let mut phase = 0.0;
        let kick: Vec<f32> = (0..n)
            .map(|i| {
                let t = i as f32 / rate;
                phase += (48.0 + 110.0 * math::exp(-t / 0.025)) / rate;
                math::sin(TAU * phase) * math::exp(-t / 0.06)
            })
            .collect();
        take.add(at_s, &kick, 1.3 * gain);
    }
    if beat % 4 == 2 {
        let density = [(150.0, -4.0), (400.0, -8.0), (2500.0, 0.0), (8000.0, -3.0)];
        let snare = noise::burst(rng, rate, 0.001, 0.05, &density);
        take.add(at_s, &snare, 0.5 * gain);
    }
    let decay_s = if rng.chance(0.15) { 0.08 } else { 0.018 };
    let hat = noise::burst(rng, rate, 0.0005, decay_s, &[(1500.0, -30.0), (6000.0, -2.0), (9000.0, 0.0)]);
    take.add(at_s, &hat, 0.2 * gain);
}

/// Somebody whistling: nearly a sine, gliding from note to note, with vibrato on the long ones and
/// breath around it.
pub(crate) fn whistle(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let scale = rng.pick(&[MAJOR, MINOR]);
    let tonic_hz = rng.log_uniform(650.0, 1150.0);
    let vibrato_hz = rng.uniform(4.5, 6.5);
    let (breath, glide_s) = (rng.log_uniform(0.02, 0.15), rng.uniform(0.02, 0.08));
    let mut degree = rng.whole(0, 7);
    let (mut at_s, mut phase) = (rng.uniform(0.0, 0.12), 0.0);
    while at_s < take.seconds() {
        let mut from_hz = pitch(tonic_hz, &scale, degree) * rng.uniform(0.8, 1.0);
        for _ in 0..rng.whole(3, 9) {
            let long_s = rng.pick(&[0.18, 0.25, 0.25, 0.5, 0.9]) * rng.uniform(0.9, 1.1);
            let (n, to_hz) = (take.count(long_s), pitch(tonic_hz, &scale, degree));
            let mut air = noise::band(&mut rng, rate, n, to_hz, 8.0);
            for (i, x) in air.iter_mut().enumerate() {
                let t = i as f32 / rate;
                let depth = 0.012 * math::smooth_step((t - 0.2) / 0.2);
                let hz = from_hz + (to_hz - from_hz) * math::smooth_step(t / glide_s);
                phase += hz * (1.0 + depth * math::sin(TAU * vibrato_hz * t)) / rate;
                phase -= math::floor(phase);
                let swell = math::smooth_step(t / 0.03) * math::smooth_step((long_s - t) / 0.05);
                *x = swell * (math::sin(TAU * phase) + breath * *x);
            }
            take.add(at_s, &air, math::from_db(1.5 * rng.normal()));
            at_s += long_s;
            from_hz = to_hz;
            degree = (degree + rng.whole(0, 6)).saturating_sub(3).min(10);
        }
        at_s += rng.uniform(0.3, 1.2);
    }
    Biquad::low_pass(rate, 9000.0, 0.7).run(&mut take.samples);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::power_at;

    #[test]
    fn a_plucked_string_is_in_tune() {
        let take = Take::new(24_000.0, 24_000, Rng::new(1));
        for hz in [110.0, 247.0, 440.0, 987.0] {
            let string = pluck(&take, &mut Rng::new(2), hz, 0.9, 0.5);
            let fundamental = power_at(&string, 24_000.0, hz);
            for cents in [-50.0, 50.0] {
                let beside = power_at(&string, 24_000.0, hz * math::pow(2.0, cents / 1200.0));
                assert!(fundamental > 2.0 * beside, "{hz} Hz, {cents} cents: {fundamental} {beside}");
            }
        }
    }

    #[test]
    fn degrees_beyond_the_scale_are_octaves() {
        assert!((pitch(100.0, &MAJOR, 7) - 200.0).abs() < 1e-3);
        assert!((pitch(100.0, &MINOR, 4) - 149.83).abs() < 0.01);
    }
}
