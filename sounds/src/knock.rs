//! Single blows in a rhythm: a knife on a board, steps, keys, knuckles.

use crate::math;
use crate::modal::{BAR, Body, METAL, Material, PLASTIC, Strike, WOOD, panel};
use crate::noise;
use crate::take::Take;

/// A knife through food onto a board: 2-8 cuts a second in runs, each a crunch before the knock.
pub(crate) fn chopping(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let (lowest_hz, aspect) = (rng.log_uniform(170.0, 520.0), rng.uniform(1.1, 1.9));
    let board = Body::new(&mut rng, lowest_hz, &panel(aspect, 16), WOOD).damped(rng.uniform(10.0, 120.0));
    let blade_hz = rng.log_uniform(1800.0, 4200.0);
    let blade = Body::new(&mut rng, blade_hz, BAR, METAL).damped(rng.uniform(60.0, 200.0));
    let crisp = rng.unit();
    let contact_s = rng.log_uniform(0.00015, 0.0009);
    let crunch_density = [(150.0, -6.0), (1500.0, 0.0), (6000.0, -4.0), (11_000.0, -12.0)];
    let mut force = take.track();
    let mut period_s = rng.log_uniform(0.12, 0.45);
    let mut at_s = rng.uniform(0.02, 0.1);
    while at_s < take.seconds() {
        let velocity = math::from_db(3.0 * rng.normal());
        Strike { contact_s: contact_s * rng.uniform(0.7, 1.5), velocity, roughness: 0.5 }
            .add(&mut rng, rate, &mut force, at_s);
        let decay_s = rng.uniform(0.004, 0.018);
        let crunch = noise::burst(&mut rng, rate, 0.001, decay_s, &crunch_density);
        take.add(at_s - rng.uniform(0.0, 0.02), &crunch, 0.12 * crisp * velocity * rng.uniform(0.3, 1.0));
        let knock_density = [(100.0, 0.0), (800.0, -7.0), (5000.0, -11.0), (11_000.0, -13.0)];
        let knock = noise::burst(&mut rng, rate, 0.0003, 0.006, &knock_density);
        take.add(at_s, &knock, 0.5 * velocity);
        // Now and then the chopped food is pushed aside and the rhythm changes.
        if rng.chance(0.06) {
            at_s += rng.uniform(0.3, 0.9);
            period_s = rng.log_uniform(0.12, 0.45);
        }
        at_s += period_s * (1.0 + 0.12 * rng.normal());
    }
    board.ring(rate, &force, &mut take.samples, 1.0);
    blade.ring(rate, &force, &mut take.samples, 0.12);
}

/// Walking: heel and toe on one floor, left and right a little different.
pub(crate) fn footsteps(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let (floor, lowest_hz, hardness) = rng.pick(&[
        (WOOD, 90.0, 1.0),
        (Material { base: 90.0, loss: 0.05 }, 160.0, 1.6),
        (Material { base: 160.0, loss: 0.2 }, 70.0, 0.15),
    ]);
    let lowest_hz = lowest_hz * rng.log_uniform(0.75, 1.4);
    let body = Body::new(&mut rng, lowest_hz, &panel(1.3, 14), floor).damped(30.0);
    let period_s = rng.uniform(0.45, 0.75);
    let scuff = rng.unit();
    let mut force = take.track();
    let mut at_s = rng.uniform(0.02, 0.12);
    while at_s < take.seconds() {
        let velocity = math::from_db(1.5 * rng.normal());
        let heel = Strike { contact_s: 0.003 / (0.4 + hardness), velocity, roughness: 0.4 };
        heel.add(&mut rng, rate, &mut force, at_s);
        let toe_s = at_s + rng.uniform(0.07, 0.13);
        let toe = Strike { contact_s: 0.008, velocity: 0.5 * velocity, roughness: 0.8 };
        toe.add(&mut rng, rate, &mut force, toe_s);
        let density = [(80.0, 0.0), (600.0, -8.0), (3000.0, -16.0 + 6.0 * hardness), (10_000.0, -30.0)];
        let thud = noise::burst(&mut rng, rate, 0.001, 0.012, &density);
        take.add(at_s, &thud, 0.6 * velocity);
        let sole = noise::burst(&mut rng, rate, 0.02, 0.02, &[(200.0, -10.0), (2500.0, 0.0), (9000.0, -10.0)]);
        take.add(toe_s, &sole, 0.04 * scuff * velocity);
        at_s += period_s * (1.0 + 0.04 * rng.normal());
    }
    body.ring(rate, &force, &mut take.samples, 1.0);
}

/// Keys pressed and released in words, over the keyboard's case.
pub(crate) fn typing(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let case_hz = rng.log_uniform(250.0, 600.0);
    let case = Body::new(&mut rng, case_hz, &panel(2.6, 12), PLASTIC);
    let key_hz = rng.log_uniform(1800.0, 3500.0);
    let key = Body::new(&mut rng, key_hz, &panel(1.2, 10), PLASTIC);
    let click = rng.uniform(0.3, 1.5);
    let mut force = take.track();
    let mut at_s = rng.uniform(0.02, 0.1);
    while at_s < take.seconds() {
        let press = Strike {
            contact_s: rng.uniform(0.0003, 0.0009),
            velocity: math::from_db(2.5 * rng.normal()),
            roughness: 0.8,
        };
        press.add(&mut rng, rate, &mut force, at_s);
        let release = Strike { contact_s: 0.0004, velocity: 0.35 * press.velocity, roughness: 0.8 };
        let release_s = at_s + rng.uniform(0.06, 0.12);
        release.add(&mut rng, rate, &mut force, release_s);
        let density = [(300.0, -8.0), (2500.0, 0.0), (6000.0, -3.0), (11_000.0, -10.0)];
        let tick = noise::burst(&mut rng, rate, 0.0002, 0.002, &density);
        take.add(at_s, &tick, 0.3 * click * press.velocity);
        let word_ends = rng.chance(0.18);
        at_s += rng.uniform(0.08, 0.22) + if word_ends { rng.uniform(0.1, 0.5) } else { 0.0 };
    }
    case.ring(rate, &force, &mut take.samples, 0.5);
    key.ring(rate, &force, &mut take.samples, 0.5);
}

/// Knuckles on a door: groups of knocks, the last of a group often the hardest.
pub(crate) fn knocking(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let lowest_hz = rng.log_uniform(70.0, 210.0);
    let door = Body::new(&mut rng, lowest_hz, &panel(2.1, 24), WOOD).damped(rng.uniform(5.0, 60.0));
    let contact_s = rng.log_uniform(0.0007, 0.0025);
    let mut force = take.track();
    let mut at_s = rng.uniform(0.02, 0.12);
    while at_s < take.seconds() {
        let period_s = rng.uniform(0.13, 0.32);
        for _ in 0..rng.whole(2, 6) {
            let velocity = math::from_db(2.0 * rng.normal());
            Strike { contact_s: contact_s * rng.uniform(0.8, 1.3), velocity, roughness: 0.4 }
                .add(&mut rng, rate, &mut force, at_s);
            let density = [(90.0, 0.0), (500.0, -5.0), (2000.0, -12.0), (8000.0, -28.0)];
            let knock = noise::burst(&mut rng, rate, 0.0005, 0.008, &density);
            take.add(at_s, &knock, 0.5 * velocity);
            at_s += period_s * (1.0 + 0.06 * rng.normal());
        }
        at_s += rng.uniform(0.5, 2.2);
    }
    door.ring(rate, &force, &mut take.samples, 1.3);
}
