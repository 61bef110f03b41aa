//! Things with doors and runners: cupboard, drawer, refrigerator.

use crate::filter::Biquad;
use crate::math;
use crate::modal::{BAR, Body, GLASS, METAL, Strike, WOOD, panel, vessel};
use crate::noise;
use crate::rng::Rng;
use crate::take::Take;

/// The low thump of a panel shut, dB over Hz.
const THUMP: [(f32, f32); 5] = [(60.0, 0.0), (180.0, -4.0), (500.0, -13.0), (2000.0, -22.0), (9000.0, -34.0)];

/// A door opened (latch, hinge) and shut (thump, bounce), again and again.
pub(crate) fn cupboard(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let lowest_hz = rng.log_uniform(75.0, 190.0);
    let carcass = Body::new(&mut rng, lowest_hz, &panel(1.5, 24), WOOD).damped(rng.uniform(10.0, 50.0));
    let latch_hz = rng.log_uniform(900.0, 2500.0);
    let latch = Body::new(&mut rng, latch_hz, BAR, METAL).damped(rng.uniform(60.0, 250.0));
    let squeaks = rng.chance(0.3);
    let (mut force, mut latch_force) = (take.track(), take.track());
    let mut opens = rng.chance(0.5);
    let mut at_s = rng.uniform(0.02, 0.1);
    while at_s < take.seconds() {
        let size = math::from_db(2.5 * rng.normal()) * if opens { 0.3 } else { 1.0 };
        let click = Strike { contact_s: rng.log_uniform(0.0001, 0.0006), velocity: 0.5 * size, roughness: 0.8 };
        click.add(&mut rng, rate, &mut latch_force, at_s);
        let mut bounce_s = at_s;
        let mut velocity = size;
        for _ in 0..if opens { 1 } else { rng.whole(1, 4) } {
            let blow = Strike { contact_s: rng.log_uniform(0.0012, 0.004), velocity, roughness: 0.4 };
            blow.add(&mut rng, rate, &mut force, bounce_s);
            let thump = noise::burst(&mut rng, rate, 0.001, 0.025, &THUMP);
            take.add(bounce_s, &thump, 0.8 * velocity);
            bounce_s += rng.uniform(0.03, 0.1);
            velocity *= rng.uniform(0.2, 0.5);
        }
        if squeaks && opens {
            squeak(take, &mut rng, at_s + 0.1);
        }
        at_s += if opens { rng.uniform(0.5, 1.3) } else { rng.uniform(0.6, 2.0) };
        opens = !opens;
    }
    carcass.ring(rate, &force, &mut take.samples, 1.6);
    latch.ring(rate, &latch_force, &mut take.samples, 0.3);
}

/// A drawer slid on its runners, what lies in it rattling, and its stop.
pub(crate) fn drawer(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let lowest_hz = rng.log_uniform(90.0, 230.0);
    let front = Body::new(&mut rng, lowest_hz, &panel(2.2, 20), WOOD).damped(rng.uniform(10.0, 60.0));
    let rattles: Vec<Body> = (0..3)
        .map(|_| {
            let hz = rng.log_uniform(500.0, 1800.0);
            Body::new(&mut rng, hz, BAR, METAL).damped(rng.log_uniform(30.0, 200.0))
        })
        .collect();
    let rattle = rng.uniform(0.0, 0.5);
    let (mut front_force, mut rattle_forces) = (take.track(), vec![take.track(); rattles.len()]);
    let runner_hz = rng.log_uniform(180.0, 500.0);
    let mut at_s = rng.uniform(0.01, 0.08);
    while at_s < take.seconds() {
        let slide_s = rng.uniform(0.25, 0.7);
        let n = take.count(slide_s);
        let density = [(80.0, -2.0), (runner_hz, 0.0), (1200.0, -10.0), (5000.0, -20.0), (11_000.0, -30.0)];
        let mut slide = noise::coloured(&mut rng, rate, n, &density);
        let grain = noise::drift(&mut rng, rate, n, 40.0, 4.0);
        for (i, (x, grain)) in slide.iter_mut().zip(&grain).enumerate() {
            let t = i as f32 / n as f32;
            *x *= grain * math::smooth_step(6.0 * t) * (0.3 + t) * math::smooth_step(8.0 * (1.0 - t));
        }
        take.add(at_s, &slide, 0.16);
        let mut hit_s = at_s;
        while hit_s < at_s + slide_s {
            let struck = rng.whole(0, rattles.len() - 1);
            let hit = Strike { contact_s: 0.0002, velocity: rattle * rng.unit(), roughness: 0.8 };
            hit.add(&mut rng, rate, &mut rattle_forces[struck], hit_s);
            hit_s += rng.gap(18.0);
        }
        let stop_s = at_s + slide_s;
        let velocity = math::from_db(3.0 * rng.normal());
        let stop = Strike { contact_s: rng.log_uniform(0.001, 0.003), velocity, roughness: 0.5 };
        stop.add(&mut rng, rate, &mut front_force, stop_s);
        let thump = noise::burst(&mut rng, rate, 0.001, 0.02, &THUMP);
        take.add(stop_s, &thump, 0.8 * velocity);
        for force in &mut rattle_forces {
            let jolt = Strike { contact_s: 0.0002, velocity: 2.0 * rattle * rng.unit() * velocity, roughness: 0.8 };
            let jolt_s = stop_s + rng.uniform(0.0, 0.03);
            jolt.add(&mut rng, rate, force, jolt_s);
        }
        at_s = stop_s + rng.uniform(0.3, 1.2);
    }
    front.ring(rate, &front_force, &mut take.samples, 1.4);
    for (body, force) in rattles.iter().zip(&rattle_forces) {
        body.ring(rate, force, &mut take.samples, 0.35);
    }
}

/// A refrigerator's compressor, its door seal torn open, bottles in the door, the padded shutting.
pub(crate) fn fridge(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let mains_hz = rng.pick(&[50.0, 60.0]);
    let hum_gain = rng.log_uniform(0.001, 0.02);
    crate::machine::hum(take, &mut rng, mains_hz, hum_gain);
    let lowest_hz = rng.log_uniform(60.0, 130.0);
    let shell = Body::new(&mut rng, lowest_hz, &panel(1.8, 20), WOOD).damped(60.0);
    let bottles: Vec<Body> = (0..3)
        .map(|_| {
            let (hz, height) = (rng.log_uniform(900.0, 2600.0), rng.uniform(1.5, 3.0));
            Body::new(&mut rng, hz, &vessel(height, 6), GLASS).damped(rng.log_uniform(20.0, 90.0))
        })
        .collect();
    let rattle = rng.uniform(0.0, 0.25);
    let (mut shell_force, mut bottle_forces) = (take.track(), vec![take.track(); bottles.len()]);
    let mut at_s = rng.uniform(0.02, 0.15);
    while at_s < take.seconds() {
        // The magnetic seal lets go: a short rip with a dull pop.
        let decay_s = rng.uniform(0.02, 0.05);
        let rip = noise::burst(
            &mut rng,
            rate,
            0.02,
            decay_s,
            &[(80.0, 0.0), (600.0, -8.0), (3000.0, -16.0), (9000.0, -24.0)],
        );
        take.add(at_s, &rip, 0.3);
        let shut_s = at_s + rng.uniform(0.7, 1.8);
        let velocity = math::from_db(2.5 * rng.normal());
        let shut = Strike { contact_s: rng.uniform(0.003, 0.007), velocity, roughness: 0.4 };
        shut.add(&mut rng, rate, &mut shell_force, shut_s);
        let thump = noise::burst(&mut rng, rate, 0.003, 0.03, &THUMP);
        take.add(shut_s, &thump, velocity);
        for moved_s in [at_s, shut_s] {
            for force in &mut bottle_forces {
                let mut hit_s = moved_s + rng.uniform(0.0, 0.1);
                for _ in 0..rng.whole(0, 4) {
                    let hit = Strike { contact_s: 0.0003, velocity: rattle * rng.unit(), roughness: 0.4 };
                    hit.add(&mut rng, rate, force, hit_s);
                    hit_s += rng.uniform(0.03, 0.12);
                }
            }
        }
        at_s = shut_s + rng.uniform(0.6, 2.0);
    }
    shell.ring(rate, &shell_force, &mut take.samples, 1.5);
    for (body, force) in bottles.iter().zip(&bottle_forces) {
        body.ring(rate, force, &mut take.samples, 0.5);
    }
}

/// A dry hinge: stick-slip pulses at a wandering rate through a few resonances of the door.
fn squeak(take: &mut Take, rng: &mut Rng, at_s: f32) {
    let rate = take.sample_rate;
    let n = take.count(rng.uniform(0.2, 0.5));
    let (from_hz, to_hz) = (rng.log_uniform(250.0, 700.0), rng.log_uniform(300.0, 900.0));
    let mut phase = 0.0;
    let mut pulses: Vec<f32> = (0..n)
        .map(|i| {
            let t = i as f32 / n as f32;
            phase += (from_hz + (to_hz - from_hz) * t) * (1.0 + 0.05 * rng.bipolar()) / rate;
            let slips = phase >= 1.0;
            phase -= phase.floor();
            if slips { math::smooth_step(4.0 * t) * math::smooth_step(4.0 * (1.0 - t)) } else { 0.0 }
        })
        .collect();
    Biquad::band_pass(rate, rng.log_uniform(1000.0, 2500.0), 4.0).run(&mut pulses);
    take.add(at_s, &pulses, 0.5);
}
