//! FLAC files: mono samples enter, a 16-bit file leaves, frame by frame.

use crate::error::{Error, Result};
use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, Stream};
use flacenc::config;
use flacenc::encode_fixed_size_frame;
use flacenc::error::Verify;
use flacenc::source::{Context, Fill, FrameBuf};
use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

const BITS: usize = 16;

/// Writes `samples` to the file at `path`. They are rounded to whole multiples of 2^-15, as the
/// decoder returns them; what is beyond full scale is held there.
///
/// # Errors
///
/// If the file cannot be written, or FLAC does not know the sample rate.
pub(super) fn write(path: &Path, sample_rate: u32, samples: &[f32]) -> Result<()> {
    let refused = |e: &dyn Display| Error::content(path, format!("cannot be encoded: {e}"));
    let encoder = config::Encoder::default().into_verified().map_err(|(_, e)| refused(&e))?;
    let n_block = encoder.block_size;
    let mut stream = Stream::new(sample_rate as usize, 1, BITS).map_err(|e| refused(&e))?;
    stream.stream_info_mut().set_block_sizes(n_block, n_block).map_err(|e| refused(&e))?;
    let mut buffer = FrameBuf::with_size(1, n_block).map_err(|e| refused(&e))?;
    let mut context = Context::new(BITS, 1);
    let mut file = BufWriter::new(File::create(path).map_err(Error::io(path))?);
    // The header is written now to take its place, and again when the lengths and the digest in it
    // are known.
    file.write_all(&bytes(&stream, refused)?).map_err(Error::io(path))?;
    let mut block = Vec::with_capacity(n_block);
    for (i, chunk) in samples.chunks(n_block).enumerate() {
        block.clear();
        block.extend(chunk.iter().map(|&x| (x * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i32));
        buffer.fill_interleaved(&block).map_err(|e| refused(&e))?;
        context.fill_interleaved(&block).map_err(|e| refused(&e))?;
        let frame = encode_fixed_size_frame(&encoder, &buffer, i, stream.stream_info()).map_err(|e| refused(&e))?;
        stream.stream_info_mut().update_frame_info(&frame);
        file.write_all(&bytes(&frame, refused)?).map_err(Error::io(path))?;
    }
    // The last block may be shorter and counts for no size (RFC 9639, section 8.2), though flacenc
    // takes it for the least: decoders would take the stream for one of varying sizes.
    stream.stream_info_mut().set_block_sizes(n_block, n_block).map_err(|e| refused(&e))?;
    stream.stream_info_mut().set_total_samples(samples.len());
    stream.stream_info_mut().set_md5_digest(&context.md5_digest());
    file.seek(SeekFrom::Start(0)).map_err(Error::io(path))?;
    file.write_all(&bytes(&stream, refused)?).map_err(Error::io(path))?;
    file.flush().map_err(Error::io(path))
}

fn bytes(part: &impl BitRepr, refused: impl Fn(&dyn Display) -> Error) -> Result<Vec<u8>> {
    let mut sink = ByteSink::new();
    part.write(&mut sink).map_err(|e| refused(&e))?;
    Ok(sink.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, rng_for, uniform};

    #[test]
    fn the_decoder_reads_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flac");
        let mut rng = rng_for(1, Purpose::Composition, 0);
        for (sample_rate, n) in [(24_000, 100_000), (16_000, 4096), (48_000, 4097), (8000, 8191), (22_050, 40)] {
            let samples: Vec<f32> = (0..n)
                .map(|i| match i % 1000 {
                    0 => 1.5,
                    1 => -1.5,
                    2..100 => 0.0,
                    _ => 0.3 * (i as f32 * 0.05).sin() + uniform(&mut rng, -0.01, 0.01),
                })
                .collect();
            write(&path, sample_rate, &samples).unwrap();
            let read = edge::audio::decode_file(&path).unwrap_or_else(|e| panic!("{n} samples: {e}"));
            assert_eq!((read.sample_rate, read.n_channels, read.samples.len()), (sample_rate, 1, n));
            for (i, (read, x)) in read.samples.iter().zip(&samples).enumerate() {
                let wanted = (x * 32_768.0).round().clamp(-32_768.0, 32_767.0) / 32_768.0;
                assert_eq!(*read, wanted, "{n}, sample {i}");
            }
        }
        let error = write(&folder.path().join("missing/a.flac"), 24_000, &[0.0; 100]).unwrap_err();
        assert!(error.to_string().contains("a.flac"), "{error}");
    }
}
