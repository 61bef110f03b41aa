//! A pipe as a source: raw interleaved samples on standard input enter, mono samples leave. Runs on a reader thread.
//!
//! The writer's pace is ours: a ring that is full stops the reading, and the pipe stops the writer.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Mono, RawFormat, Source};
use crate::error::{Error, Result};
use crate::ring::Writer;
use crate::status::Status;

/// Bytes asked for at once: what a Linux pipe holds.
const BUFFER_LEN: usize = 65_536;

/// Starts to read raw samples from `input`.
pub(super) fn start(
    input: impl Read + Send + 'static,
    sample_rate: u32,
    format: RawFormat,
    n_channels: usize,
    status: &Arc<Status>,
) -> Result<Source> {
    if sample_rate == 0 || n_channels == 0 {
        return Err(Error::AudioStream {
            field: "raw layout",
            expected: "a rate and channels above zero".to_string(),
            actual: format!("{sample_rate} Hz, {n_channels} channels"),
        });
    }
    let description = format!("standard input, {sample_rate} Hz, {format}, {n_channels} channels");
    Source::spawn(sample_rate, description, false, status, move |writer, stop| {
        read_frames(input, format, n_channels, writer, stop)
    })
}

fn read_frames(
    mut input: impl Read,
    format: RawFormat,
    n_channels: usize,
    mut writer: Writer,
    stop: &AtomicBool,
) -> Result<()> {
    let mut mono = Mono::new(n_channels);
    let frame_len = format.n_bytes() * n_channels;
    let mut bytes = vec![0; BUFFER_LEN.next_multiple_of(frame_len)];
    let mut samples = Vec::with_capacity(bytes.len() / format.n_bytes());
    let mut n_left = 0;
    let mut n_samples = 0_u64;
    loop {
        let n_read = match input.read(&mut bytes[n_left..]) {
            Ok(n_read) => n_read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read standard input")(error)),
        };
        if n_read == 0 {
            break;
        }
        // A read may end within a frame: whole frames go on, the rest waits for its other part.
        let n_bytes = n_left + n_read;
        let n_whole = n_bytes - n_bytes % frame_len;
        samples.clear();
        decode(format, &bytes[..n_whole], &mut samples);
        bytes.copy_within(n_whole..n_bytes, 0);
        n_left = n_bytes - n_whole;
        n_samples += (n_whole / frame_len) as u64;

        let mut listening = true;
        mono.mix(&samples, |block| listening = listening && writer.write_blocking(block, stop));
        if !listening {
            return Ok(());
        }
    }
    if n_left > 0 {
        tracing::warn!("standard input ended within a frame: {n_left} bytes ignored");
    }
    match n_samples {
        0 => Err(Error::AudioStream {
            field: "standard input",
            expected: format!("{format} samples"),
            actual: "no audio".to_string(),
        }),
        _ => Ok(()),
    }
}

fn decode(format: RawFormat, bytes: &[u8], samples: &mut Vec<f32>) {
    match format {
        RawFormat::S16Le => samples.extend(bytes.chunks_exact(2).map(|b| {
            let sample = i16::from_le_bytes([b[0], b[1]]);
            dasp_sample::conv::i16::to_f32(sample)
        })),
        RawFormat::F32Le => samples.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ring::Chunk;

    /// Gives its bytes in reads of `step`, so that frames are torn.
    struct Torn {
        bytes: Vec<u8>,
        at: usize,
        step: usize,
    }

    impl Read for Torn {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = self.step.min(buffer.len()).min(self.bytes.len() - self.at);
            buffer[..n].copy_from_slice(&self.bytes[self.at..self.at + n]);
            self.at += n;
            Ok(n)
        }
    }

    fn read_all(bytes: Vec<u8>, step: usize, format: RawFormat, n_channels: usize) -> (Vec<f32>, Result<()>) {
        let input = Torn { bytes, at: 0, step };
        let mut source = start(input, 8_000, format, n_channels, &Arc::new(Status::default())).unwrap();
        let mut session = source.next_session(&AtomicBool::new(false)).unwrap();
        let mut buffer = [0.0; 100];
        let mut all = Vec::new();
        loop {
            match session.reader.read(&mut buffer) {
                Chunk::Samples(n) => all.extend_from_slice(&buffer[..n]),
                Chunk::Gap(_) => panic!("a pipe loses nothing"),
                Chunk::Empty => std::thread::sleep(Duration::from_millis(1)),
                Chunk::Ended => return (all, source.finish(true)),
            }
        }
    }

    #[test]
    fn torn_reads_do_not_shift_samples() {
        for step in [1, 3, 7, 64, 100_000] {
            let bytes: Vec<u8> =
                (0..3_000_i16).flat_map(|n| [(n * 8).to_le_bytes(), (-n * 8).to_le_bytes()].concat()).collect();
            let (samples, result) = read_all(bytes, step, RawFormat::S16Le, 2);
            result.unwrap();
            assert_eq!(samples, vec![0.0; 3_000]);

            let bytes: Vec<u8> = (0..3_000).flat_map(|n| (n as f32 / 4096.0).to_le_bytes()).collect();
            let (samples, result) = read_all(bytes, step, RawFormat::F32Le, 1);
            result.unwrap();
            assert!(samples.iter().enumerate().all(|(n, x)| *x == n as f32 / 4096.0));
        }
    }

    #[test]
    fn a_torn_last_frame_is_ignored_and_nothing_at_all_is_an_error() {
        let (samples, result) = read_all(vec![0, 64, 0], 2, RawFormat::S16Le, 1);
        result.unwrap();
        assert_eq!(samples, [0.5]);
        let (_, result) = read_all(vec![1], 1, RawFormat::S16Le, 1);
        assert!(result.unwrap_err().to_string().contains("no audio"));
    }
}
