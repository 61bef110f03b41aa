//! Electric machines: harmonics of a rotation under load, blade and gear tones, brushes and air.

use crate::filter::Biquad;
use crate::math::{self, TAU};
use crate::noise;
use crate::rng::Rng;
use crate::take::Take;

/// A rotating machine. Its tones follow the rotation, its noise throbs with it.
struct Motor<'a> {
    /// Rotations a second at full speed.
    rotation_hz: f32,
    /// `(order, gain)`: multiples of the rotation that sound (shaft 1, blades, gear teeth,
    /// commutator bars).
    orders: &'a [(f32, f32)],
    /// Relative wandering of the speed under load.
    load: f32,
    /// Depth of the noise's modulation by the rotation, 0-1.
    throb: f32,
    noise_gain: f32,
    /// dB over Hz.
    density: &'a [(f32, f32)],
}

impl Motor<'_> {
    /// Adds the machine with `power` (0-1 over time): speed and level follow it.
    fn add(&self, take: &mut Take, rng: &mut Rng, power: &[f32]) {
        let (rate, n) = (take.sample_rate, take.n());
        let noise = noise::coloured(rng, rate, n, self.density);
        // log-normal with deviation `load`: 8.69 dB is a factor e.
        let load = noise::drift(rng, rate, n, 3.0, 8.69 * self.load);
        let mut phases: Vec<f32> = self.orders.iter().map(|_| rng.unit()).collect();
        let mut shaft = 0.0;
        for i in 0..n {
            let speed = self.rotation_hz * (0.3 + 0.7 * power[i]) * load[i] / rate;
            shaft += speed;
            shaft -= shaft.floor();
            let mut tone = 0.0;
            for (phase, &(order, gain)) in phases.iter_mut().zip(self.orders) {
                *phase += order * speed;
                *phase -= phase.floor();
                if order * speed < 0.45 {
                    tone += gain * math::sin(TAU * *phase);
                }
            }
            let throb = 1.0 + self.throb * math::sin(TAU * shaft);
            take.samples[i] += power[i] * (tone / load[i] + self.noise_gain * noise[i] * throb);
        }
    }
}

/// A blender: a universal motor at 150-350 rotations a second, pulsed or held, ice and fruit
/// against the jug.
pub(crate) fn blender(take: &mut Take) {
    let mut rng = take.rng.fork();
    let power = runs(take, &mut rng, 0.6);
    let blades = rng.pick(&[4.0, 6.0]);
    let tone = math::from_db(rng.uniform(-12.0, 4.0));
    let orders = [
        (1.0, 0.6 * tone),
        (2.0, 0.35 * tone),
        (3.0, 0.2 * tone),
        (blades, 0.3 * tone),
        (2.0 * blades, 0.2 * tone),
        (3.0 * blades, 0.1 * tone),
        (11.0, 0.2 * tone),
        (22.0, 0.1 * tone),
    ];
    let bright = rng.uniform(-5.0, 4.0);
    let motor = Motor {
        rotation_hz: rng.log_uniform(130.0, 340.0),
        orders: &orders,
        load: rng.uniform(0.005, 0.05),
        throb: rng.uniform(0.0, 0.4),
        noise_gain: 1.0,
        density: &[
            (80.0, -6.0),
            (450.0, -5.0),
            (1000.0, -9.0),
            (2500.0, -11.0),
            (4000.0, -16.0 + bright),
            (11_000.0, -27.0 + bright),
        ],
    };
    motor.add(take, &mut rng, &power);
    let lumps_db = rng.uniform(0.5, 3.0);
    let chunks = noise::drift(&mut rng, take.sample_rate, take.n(), 20.0, lumps_db);
    for (x, chunk) in take.samples.iter_mut().zip(&chunks) {
        *x *= chunk;
    }
}

/// A citrus juicer: a geared motor whining between 500 and 1000 Hz, laboured when fruit is pressed
/// on it.
pub(crate) fn juicer(take: &mut Take) {
    let mut rng = take.rng.fork();
    let power = runs(take, &mut rng, 0.5);
    let whine_hz = rng.log_uniform(520.0, 1050.0);
    let bright = rng.uniform(-4.0, 6.0);
    let motor = Motor {
        rotation_hz: whine_hz / 8.0,
        orders: &[
            (1.0, 0.05),
            (4.0, 0.2),
            (7.0, 0.25),
            (8.0, 0.6),
            (9.0, 0.2),
            (16.0, 0.35),
            (24.0, 0.15),
            (32.0, 0.08),
        ],
        load: rng.uniform(0.02, 0.08),
        throb: rng.uniform(0.1, 0.5),
        noise_gain: rng.uniform(0.6, 1.6),
        density: &[
            (90.0, -16.0),
            (400.0, -8.0),
            (whine_hz, 0.0),
            (2000.0, -5.0 + bright),
            (4000.0, -18.0 + bright),
            (9000.0, -36.0 + bright),
        ],
    };
    motor.add(take, &mut rng, &power);
}

/// A microwave oven: transformer hum, fan, rattling turntable; a keypad before and beeps after in
/// some takes.
pub(crate) fn microwave(take: &mut Take) {
    let mut rng = take.rng.fork();
    let mains_hz = rng.pick(&[50.0, 60.0]);
    let hum_gain = rng.log_uniform(0.1, 0.5);
    hum(take, &mut rng, mains_hz, hum_gain);
    let (rate, n) = (take.sample_rate, take.n());
    let bright = rng.uniform(-4.0, 4.0);
    let density = [
        (60.0, 0.0),
        (150.0, -3.0),
        (450.0, -12.0),
        (1000.0, -14.0 + bright),
        (2500.0, -18.0 + bright),
        (6000.0, -33.0 + bright),
    ];
    let fan = noise::coloured(&mut rng, rate, n, &density);
    let wander = noise::drift(&mut rng, rate, n, 4.0, 0.7);
    for ((out, fan), wander) in take.samples.iter_mut().zip(&fan).zip(&wander) {
        *out += 0.4 * fan * wander;
    }
    if rng.chance(0.4) {
        let beep_hz = rng.log_uniform(1800.0, 3200.0);
        let start_s = take.seconds() * rng.uniform(0.4, 0.8);
        crate::signal::beeps(take, &mut rng, start_s, beep_hz, 0.15);
    }
}

/// An extractor hood: broad air noise, blade tones, a hum of its motor.
pub(crate) fn stove_fan(take: &mut Take) {
    let mut rng = take.rng.fork();
    let mains_hz = rng.pick(&[50.0, 60.0]);
    let hum_gain = rng.log_uniform(0.01, 0.1);
    hum(take, &mut rng, mains_hz, hum_gain);
    let power = runs(take, &mut rng, 0.2);
    let tone = math::from_db(rng.uniform(-30.0, -14.0));
    let bright = rng.uniform(-5.0, 5.0);
    let motor = Motor {
        rotation_hz: rng.uniform(18.0, 45.0),
        orders: &[(1.0, tone), (12.0, 2.0 * tone), (24.0, tone), (36.0, 0.5 * tone)],
        load: 0.003,
        throb: rng.uniform(0.0, 0.12),
        noise_gain: 1.0,
        density: &[
            (120.0, 3.0),
            (250.0, -1.0),
            (450.0, -3.0),
            (1000.0, -13.0),
            (2500.0, -20.0 + bright),
            (5000.0, -30.0 + bright),
            (11_000.0, -40.0 + bright),
        ],
    };
    motor.add(take, &mut rng, &power);
}

/// A vacuum cleaner: a fast fan's whine in much air noise, duller when the nozzle sticks to the
/// floor.
pub(crate) fn vacuum(take: &mut Take) {
    let mut rng = take.rng.fork();
    let power = runs(take, &mut rng, 0.0);
    let motor = Motor {
        rotation_hz: rng.uniform(280.0, 520.0),
        orders: &[(1.0, 0.12), (2.0, 0.05), (7.0, 0.1), (9.0, 0.08), (14.0, 0.04)],
        load: rng.uniform(0.002, 0.02),
        throb: 0.05,
        noise_gain: 1.0,
        density: &[(80.0, -4.0), (300.0, 0.0), (800.0, 0.0), (2000.0, -4.0), (5000.0, -9.0), (11_000.0, -17.0)],
    };
    motor.add(take, &mut rng, &power);
    let strokes = noise::drift(&mut rng, take.sample_rate, take.n(), 1.2, 1.5);
    for (x, stroke) in take.samples.iter_mut().zip(&strokes) {
        *x *= stroke;
    }
}

/// Mains hum: a transformer or compressor sounds at twice the mains frequency and its multiples,
/// for iron is drawn twice a period; a mechanical part adds the odd ones.
pub(crate) fn hum(take: &mut Take, rng: &mut Rng, mains_hz: f32, gain: f32) {
    let (rate, n) = (take.sample_rate, take.n());
    let tilt = rng.uniform(0.8, 1.8);
    let odd = rng.uniform(0.0, 0.5);
    let mut hum = vec![0.0; n];
    for order in 1..=16_u8 {
        let order = f32::from(order);
        let even = (order * 0.5).fract() == 0.0;
        let level = if even { math::pow(order / 2.0, -tilt) } else { odd * math::pow(order, -tilt) };
        let w = TAU * mains_hz * order / rate;
        let start = TAU * rng.unit();
        let level = level * rng.log_uniform(0.5, 1.5);
        // sin((i + 1) w) = 2 cos(w) sin(i w) - sin((i - 1) w), restarted in time to stay exact.
        let turn = 2.0 * math::cos(w);
        for (block, out) in hum.chunks_mut(512).enumerate() {
            let phase = start + ((block * 512) as f64 * f64::from(w) % core::f64::consts::TAU) as f32;
            let (mut before, mut now) = (math::sin(phase - w), math::sin(phase));
            for x in out {
                *x += level * now;
                (before, now) = (now, turn * now - before);
            }
        }
    }
    let wander = noise::drift(rng, rate, n, 1.0, 0.8);
    for ((out, hum), wander) in take.samples.iter_mut().zip(&hum).zip(&wander) {
        *out += gain * hum * wander;
    }
}

/// Switched power, 0-1: on from the start (spinning up, or already running), with chance `pulsed`
/// off and on again; speed rises and falls with inertia.
fn runs(take: &Take, rng: &mut Rng, pulsed: f32) -> Vec<f32> {
    let rate = take.sample_rate;
    let mut switch = vec![1.0; take.n()];
    if rng.chance(pulsed) {
        let mut at_s = rng.uniform(0.5, 2.0);
        while at_s < take.seconds() {
            let off_s = rng.uniform(0.3, 1.0);
            for x in switch.iter_mut().skip(take.count(at_s)).take(take.count(off_s)) {
                *x = 0.0;
            }
            at_s += off_s + rng.uniform(0.6, 2.5);
        }
    }
    let mut inertia = Biquad::low_pass(rate, rng.uniform(1.5, 4.0), 0.5);
    if rng.chance(0.6) {
        for _ in 0..take.count(1.0) {
            inertia.process(1.0);
        }
    }
    switch.iter().map(|&x| inertia.process(x).clamp(0.0, 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::power_at;

    #[test]
    fn hum_sounds_at_the_harmonics_of_twice_the_mains_and_not_between() {
        let mut take = Take::new(24_000.0, 48_000, Rng::new(1));
        hum(&mut take, &mut Rng::new(2), 50.0, 1.0);
        for harmonic_hz in [100.0, 200.0, 300.0] {
            let beside = power_at(&take.samples, 24_000.0, harmonic_hz + 25.0);
            assert!(power_at(&take.samples, 24_000.0, harmonic_hz) > 100.0 * beside);
        }
    }

    #[test]
    fn a_motor_sounds_at_its_orders() {
        let mut take = Take::new(24_000.0, 48_000, Rng::new(1));
        let motor = Motor {
            rotation_hz: 200.0,
            orders: &[(1.0, 1.0), (6.0, 0.5)],
            load: 0.0,
            throb: 0.0,
            noise_gain: 0.01,
            density: &[(1000.0, 0.0)],
        };
        motor.add(&mut take, &mut Rng::new(2), &[1.0; 48_000]);
        let power = |hz| power_at(&take.samples, 24_000.0, hz);
        assert!((power(200.0) - 0.5).abs() < 0.05, "{}", power(200.0));
        assert!((power(1200.0) - 0.125).abs() < 0.02);
        assert!(power(700.0) < 0.001);
    }
}
