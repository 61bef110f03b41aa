//! Moving air: wind on a microphone, wind through a gap.

use crate::filter::Biquad;
use crate::math;
use crate::noise;
use crate::rng::Rng;
use crate::take::Take;

/// Gusts on an unprotected microphone: turbulence, most of it below 300 Hz, that grows brighter
/// with its strength, and the flutter of the strongest.
///
/// The steep fall after S. Bradley et al., "The mechanisms creating wind noise in microphones", AES
/// 114th Convention, 2003.
pub(crate) fn gusts(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let speed = speed(&mut rng, rate, n);
    let steep = rng.uniform(-6.0, 6.0);
    let low = [
        (25.0, 0.0),
        (80.0, -2.0),
        (200.0, -11.0 + steep),
        (600.0, -26.0 + steep),
        (2000.0, -44.0 + steep),
        (8000.0, -62.0 + steep),
    ];
    let rumble = noise::coloured(&mut rng, rate, n, &low);
    let high = [(60.0, -20.0), (300.0, -4.0), (900.0, -8.0), (3000.0, -20.0), (9000.0, -34.0)];
    let rush = noise::coloured(&mut rng, rate, n, &high);
    let flutter = noise::drift(&mut rng, rate, n, 18.0, 4.0);
    let bright = rng.log_uniform(0.05, 0.4);
    for (i, out) in take.samples.iter_mut().enumerate() {
        let speed = speed[i];
        let x = speed * speed * (rumble[i] * (0.5 + 0.5 * flutter[i]) + bright * speed * rush[i]);
        // The membrane's end stops.
        *out += x / (1.0 + 0.25 * x.abs());
    }
}

/// A draught howling through a gap: whistling resonances whose pitch and level rise with the wind.
pub(crate) fn draught(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let speed = speed(&mut rng, rate, n);
    let white: Vec<f32> = (0..n).map(|_| noise::white(&mut rng, rate)).collect();
    let lowest_hz = rng.log_uniform(220.0, 700.0);
    for (ratio, gain) in [(1.0, 1.0), (rng.uniform(1.4, 1.9), 0.5), (rng.uniform(2.1, 3.2), 0.3)] {
        let q = rng.log_uniform(10.0, 45.0);
        let rises = rng.uniform(0.25, 0.6);
        let mut filter = Biquad::band_pass(rate, lowest_hz * ratio, q);
        for (block, (out, white)) in take.samples.chunks_mut(RETUNE_EVERY).zip(white.chunks(RETUNE_EVERY)).enumerate() {
            let speed = speed[block * RETUNE_EVERY];
            filter = filter.retuned(&Biquad::band_pass(rate, lowest_hz * ratio * math::pow(speed, rises), q));
            let gain = gain * q.sqrt() * speed * speed;
            for (out, &x) in out.iter_mut().zip(white) {
                *out += gain * filter.process(x);
            }
        }
    }
    let rush = noise::coloured(&mut rng, rate, n, &[(60.0, 0.0), (300.0, -6.0), (1500.0, -14.0), (8000.0, -30.0)]);
    let share = rng.uniform(0.1, 0.5);
    for ((out, rush), speed) in take.samples.iter_mut().zip(&rush).zip(&speed) {
        *out += share * rush * speed;
    }
}

/// Samples from one setting of a moving filter to the next: 3 ms at 24 kHz.
const RETUNE_EVERY: usize = 72;

/// Wind speed around 1: slow gusts with faster turbulence on them.
fn speed(rng: &mut Rng, sample_rate: f32, n: usize) -> Vec<f32> {
    let gust_db = rng.uniform(2.0, 4.5);
    let gusts = noise::drift(rng, sample_rate, n, 0.7, gust_db);
    let turbulence = noise::drift(rng, sample_rate, n, 5.0, 1.2);
    gusts.iter().zip(&turbulence).map(|(gust, turbulence)| (gust * turbulence).clamp(0.1, 2.5)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wind_on_a_microphone_is_low_and_comes_in_gusts() {
        let mut take = Take::new(24_000.0, 480_000, Rng::new(3));
        gusts(&mut take);
        let mut high = take.samples.clone();
        Biquad::high_pass(24_000.0, 1000.0, 0.7).run(&mut high);
        assert!(math::rms(&high) < 0.2 * math::rms(&take.samples));
        let levels: Vec<f32> = take.samples.chunks(12_000).map(math::rms).collect();
        let (softest, loudest) = levels.iter().fold((f32::MAX, 0.0_f32), |(a, b), &x| (a.min(x), b.max(x)));
        assert!(loudest > 3.0 * softest, "{softest} {loudest}");
    }
}
