//! A node on the emulated board: streams the clip as if from a microphone, and lights LED 0 when
//! the daemon hears something.
//!
//! The daemon says how the sound is to travel: as samples, mu-law, ADPCM or features, all of it or
//! what is loud enough.
//!
//! Ends when the daemon says stop, with exit code 0 if nothing was dropped, damaged or not
//! understood.
#![no_std]
#![no_main]

use cortex_m as _; // the critical section
use cortex_m_rt::entry;
use defmt_semihosting as _; // the log, to standard output
use ear::{BLOCK_LEN, Ear};
use firmware_bridge::lamp::Switched;
use firmware_bridge::msg::Stats;
use mps2_an386::clip::{Clip, RATE_HZ};
use mps2_an386::fpgaio::{Clock, Led};
use mps2_an386::report;
use mps2_an386::uart::Uart;

#[entry]
fn main() -> ! {
    let clock = Clock::start();
    let mut port = Uart::start(921_600);
    #[cfg(feature = "log-mel")]
    let front_end = firmware_bridge::log_mel::LogMel::new(mps2_an386::tables::TABLES);
    #[cfg(not(feature = "log-mel"))]
    let front_end = ();
    let mut ear = Ear::new("mps2-an386", RATE_HZ, Switched(Led::new(0)), front_end);
    let mut clip = Clip::<BLOCK_LEN>::start(clock.now_ms());
    let mut n_onsets = 0;
    loop {
        let now_ms = clock.now_ms();
        // A recording can wait for the line, as a microphone could not: an emulator that was held
        // up loses nothing.
        if ear.n_waiting() < 3
            && let Some(block) = clip.next(now_ms)
            && let Err(error) = ear.capture(block)
        {
            defmt::error!("{}", error);
        }
        let Stats { frames_dropped, .. } = ear.stats();
        match ear.poll(now_ms, &mut port) {
            Ok(heard) => {
                n_onsets += heard.n_onsets;
                if heard.stopped {
                    // What waits when the daemon says stop is let go of, and that is not a loss.
                    finish(&Stats { frames_dropped, ..ear.stats() }, n_onsets, port.n_lost());
                }
            }
            Err(error) => defmt::error!("{}", error),
        }
    }
}

fn finish(stats: &Stats, n_onsets: u32, n_lost: u32) -> ! {
    defmt::info!("{}; {} onsets, {} bytes lost", stats, n_onsets, n_lost);
    let well = stats.frames_dropped == 0 && stats.damaged == 0 && stats.unknown == 0 && n_lost == 0;
    report::exit(well)
}
