//! Rain and surf: water falling in many places at once.

use crate::liquid::Bubbles;
use crate::math;
use crate::modal::{Body, METAL, Material, panel};
use crate::noise;
use crate::room::Place;
use crate::take::Take;

/// Rain: a broad hiss of far drops, near drops on leaves and stone, sometimes on tin, and bubbles
/// in puddles.
pub(crate) fn rain(take: &mut Take) -> Place {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let tilt = rng.uniform(-6.0, 6.0);
    let density = [
        (100.0, -2.0 - tilt),
        (500.0, -4.0 - 0.5 * tilt),
        (1000.0, -8.0),
        (2500.0, -11.0),
        (5000.0, -14.0 + 0.5 * tilt),
        (11_000.0, -20.0 + tilt),
    ];
    let hiss = noise::coloured(&mut rng, rate, n, &density);
    let gusts = noise::drift(&mut rng, rate, n, 0.8, 1.0);
    for ((out, hiss), gusts) in take.samples.iter_mut().zip(&hiss).zip(&gusts) {
        *out += hiss * gusts;
    }
    // Leaves and stone answer a drop with a few milliseconds of broad noise.
    for _ in 0..3 {
        let drops_hz = rng.log_uniform(60.0, 900.0);
        let drops = noise::crackle(&mut rng, rate, n, drops_hz, 6.0);
        let lowest_hz = rng.log_uniform(300.0, 1500.0);
        let leaf = Body::new(&mut rng, lowest_hz, &panel(1.3, 8), Material { base: 500.0, loss: 0.1 });
        leaf.ring(rate, &drops, &mut take.samples, 0.22);
    }
    if rng.chance(0.3) {
        let drops_hz = rng.log_uniform(4.0, 40.0);
        let drops = noise::crackle(&mut rng, rate, n, drops_hz, 5.0);
        let lowest_hz = rng.log_uniform(250.0, 700.0);
        let tin = Body::new(&mut rng, lowest_hz, &panel(1.7, 16), METAL).damped(60.0);
        tin.ring(rate, &drops, &mut take.samples, 0.3);
    }
    if rng.chance(0.5) {
        let puddle =
            Bubbles { per_second: rng.log_uniform(10.0, 150.0), radius_m: (0.0005, 0.003), rising: 0.2, gain: 1.0 };
        puddle.add(take, &gusts);
    }
    if rng.chance(0.3) { Place::Indoors } else { Place::Outdoors }
}

/// Surf: waves that swell for seconds, break with a brighter roar and draw back hissing.
pub(crate) fn sea_waves(take: &mut Take) {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.n());
    let far = noise::coloured(
        &mut rng,
        rate,
        n,
        &[(50.0, 0.0), (500.0, 0.0), (1500.0, -8.0), (5000.0, -24.0), (11_000.0, -36.0)],
    );
    let wander = noise::drift(&mut rng, rate, n, 0.5, 2.0);
    let level = math::from_db(rng.uniform(-14.0, -5.0));
    for ((out, far), wander) in take.samples.iter_mut().zip(&far).zip(&wander) {
        *out += level * far * wander;
    }
    let brightness = rng.uniform(-6.0, 5.0);
    let mut at_s = -rng.uniform(0.0, 3.0);
    while at_s < take.seconds() {
        let (swell_s, ebb_s) = (rng.uniform(0.8, 3.0), rng.uniform(1.5, 5.0));
        let wave = wave(take, swell_s, ebb_s, brightness);
        let gain = math::from_db(2.0 * rng.normal());
        let cut = take.count(-at_s).min(wave.len());
        take.add(at_s, &wave[cut..], gain);
        at_s += swell_s + ebb_s * rng.uniform(0.4, 1.0);
    }
}

/// One wave: the roar follows its height, the foam's hiss comes later and stays longer.
fn wave(take: &mut Take, swell_s: f32, ebb_s: f32, brightness: f32) -> Vec<f32> {
    let mut rng = take.rng.fork();
    let (rate, n) = (take.sample_rate, take.count(swell_s + ebb_s));
    let roar = noise::coloured(
        &mut rng,
        rate,
        n,
        &[(60.0, -5.0), (250.0, 0.0), (900.0, -3.0), (2500.0, -13.0), (9000.0, -30.0)],
    );
    let foam_density = [(300.0, -14.0), (1500.0, -8.0), (4000.0, -12.0 + brightness), (11_000.0, -20.0 + brightness)];
    let foam = noise::coloured(&mut rng, rate, n, &foam_density);
    let peak = swell_s / (swell_s + ebb_s);
    (0..n)
        .map(|i| {
            let t = i as f32 / n as f32;
            let fall = ((1.0 - t) / (1.0 - peak)).clamp(0.0, 1.0);
            let height = if t < peak { math::smooth_step(t / peak) } else { fall * fall };
            let late = math::smooth_step((t - 0.7 * peak) / 0.2) * fall;
            roar[i] * height + foam[i] * late
        })
        .collect()
}
