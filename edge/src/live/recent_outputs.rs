//! What the network put out in the last hour: outputs enter on the worker thread; what would have
//! been reported under other rules leaves on the caller's thread.
//!
//! Logits are kept in 16 bits, with eight bits of precision (bfloat16), which moves a score by less
//! than a hundredth. An hour of the model `home` takes 3.3 MB; a model with many labels gets less
//! than an hour, so that a source never takes more than [`MAX_BYTES`].
//!
//! The decide stage itself is run again over what is kept, so durations, pauses and windows count
//! as they do in the daemon.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::decide::{Decider, Output, Phase, Rules, Transition};

/// How long outputs are kept, seconds.
const KEPT_S: f64 = 3600.0;

/// Most that a source's outputs take.
const MAX_BYTES: usize = 4 << 20;

/// Pieces in which it is kept; the oldest goes as a whole.
const N_CHUNKS: usize = 60;

/// The outputs of one source.
#[derive(Debug)]
pub struct RecentOutputs {
    n_classes: usize,
    period_s: f64,
    n_chunk: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    full: VecDeque<Arc<Chunk>>,
    current: Chunk,
}

#[derive(Debug, Clone, Default)]
struct Chunk {
    t_start_s: Vec<f64>,
    level_dbfs: Vec<f32>,
    /// `(n_outputs, n_classes)`, row-major.
    logits: Vec<u16>,
}

/// What would have been reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Index of the label in the manifest.
    pub class_id: usize,
    /// Stream time of the onset, seconds.
    pub t_onset_s: f64,
    /// Stream time of the offset, seconds.
    pub t_offset_s: f64,
    /// Highest score in [0, 1].
    pub peak_score: f32,
}

impl RecentOutputs {
    /// For outputs of `n_classes` every `period_s` seconds.
    pub(super) fn new(n_classes: usize, period_s: f64) -> Self {
        let n_bytes = n_classes * size_of::<u16>() + size_of::<f64>() + size_of::<f32>();
        let n_outputs = ((KEPT_S / period_s) as usize).min(MAX_BYTES / n_bytes);
        RecentOutputs { n_classes, period_s, n_chunk: (n_outputs / N_CHUNKS).max(1), kept: Mutex::default() }
    }

    /// Keeps an output. The lock is held by others for no longer than it takes to copy a minute of
    /// outputs, some 50 kB.
    pub(super) fn push(&self, output: &Output) {
        let mut kept = self.lock();
        if kept.current.t_start_s.len() == self.n_chunk {
            let fresh = Chunk::with_room(self.n_chunk, self.n_classes);
            let full = std::mem::replace(&mut kept.current, fresh);
            if kept.full.len() == N_CHUNKS {
                kept.full.pop_front();
            }
            kept.full.push_back(Arc::new(full));
        }
        let current = &mut kept.current;
        current.t_start_s.push(output.t_start_s);
        current.level_dbfs.push(output.level_dbfs);
        current.logits.extend(output.logits.iter().map(|logit| bfloat16(*logit)));
    }

    /// Runs the decide stage over what is kept, under `rules`. `on_scores` gets stream time and
    /// scores, one per class, of each output.
    ///
    /// # Panics
    ///
    /// When `rules` are for another number of classes.
    pub fn replay(&self, rules: &Rules, mut on_scores: impl FnMut(f64, &[f32])) -> Vec<Detection> {
        let mut detections = Vec::new();
        let mut report = |transition: Transition| {
            if let (Phase::Offset, Some(t_offset_s)) = (transition.phase, transition.t_offset_s) {
                let Transition { class_id, t_onset_s, peak_score, .. } = transition;
                detections.push(Detection { class_id, t_onset_s, t_offset_s, peak_score });
            }
        };
        let mut decider = Decider::new(rules.clone());
        let mut logits = vec![0.0; self.n_classes];
        let mut due_s = f64::NAN;
        for chunk in self.chunks() {
            let outputs = chunk.t_start_s.iter().zip(&chunk.level_dbfs).zip(chunk.logits.chunks_exact(self.n_classes));
            for ((&t_start_s, &level_dbfs), kept) in outputs {
                // Recognition starts afresh where samples were missing.
                if (t_start_s - due_s).abs() > self.period_s / 2.0 {
                    decider.flush(&mut report);
                }
                due_s = t_start_s + self.period_s;
                logits.iter_mut().zip(kept).for_each(|(logit, kept)| *logit = f32::from_bits(u32::from(*kept) << 16));
                decider.push(&Output { t_start_s, level_dbfs, logits: &logits }, &mut report);
                on_scores(t_start_s + rules.slot_offset_s, decider.scores());
            }
        }
        decider.flush(&mut report);
        detections
    }

    /// What is kept now.
    fn chunks(&self) -> Vec<Arc<Chunk>> {
        let kept = self.lock();
        kept.full.iter().cloned().chain([Arc::new(kept.current.clone())]).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chunk {
    fn with_room(n_outputs: usize, n_classes: usize) -> Self {
        Chunk {
            t_start_s: Vec::with_capacity(n_outputs),
            level_dbfs: Vec::with_capacity(n_outputs),
            logits: Vec::with_capacity(n_outputs * n_classes),
        }
    }
}

/// The upper half of `value`'s bits, rounded to the nearest. What is not a number stays so.
fn bfloat16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() { 0x7fc0 } else { (bits.saturating_add(0x8000) >> 16) as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{class, rules};

    const PERIOD_S: f64 = 0.08;

    fn empty() -> RecentOutputs {
        RecentOutputs::new(2, PERIOD_S)
    }

    /// Logits of two classes by time: the second sounds from 10 to 20 s and from 30 to 31 s.
    fn logits(t_s: f64) -> [f32; 2] {
        let sounds = (10.0..20.0).contains(&t_s) || (30.0..31.0).contains(&t_s);
        [-8.0, if sounds { 1.0 } else { -4.0 }]
    }

    fn push(outputs: &RecentOutputs, from_s: f64, n: usize) {
        for at in 0..n {
            let t_start_s = from_s + at as f64 * PERIOD_S;
            outputs.push(&Output { t_start_s, level_dbfs: -20.0, logits: &logits(t_start_s) });
        }
    }

    #[test]
    fn replay_says_what_other_rules_would_have_reported() {
        let outputs = empty();
        push(&outputs, 0.0, 500);
        // A score of 0.73: the sigmoid of 1.
        let spans = |on: f32| {
            let rules = rules(1, vec![Some(class(on, on / 2.0)); 2]);
            let found = outputs.replay(&rules, |_, _| {});
            found.iter().map(|d| (d.class_id, d.t_onset_s.round(), d.t_offset_s.round())).collect::<Vec<_>>()
        };
        assert_eq!(spans(0.7), [(1, 10.0, 20.0), (1, 30.0, 31.0)]);
        assert_eq!(spans(0.8), []);
    }

    #[test]
    fn replay_hands_out_the_scores_that_the_decide_stage_had() {
        let outputs = empty();
        push(&outputs, 0.0, 500);
        let rules = rules(1, vec![Some(class(0.5, 0.5)); 2]);
        let mut decider = Decider::new(rules.clone());
        let mut at = 0;
        outputs.replay(&rules, |_, scores| {
            let t_start_s = f64::from(at) * PERIOD_S;
            decider.push(&Output { t_start_s, level_dbfs: -20.0, logits: &logits(t_start_s) }, |_| {});
            assert!(scores.iter().zip(decider.scores()).all(|(a, b)| (a - b).abs() < 0.01), "{scores:?}");
            at += 1;
        });
        assert_eq!(at, 500);
    }

    #[test]
    fn an_event_does_not_reach_over_missing_samples() {
        let outputs = empty();
        push(&outputs, 12.0, 20);
        push(&outputs, 17.0, 20);
        let found = outputs.replay(&rules(1, vec![Some(class(0.5, 0.5)); 2]), |_, _| {});
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn no_more_than_an_hour_is_kept_and_no_more_than_its_bytes() {
        let outputs = empty();
        push(&outputs, 0.0, 2 * 45_000);
        let mut times = Vec::new();
        outputs.replay(&rules(1, vec![None; 2]), |t_s, _| times.push(t_s));
        let kept_s = times[times.len() - 1] - times[0];
        assert!((3540.0..3700.0).contains(&kept_s), "{kept_s}");
        let wide = RecentOutputs::new(5_000, PERIOD_S);
        wide.push(&Output { t_start_s: 0.0, level_dbfs: 0.0, logits: &[0.0; 5_000] });
        assert!((N_CHUNKS + 1) * wide.n_chunk * 10_012 <= MAX_BYTES * 11 / 10);
    }

    #[test]
    fn sixteen_bits_hold_a_logit_to_a_two_hundredth_part() {
        for value in [0.0, -0.0, 1.0, -7.3, 123.456, 1e-30, f32::MIN, f32::NEG_INFINITY, f32::INFINITY] {
            let kept = f32::from_bits(u32::from(bfloat16(value)) << 16);
            assert!(
                kept == value || (kept - value).abs() <= value.abs() / 200.0 || value == f32::MIN,
                "{value} {kept}"
            );
        }
        assert!(f32::from_bits(u32::from(bfloat16(f32::NAN)) << 16).is_nan());
    }
}
