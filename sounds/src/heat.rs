//! Frying, fire and gas: crackles over hiss.

use crate::math;
use crate::modal::{Body, METAL, Material, Strike, panel};
use crate::noise;
use crate::take::Take;

/// Something in hot fat: steam escaping in thousands of tiny bursts over a steady hiss, now and
/// then a spit.
pub(crate) fn frying_pan(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let bright = rng.uniform(-4.0, 3.0);
    let density = [
        (80.0, rng.uniform(-14.0, -2.0)),
        (400.0, -9.0),
        (1000.0, -10.0),
        (2500.0, -5.0),
        (5000.0, 0.0),
        (11_000.0, bright),
    ];
    let hiss = noise::coloured(&mut rng, rate, n, &density);
    let simmer = noise::drift(&mut rng, rate, n, 14.0, 1.5);
    for ((out, hiss), simmer) in take.samples.iter_mut().zip(&hiss).zip(&simmer) {
        *out += hiss * simmer;
    }
    let sizzle = rng.uniform(0.4, 1.6);
    for _ in 0..4 {
        let rate_hz = rng.log_uniform(150.0, 1200.0);
        let grains = noise::crackle(&mut rng, rate, n, rate_hz, 7.0);
        let lowest_hz = rng.log_uniform(1800.0, 4500.0);
        let film = Body::new(&mut rng, lowest_hz, &panel(1.4, 8), Material { base: 1200.0, loss: 0.08 });
        film.ring(rate, &grains, &mut take.samples, 0.5 * sizzle);
    }
    let spits_hz = rng.log_uniform(0.5, 8.0);
    let spits = noise::crackle(&mut rng, rate, n, spits_hz, 5.0);
    let pan_hz = rng.log_uniform(500.0, 1200.0);
    let pan = Body::new(&mut rng, pan_hz, &panel(1.1, 16), Material { base: 250.0, loss: 0.02 });
    pan.ring(rate, &spits, &mut take.samples, 1.5 * sizzle);
}

/// A wood fire: a low turbulent roar, fine crackle, and cracks of all sizes, some in volleys.
pub(crate) fn crackling_fire(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let air = rng.uniform(-6.0, 6.0);
    let density = [
        (50.0, 0.0),
        (120.0, -1.0),
        (300.0, -14.0),
        (700.0, -27.0 + air),
        (2500.0, -33.0 + air),
        (11_000.0, -33.0 + air),
    ];
    let roar = noise::coloured(&mut rng, rate, n, &density);
    let flicker = noise::drift(&mut rng, rate, n, 7.0, 3.0);
    for ((out, roar), flicker) in take.samples.iter_mut().zip(&roar).zip(&flicker) {
        *out += 0.6 * roar * flicker;
    }
    let loud = math::from_db(rng.uniform(-4.0, 8.0));
    for (per_second, spread_db, hz, gain) in
        [(90.0, 6.0, 3500.0, 0.03), (14.0, 7.0, 1800.0, 0.1), (2.0, 6.0, 700.0, 0.5)]
    {
        let snaps_hz = per_second * rng.log_uniform(0.4, 2.5);
        let snaps = noise::crackle(&mut rng, rate, n, snaps_hz, spread_db);
        let lowest_hz = hz * rng.log_uniform(0.6, 1.5);
        let twig = Body::new(&mut rng, lowest_hz, &panel(1.9, 16), Material { base: 350.0, loss: 0.06 });
        twig.ring(rate, &snaps, &mut take.samples, gain * loud);
    }
    let mut at_s = rng.gap(0.7);
    while at_s < take.seconds() {
        let volley_s = rng.uniform(0.05, 0.3);
        let mut snap_s = at_s;
        while snap_s < at_s + volley_s {
            let decay_s = rng.log_uniform(0.001, 0.006);
            let snap = noise::burst(&mut rng, rate, 0.0002, decay_s, &[(200.0, -8.0), (2500.0, 0.0), (11_000.0, -6.0)]);
            take.add(snap_s, &snap, 0.15 * loud * rng.unit());
            snap_s += rng.gap(50.0);
        }
        at_s += rng.gap(0.7);
    }
}

/// A gas burner: sparks of the igniter, the whoomp of the flame, its steady hiss; a grate is put
/// down.
pub(crate) fn stove_burner(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let sparks_hz = rng.uniform(3.0, 11.0);
    let lit_s = rng.uniform(0.3, 0.45) * take.seconds();
    let mut at_s = rng.uniform(0.01, 0.06);
    while at_s < lit_s {
        let spark = noise::burst(
            &mut rng,
            rate,
            0.0001,
            0.0012,
            &[(300.0, -14.0), (2500.0, -2.0), (7000.0, 0.0), (12_000.0, 0.0)],
        );
        take.add(at_s, &spark, rng.uniform(0.8, 1.2));
        at_s += (1.0 + 0.03 * rng.normal()) / sparks_hz;
    }
    let whoomp =
        noise::burst(&mut rng, rate, 0.04, 0.1, &[(60.0, 0.0), (200.0, -4.0), (700.0, -16.0), (4000.0, -30.0)]);
    take.add(lit_s - 0.03, &whoomp, rng.uniform(0.4, 1.2));
    let jet = rng.uniform(-6.0, 6.0);
    let density = [
        (60.0, 0.0),
        (250.0, -9.0),
        (900.0, -18.0),
        (3000.0, -19.0 + jet),
        (8000.0, -21.0 + jet),
        (11_000.0, -26.0 + jet),
    ];
    let flame = noise::coloured(&mut rng, rate, n, &density);
    let flicker = noise::drift(&mut rng, rate, n, 12.0, 1.5);
    for (i, ((out, flame), flicker)) in take.samples.iter_mut().zip(&flame).zip(&flicker).enumerate() {
        let t = i as f32 / rate;
        let gas = 0.35 * math::smooth_step(t / 0.15) + 0.65 * math::smooth_step((t - lit_s) / 0.1);
        *out += 0.18 * gas * flame * flicker;
    }
    let grate_hz = rng.log_uniform(350.0, 900.0);
    let grate = Body::new(&mut rng, grate_hz, &panel(2.0, 16), METAL).damped(90.0);
    let mut force = take.track();
    for _ in 0..rng.whole(0, 3) {
        let hit = Strike { contact_s: 0.0008, velocity: rng.uniform(0.2, 1.2), roughness: 0.5 };
        let hit_s = rng.unit() * take.seconds();
        hit.add(&mut rng, rate, &mut force, hit_s);
    }
    grate.ring(rate, &force, &mut take.samples, 0.6);
}
