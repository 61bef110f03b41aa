//! Tests of the board crate and of the link on the processor itself.
#![no_std]
#![no_main]

use cortex_m as _; // the critical section
use defmt_semihosting as _; // the log, to standard output
use mps2_an386 as _; // the panic handler

#[defmt_test::tests]
mod tests {
    use defmt::{assert, assert_eq};
    use embedded_hal::digital::StatefulOutputPin;
    use firmware_bridge::frame::{self, Header, Kind};
    use firmware_bridge::lamp::{Lamp, Switched};
    use firmware_bridge::reader::FrameReader;
    use mps2_an386::clip::{CLIP, Clip, RATE_HZ};
    use mps2_an386::fpgaio::{Clock, Led};

    const BLOCK_LEN: usize = ear::BLOCK_LEN;

    #[test]
    fn a_lamp_sets_its_led_and_no_other() {
        let (mut led, mut other) = (Led::new(0), Led::new(1));
        for (brightness, lit) in [(255, true), (0, false), (128, true), (127, false)] {
            defmt::unwrap!(Switched(&mut led).set(brightness));
            assert_eq!(led.is_set_high(), Ok(lit));
            assert_eq!(other.is_set_high(), Ok(false));
        }
    }

    #[test]
    fn the_clock_counts_milliseconds() {
        let clock = Clock::start();
        let begin = clock.now_ms();
        assert!(begin < 5);
        while clock.now_ms() < begin + 20 {}
        // 25 million cycles per second: 20 ms cannot have taken fewer loops than this, nor will
        // they on any processor.
        assert!(clock.now_ms() < begin + 1_000);
    }

    #[test]
    fn the_clip_is_heard_in_its_own_time_and_from_the_beginning_again() {
        let n_blocks = CLIP.len() / BLOCK_LEN;
        let block_ms = 1_000 * BLOCK_LEN as u32 / RATE_HZ;
        let start_ms = u32::MAX - 100;
        let mut clip = Clip::<BLOCK_LEN>::start(start_ms);
        assert!(clip.next(start_ms.wrapping_add(block_ms - 1)).is_none());
        for n in 0..=n_blocks {
            let now_ms = start_ms.wrapping_add(block_ms * (n as u32 + 1));
            let first = (n % n_blocks) * BLOCK_LEN;
            assert_eq!(defmt::unwrap!(clip.next(now_ms)), &CLIP[first..first + BLOCK_LEN]);
            assert!(clip.next(now_ms).is_none());
        }
        assert!(CLIP.iter().any(|sample| sample.unsigned_abs() > 1_000));
    }

    #[test]
    fn a_frame_of_the_clip_goes_and_comes_back() {
        let block = &CLIP[CLIP.len() / 4..][..BLOCK_LEN];
        let header = Header { kind: Kind::Audio, flags: 0, seq: 9, stamp: 4_321 };
        let mut wire = [0; frame::max_encoded_len(2 * BLOCK_LEN)];
        let n = defmt::unwrap!(frame::encode_audio(&header, block, &mut wire));
        let mut reader = FrameReader::<{ frame::decoded_len(2 * BLOCK_LEN) }>::new();
        let mut n_alike = 0;
        reader.push(&[frame::DELIMITER], |_| ());
        reader.push(&wire[..n], |frame| {
            assert_eq!(frame.header, header);
            n_alike = frame.samples().zip(block).filter(|(got, sent)| got == *sent).count();
        });
        assert_eq!(n_alike, BLOCK_LEN);
    }
}
