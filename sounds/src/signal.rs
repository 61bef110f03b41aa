//! Small regular signals and what lies under everything: beeps, a clock, room noise, silence.

use crate::math::{self, TAU};
use crate::modal::{BAR, Body, DISC, METAL, Material, Strike};
use crate::noise;
use crate::rng::Rng;
use crate::take::Take;

/// A clock: tick and tock of its escapement, two slightly different knocks on metal and case.
pub(crate) fn clock_tick(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let ticks_hz = rng.pick(&[1.0, 2.0, 2.0, 4.0, 5.0]) * rng.uniform(0.97, 1.03);
    let case_hz = rng.log_uniform(400.0, 1400.0);
    let case = Body::new(&mut rng, case_hz, DISC, Material { base: 120.0, loss: 0.03 });
    let wheels: Vec<Body> = (0..2)
        .map(|_| {
            let hz = rng.log_uniform(1500.0, 3800.0);
            Body::new(&mut rng, hz, BAR, METAL).damped(rng.log_uniform(120.0, 600.0))
        })
        .collect();
    let uneven = rng.uniform(0.0, 0.12);
    let soft = rng.log_uniform(0.3, 1.0);
    let mut case_force = take.track();
    let mut wheel_forces = vec![take.track(); 2];
    let mut at_s = rng.uniform(0.02, 0.1);
    let mut side = 0;
    while at_s < take.seconds() {
        let velocity = math::from_db(0.5 * rng.normal()) * if side == 0 { 1.0 } else { soft };
        // An escapement knocks twice or thrice within some milliseconds: drop, lock, recoil.
        for (late_s, part) in [(0.0, 0.5), (rng.uniform(0.004, 0.009), 1.0), (0.018, 0.2)] {
            let knock = Strike { contact_s: 0.0002, velocity: part * velocity, roughness: 0.5 };
            knock.add(&mut rng, rate, &mut wheel_forces[side], at_s + late_s);
            knock.add(&mut rng, rate, &mut case_force, at_s + late_s);
            let click = noise::burst(
                &mut rng,
                rate,
                0.0001,
                0.0015,
                &[(300.0, -12.0), (2500.0, -3.0), (6000.0, 0.0), (11_000.0, -6.0)],
            );
            take.add(at_s + late_s, &click, 0.25 * part * velocity);
        }
        let lean = if side == 0 { 1.0 + uneven } else { 1.0 - uneven };
        at_s += lean / ticks_hz;
        side = 1 - side;
    }
    case.ring(rate, &case_force, &mut take.samples, 0.5);
    for (body, force) in wheels.iter().zip(&wheel_forces) {
        body.ring(rate, force, &mut take.samples, 0.5);
    }
}

/// An appliance's tone in groups.
pub(crate) fn beep(take: &mut Take) {
    let mut rng = take.rng.fork();
    let hz = rng.log_uniform(900.0, 3600.0);
    let mut at_s = rng.uniform(0.0, 0.1);
    while at_s < take.seconds() {
        at_s = beeps(take, &mut rng, at_s, hz, 1.0) + rng.uniform(0.5, 1.5);
    }
}

/// Adds a group of 1-5 beeps from `at_s` on; returns when the last has ended.
pub(crate) fn beeps(take: &mut Take, rng: &mut Rng, at_s: f32, hz: f32, gain: f32) -> f32 {
    let rate = take.sample_rate;
    let (on_s, off_s) = (rng.uniform(0.08, 0.5), rng.uniform(0.06, 0.4));
    // Piezo discs are driven by square waves: odd harmonics.
    let third = rng.uniform(0.0, 0.33);
    let n = take.count(on_s);
    let tone: Vec<f32> = (0..n)
        .map(|i| {
            let phase = i as f32 * (hz / rate);
            let phase = TAU * (phase - math::floor(phase));
            let edge = (i.min(n - i) as f32 / (0.004 * rate)).min(1.0);
            let upper = if 3.0 * hz < 0.45 * rate { third * math::sin(3.0 * phase) } else { 0.0 };
            edge * (math::sin(phase) + upper)
        })
        .collect();
    let mut next_s = at_s;
    for _ in 0..rng.whole(1, 5) {
        take.add(next_s, &tone, gain);
        next_s += on_s + off_s;
    }
    next_s - off_s
}

/// A quiet room: ventilation rumble, mains hum, hiss.
pub(crate) fn room_noise(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let bed = bed(&mut rng, rate, n);
    take.add(0.0, &bed, 1.0);
    let mains_hz = rng.pick(&[50.0, 60.0]);
    let hum_gain = rng.log_uniform(0.001, 0.1);
    crate::machine::hum(take, &mut rng, mains_hz, hum_gain);
}

/// A converter's last bit of dither.
pub(crate) fn silence(take: &mut Take) {
    let mut rng = take.rng.fork();
    for x in &mut take.samples {
        *x = rng.bipolar();
    }
}

/// The noise under a recording: rumble that falls with frequency, the microphone's hiss; RMS near
/// 0.1 before scaling.
pub(crate) fn bed(rng: &mut Rng, sample_rate: f32, n: usize) -> Vec<f32> {
    let hiss = rng.uniform(-8.0, 8.0);
    let density = [
        (40.0, 0.0),
        (120.0, -3.0),
        (300.0, -10.0),
        (1000.0, -20.0 + hiss),
        (4000.0, -28.0 + hiss),
        (11_000.0, -34.0 + hiss),
    ];
    noise::coloured(rng, sample_rate, n, &density)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::power_at;

    #[test]
    fn a_beep_peaks_at_its_frequency() {
        let mut take = Take::new(24_000.0, 24_000, Rng::new(1));
        beeps(&mut take, &mut Rng::new(2), 0.0, 1000.0, 1.0);
        let powers: Vec<f32> = (1..40_u8).map(|k| power_at(&take.samples, 24_000.0, 250.0 * f32::from(k))).collect();
        let loudest = (0..powers.len()).max_by(|&a, &b| powers[a].total_cmp(&powers[b])).unwrap();
        assert_eq!(250 * (loudest + 1), 1000);
    }
}
