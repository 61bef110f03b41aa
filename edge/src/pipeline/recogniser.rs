//! The stages after the front end: log-mel frames enter, onsets and offsets leave. Gathers the
//! frames of a pulse, runs the network on them, and lets the decider find what has begun and
//! ended. On the worker thread; the engine allocates.

use std::vec::Drain;

use edge_frontend::Manifest;

use crate::decide::{Decider, Output, Rules, Transition};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::live::Feed;

/// Gets the network's outputs before the decide stage does.
pub type Observer = Box<dyn FnMut(&Output) + Send>;

/// Transitions of each class for which there is room: one per pulse is the most, and a block seldom
/// holds more pulses. With more the list grows.
const MAX_FOUND: usize = 8;

/// Engine and decider of one stream.
pub(super) struct Recogniser {
    engine: Box<dyn Engine>,
    observer: Option<Observer>,
    feed: Option<Feed>,
    decider: Decider,
    /// What has begun and ended since it was taken last.
    found: Vec<Transition>,
    /// The first failure of the network since it was taken last.
    failure: Option<Error>,
    /// The frames of the next pulse, `(pulse_frames, n_mels)`, of which `n_filled` values are
    /// there.
    pulse: Box<[f32]>,
    n_filled: usize,
    logits: Box<[f32]>,
    /// Frames of logits since the last restart.
    n_outputs: u64,
    /// Pulses since the last restart.
    n_pulses: u64,
    /// Stream time of the last restart, seconds.
    t_restart_s: f64,
    frame_period_s: f64,
    work: Work,
}

/// What was done since it was taken last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    pub(super) n_frames: u64,
    pub(super) n_pulses: u64,
}

impl Recogniser {
    /// For a stream that begins at 0.
    ///
    /// # Errors
    ///
    /// When the engine or the rules do not fit the manifest.
    pub(super) fn new(manifest: &Manifest, rules: Rules, engine: Box<dyn Engine>) -> Result<Self> {
        let expected = (manifest.frontend.n_mels, manifest.network.pulse_frames, manifest.labels.len());
        let actual = (engine.n_mels(), engine.pulse_frames(), engine.n_classes());
        if actual != expected || rules.classes.len() != actual.2 {
            return Err(Error::Engine(format!(
                "mels, pulse frames, classes: the manifest has {expected:?}, the network {actual:?}"
            )));
        }
        let (n_mels, pulse_frames, n_classes) = expected;
        Ok(Recogniser {
            pulse: vec![0.0; pulse_frames * n_mels].into(),
            n_filled: 0,
            logits: vec![0.0; n_classes].into(),
            n_outputs: 0,
            n_pulses: 0,
            t_restart_s: 0.0,
            frame_period_s: rules.frame_period_s,
            work: Work::default(),
            decider: Decider::new(rules),
            found: Vec::with_capacity(MAX_FOUND * n_classes),
            failure: None,
            engine,
            observer: None,
            feed: None,
        })
    }

    /// From now on `observer` receives every output of the network.
    pub(super) fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Pulses, scores and outputs go to `feed` from now on, or nowhere. Returns where they went
    /// before.
    pub(super) fn show(&mut self, feed: Option<Feed>) -> Option<Feed> {
        std::mem::replace(&mut self.feed, feed)
    }

    /// Where pulses go.
    pub(super) fn feed(&mut self) -> Option<&mut Feed> {
        self.feed.as_mut()
    }

    /// Length of a frame of logits.
    pub(super) fn n_classes(&self) -> usize {
        self.logits.len()
    }

    /// Frames until the next pulse is complete.
    pub(super) fn n_missing(&self) -> usize {
        (self.pulse.len() - self.n_filled) / self.engine.n_mels()
    }

    /// Takes a log-mel frame. After a failure of the network, frames are ignored until it is
    /// [taken](Self::outcome).
    pub(super) fn push_frame(&mut self, frame: &[f32], level_dbfs: f32) {
        self.work.n_frames += 1;
        self.pulse[self.n_filled..self.n_filled + frame.len()].copy_from_slice(frame);
        self.n_filled += frame.len();
        if self.n_filled < self.pulse.len() {
            return;
        }
        self.n_filled = 0;
        if self.failure.is_some() {
            return;
        }
        self.work.n_pulses += 1;
        match self.engine.push(&self.pulse, &mut self.logits) {
            Ok(true) => {
                let t_start_s = self.t_restart_s + self.n_outputs as f64 * self.frame_period_s;
                self.n_outputs += 1;
                let output = Output { t_start_s, level_dbfs, logits: &self.logits };
                if let Some(observer) = &mut self.observer {
                    observer(&output);
                }
                if let Some(feed) = &mut self.feed {
                    feed.output(&output);
                }
                self.decider.push(&output, |transition| self.found.push(transition));
            }
            Ok(false) => {}
            Err(error) => self.failure = Some(error),
        }
        if let Some(feed) = &mut self.feed {
            let t_s = self.t_restart_s + self.n_pulses as f64 * self.frame_period_s;
            feed.pulse(t_s, &self.pulse, self.decider.scores());
        }
        self.n_pulses += 1;
    }

    /// Ends the open events.
    pub(super) fn flush(&mut self) {
        self.decider.flush(|transition| self.found.push(transition));
    }

    /// What has begun and ended since this was asked last.
    pub(super) fn transitions(&mut self) -> Drain<'_, Transition> {
        self.found.drain(..)
    }

    /// How many transitions there are that were not taken.
    pub(super) fn n_found(&self) -> usize {
        self.found.len()
    }

    /// Ends what was found after the first `n_before` with the stream, at `t_end_s`.
    pub(super) fn end_at(&mut self, t_end_s: f64, n_before: usize) {
        let mut n_kept = n_before;
        for at in n_before..self.found.len() {
            if let Some(transition) = until(t_end_s, self.found[at]) {
                self.found[n_kept] = transition;
                n_kept += 1;
            }
        }
        self.found.truncate(n_kept);
    }

    /// Whether the network has worked since this was asked last.
    ///
    /// # Errors
    ///
    /// Its first failure.
    pub(super) fn outcome(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Goes on under other rules. Open events end; what still sounds begins a new one.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.flush();
        self.decider = Decider::new(rules);
    }

    /// Forgets the frames that are no whole pulse; the next one begins at the stream time `t_s`.
    pub(super) fn restart(&mut self, t_s: f64) {
        self.n_filled = 0;
        self.n_outputs = 0;
        self.n_pulses = 0;
        self.t_restart_s = t_s;
    }

    /// Has the network forget what it has heard.
    ///
    /// # Errors
    ///
    /// When it cannot begin again.
    pub(super) fn reset_engine(&mut self) -> Result<()> {
        self.engine.reset()
    }

    /// What was done since this was asked last.
    pub(super) fn take_work(&mut self) -> Work {
        std::mem::take(&mut self.work)
    }
}

/// What remains of a transition in a stream that ends at `t_end_s`.
pub(crate) fn until(t_end_s: f64, mut transition: Transition) -> Option<Transition> {
    transition.t_offset_s = transition.t_offset_s.map(|t| t.min(t_end_s));
    // The edge to silence is no event.
    (transition.t_onset_s < t_end_s).then_some(transition)
}
