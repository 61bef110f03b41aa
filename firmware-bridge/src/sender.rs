//! The sending half of a link: payloads enter, numbered frames leave over a port, at the port's
//! pace or slower.
//!
//! Frames are encoded when they come and wait in a queue of a few; when it is full, the oldest that
//! is not on the line is dropped. Nothing is sent twice: a frame that was dropped here or lost on
//! the way is a gap in the numbers. The same thread or interrupt level calls both ends.

use embedded_io::{Write, WriteReady};

use crate::frame::{self, DELIMITER, EncodeError, Header, Kind};
use crate::pace::Pace;
use crate::queue::Queue;

/// What a sender has done; the counts stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sent {
    /// Frames that left whole.
    pub frames: u32,
    /// Frames dropped because the line was too slow.
    pub dropped: u32,
}

/// Numbers, encodes and queues frames, and writes them out.
///
/// A message has a delimiter before it too: it may be the first thing that a receiver hears, and it
/// is short and rare.
///
/// `N` is the longest frame on the line: [`frame::max_encoded_len`] of the longest payload, and one
/// more if that is a message's. `DEPTH` frames may wait, 2 at least; four frames of 20 ms bridge
/// what a host's serial driver usually makes one wait.
#[derive(Debug)]
pub struct Sender<const N: usize, const DEPTH: usize = 4> {
    queue: Queue<N, DEPTH>,
    pace: Pace,
    seq: u16,
    /// A delimiter is to be sent before the next frame.
    delimiter_due: bool,
    counts: Sent,
}

impl<const N: usize, const DEPTH: usize> Sender<N, DEPTH> {
    /// A sender with an empty queue, whose first frame has the number 0.
    pub const fn new(pace: Pace) -> Self {
        let counts = Sent { frames: 0, dropped: 0 };
        Self { queue: Queue::new(), pace, seq: 0, delimiter_due: true, counts }
    }

    /// Queues a frame. It takes the next number even if it is dropped later on.
    ///
    /// # Errors
    ///
    /// If the frame might be longer than `N`; then it takes no number and no place.
    ///
    /// # Real-time
    ///
    /// No allocation, no waiting; one pass over the payload. If another frame is dropped while one
    /// is on the line, one frame is copied.
    pub fn push(&mut self, kind: Kind, stamp: u32, payload: &[u8]) -> Result<(), EncodeError> {
        self.push_with(kind, stamp, payload.len(), |header, out| frame::encode(header, payload, out))
    }

    /// Like [`push`](Self::push), an audio frame.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_audio(&mut self, stamp: u32, samples: &[i16]) -> Result<(), EncodeError> {
        self.push_with(Kind::Audio, stamp, 2 * samples.len(), |header, out| frame::encode_audio(header, samples, out))
    }

    fn push_with(
        &mut self,
        kind: Kind,
        stamp: u32,
        payload_len: usize,
        encode: impl FnOnce(&Header, &mut [u8]) -> Result<usize, EncodeError>,
    ) -> Result<(), EncodeError> {
        let n_lead = usize::from(kind == Kind::Control);
        let expected = n_lead + frame::max_encoded_len(payload_len);
        if expected > N {
            return Err(EncodeError::BufferTooSmall { expected, actual: N });
        }
        let header = Header { kind, flags: 0, seq: self.seq, stamp };
        self.seq = self.seq.wrapping_add(1);
        // The length was checked: an empty slot, which nothing would be sent of, does not occur.
        let write = |out: &mut [u8; N]| {
            let (lead, rest) = out.split_at_mut(n_lead);
            lead.fill(DELIMITER);
            n_lead + encode(&header, rest).unwrap_or(0)
        };
        if self.queue.push(write) {
            self.counts.dropped = self.counts.dropped.saturating_add(1);
        }
        Ok(())
    }

    /// Writes as much as port and pace take just now; returns the number of bytes. `now_ms` is that
    /// of any clock in milliseconds, which may wrap.
    ///
    /// # Errors
    ///
    /// The port's. What was not written is written by a later call.
    ///
    /// # Real-time
    ///
    /// Never waits: `write` is called only where the port says that it is ready.
    pub fn poll<P: Write + WriteReady>(&mut self, now_ms: u32, port: &mut P) -> Result<usize, P::Error> {
        self.poll_with(now_ms, |bytes| if port.write_ready()? { port.write(bytes) } else { Ok(0) })
    }

    /// Like [`poll`](Self::poll), for a port that `write` stands for: it takes as many of the bytes
    /// as it can without waiting and returns their number, 0 if it is busy.
    ///
    /// # Errors
    ///
    /// As `write`.
    pub fn poll_with<E>(&mut self, now_ms: u32, mut write: impl FnMut(&[u8]) -> Result<usize, E>) -> Result<usize, E> {
        let mut allowance = self.pace.allowance(now_ms);
        let mut n_bytes = 0;
        while allowance > 0 && self.queue.len() > 0 {
            let n_written = if self.delimiter_due {
                let n_written = write(&[DELIMITER])?;
                self.delimiter_due = n_written == 0;
                n_written
            } else {
                let front = self.queue.front();
                let n_written = write(&front[..front.len().min(allowance)])?;
                self.advance(n_written);
                n_written
            };
            if n_written == 0 {
                break;
            }
            self.pace.spend(n_written);
            allowance -= n_written;
            n_bytes += n_written;
        }
        Ok(n_bytes)
    }

    /// Writes the oldest frame, or the rest of it, to the port and waits as long as that takes;
    /// false if none is there. The future may be dropped at any point: the next call continues
    /// after what the port had taken. The pace is the port's.
    ///
    /// # Errors
    ///
    /// The port's.
    #[cfg(feature = "async")]
    pub async fn send_next<P: embedded_io_async::Write>(&mut self, port: &mut P) -> Result<bool, P::Error> {
        if self.queue.len() == 0 {
            return Ok(false);
        }
        while self.delimiter_due {
            self.delimiter_due = port.write(&[DELIMITER]).await? == 0;
        }
        loop {
            let n_written = port.write(self.queue.front()).await?;
            if self.advance(n_written) {
                return Ok(true);
            }
        }
    }

    /// Forgets the frames that wait and begins the next one with a delimiter, as after a pause in
    /// which the line may have carried anything. They count as dropped; a frame that is on the line
    /// is finished.
    pub fn flush(&mut self) {
        let n_dropped = u32::try_from(self.queue.clear()).unwrap_or(u32::MAX);
        self.counts.dropped = self.counts.dropped.saturating_add(n_dropped);
        // In the middle of a frame a delimiter would cut it; its own comes at its end.
        self.delimiter_due = self.queue.len() == 0;
    }

    /// Number that the next frame will have.
    pub fn next_seq(&self) -> u16 {
        self.seq
    }

    /// Frames that wait, the one on the line among them.
    pub fn n_waiting(&self) -> usize {
        self.queue.len()
    }

    /// What has been done since construction.
    pub fn counts(&self) -> Sent {
        self.counts
    }

    fn advance(&mut self, n_bytes: usize) -> bool {
        let complete = self.queue.advance(n_bytes);
        if complete {
            self.counts.frames = self.counts.frames.saturating_add(1);
        }
        complete
    }
}

#[cfg(test)]
mod tests;
