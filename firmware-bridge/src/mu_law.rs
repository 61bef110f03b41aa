//! 8-bit mu-law (ITU-T G.711): samples enter and a byte each leaves, or the other way round. Half
//! the bytes of 16-bit samples, noise 38 dB below the sound; 23 instructions per sample on a
//! Cortex-M4. On any thread.
//!
//! The payload of a [`Kind::MuLaw`](crate::frame::Kind::MuLaw) frame is a byte per sample,
//! complemented as on a telephone line: 0xff is 0.

/// Added before the exponent is taken, so that the segments begin at powers of two.
const BIAS: u16 = 132;

/// Largest magnitude that has a code.
const CLIP: u16 = 32_635;

/// The code of a sample.
pub fn encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(CLIP) + BIAS;
    // 132 to 32767: the highest bit set is one of 7 to 14.
    let exponent = 8 - magnitude.leading_zeros() as u8;
    let mantissa = (magnitude >> (exponent + 3)) as u8 & 0x0f;
    !(sign | exponent << 4 | mantissa)
}

/// The sample of a code.
pub fn decode(code: u8) -> i16 {
    let code = !code;
    let (exponent, mantissa) = (code >> 4 & 0x07, u16::from(code & 0x0f));
    let magnitude = (((mantissa << 3) + BIAS) << exponent) - BIAS;
    // At most 32,124.
    let magnitude = magnitude as i16;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_standard() {
        // `audioop.ulaw2lin` of Python 3.11.
        let table =
            [(0, -32_124), (1, -31_100), (16, -15_996), (63, -1_980), (127, 0), (128, 32_124), (200, 1_372), (255, 0)];
        for (code, sample) in table {
            assert_eq!(decode(code), sample, "{code}");
        }
    }

    /// Exponent and mantissa by search: the step of `8 << exponent` in which the biased magnitude
    /// lies.
    fn search(sample: i16) -> u8 {
        let magnitude = u32::from(sample.unsigned_abs().min(CLIP)) + 132;
        let mut steps = (0..8_u32).flat_map(|exponent| (0..16_u32).map(move |mantissa| (exponent, mantissa)));
        let (exponent, mantissa) = steps
            .rfind(|(exponent, mantissa)| (128 + 8 * mantissa) << exponent <= magnitude)
            .expect("the first step begins below 132");
        !((if sample < 0 { 0x80 } else { 0 }) | (exponent << 4 | mantissa) as u8)
    }

    #[test]
    fn every_sample_gets_the_code_of_its_step_and_comes_back_within_half_of_it() {
        // Miri is a thousand times slower.
        let stride = if cfg!(miri) { 997 } else { 1 };
        for sample in (i16::MIN..=i16::MAX).step_by(stride) {
            let code = encode(sample);
            assert_eq!(code, search(sample), "{sample}");
            let half_a_step = 4 << (!code >> 4 & 0x07);
            let distance = (i32::from(decode(code)) - i32::from(sample).clamp(-32_635, 32_635)).abs();
            assert!(distance <= half_a_step, "{sample}: {distance} off");
        }
    }

    #[test]
    fn codes_survive() {
        for code in 0..=255 {
            // There are two zeros.
            assert!(encode(decode(code)) == code || code == 127, "{code}");
        }
    }
}
