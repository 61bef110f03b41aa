//! IMA ADPCM: samples enter and half a byte each leaves, or the other way round. A quarter of the
//! bytes of 16-bit samples, noise 20 to 30 dB below the sound; 136 instructions per sample on a
//! Cortex-M4. On any thread.
//!
//! The algorithm is that of the Interactive Multimedia Association's *Recommended Practices for
//! Enhancing Digital Audio Compatibility in Multimedia Systems*, revision 3.00 (1992), section 6.
//! Every payload stands alone, so that a lost frame costs no other one. The payload of a
//! [`Kind::Adpcm`](crate::frame::Kind::Adpcm) frame:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | predictor before the first sample, signed, little endian |
//! | 2 | 1 | step index before the first sample, 0-88; bit 7 is set if the last code stands for no sample |
//! | 3 | n / 2 | codes, the earlier of two in the lower half |

/// Bytes of the payload before the codes.
pub const HEADER_LEN: usize = 3;

/// Bit 7 of the step index: the number of samples is odd.
const ODD: u8 = 0x80;

const MAX_INDEX: u8 = 88;

/// Step sizes, by index.
static STEPS: [i16; MAX_INDEX as usize + 1] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88, 97, 107,
    118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658, 724, 796, 876, 963,
    1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894,
    6484, 7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794,
    32767,
];

/// Change of the index, by the magnitude of the code.
static INDEX_CHANGES: [i8; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

/// Length of the payload of `n_samples`.
pub const fn payload_len(n_samples: usize) -> usize {
    HEADER_LEN + n_samples.div_ceil(2)
}

/// What both sides know of the samples so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    predictor: i16,
    index: u8,
}

impl State {
    /// The code of the next sample.
    fn encode(&mut self, sample: i16) -> u8 {
        let step = i32::from(STEPS[usize::from(self.index)]);
        let difference = i32::from(sample) - i32::from(self.predictor);
        let mut rest = difference.abs();
        let mut code = 0;
        for (bit, part) in [(4, step), (2, step >> 1), (1, step >> 2)] {
            if rest >= part {
                code |= bit;
                rest -= part;
            }
        }
        if difference < 0 {
            code |= 8;
        }
        self.decode(code);
        code
    }

    /// The sample of the next code, 0-15.
    fn decode(&mut self, code: u8) -> i16 {
        let step = i32::from(STEPS[usize::from(self.index)]);
        let mut change = step >> 3;
        for (bit, part) in [(4, step), (2, step >> 1), (1, step >> 2)] {
            if code & bit != 0 {
                change += part;
            }
        }
        let change = if code & 8 != 0 { -change } else { change };
        let sample = (i32::from(self.predictor) + change).clamp(i16::MIN.into(), i16::MAX.into());
        self.predictor = sample as i16;
        self.index = self.index.saturating_add_signed(INDEX_CHANGES[usize::from(code & 7)]).min(MAX_INDEX);
        self.predictor
    }
}

/// Encodes one stream, payload by payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder {
    state: State,
}

impl Encoder {
    /// An encoder at the beginning of a stream.
    pub const fn new() -> Self {
        Self { state: State { predictor: 0, index: 0 } }
    }

    /// Writes the payload of `samples` to the front of `out` and returns it; `None`, and nothing is
    /// done, where `out` is shorter than [`payload_len`].
    pub fn encode<'b>(&mut self, samples: &[i16], out: &'b mut [u8]) -> Option<&'b [u8]> {
        let payload = out.get_mut(..payload_len(samples.len()))?;
        let (header, codes) = payload.split_at_mut(HEADER_LEN);
        let [p0, p1] = self.state.predictor.to_le_bytes();
        let odd = if samples.len() % 2 == 1 { ODD } else { 0 };
        header.copy_from_slice(&[p0, p1, self.state.index | odd]);
        for (byte, pair) in codes.iter_mut().zip(samples.chunks(2)) {
            let low = self.state.encode(pair[0]);
            let high = pair.get(1).map_or(0, |&sample| self.state.encode(sample));
            *byte = high << 4 | low;
        }
        Some(payload)
    }
}

/// The samples of a payload; none if it is not a payload.
pub fn decode(payload: &[u8]) -> impl Iterator<Item = i16> + '_ {
    let (header, codes) = payload.split_first_chunk::<HEADER_LEN>().unwrap_or((&[0; HEADER_LEN], &[]));
    let [p0, p1, index] = *header;
    let mut state = State { predictor: i16::from_le_bytes([p0, p1]), index: (index & !ODD).min(MAX_INDEX) };
    let n_samples = (2 * codes.len()).saturating_sub(usize::from(index & ODD != 0));
    codes.iter().flat_map(|&byte| [byte & 0x0f, byte >> 4]).take(n_samples).map(move |code| state.decode(code))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `round(12000 sin(0.0275 n^2) min(1, n / 10))`.
    const SAMPLES: [i16; 32] = [
        0, 33, 263, 882, 2045, 3808, 6019, 8191, 9429, 8554, 4580, -2218, -8761, -11975, -9349, -1146, 8239, 11948,
        5908, -5782, -12000, -5099, 8124, 11004, -1580, -11950, -3080, 11176, 5015, -10885, -4482, 11546,
    ];

    /// `audioop.lin2adpcm(samples, 2, None)` of Python 3.11, which has the earlier code in the
    /// upper half: halves exchanged.
    const CODES: [u8; 16] =
        [0x70, 0x77, 0x77, 0x77, 0x37, 0xfc, 0x9b, 0x51, 0x14, 0xda, 0x2a, 0x05, 0xbb, 0x53, 0xc9, 0x31];

    /// `audioop.adpcm2lin` of these.
    const DECODED: [i16; 32] = [
        0, 11, 41, 104, 240, 533, 1164, 2521, 5431, 8340, 4938, -1924, -8787, -11461, -9030, -927, 8781, 12696, 6764,
        -5101, -12997, -5819, 8538, 10449, -1711, -12765, -2716, 11641, 5908, -9728, -3422, 9955,
    ];

    #[test]
    fn codes_and_samples_are_those_of_the_reference() {
        let mut out = [0; payload_len(32)];
        let payload = Encoder::new().encode(&SAMPLES, &mut out).unwrap();
        assert_eq!(payload[..HEADER_LEN], [0, 0, 0]);
        assert_eq!(payload[HEADER_LEN..], CODES);
        assert!(decode(payload).eq(DECODED));
    }

    #[test]
    fn payloads_stand_alone_and_odd_ones_keep_their_length() {
        let mut encoder = Encoder::new();
        let mut all = Vec::new();
        for samples in [&SAMPLES[..7], &SAMPLES[7..8], &[], &SAMPLES[8..]] {
            let mut out = [0; 64];
            let payload = encoder.encode(samples, &mut out).unwrap();
            assert_eq!(payload.len(), payload_len(samples.len()));
            assert_eq!(decode(payload).count(), samples.len());
            all.extend(decode(payload));
        }
        assert_eq!(all, DECODED);
    }

    #[test]
    fn a_short_buffer_is_refused_and_changes_nothing() {
        let mut encoder = Encoder::new();
        assert_eq!(encoder.encode(&SAMPLES, &mut [0; payload_len(32) - 1]), None);
        assert_eq!(encoder.state, State::default());
    }

    proptest! {
        #[test]
        fn any_payload_is_samples(payload in prop::collection::vec(any::<u8>(), 0..40)) {
            let most = 2 * payload.len().saturating_sub(HEADER_LEN);
            let n = decode(&payload).count();
            prop_assert!(n == most || n + 1 == most);
        }

        /// As long as the step can follow, the error is less than a step.
        #[test]
        fn a_steady_sound_is_followed(level in 500..8_000_i16, period in 20..200_u32) {
            let sine = |n: u32| (f64::from(level) * (f64::from(n) * std::f64::consts::TAU / f64::from(period)).sin()) as i16;
            let samples: Vec<i16> = (0..4 * period).map(sine).collect();
            let mut out = vec![0; payload_len(samples.len())];
            let payload = Encoder::new().encode(&samples, &mut out).unwrap();
            let settled = samples.iter().zip(decode(payload)).skip(2 * period as usize);
            let (noise, power) = settled.fold((0.0, 0.0), |(noise, power), (&sample, got)| {
                let (sample, got) = (f64::from(sample), f64::from(got));
                (noise + (sample - got).powi(2), power + sample.powi(2))
            });
            prop_assert!(noise < power / 100.0, "{} dB", 10.0 * (power / noise).log10());
        }
    }
}
