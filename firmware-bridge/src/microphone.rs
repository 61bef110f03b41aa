//! Between the microphone and the link: blocks of samples enter, and what the daemon has asked for
//! leaves to the node: all of it or only what is loud enough, as samples, mu-law, ADPCM or log-mel
//! frames. On the thread that owns the node; nothing waits.
//!
//! # Time
//!
//! What waits, in the gate or for the end of a window, keeps the node's stamp back, so that a stamp
//! is always the index of the first sample of what is sent next. The delay is constant while a
//! stream lasts; when it ends, what still waits counts as skipped.

use crate::adpcm;
use crate::frame::{self, EncodeError};
use crate::gate::{Decision, Gate};
use crate::log_mel::{self, LogMel, Tables};
use crate::msg::{Encoding, Start};
use crate::mu_law;
use crate::node::{Node, State};

/// Longest payload that is made here. Longer blocks leave as several frames.
const MAX_PAYLOAD: usize = 512;

/// What turns samples into features: [`LogMel`], or `()` on a node that computes none, which then
/// has no transform in its flash.
pub trait FrontEnd {
    /// What it is made of; `None` for `()`.
    fn tables(&self) -> Option<&Tables<'_>>;

    /// As [`LogMel::push`].
    fn push(&mut self, samples: &[i16], on_band: impl FnMut(usize, f32));

    /// As [`LogMel::reset`].
    fn reset(&mut self) -> usize;
}

impl FrontEnd for LogMel<'_> {
    fn tables(&self) -> Option<&Tables<'_>> {
        Some(self.tables())
    }

    fn push(&mut self, samples: &[i16], on_band: impl FnMut(usize, f32)) {
        self.push(samples, on_band);
    }

    fn reset(&mut self) -> usize {
        self.reset()
    }
}

impl FrontEnd for () {
    fn tables(&self) -> Option<&Tables<'_>> {
        None
    }

    fn push(&mut self, _: &[i16], _: impl FnMut(usize, f32)) {}

    fn reset(&mut self) -> usize {
        0
    }
}

/// A microphone whose blocks have `N` samples and whose gate holds `PRE` of them, which are sent
/// with a sound that begins after them.
#[derive(Debug)]
pub struct Microphone<F, const N: usize, const PRE: usize> {
    /// Blocks that are sent after the last loud one.
    hold_blocks: u32,
    /// What is being sent; `None` while nothing is.
    start: Option<Start>,
    gate: Option<Gate<N, PRE>>,
    coder: Coder<F>,
}

/// The stage after the gate.
#[derive(Debug)]
struct Coder<F> {
    adpcm: adpcm::Encoder,
    front_end: F,
}

impl<F: FrontEnd, const N: usize, const PRE: usize> Microphone<F, N, PRE> {
    /// A microphone whose gate, if one is asked for, stays open for `hold_blocks` after a loud one.
    /// `front_end` computes the features that the node's hello offers, if it does.
    pub fn new(hold_blocks: u32, front_end: F) -> Self {
        let coder = Coder { adpcm: adpcm::Encoder::new(), front_end };
        Self { hold_blocks, start: None, gate: None, coder }
    }

    /// Takes the next block and hands the node what is to be sent.
    ///
    /// # Errors
    ///
    /// If `TX` has no room for a frame of the features.
    ///
    /// # Real-time
    ///
    /// Never waits; one pass over the block, and with features one transform a hop.
    pub fn capture<const TX: usize, const DEPTH: usize>(
        &mut self,
        node: &mut Node<'_, TX, DEPTH>,
        block: &[i16; N],
    ) -> Result<(), EncodeError> {
        let start = match node.state() {
            State::Streaming(start) => Some(start),
            State::Idle | State::LinkLost => None,
        };
        if start != self.start {
            self.begin(node, start);
        }
        let Some(Start { encoding, .. }) = start else {
            node.skip(N);
            return Ok(());
        };
        let Self { gate, coder, .. } = self;
        let Some(gate) = gate else {
            return coder.send(node, encoding, block);
        };
        let mut result = Ok(());
        gate.push(block, |decision| match decision {
            Decision::Send(samples) => result = coder.send(node, encoding, samples),
            Decision::Skip(n_samples) => coder.skip(node, n_samples),
        });
        result
    }

    /// The board was too late for `n_samples`: what waits is not continued by what comes next.
    pub fn overrun<const TX: usize, const DEPTH: usize>(&mut self, node: &mut Node<'_, TX, DEPTH>, n_samples: usize) {
        self.begin(node, self.start);
        node.overrun(n_samples);
    }

    /// Another stream begins with the next block, or none.
    fn begin<const TX: usize, const DEPTH: usize>(&mut self, node: &mut Node<'_, TX, DEPTH>, start: Option<Start>) {
        let n_gated = self.gate.as_ref().map_or(0, |gate| N * gate.n_waiting());
        self.coder.skip(node, n_gated);
        self.coder.adpcm = adpcm::Encoder::new();
        let gate_db = start.map_or(0, |start| start.gate_db);
        self.gate = (gate_db > 0).then(|| Gate::new(threshold(gate_db), self.hold_blocks));
        self.start = start;
    }
}

impl<F: FrontEnd> Coder<F> {
    fn send<const TX: usize, const DEPTH: usize>(
        &mut self,
        node: &mut Node<'_, TX, DEPTH>,
        encoding: Encoding,
        samples: &[i16],
    ) -> Result<(), EncodeError> {
        let max_payload = MAX_PAYLOAD.min(frame::max_payload_len(TX));
        let mut payload = [0; MAX_PAYLOAD];
        match encoding {
            Encoding::Pcm16 => node.capture(samples),
            Encoding::MuLaw => {
                for samples in samples.chunks(max_payload) {
                    let payload = &mut payload[..samples.len()];
                    for (code, &sample) in payload.iter_mut().zip(samples) {
                        *code = mu_law::encode(sample);
                    }
                    node.capture_encoded(encoding, samples.len(), payload)?;
                }
            }
            Encoding::Adpcm => {
                for samples in samples.chunks(2 * (max_payload - adpcm::HEADER_LEN)) {
                    // There is room: two samples per byte after the header.
                    if let Some(payload) = self.adpcm.encode(samples, &mut payload) {
                        node.capture_encoded(encoding, samples.len(), payload)?;
                    }
                }
            }
            Encoding::LogMel => return self.send_frames(node, samples, &mut payload[..max_payload]),
        }
        Ok(())
    }

    /// Sends the frames that `samples` complete, as many in one payload as it holds.
    fn send_frames<const TX: usize, const DEPTH: usize>(
        &mut self,
        node: &mut Node<'_, TX, DEPTH>,
        samples: &[i16],
        payload: &mut [u8],
    ) -> Result<(), EncodeError> {
        let Some(&Tables { hop_length, bands, .. }) = self.front_end.tables() else {
            node.skip(samples.len());
            return Ok(());
        };
        let n_mels = bands.len();
        if 1 + n_mels > payload.len() {
            node.skip(samples.len());
            let expected = frame::max_encoded_len(1 + n_mels);
            return Err(EncodeError::BufferTooSmall { expected, actual: TX });
        }
        payload[0] = n_mels as u8;
        let (mut n_payload, mut n_samples) = (1, 0);
        // A hop completes one frame at most.
        for samples in samples.chunks(hop_length) {
            let mut is_complete = false;
            self.front_end.push(samples, |band, value| {
                is_complete = true;
                payload[n_payload + band] = log_mel::quantise(value);
            });
            if is_complete {
                n_payload += n_mels;
                n_samples += hop_length;
            }
            if n_payload + n_mels > payload.len() {
                node.capture_encoded(Encoding::LogMel, n_samples, &payload[..n_payload])?;
                (n_payload, n_samples) = (1, 0);
            }
        }
        if n_samples > 0 {
            node.capture_encoded(Encoding::LogMel, n_samples, &payload[..n_payload])?;
        }
        Ok(())
    }

    /// The next `n_samples` are not sent, nor are those that wait for the end of a window.
    fn skip<const TX: usize, const DEPTH: usize>(&mut self, node: &mut Node<'_, TX, DEPTH>, n_samples: usize) {
        node.skip(self.front_end.reset() + n_samples);
    }
}

/// The effective value, of 32768, that lies this many decibels below full scale.
fn threshold(gate_db: u8) -> u16 {
    // 10^(-1/20); the library's power would take more flash than all else here.
    const DECIBEL: f32 = 0.891_250_9;
    (0..gate_db).fold(32_768.0, |level, _| level * DECIBEL) as u16
}

#[cfg(test)]
mod tests;
