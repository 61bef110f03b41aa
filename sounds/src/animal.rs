//! Animals: a barking dog, a crowing cock.

use crate::formant::{Formant, Phonation, contour, utter};
use crate::math;
use crate::noise;
use crate::take::Take;

/// Barks: a tenth to a quarter of a second of harsh voice whose pitch jumps up and falls, singly or
/// in series. Size of the dog sets pitch and formants.
pub(crate) fn dog(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    // 0: a terrier, 1: a mastiff.
    let size = rng.unit();
    let pitch_hz = 800.0 * math::pow(0.25, size) * rng.uniform(0.85, 1.15);
    let scale = math::pow(0.5, size) * rng.uniform(0.9, 1.1);
    let formants = [
        Formant { hz: 850.0 * scale, width_hz: 350.0, gain_db: 0.0 },
        Formant { hz: 1600.0 * scale, width_hz: 400.0, gain_db: -4.0 },
        Formant { hz: 2900.0 * scale, width_hz: 600.0, gain_db: -10.0 },
        Formant { hz: 5200.0 * scale, width_hz: 1200.0, gain_db: -16.0 },
    ];
    let rough = rng.uniform(0.2, 1.0);
    let mut at_s = rng.uniform(0.02, 0.15);
    while at_s < take.seconds() {
        let n_barks = rng.whole(1, 4);
        let pause_s = rng.log_uniform(0.14, 0.5);
        for _ in 0..n_barks {
            let bark_s = rng.uniform(0.09, 0.2) + 0.06 * size;
            let n = take.count(bark_s);
            let top_hz = pitch_hz * rng.uniform(0.9, 1.15);
            let pitch = contour(n, &[(0.0, 0.55 * top_hz), (0.2, top_hz), (0.5, 0.95 * top_hz), (1.0, 0.5 * top_hz)]);
            let loudness = contour(n, &[(0.0, 0.0), (0.07, 0.9), (0.3, 1.0), (0.7, 0.45), (1.0, 0.0)]);
            let harsh = Phonation { tilt: rng.uniform(0.9, 1.4), breath: rng.uniform(0.2, 0.9), rough };
            let bark = utter(&mut rng, rate, &pitch, &loudness, harsh, &formants);
            take.add(at_s, &bark, math::from_db(1.5 * rng.normal()));
            at_s += bark_s + pause_s * rng.uniform(0.8, 1.3);
        }
        at_s += rng.uniform(0.3, 1.8);
    }
}

/// A crow: two short calls, a higher one, and a long one that falls.
pub(crate) fn rooster(take: &mut Take) {
    let mut rng = take.rng.fork();
    let rate = take.sample_rate;
    let pitch_hz = rng.log_uniform(600.0, 950.0);
    let throat_hz = rng.uniform(1300.0, 2000.0);
    let formants = [
        Formant { hz: 800.0, width_hz: 600.0, gain_db: -2.0 },
        Formant { hz: throat_hz, width_hz: 700.0, gain_db: 0.0 },
        Formant { hz: 1.9 * throat_hz, width_hz: 1000.0, gain_db: -3.0 },
        Formant { hz: 3.4 * throat_hz, width_hz: 2500.0, gain_db: -2.0 },
    ];
    let rough = rng.uniform(0.05, 0.35);
    let mut at_s = rng.uniform(0.02, 0.2);
    while at_s < take.seconds() {
        let calls = [
            (rng.uniform(0.15, 0.3), 0.75, 0.95, 0.85),
            (rng.uniform(0.1, 0.2), 0.9, 1.05, 0.95),
            (rng.uniform(0.25, 0.5), 0.95, 1.15, 1.0),
            (rng.uniform(0.5, 1.3), 0.95, 1.1, 0.55),
        ];
        for (long_s, from, top, to) in calls {
            let n = take.count(long_s);
            let mut pitch = contour(
                n,
                &[(0.0, from * pitch_hz), (0.3, top * pitch_hz), (0.6, 0.97 * top * pitch_hz), (1.0, to * pitch_hz)],
            );
            let waver = noise::drift(&mut rng, rate, n, 9.0, 0.12);
            for (hz, waver) in pitch.iter_mut().zip(&waver) {
                *hz *= waver;
            }
            let loudness = contour(n, &[(0.0, 0.0), (0.12, 0.9), (0.6, 1.0), (0.85, 0.5), (1.0, 0.0)]);
            let phonation = Phonation { tilt: rng.uniform(0.6, 1.1), breath: 0.1, rough };
            let call = utter(&mut rng, rate, &pitch, &loudness, phonation, &formants);
            take.add(at_s, &call, math::from_db(rng.normal()));
            at_s += long_s + rng.uniform(0.01, 0.08);
        }
        at_s += rng.uniform(1.5, 5.0);
    }
}
