//! Doors of rooms: one on hinges, one on rollers.

use crate::filter::Biquad;
use crate::math::{self, TAU};
use crate::modal::{BAR, Body, METAL, Material, Strike, WOOD, panel};
use crate::noise;
use crate::rng::Rng;
use crate::take::Take;

/// A leaf of wood shut into its frame moves the air of the room: lower and longer than a cupboard's
/// thump.
const SLAM: [(f32, f32); 5] = [(45.0, 0.0), (120.0, -2.0), (400.0, -11.0), (1800.0, -21.0), (8000.0, -36.0)];

/// A door on hinges: handle and bolt, a hinge that may creak, the leaf shut gently or slammed, its
/// rattle in the frame.
pub(crate) fn hinged(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let lowest_hz = rng.log_uniform(42.0, 110.0);
    let leaf = Body::new(&mut rng, lowest_hz, &panel(2.1, 24), WOOD).damped(rng.uniform(8.0, 45.0));
    let bolt_hz = rng.log_uniform(1100.0, 3200.0);
    let bolt = Body::new(&mut rng, bolt_hz, BAR, METAL).damped(rng.uniform(60.0, 260.0));
    let creaks = rng.chance(0.5);
    let (mut leaf_force, mut bolt_force) = (take.track(), take.track());
    let mut at_s = rng.uniform(0.02, 0.12);
    while at_s < take.seconds() {
        // The handle pressed and let go.
        for (late_s, velocity) in [(0.0, 0.5), (rng.uniform(0.08, 0.3), 0.3)] {
            let click = Strike { contact_s: rng.log_uniform(0.0002, 0.0008), velocity, roughness: 0.8 };
            click.add(&mut rng, rate, &mut bolt_force, at_s + late_s);
            let knock = Strike { contact_s: 0.002, velocity: 0.25 * velocity, roughness: 0.5 };
            knock.add(&mut rng, rate, &mut leaf_force, at_s + late_s);
        }
        if creaks {
            creak(take, &mut rng, at_s + 0.15);
        }
        let shut_s = at_s + rng.uniform(0.7, 2.2);
        let slams = rng.chance(0.4);
        let size = math::from_db(2.5 * rng.normal() + if slams { 4.0 } else { -6.0 });
        let (mut hit_s, mut velocity) = (shut_s, size);
        for _ in 0..rng.whole(2, 4) {
            let contact_s = rng.log_uniform(0.002, 0.006);
            Strike { contact_s, velocity, roughness: 0.4 }.add(&mut rng, rate, &mut leaf_force, hit_s);
            let decay_s = rng.uniform(0.03, 0.07);
            let thump = noise::burst(&mut rng, rate, 0.002, decay_s, &SLAM);
            take.add(hit_s, &thump, 0.7 * velocity);
            hit_s += rng.uniform(0.03, 0.09);
            velocity *= rng.uniform(0.15, 0.4);
        }
        // The bolt springs into its plate a moment after the leaf has met the frame.
        let snap = Strike { contact_s: 0.0003, velocity: 0.8 * size.sqrt(), roughness: 0.8 };
        let snap_s = shut_s + rng.uniform(0.004, 0.03);
        snap.add(&mut rng, rate, &mut bolt_force, snap_s);
        at_s = shut_s + rng.uniform(0.7, 2.2);
    }
    leaf.ring(rate, &leaf_force, &mut take.samples, 1.6);
    bolt.ring(rate, &bolt_force, &mut take.samples, 0.3);
}

/// A dry hinge under a heavy leaf: stick and slip some ten to a hundred times per second, each slip
/// a knock on the leaf's resonances; the rate follows the swing.
fn creak(take: &mut Take, rng: &mut Rng, at_s: f32) {
    let rate = take.sample_rate;
    let n = take.count(rng.uniform(0.35, 1.1));
    let fastest_hz = rng.log_uniform(40.0, 190.0);
    let mut phase = 0.0;
    let slips: Vec<f32> = (0..n)
        .map(|i| {
            let swing = math::sin(0.5 * TAU * i as f32 / n as f32);
            phase += fastest_hz * (0.2 + 0.8 * swing) * (1.0 + 0.3 * rng.bipolar()) / rate;
            let slipped = phase >= 1.0;
            phase -= math::floor(phase);
            if slipped { swing * rng.uniform(0.5, 1.0) } else { 0.0 }
        })
        .collect();
    for _ in 0..3 {
        let mut resonance = slips.clone();
        let q = rng.uniform(4.0, 14.0);
        Biquad::band_pass(rate, rng.log_uniform(350.0, 2600.0), q).run(&mut resonance);
        take.add(at_s, &resonance, 0.9);
    }
}

/// A door on rollers: a rumble over the track's joints that swells and fades with the push, and the
/// bump at its end.
pub(crate) fn sliding(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let lowest_hz = rng.log_uniform(50.0, 140.0);
    let leaf = Body::new(&mut rng, lowest_hz, &panel(1.6, 20), Material { base: 60.0, loss: 0.03 });
    let (roller_hz, wheel_m) = (rng.log_uniform(250.0, 900.0), rng.uniform(0.06, 0.14));
    let flat = rng.uniform(0.1, 0.7);
    let hiss_db = rng.uniform(-26.0, -14.0);
    let density = [(50.0, -4.0), (roller_hz, 0.0), (2000.0, -9.0), (5000.0, hiss_db), (11_000.0, hiss_db - 10.0)];
    let mut force = take.track();
    let mut at_s = rng.uniform(0.01, 0.1);
    while at_s < take.seconds() {
        let slide_s = rng.uniform(0.7, 1.8);
        let (n, way_m) = (take.count(slide_s), rng.uniform(0.7, 1.4));
        let mut rumble = noise::coloured(&mut rng, rate, n, &density);
        let grain = noise::drift(&mut rng, rate, n, 25.0, 2.5);
        let mut turn = rng.unit();
        for (i, (x, grain)) in rumble.iter_mut().zip(&grain).enumerate() {
            // Pushed off, left to run: fastest at a third of the way.
            let t = i as f32 / n as f32;
            let speed = math::smooth_step(3.0 * t) * (1.0 - 0.7 * math::smooth_step((t - 0.3) / 0.7));
            turn += 1.6 * speed * way_m / (slide_s * wheel_m * rate);
            let knock = math::exp(-9.0 * (turn - math::floor(turn)));
            *x *= grain * speed * (1.0 + 4.0 * flat * knock) * math::smooth_step(30.0 * (1.0 - t));
        }
        take.add(at_s, &rumble, 0.2);
        let stop_s = at_s + slide_s;
        let velocity = math::from_db(3.0 * rng.normal());
        Strike { contact_s: rng.uniform(0.004, 0.012), velocity, roughness: 0.3 }
            .add(&mut rng, rate, &mut force, stop_s);
        let thump = noise::burst(&mut rng, rate, 0.004, 0.035, &SLAM);
        take.add(stop_s, &thump, 0.5 * velocity);
        at_s = stop_s + rng.uniform(0.4, 1.6);
    }
    leaf.ring(rate, &force, &mut take.samples, 1.4);
}
