//! FLAC files: mono samples of 16 bits enter, a file leaves, frame by frame (RFC 9639). Runs on the
//! caller's thread.
//!
//! The only module that knows flacenc.

use std::fmt::Display;
use std::io::{self, Seek, SeekFrom, Write};

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, MetadataBlockData, Stream};
use flacenc::config;
use flacenc::encode_fixed_size_frame;
use flacenc::error::Verify;
use flacenc::source::{Context, Fill, FrameBuf};

/// The highest rate that the encoder takes, Hz.
pub const MAX_FLAC_RATE_HZ: u32 = 96_000;

const BITS: usize = 16;

/// The metadata block that holds tags, a Vorbis comment (RFC 9639, section 8.6).
const VORBIS_COMMENT: u8 = 4;

/// `sample`, full scale in [-1, 1], as a multiple of 2^-15, which is what the decoder returns. What
/// is beyond full scale is held there.
pub fn to_16_bits(sample: f32) -> i16 {
    // `as` saturates.
    (sample * 32_768.0).round() as i16
}

/// Writes `samples` as a FLAC file to the beginning of `out`, with `tags`, names such as `TITLE`
/// and their values.
///
/// # Errors
///
/// When `out` cannot be written, or the sample rate is above [`MAX_FLAC_RATE_HZ`].
pub fn write_flac(
    out: &mut (impl Write + Seek),
    sample_rate: u32,
    tags: &[(&str, &str)],
    samples: impl IntoIterator<Item = i16>,
) -> io::Result<()> {
    let encoder = config::Encoder::default().into_verified().map_err(|(_, error)| refused(error))?;
    let n_block = encoder.block_size;
    let mut stream = Stream::new(sample_rate as usize, 1, BITS).map_err(refused)?;
    stream.stream_info_mut().set_block_sizes(n_block, n_block).map_err(refused)?;
    if !tags.is_empty() {
        let block = MetadataBlockData::new_unknown(VORBIS_COMMENT, &vorbis_comment(tags)).map_err(refused)?;
        stream.add_metadata_block(block);
    }
    let mut buffer = FrameBuf::with_size(1, n_block).map_err(refused)?;
    let mut context = Context::new(BITS, 1);
    // The header is written now to take its place, and again when the lengths and the digest in it
    // are known.
    out.write_all(&bytes(&stream)?)?;
    let mut samples = samples.into_iter().map(i32::from);
    let mut block = Vec::with_capacity(n_block);
    let (mut n_samples, mut n_frames) = (0, 0);
    loop {
        block.clear();
        block.extend(samples.by_ref().take(n_block));
        if block.is_empty() {
            break;
        }
        buffer.fill_interleaved(&block).map_err(refused)?;
        context.fill_interleaved(&block).map_err(refused)?;
        let frame = encode_fixed_size_frame(&encoder, &buffer, n_frames, stream.stream_info()).map_err(refused)?;
        stream.stream_info_mut().update_frame_info(&frame);
        out.write_all(&bytes(&frame)?)?;
        n_samples += block.len();
        n_frames += 1;
    }
    // The last block may be shorter and counts for no size (RFC 9639, section 8.2), though flacenc
    // takes it for the least: decoders would take the stream for one of varying sizes.
    stream.stream_info_mut().set_block_sizes(n_block, n_block).map_err(refused)?;
    stream.stream_info_mut().set_total_samples(n_samples);
    stream.stream_info_mut().set_md5_digest(&context.md5_digest());
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&bytes(&stream)?)?;
    out.flush()
}

/// Tags as they lie in the file (Ogg Vorbis I specification, section 5).
fn vorbis_comment(tags: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut text = |text: &str| {
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    text("earwitness");
    bytes.extend((tags.len() as u32).to_le_bytes());
    for (name, value) in tags {
        let comment = format!("{name}={value}");
        bytes.extend((comment.len() as u32).to_le_bytes());
        bytes.extend(comment.as_bytes());
    }
    bytes
}

fn bytes(part: &impl BitRepr) -> io::Result<Vec<u8>> {
    let mut sink = ByteSink::new();
    part.write(&mut sink).map_err(refused)?;
    Ok(sink.into_inner())
}

fn refused(error: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("cannot be encoded: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::audio::decode_file;

    /// Sound with silence, clipping and noise in it.
    fn samples(n: usize) -> Vec<f32> {
        let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5;
        let sample = |i| match i % 1000 {
            0 => 1.5,
            1 => -1.5,
            2..100 => 0.0,
            _ => 0.3 * (i as f32 * 0.05).sin() + 0.02 * noise(i),
        };
        (0..n).map(sample).collect()
    }

    #[test]
    fn the_decoder_reads_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flac");
        let lengths = [(24_000, 100_000), (16_000, 4096), (48_000, 4097), (8000, 8191), (22_050, 40), (96_000, 5000)];
        for (sample_rate, n) in lengths {
            let samples = samples(n);
            let tags = [("TITLE", "Türklingel"), ("DATE", "2026-01-31")];
            let in_16_bits = samples.iter().map(|&x| to_16_bits(x));
            write_flac(&mut File::create(&path).unwrap(), sample_rate, &tags, in_16_bits).unwrap();
            let read = decode_file(&path).unwrap_or_else(|e| panic!("{n} samples: {e}"));
            assert_eq!((read.sample_rate, read.n_channels, read.samples.len()), (sample_rate, 1, n));
            for (i, (read, x)) in read.samples.iter().zip(&samples).enumerate() {
                let wanted = (x * 32_768.0).round().clamp(-32_768.0, 32_767.0) / 32_768.0;
                assert_eq!(*read, wanted, "{n}, sample {i}");
            }
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.windows(17).any(|window| window == "TITLE=Türklingel".as_bytes()));
        }
    }

    #[test]
    fn a_rate_that_cannot_be_encoded_is_an_error() {
        let error = write_flac(&mut io::Cursor::new(Vec::new()), 192_000, &[], [0; 100]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}
