//! The state of one class: a frame's score and dominance enter, onsets and offsets leave.
//!
//! ```text
//!          score >= on            span >= min duration
//!   idle ---------------> rising ---------------------> on <------------+
//!     ^                      | score < off       (onset) |              | score >= off
//!     +----------------------+                           | score < off  |
//!     +------------------------------------------------ falling --------+
//!                  min gap below off (offset)
//! ```
//!
//! An event that reaches its longest duration is reported as over; the class is then *spent* until
//! its score has stayed below `threshold_off` for the least gap.
//!
//! The span of an event reaches from its onset frame to its last dominating frame; an onset is
//! reported only once the span is as long as the shortest event that is to be reported, so no
//! offset can come out shorter than that.

use super::window::Window;
use super::{ClassRules, Phase, Transition};

/// What a class needs to know of the newest frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) class_id: usize,
    pub(super) index: u64,
    /// Posterior of the window that ends with this frame.
    pub(super) score: f32,
    /// Whether the frame's own posterior exceeds `threshold_off`.
    pub(super) dominates: bool,
    /// Whether an event may begin with this frame.
    pub(super) may_begin: bool,
    /// Frames up to and including this one in which the beginning of an event is looked for.
    pub(super) lookback: usize,
}

/// One class of one stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClassState {
    stage: Stage,
    /// First frame that a new event may contain: after the previous event and its cooldown.
    earliest: u64,
}

#[derive(Debug, Clone, Copy, Default)]
enum Stage {
    #[default]
    Idle,
    Rising(Span),
    On(Span),
    Falling {
        span: Span,
        n_below: u64,
    },
    Spent {
        n_below: u64,
    },
}

/// An event in the making. Frames are kept with their times because an event may outlive the
/// window.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: u64,
    t_first_s: f64,
    last: u64,
    t_last_s: f64,
    score: f32,
    peak_score: f32,
}

impl ClassState {
    /// Takes the newest frame of `window`.
    pub(super) fn step(
        &mut self,
        rules: &ClassRules,
        frame: &Frame,
        window: &Window,
        frame_period_s: f64,
    ) -> Option<Transition> {
        let holds = frame.score >= rules.threshold_off;
        match self.stage {
            Stage::Idle => {
                if frame.may_begin && frame.score >= rules.threshold_on && frame.index >= self.earliest {
                    return self.rise(rules, frame, Span::begin(rules, frame, window, self.earliest));
                }
            }
            Stage::Rising(span) if holds => {
                return self.rise(rules, frame, span.extended(rules, frame, window, frame_period_s));
            }
            Stage::Rising(_) => self.stage = Stage::Idle,
            Stage::On(span) | Stage::Falling { span, .. } if holds => {
                let span = span.extended(rules, frame, window, frame_period_s);
                if span.n_frames() >= rules.max_duration_frames {
                    self.stage = Stage::Spent { n_below: 0 };
                    return Some(span.offset(frame.class_id, frame_period_s));
                }
                self.stage = Stage::On(span);
            }
            Stage::On(span) => return self.fall(rules, frame, span, 1, frame_period_s),
            Stage::Falling { span, n_below } => return self.fall(rules, frame, span, n_below + 1, frame_period_s),
            Stage::Spent { .. } if holds => self.stage = Stage::Spent { n_below: 0 },
            Stage::Spent { n_below } if n_below + 1 < rules.min_gap_frames => {
                self.stage = Stage::Spent { n_below: n_below + 1 };
            }
            Stage::Spent { .. } => {
                self.stage = Stage::Idle;
                self.earliest = frame.index + 1 + rules.cooldown_frames;
            }
        }
        None
    }

    /// The offset of an open event at the end of the stream.
    pub(super) fn close(&mut self, class_id: usize, frame_period_s: f64) -> Option<Transition> {
        match std::mem::take(&mut self.stage) {
            Stage::Idle | Stage::Rising(_) | Stage::Spent { .. } => None,
            Stage::On(span) | Stage::Falling { span, .. } => Some(span.offset(class_id, frame_period_s)),
        }
    }

    fn rise(&mut self, rules: &ClassRules, frame: &Frame, span: Span) -> Option<Transition> {
        if span.n_frames() < rules.min_duration_frames {
            self.stage = Stage::Rising(span);
            return None;
        }
        let span = Span { score: frame.score, ..span };
        self.stage = Stage::On(span);
        Some(span.onset(frame.class_id))
    }

    fn fall(
        &mut self,
        rules: &ClassRules,
        frame: &Frame,
        span: Span,
        n_below: u64,
        frame_period_s: f64,
    ) -> Option<Transition> {
        if n_below < rules.min_gap_frames {
            self.stage = Stage::Falling { span, n_below };
            return None;
        }
        self.stage = Stage::Idle;
        self.earliest = span.last + 1 + rules.cooldown_frames;
        Some(span.offset(frame.class_id, frame_period_s))
    }
}

impl Span {
    /// From the last dominating frame of the window back to the first, over pauses that would not
    /// end an event, and not before `earliest`.
    fn begin(rules: &ClassRules, frame: &Frame, window: &Window, earliest: u64) -> Self {
        let dominates = |index: &u64| window.posterior(*index, frame.class_id) > rules.threshold_off;
        let recent = window.newest_frames(rules.window_frames).start.max(earliest);
        let last = (recent..=frame.index).rev().find(dominates).unwrap_or(frame.index);
        let oldest = window.newest_frames(frame.lookback).start.max(earliest);
        // No longer than an event may be.
        let oldest = oldest.max((last + 1).saturating_sub(rules.max_duration_frames));
        let mut first = last;
        for index in (oldest..last).rev().filter(dominates) {
            if first - index > rules.min_gap_frames {
                break;
            }
            first = index;
        }
        Span {
            first,
            t_first_s: window.t_slot_s(first),
            last,
            t_last_s: window.t_slot_s(last),
            score: frame.score,
            peak_score: frame.score,
        }
    }

    /// With another frame at which the score holds.
    ///
    /// The score may outlast the last dominating frame for as long as the other classes are low,
    /// too: an event reaches at least as far as the oldest frame of a window that speaks for it.
    fn extended(mut self, rules: &ClassRules, frame: &Frame, window: &Window, frame_period_s: f64) -> Self {
        self.peak_score = self.peak_score.max(frame.score);
        let last = if frame.dominates { frame.index } else { window.newest_frames(rules.window_frames).start };
        let n_most = rules.max_duration_frames - 1;
        if last > self.first + n_most {
            // That frame may have left the window during a gap.
            self.last = self.first + n_most;
            self.t_last_s = self.t_first_s + n_most as f64 * frame_period_s;
        } else if last > self.last {
            self.last = last;
            self.t_last_s = window.t_slot_s(last);
        }
        self
    }

    fn n_frames(&self) -> u64 {
        self.last - self.first + 1
    }

    fn onset(&self, class_id: usize) -> Transition {
        Transition {
            class_id,
            phase: Phase::Onset,
            t_onset_s: self.t_first_s,
            t_offset_s: None,
            score: self.score,
            peak_score: self.peak_score,
        }
    }

    fn offset(&self, class_id: usize, frame_period_s: f64) -> Transition {
        Transition { phase: Phase::Offset, t_offset_s: Some(self.t_last_s + frame_period_s), ..self.onset(class_id) }
    }
}
