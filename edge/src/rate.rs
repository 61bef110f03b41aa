//! Sample rates: one enters from a header, an option or a microcontroller, and leaves if its sound
//! can be processed. It is to be asked before anything is allocated for seconds of such sound.

use edge_frontend::RATES_HZ;

/// `hz`, if sound of that rate can be processed.
///
/// # Errors
///
/// A sentence that names the rates that can be.
pub(crate) fn check(hz: u32) -> Result<u32, String> {
    if RATES_HZ.contains(&hz) {
        return Ok(hz);
    }
    let (least, most) = (RATES_HZ.start(), RATES_HZ.end());
    Err(format!("a sample rate of {hz} Hz cannot be processed: {least} to {most} Hz can"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_out_of_range_is_refused_with_the_range() {
        assert_eq!((check(4_000), check(384_000)), (Ok(4_000), Ok(384_000)));
        for hz in [0, 3_999, 384_001, u32::MAX] {
            let reason = format!("a sample rate of {hz} Hz cannot be processed: 4000 to 384000 Hz can");
            assert_eq!(check(hz), Err(reason));
        }
    }
}
