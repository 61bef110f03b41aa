//! What a node's frames bring to the ring: samples or bytes of log-mel frames enter, values leave,
//! and gaps where they are missing. On the node's thread.

use edge_frontend::FrontendConfig;
use firmware_bridge::log_mel;

use crate::capture::Content;
use crate::ring::Writer;

/// Samples that are converted at once.
const BLOCK_LEN: usize = 256;

/// Writes a session's content.
pub(super) struct SessionWriter {
    writer: Writer,
    content: Content,
    /// A frame of silence, or samples of next to nothing.
    quiet: Vec<f32>,
    /// Samples that were missing or faint and make no whole frame yet.
    n_rest: u64,
    block: Vec<f32>,
}

impl SessionWriter {
    /// For a ring of `content`; log-mel frames are of `frontend`.
    pub(super) fn new(writer: Writer, content: Content, frontend: &FrontendConfig) -> Self {
        let (quiet, block_len) = match content {
            // The faintest that 16 bits can hold: all zeros would be those of a dead microphone.
            Content::Samples => ([0.0, 1.0, 0.0, -1.0].map(|sample| sample / 32_768.0).to_vec(), BLOCK_LEN),
            Content::Frames { n_mels, .. } => (vec![(frontend.log_offset as f32).ln(); n_mels], n_mels),
        };
        SessionWriter { writer, content, quiet, n_rest: 0, block: vec![0.0; block_len] }
    }

    /// The next samples.
    pub(super) fn write(&mut self, samples: &[i16]) {
        for samples in samples.chunks(self.block.len()) {
            for (value, &sample) in self.block.iter_mut().zip(samples) {
                *value = f32::from(sample) / 32_768.0;
            }
            self.writer.write(&self.block[..samples.len()]);
        }
    }

    /// The next log-mel frames, as bytes. Each is written by itself, so that the ring holds whole
    /// ones.
    pub(super) fn write_frames(&mut self, frames: &[u8]) {
        for frame in frames.chunks_exact(self.block.len()) {
            for (value, &byte) in self.block.iter_mut().zip(frame) {
                *value = log_mel::restore(byte);
            }
            self.writer.write(&self.block);
        }
    }

    /// This many samples are missing.
    pub(super) fn gap(&mut self, n_samples: u64) {
        let n_values = self.n_values(n_samples);
        self.writer.mark_gap(n_values);
    }

    /// This many samples were too faint to be sent.
    pub(super) fn quiet(&mut self, n_samples: u64) {
        let mut n_left = self.n_values(n_samples);
        while n_left > 0 {
            let n = n_left.min(self.quiet.len() as u64);
            self.writer.write(&self.quiet[..n as usize]);
            n_left -= n;
        }
    }

    /// Values that `n_samples` are, whole frames if it is frames. A gate opens and closes where it
    /// must, in the middle of a hop: what is left over counts with the next.
    fn n_values(&mut self, n_samples: u64) -> u64 {
        let Content::Frames { n_mels, hop_length } = self.content else { return n_samples };
        let n_samples = self.n_rest + n_samples;
        self.n_rest = n_samples % hop_length as u64;
        n_samples / hop_length as u64 * n_mels as u64
    }
}
