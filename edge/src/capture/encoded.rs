//! Encoded sound on a stream: bytes as they come enter, decoded samples leave to the ring. Runs on
//! the thread that reads the stream.
//!
//! FLAC, MP3, AAC and Ogg are made to be read from their beginning to their end, so a pipe may hold
//! them as well as a file.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Session;
use super::bytes::{Bytes, Got};
use super::delivery::{Delivery, Stream, StreamShared};
use super::supervise::TICK;
use crate::audio::AudioReader;
use crate::error::{Error, Result};

/// Encoders write in lumps: a page of Ogg holds a second or more.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// Bytes that the decoder can read. It has to wait for them, until the stream is closed.
pub(super) struct DecoderInput {
    pub(super) bytes: Bytes,
    /// Those that were read before.
    pub(super) start: Cursor<Vec<u8>>,
    pub(super) shared: Arc<StreamShared>,
}

impl Read for DecoderInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.start.read(buffer)? {
            0 => {}
            n => return Ok(n),
        }
        while !self.shared.closing.load(Relaxed) {
            match self.bytes.read(buffer, TICK)? {
                Got::Some(n) => {
                    self.shared.flows();
                    return Ok(n);
                }
                Got::Nothing => self.shared.is_still(),
                Got::End => return Ok(0),
            }
        }
        Ok(0)
    }
}

/// Sound that is being decoded.
pub(super) struct Encoded {
    reader: AudioReader,
    delivery: Delivery,
    shared: Arc<StreamShared>,
}

impl Encoded {
    /// Reads the header, which may take as long as the bytes do.
    ///
    /// # Errors
    ///
    /// Where the decoder refuses it, or there is no such channel.
    pub(super) fn open(stream: &Stream, feed: DecoderInput) -> Result<(Self, Session)> {
        let shared = feed.shared.clone();
        let refused = |error| match error {
            Error::AudioFile { reason, .. } => Error::source(stream.name.clone(), reason),
            other => other,
        };
        let mut reader = AudioReader::of_stream(&stream.name, feed).map_err(refused)?;
        let balance = reader.choose(&stream.channels).map_err(refused)?;
        let rate = reader.sample_rate();
        let (delivery, session) = Delivery::new(stream, (rate, &format!("{rate} Hz, decoded")), balance, &shared);
        Ok((Encoded { reader, delivery, shared }, session))
    }

    /// Decodes until the end.
    ///
    /// # Errors
    ///
    /// Where nothing can be decoded.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut block = Vec::new();
        while self.reader.next_block(&mut block).map_err(io::Error::other)? {
            let n_samples = block.len() as u64;
            if !self.delivery.deliver(n_samples, |writer, closing| writer.write_blocking(&block, closing)) {
                return Ok(());
            }
        }
        if !self.shared.closing.load(Relaxed) && !self.shared.is_live.load(Relaxed) {
            self.reader.log_damage();
        }
        Ok(())
    }
}
