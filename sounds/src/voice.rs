//! People: an infant's cry, a sneeze, babble.

use crate::formant::{Formant, Phonation, contour, utter};
use crate::math;
use crate::noise;
use crate::take::Take;

/// A cry: wails of about a second whose pitch arches over 350-600 Hz, hoarse at the top, a sobbing
/// breath between them.
///
/// Pitch and durations after O. Wasz-Hoeckert et al., "The infant cry: a spectrographic and
/// auditory analysis", 1968; formants of a vocal tract of about 8 cm.
pub(crate) fn crying_baby(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let pitch_hz = rng.log_uniform(330.0, 520.0);
    let tract = rng.uniform(0.85, 1.15);
    let hoarse = rng.uniform(0.05, 0.5);
    let mut at_s = rng.uniform(0.0, 0.15);
    while at_s < take.seconds() {
        let wail_s = rng.log_uniform(0.4, 1.6);
        let n = take.count(wail_s);
        let (top, end) = (rng.uniform(1.05, 1.45), rng.uniform(0.6, 0.95));
        let base_hz = pitch_hz * rng.uniform(0.92, 1.08);
        let peak_at = rng.uniform(0.2, 0.6);
        let mut pitch = contour(
            n,
            &[(0.0, 0.75 * base_hz), (0.08, base_hz), (peak_at, top * base_hz), (0.85, base_hz), (1.0, end * base_hz)],
        );
        let tremble = noise::drift(&mut rng, rate, n, 12.0, 0.15);
        for (hz, tremble) in pitch.iter_mut().zip(&tremble) {
            *hz *= tremble;
        }
        let loudness = contour(n, &[(0.0, 0.0), (0.08, 0.8), (0.5, 1.0), (0.85, 0.7), (1.0, 0.0)]);
        let phonation = Phonation {
            tilt: rng.uniform(0.7, 1.2),
            breath: rng.uniform(0.05, 0.3),
            rough: hoarse * rng.uniform(0.3, 1.6),
        };
        let mouth = tract * rng.uniform(0.95, 1.05);
        let wail = utter(&mut rng, rate, &pitch, &loudness, phonation, &infant(mouth));
        take.add(at_s, &wail, math::from_db(1.5 * rng.normal()));
        at_s += wail_s + rng.uniform(0.05, 0.15);
        // Drawing breath, sometimes voiced.
        let breath_s = rng.uniform(0.12, 0.3);
        let mut breath = noise::band(&mut rng, rate, take.count(breath_s), 2200.0 * tract, 1.0);
        fade(&mut breath);
        take.add(at_s, &breath, 0.06);
        at_s += breath_s + rng.uniform(0.02, 0.3);
    }
}

/// A sneeze or two: a gasp or several, a held moment, the burst, and what voice is left.
pub(crate) fn sneezing(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let tract = rng.uniform(0.85, 1.25);
    let pitch_hz = rng.log_uniform(110.0, 330.0);
    let mut at_s = rng.uniform(0.0, 0.15);
    while at_s < take.seconds() {
        for _ in 0..rng.whole(0, 2) {
            let gasp_s = rng.uniform(0.15, 0.45);
            let n = take.count(gasp_s);
            let rise = contour(n, &[(0.0, 0.0), (0.8, 1.0), (1.0, 0.0)]);
            let pitch = contour(n, &[(0.0, pitch_hz), (1.0, 1.5 * pitch_hz)]);
            let whispered = Phonation { tilt: 1.5, breath: 4.0, rough: 0.2 };
            let gasp = utter(&mut rng, rate, &pitch, &rise, whispered, &adult(tract, OPEN));
            take.add(at_s, &gasp, 0.12);
            at_s += gasp_s + rng.uniform(0.03, 0.25);
        }
        let decay_s = rng.uniform(0.04, 0.12);
        let density = [(100.0, -4.0), (600.0, -3.0), (1800.0, 0.0), (4500.0, -3.0), (11_000.0, -9.0)];
        let attack_s = rng.uniform(0.003, 0.02);
        let burst = noise::burst(&mut rng, rate, attack_s, decay_s, &density);
        take.add(at_s, &burst, 1.0);
        let n = take.count(rng.uniform(0.15, 0.45));
        let pitch = contour(n, &[(0.0, 1.9 * pitch_hz), (0.3, 1.3 * pitch_hz), (1.0, 0.8 * pitch_hz)]);
        let loudness = contour(n, &[(0.0, 0.0), (0.08, 1.0), (0.5, 0.5), (1.0, 0.0)]);
        let shout = Phonation { tilt: 1.0, breath: 0.8, rough: 0.4 };
        let vowel = rng.pick(&[OPEN, ROUND, CLOSE]);
        let voice = utter(&mut rng, rate, &pitch, &loudness, shout, &adult(tract, vowel));
        take.add(at_s + 0.02, &voice, rng.uniform(0.3, 1.6));
        at_s += rng.uniform(1.2, 4.0);
    }
}

/// Talk without words: syllables of hiss or hum and a vowel, phrases with falling pitch.
pub(crate) fn babble(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let tract = rng.uniform(0.9, 1.2);
    let pitch_hz = rng.log_uniform(90.0, 240.0);
    let mut at_s = rng.uniform(0.0, 0.1);
    while at_s < take.seconds() {
        let n_syllables = rng.whole(3, 12);
        for syllable in 0..n_syllables {
            if rng.chance(0.5) {
                let hz = rng.log_uniform(1500.0, 6000.0);
                let hiss_s = rng.uniform(0.03, 0.1);
                let mut hiss = noise::band(&mut rng, rate, take.count(hiss_s), hz, 1.5);
                fade(&mut hiss);
                take.add(at_s, &hiss, 0.08);
                at_s += 0.04;
            }
            let long_s = rng.uniform(0.09, 0.24);
            let n = take.count(long_s);
            let fall = 1.15 - 0.35 * syllable as f32 / n_syllables as f32;
            let from_hz = pitch_hz * fall * rng.uniform(0.92, 1.1);
            let pitch = contour(n, &[(0.0, from_hz), (1.0, from_hz * rng.uniform(0.88, 1.06))]);
            let loudness = contour(n, &[(0.0, 0.0), (0.2, 1.0), (0.7, 0.8), (1.0, 0.0)]);
            let speech = Phonation { tilt: 1.5, breath: 0.05, rough: 0.06 };
            let vowel = rng.pick(&[OPEN, ROUND, CLOSE]);
            let voice = utter(&mut rng, rate, &pitch, &loudness, speech, &adult(tract, vowel));
            take.add(at_s, &voice, math::from_db(2.0 * rng.normal()));
            at_s += long_s * rng.uniform(0.8, 1.2);
        }
        at_s += rng.uniform(0.25, 1.0);
    }
}

/// First three formants of an adult male (G. Peterson and H. Barney, "Control methods used in a
/// study of the vowels", J. Acoust. Soc. Am. 24, 1952): the vowels of "father", "boot" and "beet".
const OPEN: [f32; 3] = [730.0, 1090.0, 2440.0];
const ROUND: [f32; 3] = [300.0, 870.0, 2240.0];
const CLOSE: [f32; 3] = [270.0, 2290.0, 3010.0];

fn adult(tract: f32, vowel: [f32; 3]) -> [Formant; 5] {
    let formant = |hz: f32, width_hz: f32, gain_db: f32| Formant { hz: hz * tract, width_hz, gain_db };
    [
        formant(vowel[0], 90.0, 0.0),
        formant(vowel[1], 110.0, -3.0),
        formant(vowel[2], 170.0, -8.0),
        formant(3500.0, 250.0, -14.0),
        formant(4500.0, 400.0, -18.0),
    ]
}

fn infant(tract: f32) -> [Formant; 5] {
    let formant = |hz: f32, width_hz: f32, gain_db: f32| Formant { hz: hz * tract, width_hz, gain_db };
    [
        formant(480.0, 300.0, -6.0),
        formant(1050.0, 350.0, 0.0),
        formant(1800.0, 700.0, 0.0),
        formant(3200.0, 900.0, 0.0),
        formant(5500.0, 2000.0, 0.0),
    ]
}

/// Swells and fades a breath of noise over its length.
fn fade(samples: &mut [f32]) {
    let n = samples.len() as f32;
    for (i, x) in samples.iter_mut().enumerate() {
        let t = i as f32 / n;
        *x *= math::smooth_step(3.0 * t) * math::smooth_step(3.0 * (1.0 - t));
    }
}
