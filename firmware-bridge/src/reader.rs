//! Frames out of a byte stream that may be cut anywhere and damaged anywhere. No input or output of
//! its own.

use cobs::{DecodeResult, DecoderState};

use crate::frame::{self, DELIMITER, DecodeError, Frame};

/// What a reader has seen; the counts stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames delivered.
    pub frames: u32,
    /// Frames dropped because they were damaged, cut or too long. For lost audio look at
    /// [`crate::sequence::Sequence`]: damage can hide a frame, and noise can look like one.
    pub damaged: u32,
    /// Intact frames of another version of the format.
    pub unknown_version: u32,
    /// Intact frames of a kind that this version does not know.
    pub unknown_kind: u32,
}

/// Collects bytes and yields whole frames; after damage it continues with the frame after the next
/// delimiter.
///
/// `N` is the longest body that it can hold: [`frame::decoded_len`] of the longest payload.
#[derive(Debug)]
pub struct FrameReader<const N: usize> {
    body: [u8; N],
    n_body: usize,
    stuffing: DecoderState,
    state: State,
    counts: Counts,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// No delimiter has come yet: the bytes may be the end of a frame whose start was missed.
    Unsynchronised,
    /// Inside a frame or between two.
    Reading,
    /// The current frame is lost; its bytes are skipped up to the delimiter.
    Skipping,
}

impl<const N: usize> Default for FrameReader<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> FrameReader<N> {
    /// A reader that waits for its first delimiter.
    pub const fn new() -> Self {
        let counts = Counts { frames: 0, damaged: 0, unknown_version: 0, unknown_kind: 0 };
        Self { body: [0; N], n_body: 0, stuffing: DecoderState::Idle, state: State::Unsynchronised, counts }
    }

    /// Takes the next bytes of the stream, any number, and calls `on_frame` with each frame that
    /// they complete, in order.
    ///
    /// # Real-time
    ///
    /// No allocation; constant work for a byte, and one pass over a body for its CRC.
    pub fn push(&mut self, bytes: &[u8], mut on_frame: impl FnMut(Frame<'_>)) {
        for &byte in bytes {
            if byte == DELIMITER {
                self.end_frame(&mut on_frame);
            } else if self.state == State::Reading && !self.take(byte) {
                self.lose();
            }
        }
    }

    /// What has been seen since construction.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Forgets a half-read frame and waits for a delimiter, as after opening the port again. The
    /// counts stay.
    pub fn reset(&mut self) {
        self.start_frame();
        self.state = State::Unsynchronised;
    }

    /// Adds a byte that is not a delimiter; false if the body would outgrow the buffer.
    fn take(&mut self, byte: u8) -> bool {
        match self.stuffing.feed(byte) {
            Ok(DecodeResult::DataContinue(byte)) => match self.body.get_mut(self.n_body) {
                Some(place) => {
                    *place = byte;
                    self.n_body += 1;
                    true
                }
                None => false,
            },
            // Only a delimiter completes a frame or breaks the stuffing.
            Ok(_) | Err(_) => true,
        }
    }

    fn end_frame(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) {
        if self.state == State::Reading {
            match self.stuffing.feed(DELIMITER) {
                Ok(DecodeResult::DataComplete) => self.deliver(on_frame),
                // Two delimiters in a row: nothing lay between them.
                Ok(_) => (),
                Err(_) => self.lose(),
            }
        }
        self.start_frame();
    }

    fn deliver(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) {
        let count = match frame::parse(&self.body[..self.n_body]) {
            Ok(frame) => {
                on_frame(frame);
                &mut self.counts.frames
            }
            Err(DecodeError::Version { .. }) => &mut self.counts.unknown_version,
            Err(DecodeError::Kind { .. }) => &mut self.counts.unknown_kind,
            Err(_) => &mut self.counts.damaged,
        };
        *count = count.saturating_add(1);
    }

    fn lose(&mut self) {
        self.counts.damaged = self.counts.damaged.saturating_add(1);
        self.state = State::Skipping;
    }

    fn start_frame(&mut self) {
        self.n_body = 0;
        self.stuffing = DecoderState::Idle;
        self.state = State::Reading;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Header, Kind, decoded_len, encode, max_encoded_len};

    const LONGEST: usize = 32;

    fn wire(seq: u16, payload: &[u8]) -> Vec<u8> {
        let mut wire = vec![0; max_encoded_len(payload.len())];
        let header = Header { kind: Kind::Audio, flags: 0, seq, stamp: 0 };
        let n = encode(&header, payload, &mut wire).unwrap();
        wire.truncate(n);
        wire
    }

    fn read(reader: &mut FrameReader<{ decoded_len(LONGEST) }>, bytes: &[u8]) -> Vec<u16> {
        let mut seqs = Vec::new();
        reader.push(bytes, |frame| seqs.push(frame.header.seq));
        seqs
    }

    #[test]
    fn bytes_before_the_first_delimiter_are_no_error() {
        let mut reader = FrameReader::new();
        let stream = [&wire(1, &[5; 8])[4..], &wire(2, &[6; 8])].concat();
        assert_eq!(read(&mut reader, &stream), [2]);
        assert_eq!(reader.counts(), Counts { frames: 1, ..Counts::default() });
    }

    #[test]
    fn a_frame_may_come_byte_by_byte_and_delimiters_may_repeat() {
        let mut reader = FrameReader::new();
        let stream = [&[0, 0, 0], &wire(1, &[0; 32])[..], &[0], &wire(2, &[])].concat();
        let seqs: Vec<u16> = stream.iter().flat_map(|byte| read(&mut reader, &[*byte])).collect();
        assert_eq!(seqs, [1, 2]);
        assert_eq!(reader.counts(), Counts { frames: 2, ..Counts::default() });
    }

    #[test]
    fn a_frame_that_is_too_long_counts_once_and_costs_no_other() {
        let mut reader = FrameReader::new();
        let stream = [&[0], &wire(1, &[7; LONGEST + 1])[..], &wire(2, &[7; LONGEST])].concat();
        assert_eq!(read(&mut reader, &stream), [2]);
        assert_eq!(reader.counts(), Counts { frames: 1, damaged: 1, ..Counts::default() });
    }

    #[test]
    fn a_reset_reader_waits_for_a_delimiter() {
        let mut reader = FrameReader::new();
        let (first, second) = (wire(1, &[1; 8]), wire(2, &[2; 8]));
        assert_eq!(read(&mut reader, &[&[0], &first[..6]].concat()), []);
        reader.reset();
        assert_eq!(read(&mut reader, &[&first[6..], &second].concat()), [2]);
        assert_eq!(reader.counts().damaged, 0);
    }
}
