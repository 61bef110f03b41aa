//! Metal and ceramic struck together: cutlery, plates, and the clinks of washing up.

use crate::math;
use crate::modal::{BAR, Body, CERAMIC, DISC, GLASS, METAL, PLASTIC, Strike, vessel};
use crate::noise;
use crate::rng::Rng;
use crate::take::Take;

/// Pieces of cutlery falling on and sliding past each other in clusters.
pub(crate) fn cutlery(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let held = rng.log_uniform(4.0, 60.0);
    let bodies: Vec<Body> = (0..rng.whole(4, 8)).map(|_| piece_of_cutlery(&mut rng, held)).collect();
    let mut forces = vec![take.track(); bodies.len()];
    let drawer_hz = rng.log_uniform(180.0, 450.0);
    let drawer = Body::new(&mut rng, drawer_hz, &DISC[..8], PLASTIC);
    let mut drawer_force = take.track();
    let mut at_s = rng.uniform(0.01, 0.06);
    while at_s < take.seconds() {
        let n_hits = rng.whole(1, 12);
        let loudness = math::from_db(4.0 * rng.normal());
        let mut hit_s = at_s;
        for i in 0..n_hits {
            let velocity = loudness * math::from_db(-2.0 * i as f32 * rng.unit() + 3.0 * rng.normal());
            let strike = Strike { contact_s: rng.log_uniform(0.00003, 0.00016), velocity, roughness: 0.7 };
            // Two pieces meet: both ring.
            let (first, second) = (rng.whole(0, bodies.len() - 1), rng.whole(0, bodies.len() - 1));
            strike.add(&mut rng, rate, &mut forces[first], hit_s);
            strike.add(&mut rng, rate, &mut forces[second], hit_s);
            let soft = Strike { contact_s: 0.002, velocity: 0.5 * velocity, roughness: 0.3 };
            soft.add(&mut rng, rate, &mut drawer_force, hit_s);
            let click = noise::burst(&mut rng, rate, 0.0001, 0.002, &CLINK);
            take.add(hit_s, &click, 0.35 * velocity);
            hit_s += rng.log_uniform(0.008, 0.09);
        }
        at_s = hit_s + rng.log_uniform(0.05, 0.7);
    }
    for (body, force) in bodies.iter().zip(&forces) {
        body.ring(rate, force, &mut take.samples, 0.5);
    }
    drawer.ring(rate, &drawer_force, &mut take.samples, 0.6);
}

/// Plates and bowls set down, stacked and slid.
pub(crate) fn plates(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let pile = rng.uniform(10.0, 70.0);
    let bodies: Vec<Body> = (0..rng.whole(2, 4)).map(|_| piece_of_crockery(&mut rng, pile)).collect();
    let mut forces = vec![take.track(); bodies.len()];
    let thump = [(70.0, 0.0), (300.0, -6.0), (1200.0, -12.0), (4000.0, -20.0), (10_000.0, -30.0)];
    let mut at_s = rng.uniform(0.01, 0.06);
    while at_s < take.seconds() {
        // A plate rocks before it lies: bounces come faster and weaker.
        let velocity = math::from_db(3.5 * rng.normal());
        let (first, second) = (rng.whole(0, bodies.len() - 1), rng.whole(0, bodies.len() - 1));
        let (mut bounce_s, mut gap_s, mut size) = (at_s, rng.log_uniform(0.03, 0.16), velocity);
        for _ in 0..rng.whole(1, 6) {
            let strike = Strike { contact_s: rng.log_uniform(0.00012, 0.0006), velocity: size, roughness: 0.4 };
            strike.add(&mut rng, rate, &mut forces[first], bounce_s);
            let answer = Strike { velocity: 0.7 * size, ..strike };
            answer.add(&mut rng, rate, &mut forces[second], bounce_s);
            let clack = noise::burst(&mut rng, rate, 0.0003, 0.006, &thump);
            take.add(bounce_s, &clack, 0.35 * size);
            bounce_s += gap_s;
            gap_s *= rng.uniform(0.55, 0.95);
            size *= rng.uniform(0.4, 0.8);
        }
        if rng.chance(0.3) {
            let slide = noise::burst(&mut rng, rate, 0.08, 0.06, &[(400.0, -12.0), (2500.0, 0.0), (8000.0, -8.0)]);
            take.add(bounce_s, &slide, 0.03 * velocity);
        }
        at_s = bounce_s + rng.log_uniform(0.12, 0.9);
    }
    for (body, force) in bodies.iter().zip(&forces) {
        body.ring(rate, force, &mut take.samples, 0.6);
    }
}

/// Occasional clinks of dishes under water, `per_second` of them, added to what runs already.
pub(crate) fn clinks(take: &mut Take, per_second: f32, gain: f32) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    // Water on its surface and a hand on its rim damp a dish.
    let bodies =
        [piece_of_crockery(&mut rng, 60.0), piece_of_crockery(&mut rng, 40.0), piece_of_cutlery(&mut rng, 50.0)];
    let mut forces = vec![take.track(); bodies.len()];
    let mut at_s = rng.uniform(0.0, 0.3);
    while at_s < take.seconds() {
        let velocity = math::from_db(5.0 * rng.normal());
        let struck = rng.whole(0, bodies.len() - 1);
        let strike = Strike { contact_s: rng.log_uniform(0.0001, 0.0008), velocity, roughness: 0.5 };
        strike.add(&mut rng, rate, &mut forces[struck], at_s);
        let click = noise::burst(&mut rng, rate, 0.0002, 0.003, &CLINK);
        take.add(at_s, &click, 0.2 * gain * velocity);
        at_s += if rng.chance(0.4) { rng.log_uniform(0.02, 0.12) } else { rng.gap(per_second) };
    }
    for (body, force) in bodies.iter().zip(&forces) {
        body.ring(rate, force, &mut take.samples, 0.6 * gain);
    }
}

/// The contact noise of hard things, dB over Hz.
const CLINK: [(f32, f32); 5] = [(200.0, -12.0), (1000.0, -6.0), (4000.0, 0.0), (8000.0, 0.0), (12_000.0, -6.0)];

fn piece_of_cutlery(rng: &mut Rng, held: f32) -> Body {
    let lowest_hz = rng.log_uniform(350.0, 1300.0);
    Body::new(rng, lowest_hz, BAR, METAL).damped(held * rng.log_uniform(0.6, 2.5))
}

fn piece_of_crockery(rng: &mut Rng, held: f32) -> Body {
    let held = held * rng.log_uniform(0.6, 1.8);
    let kind = rng.unit();
    if kind < 0.6 {
        let lowest_hz = rng.log_uniform(380.0, 950.0);
        Body::new(rng, lowest_hz, DISC, CERAMIC).damped(held)
    } else if kind < 0.85 {
        let (lowest_hz, height) = (rng.log_uniform(700.0, 1700.0), rng.uniform(0.9, 2.0));
        Body::new(rng, lowest_hz, &vessel(height, 6), CERAMIC).damped(held)
    } else {
        let (lowest_hz, height) = (rng.log_uniform(900.0, 2400.0), rng.uniform(1.5, 3.0));
        Body::new(rng, lowest_hz, &vessel(height, 6), GLASS).damped(held)
    }
}
