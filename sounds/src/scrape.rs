//! Strokes and rustles: friction noise under a moving hand, paper.

use crate::math;
use crate::modal::{Body, Material, Strike, panel};
use crate::noise;
use crate::take::Take;

/// A broom: broad strokes about a second long, bristles hissing.
pub(crate) fn sweep(take: &mut Take) {
    let mut rng = take.rng.fork();
    let density = [
        (90.0, -14.0),
        (600.0, -16.0),
        (rng.log_uniform(2500.0, 4500.0), -4.0),
        (7000.0, 0.0),
        (11_000.0, rng.uniform(-6.0, 0.0)),
    ];
    let stroke_s = rng.uniform(0.3, 0.8);
    let mut at_s = rng.uniform(0.0, 0.1);
    while at_s < take.seconds() {
        let long_s = stroke_s * rng.uniform(0.8, 1.2);
        stroke(take, at_s, long_s, &density, 60.0, math::from_db(2.0 * rng.normal()));
        at_s += long_s * rng.uniform(1.1, 1.8);
        if rng.chance(0.15) {
            at_s += rng.uniform(0.2, 0.6);
        }
    }
}

/// A peeler: short rough strokes with the tear of the skin.
pub(crate) fn peel(take: &mut Take) {
    let mut rng = take.rng.fork();
    let density = [(100.0, -16.0), (900.0, -8.0), (rng.log_uniform(2500.0, 5500.0), 0.0), (11_000.0, -6.0)];
    let roughness_hz = rng.log_uniform(90.0, 260.0);
    let mut at_s = rng.uniform(0.0, 0.1);
    while at_s < take.seconds() {
        let long_s = rng.uniform(0.09, 0.3);
        stroke(take, at_s, long_s, &density, roughness_hz, math::from_db(2.5 * rng.normal()));
        at_s += long_s + rng.uniform(0.12, 0.6);
    }
}

/// Pages: a rustle of many small cracks per turned leaf; sometimes the book is laid down.
pub(crate) fn book(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let table = Body::new(&mut rng, 110.0, &panel(1.4, 16), Material { base: 120.0, loss: 0.06 });
    let mut force = take.track();
    let density = [(100.0, -10.0), (700.0, -5.0), (2200.0, 0.0), (6000.0, -6.0), (11_000.0, -13.0)];
    let mut at_s = rng.uniform(0.0, 0.1);
    while at_s < take.seconds() {
        let long_s = rng.uniform(0.2, 0.8);
        let gain = math::from_db(3.0 * rng.normal());
        stroke(take, at_s, long_s, &density, 30.0, 0.35 * gain);
        let n = take.count(long_s);
        let cracks_hz = rng.log_uniform(80.0, 400.0);
        let mut cracks = noise::crackle(&mut rng, rate, n, cracks_hz, 7.0);
        let mut swell = noise::drift(&mut rng, rate, n, 12.0, 5.0);
        for (i, gain) in swell.iter_mut().enumerate() {
            *gain *= math::smooth_step(5.0 * (1.0 - i as f32 / n as f32));
        }
        for (x, gain) in cracks.iter_mut().zip(&swell) {
            *x *= gain;
        }
        let sheet = Body::new(&mut rng, 900.0, &panel(1.6, 24), Material { base: 900.0, loss: 0.08 });
        let mut rustle = vec![0.0; n];
        sheet.ring(rate, &cracks, &mut rustle, 0.5);
        take.add(at_s, &rustle, gain);
        at_s += long_s;
        if rng.chance(0.3) {
            let down = Strike { contact_s: 0.005, velocity: 6.0 * gain, roughness: 0.6 };
            down.add(&mut rng, rate, &mut force, at_s);
            let thud = noise::burst(&mut rng, rate, 0.002, 0.02, &[(70.0, 0.0), (500.0, -8.0), (4000.0, -22.0)]);
            take.add(at_s, &thud, 3.0 * gain);
        }
        at_s += rng.uniform(0.15, 1.2);
    }
    table.ring(rate, &force, &mut take.samples, 1.0);
}

/// A crisp bite, then chewing: trains of fractures, each bite of the jaw duller and wetter than the
/// one before.
pub(crate) fn eat(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let crumb_hz = rng.log_uniform(500.0, 1100.0);
    let crumb = Body::new(&mut rng, crumb_hz, &panel(1.5, 24), Material { base: 500.0, loss: 0.05 });
    let chew_s = rng.uniform(0.4, 0.75);
    let mut force = take.track();
    let mut at_s = rng.uniform(0.02, 0.1);
    while at_s < take.seconds() {
        let n_chews = rng.whole(3, 8);
        for chew in 0..n_chews {
            let size = if chew == 0 { 1.6 } else { 0.7 } * math::from_db(2.5 * rng.normal() - 1.2 * chew as f32);
            let n = take.count(rng.uniform(0.09, 0.22));
            let cracks_hz = rng.log_uniform(150.0, 600.0);
            let cracks = noise::crackle(&mut rng, rate, n, cracks_hz, 8.0);
            let start = take.count(at_s);
            for (i, (force, crack)) in force.iter_mut().skip(start).zip(&cracks).enumerate() {
                *force += size * crack * (1.0 - i as f32 / n as f32);
            }
            let decay_s = rng.uniform(0.01, 0.04);
            let mush = noise::burst(
                &mut rng,
                rate,
                0.03,
                decay_s,
                &[(100.0, 0.0), (900.0, -8.0), (4000.0, -14.0), (9000.0, -22.0)],
            );
            take.add(at_s, &mush, 0.4 * size);
            at_s += chew_s * (1.0 + 0.1 * rng.normal());
        }
        at_s += rng.uniform(0.2, 0.9);
    }
    crumb.ring(rate, &force, &mut take.samples, 0.6);
}

/// Paper crumpled and torn: buckling sheets snap in bursts of very unequal clicks (P. Houle and J.
/// Sethna, "Acoustic emission from crumpling paper", Phys. Rev. E 54, 1996); a tear runs through
/// fibre after fibre.
pub(crate) fn paper(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let lowest_hz = rng.log_uniform(1100.0, 2200.0);
    let sheet = Body::new(&mut rng, lowest_hz, &panel(1.3, 24), Material { base: 1400.0, loss: 0.05 });
    let mut force = take.track();
    let mut at_s = rng.uniform(0.0, 0.1);
    while at_s < take.seconds() {
        let tears = rng.chance(0.3);
        let n = take.count(if tears { rng.uniform(0.25, 0.8) } else { rng.uniform(0.5, 2.0) });
        let clicks_hz = if tears { rng.log_uniform(900.0, 2500.0) } else { rng.log_uniform(120.0, 600.0) };
        let clicks = noise::crackle(&mut rng, rate, n, clicks_hz, if tears { 4.0 } else { 9.0 });
        let swell = noise::drift(&mut rng, rate, n, 7.0, if tears { 1.5 } else { 5.0 });
        let size = math::from_db(2.5 * rng.normal());
        let start = take.count(at_s);
        for (i, (force, click)) in force.iter_mut().skip(start).zip(&clicks).enumerate() {
            let t = i as f32 / n as f32;
            *force += size * click * swell[i] * math::smooth_step(10.0 * t) * math::smooth_step(6.0 * (1.0 - t));
        }
        at_s += n as f32 / rate + if rng.chance(0.4) { rng.uniform(0.3, 1.5) } else { rng.uniform(0.02, 0.2) };
    }
    sheet.ring(rate, &force, &mut take.samples, 0.5);
}

/// One stroke of coloured friction noise: swelling and fading, roughened by a fast random gain.
fn stroke(take: &mut Take, at_s: f32, long_s: f32, density: &[(f32, f32)], roughness_hz: f32, gain: f32) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.count(long_s));
    let mut noise = noise::coloured(&mut rng, rate, n, density);
    let rough = noise::drift(&mut rng, rate, n, roughness_hz, 3.0);
    let swell_until = rng.uniform(0.15, 0.6);
    for (i, (x, rough)) in noise.iter_mut().zip(&rough).enumerate() {
        let t = i as f32 / n as f32;
        let swell = math::smooth_step(t / swell_until) * math::smooth_step((1.0 - t) / (1.0 - swell_until));
        *x *= rough * swell;
    }
    take.add(at_s, &noise, 0.5 * gain);
}
