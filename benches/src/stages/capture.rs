//! From the device to the worker.

use std::hint::black_box;
use std::sync::Arc;

use edge::capture::Mono;
use edge::ring::{self, Chunk};
use edge::status::Status;

use crate::Stage;
use crate::input::{Pieces, scene};

const RATE_HZ: u32 = 48_000;
/// Samples of a block: 20 ms, as a sound card delivers them.
const BLOCK_LEN: usize = RATE_HZ as usize / 50;

/// Interleaved 16-bit samples of two channels to mono single precision.
pub(crate) fn conversion() -> Stage {
    let both = |sample: f32| [sample, 0.5 * sample].map(|x| (x * 32_767.0).round() as i16);
    let interleaved: Vec<i16> = scene(RATE_HZ).into_iter().flat_map(both).collect();
    let mut blocks = Pieces::of(interleaved, 2 * BLOCK_LEN);
    let mut mono = Mono::new(2);
    Stage::new(move || {
        mono.mix(blocks.next(), |samples| {
            black_box(samples);
        });
    })
}

/// Writes a block and reads it.
pub(crate) fn ring() -> Stage {
    let mut blocks = Pieces::of(scene(RATE_HZ), BLOCK_LEN);
    let (mut writer, mut reader) = ring::ring(RATE_HZ as usize, Arc::new(Status::default()));
    let mut buffer = vec![0.0; BLOCK_LEN];
    Stage::new(move || {
        writer.write(blocks.next());
        while let Chunk::Samples(n) = reader.read(&mut buffer) {
            black_box(&buffer[..n]);
        }
    })
}
