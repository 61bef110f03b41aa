//! Signals that want to be heard: alarms, a telephone.

use crate::formant::harmonics;
use crate::math::{self, TAU};
use crate::modal::{Body, DISC, METAL, Strike};
use crate::rng::Rng;
use crate::take::Take;

/// An alarm: a smoke detector's three long beeps (temporal three of ISO 8201), two tones in turn,
/// or a sweep.
pub(crate) fn alarm(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let kind = rng.whole(0, 2);
    let low_hz = if kind == 0 { rng.uniform(2700.0, 3500.0) } else { rng.log_uniform(450.0, 1500.0) };
    let high_hz = low_hz * rng.uniform(1.15, 1.9);
    let cycle_s = match kind {
        0 => 4.0,
        1 => rng.uniform(0.5, 1.3),
        _ => rng.log_uniform(0.25, 2.5),
    };
    let amplitudes = [1.0, rng.uniform(0.0, 0.4), rng.uniform(0.0, 0.5), rng.uniform(0.0, 0.2), rng.uniform(0.0, 0.3)];
    let start_s = rng.uniform(0.0, 0.15);
    let (mut phase, mut level) = (0.0, 0.0);
    for (i, out) in take.samples.iter_mut().enumerate() {
        let t_s = i as f32 / rate - start_s;
        let turn = t_s / cycle_s;
        let t = turn - math::floor(turn);
        let (hz, sounds) = match kind {
            0 => (low_hz, t < 0.625 && ((t * 8.0) as usize).is_multiple_of(2)),
            1 => (if t < 0.5 { low_hz } else { high_hz }, true),
            _ => (low_hz + (high_hz - low_hz) * (1.0 - (2.0 * t - 1.0).abs()), true),
        };
        phase += hz / rate;
        phase -= math::floor(phase);
        let aim = if sounds && t_s >= 0.0 { 1.0 } else { 0.0 };
        level += (aim - level) * (1.0 / (0.002 * rate)).min(1.0);
        let n_heard = ((0.45 * rate / hz) as usize).min(amplitudes.len());
        *out += level * harmonics(phase, &amplitudes[..n_heard]);
    }
}

/// A telephone: two gongs and a clapper, a warbling pair of tones, or a short tune of struck bars.
pub(crate) fn ring_tone(take: &mut Take) {
    let mut rng = take.rng.fork();
    let start_s = rng.uniform(0.0, 0.12);
    match rng.whole(0, 2) {
        0 => bell(take, &mut rng, start_s),
        1 => warble(take, &mut rng, start_s),
        _ => tune(take, &mut rng, start_s),
    }
}

fn bell(take: &mut Take, rng: &mut Rng, start_s: f32) {
    let rate = take.sample_rate;
    let lowest_hz = rng.log_uniform(900.0, 1700.0);
    let ratio = rng.uniform(1.15, 1.3);
    let gongs = [lowest_hz, lowest_hz * ratio].map(|hz| Body::new(rng, hz, DISC, METAL).damped(rng.uniform(4.0, 14.0)));
    let mut forces = [take.track(), take.track()];
    let blows_hz = rng.uniform(18.0, 28.0);
    let (on_s, off_s) = (rng.uniform(0.9, 2.0), rng.uniform(0.8, 2.5));
    let mut at_s = start_s;
    while at_s < take.seconds() {
        let until_s = at_s + on_s;
        let mut side = 0;
        while at_s < until_s {
            let blow = Strike { contact_s: 0.0003, velocity: rng.uniform(0.7, 1.0), roughness: 0.4 };
            blow.add(rng, rate, &mut forces[side], at_s);
            side = 1 - side;
            at_s += (1.0 + 0.03 * rng.normal()) / blows_hz;
        }
        at_s += off_s;
    }
    for (gong, force) in gongs.iter().zip(&forces) {
        gong.ring(rate, force, &mut take.samples, 0.4);
    }
}

fn warble(take: &mut Take, rng: &mut Rng, start_s: f32) {
    let rate = take.sample_rate;
    let low_hz = rng.log_uniform(700.0, 1600.0);
    let pair = [low_hz, low_hz * rng.uniform(1.2, 1.5)];
    let turns_hz = rng.uniform(10.0, 25.0);
    let (on_s, off_s) = (rng.uniform(0.6, 1.8), rng.uniform(0.5, 2.2));
    let amplitudes = [1.0, 0.0, rng.uniform(0.05, 0.33)];
    let n = take.count(on_s);
    let mut phase = 0.0;
    let ring: Vec<f32> = (0..n)
        .map(|i| {
            let hz = pair[(i as f32 / rate * 2.0 * turns_hz) as usize % 2];
            phase += hz / rate;
            phase -= math::floor(phase);
            let edge = (i.min(n - i) as f32 / (0.005 * rate)).min(1.0);
            edge * harmonics(phase, &amplitudes)
        })
        .collect();
    let mut at_s = start_s;
    while at_s < take.seconds() {
        take.add(at_s, &ring, 1.0);
        at_s += on_s + off_s;
    }
}

/// Bars as of a marimba: the fundamental and a partial two octaves above, each dying at its own
/// rate.
fn tune(take: &mut Take, rng: &mut Rng, start_s: f32) {
    let rate = take.sample_rate;
    let base_hz = rng.log_uniform(420.0, 900.0);
    let note_s = rng.uniform(0.1, 0.2);
    let steps: Vec<Option<f32>> = (0..rng.whole(6, 12))
        .map(|_| rng.chance(0.8).then(|| rng.pick(&[0.0, 2.0, 4.0, 7.0, 9.0, 12.0, 14.0, 16.0])))
        .collect();
    let pause_s = rng.uniform(0.6, 1.8);
    let decay_s = rng.uniform(0.06, 0.22);
    let mut at_s = start_s;
    while at_s < take.seconds() {
        for step in &steps {
            if let Some(semitones) = step {
                let hz = base_hz * math::pow(2.0, semitones / 12.0);
                let n = take.count(5.0 * decay_s);
                let bar: Vec<f32> = (0..n)
                    .map(|i| {
                        let t = i as f32 / rate;
                        let turns = |hz: f32| TAU * (hz * t - math::floor(hz * t));
                        let low = math::sin(turns(hz)) * math::exp(-t / decay_s);
                        let high = math::sin(turns(4.0 * hz)) * math::exp(-3.0 * t / decay_s);
                        (t / 0.002).min(1.0) * (low + 0.25 * high)
                    })
                    .collect();
                take.add(at_s, &bar, 1.0);
            }
            at_s += note_s;
        }
        at_s += pause_s;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of 20 ms pieces that are within 20 dB of the loudest.
    fn duty(samples: &[f32]) -> f32 {
        let levels: Vec<f32> = samples.chunks(480).map(math::rms).collect();
        let floor = 0.1 * math::peak(&levels);
        levels.iter().filter(|&&level| level > floor).count() as f32 / levels.len() as f32
    }

    #[test]
    fn telephones_pause_between_rings() {
        for seed in 0..12 {
            let mut take = Take::new(24_000.0, 240_000, Rng::new(seed));
            ring_tone(&mut take);
            let duty = duty(&take.samples);
            assert!((0.1..0.97).contains(&duty), "seed {seed}: {duty}");
        }
    }
}
