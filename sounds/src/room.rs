//! From the source to the microphone: distance, reflections and reverberation of a small room.

use crate::filter::Biquad;
use crate::math;
use crate::rng::Rng;

/// Where a sound is heard.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Indoors,
    Outdoors,
    /// Nowhere: it arises after the microphone, or has been placed already.
    Wire,
}

/// Moves dry `samples` into a random place: air and off-axis loss of treble, a microphone's low cut
/// and, indoors, early reflections and a diffuse tail.
pub(crate) fn place(samples: &mut [f32], sample_rate: f32, rng: &mut Rng, place: Place) {
    if place == Place::Wire {
        return;
    }
    // Far below 16 bits: keeps the filters after a silent source out of the subnormal numbers,
    // which are slow.
    for x in samples.iter_mut() {
        *x += 1e-7 * rng.bipolar();
    }
    let shelf_hz = rng.log_uniform(1500.0, 6000.0);
    Biquad::high_shelf(sample_rate, shelf_hz, rng.uniform(-7.0, 3.0)).run(samples);
    Biquad::high_pass(sample_rate, rng.log_uniform(25.0, 90.0), 0.6).run(samples);
    if place == Place::Indoors {
        reflect(samples, sample_rate, rng);
        reverberate(samples, sample_rate, rng);
    }
}

/// Six early reflections of walls and worktops, 2-25 ms late.
fn reflect(samples: &mut [f32], sample_rate: f32, rng: &mut Rng) {
    let dry = samples.to_vec();
    for _ in 0..6 {
        let delay_s = rng.log_uniform(0.002, 0.025);
        let gain = rng.pick(&[-1.0, 1.0]) * rng.uniform(0.05, 0.35) * (1.0 - 20.0 * delay_s);
        let delay = (delay_s * sample_rate) as usize;
        for (out, x) in samples.iter_mut().skip(delay).zip(&dry) {
            *out += gain * x;
        }
    }
}

/// A feedback delay network of four lines with a Hadamard matrix (M. Gerzon 1972; J. Stautner and
/// M. Puckette 1982; J.-M. Jot 1991) and one-pole damping in each line.
fn reverberate(samples: &mut [f32], sample_rate: f32, rng: &mut Rng) {
    let t60_s = rng.log_uniform(0.12, 0.7);
    let wet = math::from_db(rng.uniform(-26.0, -10.0));
    let damping = rng.uniform(0.15, 0.6);
    let size = rng.uniform(0.7, 1.5);
    let lengths = [0.0113, 0.0137, 0.0171, 0.0193].map(|s: f32| (s * size * sample_rate) as usize + 1);
    // Each pass through a line of n samples loses 60 dB * n / (t60 * rate).
    let losses = lengths.map(|n| math::from_db(-60.0 * n as f32 / (t60_s * sample_rate)));
    let mut lines = lengths.map(|n| vec![0.0_f32; n]);
    let mut position = [0_usize; 4];
    let mut low = [0.0_f32; 4];
    for x in samples {
        let mut v = [0.0_f32; 4];
        for i in 0..4 {
            let delayed = lines[i][position[i]];
            low[i] += (1.0 - damping) * (delayed - low[i]);
            v[i] = losses[i] * low[i];
        }
        let (s, d) = ([v[0] + v[1], v[2] + v[3]], [v[0] - v[1], v[2] - v[3]]);
        let mixed = [s[0] + s[1], d[0] + d[1], s[0] - s[1], d[0] - d[1]];
        for i in 0..4 {
            lines[i][position[i]] = *x + 0.5 * mixed[i];
            position[i] += 1;
            if position[i] == lengths[i] {
                position[i] = 0;
            }
        }
        *x += wet * (v[0] - v[1] + v[2] - v[3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_adds_a_tail_that_dies() {
        let mut samples = vec![0.0_f32; 48_000];
        samples[100] = 1.0;
        reverberate(&mut samples, 24_000.0, &mut Rng::new(8));
        let tail = math::rms(&samples[1000..4000]);
        let end = math::rms(&samples[44_000..]);
        assert!(tail > 1e-5, "{tail}");
        assert!(end < 1e-2 * tail, "{end} of {tail}");
    }

    #[test]
    fn outdoors_has_no_tail() {
        let mut samples = vec![0.0_f32; 24_000];
        samples[100] = 1.0;
        place(&mut samples, 24_000.0, &mut Rng::new(8), Place::Outdoors);
        assert!(math::rms(&samples[12_000..]) < 1e-6);
    }
}
