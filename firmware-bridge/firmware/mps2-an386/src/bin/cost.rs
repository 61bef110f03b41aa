//! What the link costs a Cortex-M4, in instructions. Under `-icount shift=0` QEMU's time goes on by
//! a nanosecond an instruction, and the board's counter counts one for each forty: `cargo run
//! --release --bin cost -- -icount shift=0`.
//!
//! Memory wait states and pipelines are not in it.
#![no_std]
#![no_main]

use core::hint::black_box;

use cortex_m as _; // the critical section
use cortex_m_rt::entry;
use defmt_semihosting as _; // the log, to standard output
use ear::BLOCK_LEN;
use firmware_bridge::frame::{self, Header, Kind};
use firmware_bridge::gate::Gate;
use firmware_bridge::log_mel::{LogMel, quantise};
use firmware_bridge::reader::FrameReader;
use firmware_bridge::{adpcm, mu_law};
use mps2_an386::clip::CLIP;
use mps2_an386::fpgaio::Cycles;
use mps2_an386::report;
use mps2_an386::tables::TABLES;

/// A loud block from the middle of the clip's sound.
fn block() -> [i16; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    block.copy_from_slice(&CLIP[CLIP.len() / 4..][..BLOCK_LEN]);
    block
}

#[entry]
fn main() -> ! {
    let block = black_box(block());
    let header = Header { kind: Kind::Audio, flags: 0, seq: 1, stamp: 1 };
    let mut wire = [0; frame::max_encoded_len(2 * BLOCK_LEN)];
    let mut n_wire = 0;
    tell("encode a frame of 480 samples", || n_wire = frame::encode_audio(&header, &block, &mut wire).unwrap_or(0));
    let mut reader = FrameReader::<{ frame::decoded_len(2 * BLOCK_LEN) }>::new();
    reader.push(&[frame::DELIMITER], |_| ());
    tell("decode it", || {
        reader.push(black_box(&wire[..n_wire]), |frame| _ = black_box(frame.header));
    });
    let mut codes = [0; BLOCK_LEN];
    tell("mu-law of 480 samples", || {
        for (code, &sample) in codes.iter_mut().zip(&block) {
            *code = mu_law::encode(sample);
        }
    });
    black_box(codes);
    let mut encoder = adpcm::Encoder::new();
    tell("IMA ADPCM of 480 samples", || _ = black_box(encoder.encode(&block, &mut codes)));
    let mut gate = Gate::<BLOCK_LEN, 2>::new(100, 5);
    tell("level gate for 480 samples", || {
        black_box(&mut gate).push(&block, |decision| _ = black_box(decision));
    });
    let mut log_mel = LogMel::new(TABLES);
    let (hop_length, n_mels) = (TABLES.hop_length, TABLES.bands.len());
    // All but the last hop of the first window.
    log_mel.push(&CLIP[CLIP.len() / 4..][..TABLES.window.len() - hop_length], |_, _| ());
    let hop = black_box(&block[..hop_length]);
    let mut frame = [0; 255];
    tell("a log-mel frame of 64 bands as bytes", || {
        log_mel.push(hop, |band, value| frame[band] = quantise(value));
    });
    defmt::assert!(frame[..n_mels].iter().any(|&byte| byte > 0));
    report::exit(true)
}

fn tell(what: &str, work: impl FnOnce()) {
    let cycles = Cycles::start();
    work();
    // One tick of the counter is forty nanoseconds.
    defmt::info!("{}: {} instructions", what, 40 * cycles.elapsed());
}
