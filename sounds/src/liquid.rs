//! Water with air in it: taps, pots, washing up.
//!
//! Liquids sound through the bubbles that they trap (M. Minnaert 1933); bubbles are synthesised
//! after K. van den Doel, "Physically based models for liquid sounds", ACM Trans. Applied
//! Perception 2(4), 2005.

use crate::filter::Biquad;
use crate::math::{self, TAU};
use crate::noise;
use crate::rng::Rng;
use crate::take::Take;

/// Minnaert's resonance of an air bubble of `radius_m` in water under one atmosphere: f r = 3.26
/// m/s.
pub(crate) fn minnaert_hz(radius_m: f32) -> f32 {
    3.26 / radius_m
}

/// A population of bubbles.
pub(crate) struct Bubbles {
    pub(crate) per_second: f32,
    /// Radii are log-uniform between these, in metres.
    pub(crate) radius_m: (f32, f32),
    /// Chance that a bubble rises to the surface, its pitch with it.
    pub(crate) rising: f32,
    pub(crate) gain: f32,
}

impl Bubbles {
    /// Adds bubbles all along the take, thinned and scaled by `activity` (gain over time).
    pub(crate) fn add(&self, take: &mut Take, activity: &[f32]) {
        let mut rng = take.rng.fork();
        let mut at_s = rng.gap(self.per_second);
        while at_s < take.seconds() {
            let gain = activity[take.count(at_s).min(activity.len() - 1)];
            let radius_m = rng.log_uniform(self.radius_m.0, self.radius_m.1);
            // Large bubbles are louder; van den Doel draws the exponent's spread at random.
            let size = math::pow(radius_m / self.radius_m.1, 0.7) * rng.unit() * rng.unit();
            let rises = rng.chance(self.rising);
            bubble(take, &mut rng, at_s, radius_m, rises, self.gain * gain * size);
            at_s += rng.gap(self.per_second);
        }
    }
}

/// One bubble: a decaying sine at Minnaert's frequency. Damping d = 0.13 / r + 0.0072 r^(-3/2)
/// (1/s, radiation and heat); a rising bubble's pitch climbs by the factor 1 + 0.1 d t.
fn bubble(take: &mut Take, rng: &mut Rng, at_s: f32, radius_m: f32, rises: bool, gain: f32) {
    let rate = take.sample_rate;
    let hz = minnaert_hz(radius_m);
    if hz > 0.45 * rate {
        return;
    }
    let damping = 0.13 / radius_m + 0.0072 * math::pow(radius_m, -1.5);
    let n = ((5.0 / damping) * rate) as usize;
    let w = TAU * hz / rate;
    let decay = math::exp(-damping / rate);
    // A phasor turned by w each sample; its own turn is turned a little when the pitch climbs.
    let (mut re, mut im) = (gain, 0.0);
    let (mut turn_re, mut turn_im) = (decay * math::cos(w), decay * math::sin(w));
    let climb = if rises { w * rng.uniform(0.05, 0.15) * damping / rate } else { 0.0 };
    let (climb_re, climb_im) = (math::cos(climb), math::sin(climb));
    let start = take.count(at_s);
    let attack = 0.0005 * rate;
    for (i, out) in take.samples.iter_mut().skip(start).take(n).enumerate() {
        *out += im * (i as f32 / attack).min(1.0);
        (re, im) = (re * turn_re - im * turn_im, re * turn_im + im * turn_re);
        (turn_re, turn_im) = (turn_re * climb_re - turn_im * climb_im, turn_re * climb_im + turn_im * climb_re);
    }
}

/// A tap into a basin: hiss of the jet, splashing, bubbles of the pool.
pub(crate) fn water_flowing(take: &mut Take) {
    let mut rng = take.rng.fork();
    let pressure = rng.unit();
    let metal_sink = rng.chance(0.5);
    tap(take, &mut rng, pressure, metal_sink);
    if rng.chance(0.5) {
        open_and_close(take, &mut rng);
    }
}

/// Washing up: a tap, hands splashing, dishes clinking.
pub(crate) fn clean_dishes(take: &mut Take) {
    let mut rng = take.rng.fork();
    let pressure = rng.uniform(0.3, 1.0);
    tap(take, &mut rng, pressure, true);
    let activity = noise::drift(&mut rng, take.sample_rate, take.n(), 3.0, 7.0);
    let splash = Bubbles { per_second: 220.0, radius_m: (0.0008, 0.005), rising: 0.3, gain: 0.3 };
    splash.add(take, &activity);
    let gain = math::from_db(rng.uniform(-4.0, 8.0));
    crate::tableware::clinks(take, rng.uniform(0.8, 4.0), gain);
}

/// A rolling boil: the pot's low rumble and bubbles in surges.
pub(crate) fn boiling_water(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let surge_hz = rng.uniform(4.0, 9.0);
    let surge = noise::drift(&mut rng, rate, n, surge_hz, 3.5);
    let density = [(100.0, 5.0), (250.0, 0.0), (500.0, -8.0), (1000.0, -18.0), (3000.0, -29.0), (10_000.0, -44.0)];
    let rumble = noise::coloured(&mut rng, rate, n, &density);
    let lid = rng.uniform(-10.0, 4.0);
    let steam = noise::coloured(&mut rng, rate, n, &[(500.0, -45.0), (3000.0, -27.0 + lid), (9000.0, -31.0 + lid)]);
    for (((out, rumble), steam), surge) in take.samples.iter_mut().zip(&rumble).zip(&steam).zip(&surge) {
        *out += 0.6 * (rumble * surge + steam);
    }
    let largest_m = rng.log_uniform(0.007, 0.016);
    let boil =
        Bubbles { per_second: rng.log_uniform(60.0, 250.0), radius_m: (0.0015, largest_m), rising: 0.7, gain: 1.6 };
    boil.add(take, &surge);
}

/// A dishwasher heard through its door: pump hum, the arm's spray sweeping round, water against the
/// panels.
pub(crate) fn dishwasher(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let mains_hz = rng.pick(&[50.0, 60.0]);
    let hum_gain = rng.log_uniform(0.03, 0.2);
    crate::machine::hum(take, &mut rng, mains_hz, hum_gain);
    let density = [
        (80.0, 0.0),
        (200.0, -2.0),
        (450.0, -8.0),
        (1000.0, -17.0),
        (2500.0, -25.0),
        (6000.0, -33.0),
        (11_000.0, -40.0),
    ];
    let spray = noise::coloured(&mut rng, rate, n, &density);
    let turn_hz = rng.uniform(0.4, 1.2);
    let depth = rng.uniform(0.05, 0.5);
    let wander = noise::drift(&mut rng, rate, n, 10.0, 1.0);
    for (i, ((out, spray), wander)) in take.samples.iter_mut().zip(&spray).zip(&wander).enumerate() {
        let arm = 1.0 + depth * math::sin(TAU * turn_hz * i as f32 / rate);
        *out += 0.5 * spray * arm * wander;
    }
    let slosh = Bubbles { per_second: 150.0, radius_m: (0.002, 0.012), rising: 0.3, gain: 0.25 };
    slosh.add(take, &wander);
}

fn tap(take: &mut Take, rng: &mut Rng, pressure: f32, metal_sink: bool) {
    let (rate, n) = (take.sample_rate, take.n());
    let hiss = 4.0 + 9.0 * pressure;
    let low = rng.uniform(-6.0, 4.0);
    let density = [
        (100.0, -9.0 + low),
        (450.0, -11.0 + low),
        (1000.0, -15.0),
        (2500.0, -16.0 + 0.5 * hiss),
        (5000.0, -20.0 + hiss),
        (11_000.0, -20.0 + hiss),
    ];
    let mut jet = noise::coloured(rng, rate, n, &density);
    if metal_sink {
        // The basin's floor rings along with what falls on it.
        let floor_hz = rng.log_uniform(300.0, 900.0);
        let resonance = noise::band(rng, rate, n, floor_hz, 3.0);
        for (x, resonance) in jet.iter_mut().zip(&resonance) {
            *x += 0.15 * resonance;
        }
    }
    let wander = noise::drift(rng, rate, n, 9.0, 1.2);
    for ((out, jet), wander) in take.samples.iter_mut().zip(&jet).zip(&wander) {
        *out += jet * wander;
    }
    let smallest_m = rng.log_uniform(0.0004, 0.0008);
    let pool =
        Bubbles { per_second: rng.log_uniform(250.0, 900.0), radius_m: (smallest_m, 0.004), rising: 0.25, gain: 0.4 };
    pool.add(take, &wander);
}

/// Turns the water on after a moment and off before the end, the valve closing over a third of a
/// second.
fn open_and_close(take: &mut Take, rng: &mut Rng) {
    let (rate, seconds) = (take.sample_rate, take.seconds());
    let (open_s, close_s) = (rng.uniform(0.0, 0.1) * seconds, seconds * rng.uniform(0.75, 0.95));
    let mut dull = Biquad::low_pass(rate, 2500.0, 0.7);
    for (i, x) in take.samples.iter_mut().enumerate() {
        let t = i as f32 / rate;
        let flow = math::smooth_step((t - open_s) / 0.3) * math::smooth_step((close_s - t) / 0.35);
        *x = dull.process(*x) * (1.0 - flow) * flow + *x * flow;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bubble_rings_at_minnaerts_frequency() {
        assert!((minnaert_hz(0.001) - 3260.0).abs() < 1.0);
        let mut take = Take::new(48_000.0, 4800, Rng::new(1));
        bubble(&mut take, &mut Rng::new(2), 0.0, 0.003, false, 1.0);
        // 20 periods of 1086.7 Hz, counted by their rising zero crossings.
        let crossings: Vec<usize> =
            (1..4800).filter(|&i| take.samples[i - 1] < 0.0 && take.samples[i] >= 0.0).collect();
        let period = (crossings[20] - crossings[0]) as f32 / 20.0;
        assert!((48_000.0 / period - 1086.7).abs() < 5.0);
    }
}
