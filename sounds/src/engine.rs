//! Outdoor engines: a two-stroke saw, a rotor, passing cars.

use crate::filter::Biquad;
use crate::formant::harmonics;
use crate::math::{self, TAU};
use crate::noise;
use crate::take::Take;

/// A chainsaw: one firing a turn of a two-stroke engine at 2,500-12,000 turns a minute through its
/// exhaust's resonances, revved and set to wood.
pub(crate) fn chainsaw(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let (idle_hz, full_hz) = (rng.uniform(40.0, 60.0), rng.uniform(110.0, 200.0));
    let throttle = throttle(take);
    let mut exhaust: Vec<(Biquad, f32)> =
        [(180.0, 1.5, 0.7), (420.0, 2.0, 0.9), (1000.0, 1.5, 1.2), (2300.0, 1.5, 1.2), (4500.0, 1.5, 0.9)]
            .iter()
            .map(|&(hz, q, gain)| {
                let hz = hz * rng.log_uniform(0.8, 1.25);
                (Biquad::band_pass(rate, hz, q), gain * rng.log_uniform(0.7, 1.4))
            })
            .collect();
    let density = [(100.0, -8.0), (500.0, -4.0), (2000.0, -6.0), (5000.0, -11.0), (11_000.0, -22.0)];
    let chain = noise::coloured(&mut rng, rate, n, &density);
    let (chain_gain, rattle) = (rng.uniform(0.02, 0.1), rng.uniform(0.1, 0.4));
    let (mut phase, mut pressure) = (0.0, 0.0_f32);
    for i in 0..n {
        let open = throttle[i];
        phase += (idle_hz + (full_hz - idle_hz) * open) / rate;
        if phase >= 1.0 {
            phase -= 1.0;
            // Two-strokes fire unevenly, the more so at idle.
            pressure += 1.0 + (0.2 - 0.14 * open) * rng.normal();
        }
        // The pulse decays with the open port, within a quarter of a turn or so; turbulence rides
        // on it.
        pressure *= math::exp(-(idle_hz + full_hz) * 5.0 / rate);
        let pulse = pressure * (1.0 + rattle * 3.0 * rng.bipolar());
        let tone: f32 = exhaust.iter_mut().map(|(filter, gain)| *gain * filter.process(pulse)).sum();
        let saw = chain_gain * open * chain[i] * (1.0 + 0.5 * math::sin(TAU * phase));
        take.samples[i] += (0.4 + 0.6 * open) * tone + saw;
    }
}

/// A helicopter: blade slaps at 10-25 a second, broad noise that breathes with them, a turbine's
/// whine, slow passing.
pub(crate) fn helicopter(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let blade_hz = rng.log_uniform(10.0, 26.0);
    let near = rng.unit();
    let slope = 8.0 * near;
    let density = [
        (60.0, 0.0),
        (200.0, -3.0),
        (500.0, -7.0),
        (1000.0, -18.0 + slope),
        (2500.0, -25.0 + slope),
        (6000.0, -40.0 + slope),
    ];
    let wash = noise::coloured(&mut rng, rate, n, &density);
    let mut slap = Biquad::low_pass(rate, rng.log_uniform(90.0, 260.0), 0.8);
    let pass = noise::drift(&mut rng, rate, n, 0.4, 1.5);
    let whine_hz = rng.log_uniform(600.0, 2400.0);
    let (depth, whine, thump) = (rng.uniform(0.1, 0.45), 0.02 * near * rng.unit(), rng.uniform(1.0, 5.0));
    let (mut phase, mut whine_phase) = (rng.unit(), 0.0);
    for i in 0..n {
        phase += blade_hz * (1.0 + 0.002 * rng.bipolar()) / rate;
        phase -= phase.floor();
        whine_phase += whine_hz / rate;
        whine_phase -= whine_phase.floor();
        // A blade comes near fast and leaves slowly: a skewed pulse a passage.
        let pulse = math::exp(-6.0 * phase) * (1.0 - math::exp(-60.0 * phase));
        let breath = 1.0 - depth + 2.0 * depth * pulse;
        let sound = slap.process(thump * pulse * (1.0 + 0.6 * rng.bipolar())) + 0.6 * wash[i] * breath;
        take.samples[i] += pass[i] * (sound + whine * math::sin(TAU * whine_phase));
    }
}

/// Cars passing by: tyres that swell with the inverse distance, brighter the nearer, over an engine
/// whose pitch falls as it passes (Doppler).
pub(crate) fn cars_passing(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let near = [(60.0, -8.0), (250.0, -4.0), (900.0, 0.0), (2000.0, -5.0), (5000.0, -16.0), (11_000.0, -28.0)];
    let far = [(60.0, 0.0), (250.0, -2.0), (900.0, -7.0), (2000.0, -19.0), (5000.0, -36.0), (11_000.0, -52.0)];
    let (near, far) = (noise::coloured(&mut rng, rate, n, &near), noise::coloured(&mut rng, rate, n, &far));
    let distance_m = rng.log_uniform(3.0, 14.0);
    let mut nearest_s = rng.uniform(0.4, 1.6);
    while nearest_s - 8.0 < take.seconds() {
        let speed = rng.uniform(8.0, 22.0) * rng.pick(&[-1.0, 1.0]);
        let (firing_hz, engine, loud) = (rng.log_uniform(45.0, 110.0), rng.uniform(0.05, 0.5), rng.uniform(0.5, 1.3));
        let amplitudes: Vec<f32> = (0..10).map(|_| rng.log_uniform(0.1, 1.0)).collect();
        let mut phase = 0.0;
        let (first, end) = (take.count(nearest_s - 8.0), take.count(nearest_s + 8.0).min(n));
        for i in first..end {
            let way_m = speed * (i as f32 / rate - nearest_s);
            let closeness = distance_m / (distance_m * distance_m + way_m * way_m).sqrt();
            // 343 m/s; the engine comes nearer at speed * way / distance.
            let approach = -speed * way_m * closeness / distance_m;
            phase += firing_hz / (1.0 - approach / 343.0) / rate;
            phase -= math::floor(phase);
            let bright = closeness * closeness;
            let tyres = bright * near[i] + (1.0 - bright) * far[i];
            let edge = (i.saturating_sub(first).min(end - i) as f32 / (0.5 * rate)).min(1.0);
            take.samples[i] += edge * loud * closeness * (tyres + engine * harmonics(phase, &amplitudes));
        }
        nearest_s += rng.uniform(2.0, 7.0);
    }
}

/// The trigger finger: idle, revs and cuts, smoothed by the engine's inertia; 0-1.
fn throttle(take: &mut Take) -> Vec<f32> {
    let mut rng = take.rng.fork();
    let mut wish = take.track();
    let mut at = 0;
    while at < wish.len() {
        let cuts = rng.chance(0.6);
        let n = take.count(if cuts { rng.uniform(0.8, 3.0) } else { rng.uniform(0.2, 1.0) }).max(1);
        let open = if cuts { rng.uniform(0.6, 1.0) } else { rng.uniform(0.0, 0.25) };
        for x in wish.iter_mut().skip(at).take(n) {
            *x = open;
        }
        at += n;
    }
    let load = noise::drift(&mut rng, take.sample_rate, wish.len(), 5.0, 0.4);
    let mut inertia = Biquad::low_pass(take.sample_rate, rng.uniform(1.5, 3.5), 0.6);
    wish.iter().zip(&load).map(|(&open, load)| (inertia.process(open) * load).clamp(0.0, 1.0)).collect()
}
