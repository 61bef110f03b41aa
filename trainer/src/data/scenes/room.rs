//! A room: a distance enters, the impulse response from a source there to the microphone leaves.
//!
//! A box with walls of equal absorption. The response is
//!
//! - the direct sound, of gain 1 and without delay: neither level nor time of a sound changes with
//!   its distance;
//! - the early reflections up to the mixing time, from image sources (J. Allen and D. Berkley,
//!   "Image method for efficiently simulating small-room acoustics", J. Acoust. Soc. Am. 65, 1979)
//!   with the walls' reflection factor after C. Eyring (J. Acoust. Soc. Am. 1, 1930): `b = sqrt(1 -
//!   a)`, `T = 0.161 V / (-S ln(1 - a))`;
//! - from then on noise that decays exponentially, octave by octave with its own reverberation time
//!   (J. Moorer, "About this reverberation business", Computer Music Journal 3(2), 1979): `10^(-3 t
//!   / T)`, of the energy that diffuse-field theory gives: `(r / r_c)^2` times the direct sound's
//!   in all, `r_c = 0.057 sqrt(V / T)` (H. Kuttruff, "Room Acoustics").
//!
//! Or a room in which impulse responses were measured. A response is used from its highest peak on,
//! which gets the gain 1; what follows is scaled with the distance as in a box, with the response
//! as it was measured at [`MEASURED_AT_M`].

use super::fft::Fft;
use super::pool::MeasuredRoom;
use super::settings::SceneSettings;
use crate::common::random::{Rng, normal, uniform};
use rand::Rng as _;
use serde::Serialize;

/// Metres a second.
const SPEED_OF_SOUND: f64 = 343.0;
/// Reverberation times below this count as 0.
const DRY_S: f64 = 0.05;
/// Reverberation time over that at 1 kHz, for the octaves of 125 Hz to 8 kHz: furnished rooms, and
/// the air's loss in the uppermost.
const BY_OCTAVE: [f64; 7] = [1.2, 1.1, 1.0, 1.0, 0.9, 0.75, 0.5];
const LOWEST_OCTAVE_HZ: f64 = 125.0;
/// Distance at which a measured response is taken as it is, and the range of the factors for
/// others.
const MEASURED_AT_M: f64 = 2.0;
const MEASURED_GAIN: (f64, f64) = (0.25, 2.0);
/// Distance kept from the walls.
const MARGIN_M: f64 = 0.2;

/// A room with a microphone in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Room {
    /// Length, width, height.
    size_m: [f64; 3],
    microphone_m: [f64; 3],
    /// By octave from 125 Hz on; empty if there is no reverberation.
    reverb_s: Vec<f64>,
    /// The recording of the impulse responses, of a measured room.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<String>,
    /// Of a measured room, each from its highest peak on.
    #[serde(skip)]
    responses: Vec<Vec<f32>>,
}

impl Room {
    pub(super) fn draw(settings: &SceneSettings, rooms: &[MeasuredRoom], rng: &mut Rng) -> Self {
        let size_m = [rng.random_range(2.5..7.0), rng.random_range(2.2..5.5), rng.random_range(2.3..3.0)];
        let microphone_m = size_m.map(|size| rng.random_range(0.15 * size..0.85 * size));
        let reverb_s = settings.reverb_s.draw(rng);
        let reverb_s = BY_OCTAVE.map(|factor| reverb_s * factor * f64::from(uniform(rng, 0.9, 1.1))).to_vec();
        let dry = reverb_s[3] < DRY_S;
        let measured = !rooms.is_empty() && rng.random::<f64>() < settings.measured_rooms;
        let measured = measured.then(|| &rooms[rng.random_range(0..rooms.len())]);
        Self {
            size_m,
            microphone_m,
            reverb_s: if dry { Vec::new() } else { reverb_s },
            measured: measured.map(|room| room.source.clone()),
            responses: measured.map_or(Vec::new(), |room| room.responses.iter().map(|r| from_peak(r)).collect()),
        }
    }

    /// From a source in a random direction at about `distance_m`, nearer if the room is too small
    /// for it; and how far it is.
    pub(super) fn impulse_response(
        &self,
        distance_m: f64,
        sample_rate: u32,
        fft: &mut Fft,
        rng: &mut Rng,
    ) -> (Vec<f32>, f64) {
        let source = self.place(distance_m, rng);
        let direct_m = distance(&source, &self.microphone_m);
        if !self.responses.is_empty() {
            let mut response = self.responses[rng.random_range(0..self.responses.len())].clone();
            let gain = (direct_m / MEASURED_AT_M).clamp(MEASURED_GAIN.0, MEASURED_GAIN.1) as f32;
            response.iter_mut().skip(1).for_each(|x| *x *= gain);
            return (response, direct_m);
        }
        let Some(&reverb_s) = self.reverb_s.get(3) else { return (vec![1.0], direct_m) };
        let rate = f64::from(sample_rate);
        let volume = self.size_m.iter().product::<f64>();
        // Reflections overlap from sqrt(V) milliseconds on (J.-D. Polack's mixing time), counted
        // from the emission; some more are taken one by one here.
        let mixing = ((2e-3 * volume.sqrt()).max(0.008) * rate) as usize;
        let longest_s = self.reverb_s.iter().fold(0.0, |a: f64, &b| a.max(b));
        let n = mixing + (longest_s * rate) as usize;
        let mut response = self.tail(n, rate, fft, rng);
        // A decay that begins with the variance e has the energy e rate T / 13.8 in all, and 1 /
        // r_c^2 grows with T, too: T cancels out.
        let gain = (13.8 / rate * (direct_m / 0.057).powi(2) / volume).sqrt() as f32;
        for (i, x) in response.iter_mut().enumerate() {
            // Between half the mixing time and the whole the one takes over from the other.
            *x *= gain * (2.0 * i as f32 / mixing as f32 - 1.0).clamp(0.0, 1.0);
        }
        self.reflect(&source, direct_m, mixing, rate, reverb_s, &mut response);
        response[0] = 1.0;
        (response, direct_m)
    }

    /// A point at `distance_m` from the microphone, inside; nearer if none is found.
    fn place(&self, distance_m: f64, rng: &mut Rng) -> [f64; 3] {
        let mut distance_m = distance_m;
        loop {
            for _ in 0..20 {
                let direction = [0; 3].map(|_| f64::from(normal(rng)));
                let length = distance(&direction, &[0.0; 3]).max(1e-6);
                let point: [f64; 3] =
                    std::array::from_fn(|i| self.microphone_m[i] + direction[i] * distance_m / length);
                if point.iter().zip(&self.size_m).all(|(x, size)| (MARGIN_M..size - MARGIN_M).contains(x)) {
                    return point;
                }
            }
            distance_m *= 0.8;
        }
    }

    /// Adds the image sources that arrive within `mixing` samples of the direct sound.
    fn reflect(&self, source: &[f64; 3], direct_m: f64, mixing: usize, rate: f64, reverb_s: f64, response: &mut [f32]) {
        let [x, y, z] = self.size_m;
        let surface = 2.0 * (x * y + y * z + x * z);
        let kept = (-0.161 * x * y * z / (surface * reverb_s)).exp();
        let factor = kept.sqrt();
        // Along each axis: where the image lies, and how often it was reflected.
        let images = |axis: usize| {
            let (size, at) = (self.size_m[axis], source[axis]);
            (-2..=2i32).flat_map(move |turn| {
                let shift = 2.0 * f64::from(turn) * size;
                [(shift + at, 2 * turn.unsigned_abs()), (shift - at, (2 * turn - 1).unsigned_abs())]
            })
        };
        for (x, n_x) in images(0) {
            for (y, n_y) in images(1) {
                for (z, n_z) in images(2) {
                    let far_m = distance(&[x, y, z], &self.microphone_m);
                    let late = ((far_m - direct_m) / SPEED_OF_SOUND * rate).round() as usize;
                    let n_reflections = n_x + n_y + n_z;
                    if n_reflections > 0 && late < mixing {
                        response[late] += (factor.powi(n_reflections as i32) * direct_m / far_m) as f32;
                    }
                }
            }
        }
    }

    /// White noise of unit variance whose octaves decay each in its own time.
    fn tail(&self, n: usize, rate: f64, fft: &mut Fft, rng: &mut Rng) -> Vec<f32> {
        let n_fft = n.next_power_of_two();
        let noise = fft.forward((0..n_fft).map(|_| normal(rng)).collect());
        let mut tail = vec![0.0; n];
        for (octave, reverb_s) in self.reverb_s.iter().enumerate() {
            let mut band = noise.clone();
            for (bin, value) in band.iter_mut().enumerate() {
                let hz = bin as f64 * rate / n_fft as f64;
                *value *= share_of_octave(hz, octave, self.reverb_s.len()) as f32;
            }
            let step = 10f64.powf(-3.0 / (reverb_s * rate));
            let mut gain = 1.0;
            for (out, x) in tail.iter_mut().zip(fft.inverse(band, n_fft)) {
                *out += gain as f32 * x;
                gain *= step;
            }
        }
        tail
    }
}

/// A response from its highest peak on, which becomes 1; that of a silent one is no room at all.
fn from_peak(response: &[f32]) -> Vec<f32> {
    let highest = (0..response.len()).max_by(|&a, &b| response[a].abs().total_cmp(&response[b].abs()));
    match highest.filter(|&at| response[at] != 0.0) {
        Some(at) => response[at..].iter().map(|x| x / response[at]).collect(),
        None => vec![1.0],
    }
}

/// Weights of the octaves at a frequency: half cosines over the logarithm, one in all; the outer
/// octaves reach to the ends.
fn share_of_octave(hz: f64, octave: usize, n_octaves: usize) -> f64 {
    let place = (hz.max(1.0) / LOWEST_OCTAVE_HZ).log2().clamp(0.0, (n_octaves - 1) as f64);
    let away = (place - octave as f64).abs();
    if away >= 1.0 { 0.0 } else { 0.5 + 0.5 * (std::f64::consts::PI * away).cos() }
}

fn distance(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, rng_for};
    use crate::data::scenes::Span;

    const RATE: u32 = 24_000;

    fn room(reverb_s: f64, seed: u64) -> Room {
        let settings = SceneSettings { reverb_s: Span::only(reverb_s), ..SceneSettings::default() };
        Room::draw(&settings, &[], &mut rng_for(seed, Purpose::Composition, 0))
    }

    fn respond(room: &Room, distance_m: f64, seed: u64) -> (Vec<f32>, f64) {
        room.impulse_response(distance_m, RATE, &mut Fft::new(), &mut rng_for(seed, Purpose::Composition, 1))
    }

    /// Seconds until the energy that is still to come has fallen from 5 to 35 dB below the whole,
    /// doubled (M. Schroeder 1965).
    fn decay_s(response: &[f32]) -> f64 {
        let mut rest: Vec<f64> = response.iter().map(|&x| f64::from(x) * f64::from(x)).collect();
        // Without the direct sound, which is not part of the decay.
        rest[0] = 0.0;
        for i in (1..rest.len()).rev() {
            rest[i - 1] += rest[i];
        }
        let below = |db: f64| rest.iter().position(|&x| x < rest[0] * 10f64.powf(-db / 10.0)).unwrap();
        2.0 * (below(35.0) - below(5.0)) as f64 / f64::from(RATE)
    }

    #[test]
    fn rooms_reverberate_as_long_as_asked() {
        for reverb_s in [0.2, 0.5, 1.0] {
            let mut times: Vec<f64> =
                (0..9).map(|seed| decay_s(&respond(&room(reverb_s, seed), 1.5, seed).0)).collect();
            times.sort_by(f64::total_cmp);
            // Half the white noise lies in the shortest octave, so the broadband decay is somewhat
            // faster.
            assert!((0.6..1.25).contains(&(times[4] / reverb_s)), "{reverb_s}: {times:?}");
        }
    }

    #[test]
    fn the_tail_has_the_energy_of_a_diffuse_field_and_grows_with_distance() {
        let mut ratios = Vec::new();
        for seed in 0..20 {
            let room = room(0.4, seed);
            let (response, direct_m) = respond(&room, 1.0, seed);
            let reverberant: f64 = response[1..].iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            let critical_m = 0.057 * (room.size_m.iter().product::<f64>() / 0.4).sqrt();
            ratios.push(10.0 * (reverberant * (critical_m / direct_m).powi(2)).log10());
            assert_eq!(response[0], 1.0);
        }
        ratios.sort_by(f64::total_cmp);
        assert!(ratios[10].abs() < 3.0, "{ratios:?}");
    }

    #[test]
    fn octaves_share_every_frequency() {
        for hz in [0.0, 60.0, 125.0, 300.0, 1000.0, 5000.0, 12_000.0] {
            let sum: f64 = (0..7).map(|octave| share_of_octave(hz, octave, 7)).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{hz}: {sum}");
        }
    }

    #[test]
    fn a_measured_room_begins_with_its_peak() {
        let measured =
            MeasuredRoom { source: "hall.flac".to_owned(), responses: vec![vec![0.0, 0.1, -0.5, 0.25, 0.1]] };
        let settings = SceneSettings { measured_rooms: 1.0, ..SceneSettings::default() };
        let room = Room::draw(&settings, &[measured], &mut rng_for(1, Purpose::Composition, 0));
        let (response, direct_m) = respond(&room, 1.0, 1);
        let gain = (direct_m / MEASURED_AT_M).clamp(MEASURED_GAIN.0, MEASURED_GAIN.1) as f32;
        assert_eq!(response, [1.0, -0.5 * gain, -0.2 * gain]);
        assert_eq!(serde_json::to_value(&room).unwrap()["measured"], "hall.flac");
    }

    #[test]
    fn without_reverberation_nothing_happens() {
        assert_eq!(respond(&room(0.0, 1), 2.0, 1).0, [1.0]);
    }

    #[test]
    fn images_are_where_the_mirrors_put_them() {
        let room = Room { size_m: [4.0, 3.0, 2.5], microphone_m: [1.0, 1.0, 1.0], ..room(0.5, 1) };
        let source = [2.0, 1.0, 1.0];
        let mut response = vec![0.0; 400];
        room.reflect(&source, 1.0, 400, 24_000.0, 0.5, &mut response);
        // The floor's mirror image lies at z = -1: sqrt(1 + 4) m away.
        let late = ((5f64.sqrt() - 1.0) / SPEED_OF_SOUND * 24_000.0).round() as usize;
        let surface: f64 = 2.0 * (12.0 + 7.5 + 10.0);
        let factor = (-0.161 * 30.0 / (surface * 0.5)).exp().sqrt();
        // The wall at y = 0 has its image as far away.
        let expected = 2.0 * factor / 5f64.sqrt();
        assert!((f64::from(response[late]) - expected).abs() < 1e-3, "{} {expected}", response[late]);
        assert!(response[..late].iter().all(|&x| x == 0.0));
    }
}
