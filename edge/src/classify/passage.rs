//! A clip on its way through front end and network: samples enter, the logits that count leave.
//! What is kept of it are a few hundred frames, and its logits.

use edge_frontend::{FrontendConfig, LogMel, Network, NetworkKind};

use super::outputs::{frames_of_output, is_of_slots, levels, loud, n_outputs};
use crate::engine::Engine;
use crate::error::Result;

/// Outputs that are computed at once: the field of the first of them is computed again, so that a
/// few would cost more, and many take memory.
const N_AT_ONCE: usize = 512;

pub(super) struct Passage<'a> {
    frontend: &'a FrontendConfig,
    network: &'a Network,
    log_mel: &'a mut LogMel,
    engine: &'a mut dyn Engine,
    /// `(n, n_mels)`, row-major: those that are still needed.
    frames: Vec<f32>,
    /// Which frame of the network's input the first of them is.
    base: usize,
    /// Where the field of the next output begins, in frames of the input.
    next: usize,
    n_samples: usize,
    logits: Vec<f32>,
    /// By output, where they stand for slots of time.
    levels: Vec<f64>,
}

impl<'a> Passage<'a> {
    pub(super) fn new(
        frontend: &'a FrontendConfig,
        network: &'a Network,
        log_mel: &'a mut LogMel,
        engine: &'a mut dyn Engine,
    ) -> Self {
        let mut passage = Passage {
            frontend,
            network,
            log_mel,
            engine,
            frames: Vec::new(),
            base: 0,
            next: 0,
            n_samples: 0,
            logits: Vec::new(),
            levels: Vec::new(),
        };
        passage.add_silence(passage.n_before());
        passage
    }

    /// Takes samples at the model's rate.
    pub(super) fn push(&mut self, samples: &[f32]) {
        self.n_samples += samples.len();
        let frames = &mut self.frames;
        self.log_mel.process(samples, |frame| frames.extend_from_slice(frame));
    }

    /// Computes outputs if there are frames for many.
    pub(super) fn run(&mut self) -> Result<()> {
        while self.n_ready() >= N_AT_ONCE {
            self.compute(N_AT_ONCE)?;
        }
        Ok(())
    }

    /// Computes the rest, and returns the logits of all outputs that count, `(n_outputs,
    /// n_classes)`.
    pub(super) fn finish(mut self) -> Result<Vec<f32>> {
        let FrontendConfig { win_length, hop_length, centre_padding, .. } = *self.frontend;
        let has_lookahead = self.network.lookahead_ms.is_some();
        let (field, pulse) = (self.network.receptive_field_frames, self.network.pulse_frames);
        let n_least = match self.network.kind {
            NetworkKind::Stream if !has_lookahead => (field - 1) * hop_length + win_length,
            // One frame, which a centred front end has of nothing at all.
            _ if centre_padding => 0,
            _ => win_length,
        };
        self.push(&vec![0.0; n_least.saturating_sub(self.n_samples)]);
        let frames = &mut self.frames;
        self.log_mel.finish(|frame| frames.extend_from_slice(frame));
        // As `surrounded` has it.
        let n_outputs = n_outputs(self.network, self.n_frames() - self.n_before());
        if has_lookahead {
            self.add_silence((field + (n_outputs - 1) * pulse).saturating_sub(self.n_frames()));
        }
        self.compute_all()?;
        if !is_of_slots(self.network) {
            self.compute_last_patch()?;
            return Ok(self.logits);
        }
        if has_lookahead {
            self.levels.truncate(n_outputs);
        }
        let n_classes = self.engine.n_classes();
        let loud = loud(self.frontend, &self.levels);
        Ok(loud.iter().flat_map(|&at| &self.logits[at * n_classes..(at + 1) * n_classes]).copied().collect())
    }

    /// Frames of the network's input so far.
    fn n_frames(&self) -> usize {
        self.base + self.frames.len() / self.frontend.n_mels
    }

    /// Frames of silence before the clip.
    fn n_before(&self) -> usize {
        match self.network.lookahead_ms {
            Some(_) => frames_of_output(self.frontend, self.network).start,
            None => 0,
        }
    }

    fn add_silence(&mut self, n_frames: usize) {
        self.frames.resize(self.frames.len() + n_frames * self.frontend.n_mels, self.frontend.silence());
    }

    /// Outputs whose whole field is there.
    fn n_ready(&self) -> usize {
        let left = self.n_frames().checked_sub(self.next + self.network.receptive_field_frames);
        left.map_or(0, |left| left / self.network.pulse_frames + 1)
    }

    fn compute_all(&mut self) -> Result<()> {
        while self.n_ready() > 0 {
            self.compute(self.n_ready().min(N_AT_ONCE))?;
        }
        Ok(())
    }

    /// Computes the next `n` outputs and forgets the frames that no other needs.
    fn compute(&mut self, n: usize) -> Result<()> {
        let (n_mels, field, pulse) =
            (self.frontend.n_mels, self.network.receptive_field_frames, self.network.pulse_frames);
        let from = (self.next - self.base) * n_mels;
        let input = &self.frames[from..from + (field + (n - 1) * pulse) * n_mels];
        self.logits.extend(self.engine.clip_logits(input)?);
        if is_of_slots(self.network) {
            self.levels.extend(levels(self.frontend, self.network, input));
        }
        self.next += n * pulse;
        // A last patch may end with the clip.
        let needed = self.next.min(self.n_frames() - field);
        self.frames.drain(..(needed - self.base) * n_mels);
        self.base = needed;
        Ok(())
    }

    /// Of a network of whole patches: the one that ends with the clip, where they do not; and the
    /// only one of a clip that is shorter.
    fn compute_last_patch(&mut self) -> Result<()> {
        let (field, pulse) = (self.network.receptive_field_frames, self.network.pulse_frames);
        let n_frames = self.n_frames();
        let is_there = n_frames >= field && (n_frames - field).is_multiple_of(pulse);
        if !is_there {
            let from = (n_frames.saturating_sub(field) - self.base) * self.frontend.n_mels;
            self.logits.extend(self.engine.clip_logits(&self.frames[from..])?);
        }
        Ok(())
    }
}
