//! Quiet hours: onsets and offsets with their wall-clock times enter, those that are to be reported
//! leave. Runs on the thread that hands events to the publisher; recognition continues.
//!
//! An event belongs to the moment at which it began. One that began in the quiet hours of its class
//! is not reported: neither its onset nor its offset, also when it lasts beyond them. One that
//! began before is reported in full, its offset during quiet hours, too: whatever received the
//! onset also receives the offset.

mod hours;
mod range;

pub use hours::{QuietHours, why_unknown};
pub use range::QuietRange;

use std::sync::Arc;

use jiff::Timestamp;

use crate::decide::{Phase, Transition};
use crate::status::Status;

/// Holds back the events of quiet hours.
#[derive(Debug)]
pub struct QuietFilter {
    /// By class; `None` for a class that is always reported.
    hours: Vec<Option<QuietHours>>,
    /// By class: whether its open event is one that is not reported.
    muted: Vec<bool>,
    status: Arc<Status>,
}

impl QuietFilter {
    /// A filter with the quiet hours of each class, in the order of the labels. Counts in `status`
    /// what it holds back.
    pub fn new(hours: Vec<Option<QuietHours>>, status: Arc<Status>) -> Self {
        QuietFilter { muted: vec![false; hours.len()], hours, status }
    }

    /// Goes on with other quiet hours, in the same order. Events that are open stay what they are.
    pub fn set_hours(&mut self, hours: Vec<Option<QuietHours>>) {
        self.hours = hours;
    }

    /// Whether `transition` is to be reported; `wall_time` turns stream time in seconds into
    /// wall-clock time.
    ///
    /// What holds for an onset holds for its offset, even where the clock was corrected in between.
    pub fn passes(&mut self, transition: &Transition, wall_time: impl Fn(f64) -> Timestamp) -> bool {
        let muted = &mut self.muted[transition.class_id];
        if transition.phase == Phase::Onset {
            let hours = self.hours[transition.class_id].as_ref();
            *muted = hours.is_some_and(|hours| hours.is_quiet(wall_time(transition.t_onset_s)));
            if *muted {
                self.status.add_suppressed();
            }
        }
        !*muted
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::tz::TimeZone;

    use super::*;

    /// Noon, with quiet hours from 12:01 to 12:02 for class 1 and none for class 0.
    fn wall(t_s: f64) -> Timestamp {
        let noon: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        noon + ((t_s * 1e3) as i64).milliseconds()
    }

    fn filter() -> (QuietFilter, Arc<Status>) {
        let hours = QuietHours::new(vec!["12:01-12:02".parse().unwrap()], TimeZone::UTC);
        let status = Arc::new(Status::default());
        (QuietFilter::new(vec![None, Some(hours)], Arc::clone(&status)), status)
    }

    /// The events (class, onset, offset) that are reported, onset and offset each; all onsets come
    /// first, in order.
    fn reported(events: &[(usize, f64, f64)]) -> (Vec<(usize, f64, Phase)>, u64) {
        let (mut filter, status) = filter();
        let mut edges: Vec<(f64, Transition)> = Vec::new();
        for &(class_id, t_onset_s, t_offset_s) in events {
            let onset =
                Transition { class_id, phase: Phase::Onset, t_onset_s, t_offset_s: None, score: 0.9, peak_score: 0.9 };
            edges.push((t_onset_s, onset));
            edges.push((t_offset_s, Transition { phase: Phase::Offset, t_offset_s: Some(t_offset_s), ..onset }));
        }
        edges.sort_by(|a, b| a.0.total_cmp(&b.0));
        let transitions = edges.into_iter().map(|(_, transition)| transition);
        let passed = transitions.filter(|transition| filter.passes(transition, wall));
        (passed.map(|t| (t.class_id, t.t_onset_s, t.phase)).collect(), status.snapshot().n_suppressed)
    }

    #[test]
    fn an_event_belongs_to_the_moment_at_which_it_began() {
        use Phase::{Offset, Onset};
        // Ends in quiet hours; within them; begins in them and outlasts them; begins after them.
        let events = [(1, 50.0, 70.0), (1, 75.0, 80.0), (1, 119.9, 130.0), (1, 140.0, 150.0)];
        let (passed, n_suppressed) = reported(&events);
        assert_eq!(passed, [(1, 50.0, Onset), (1, 50.0, Offset), (1, 140.0, Onset), (1, 140.0, Offset)]);
        assert_eq!(n_suppressed, 2);
    }

    #[test]
    fn classes_have_their_own_quiet_hours() {
        let (passed, n_suppressed) = reported(&[(0, 70.0, 90.0), (1, 71.0, 89.0)]);
        assert_eq!(passed, [(0, 70.0, Phase::Onset), (0, 70.0, Phase::Offset)]);
        assert_eq!(n_suppressed, 1);
    }

    #[test]
    fn a_corrected_clock_separates_no_onset_from_its_offset() {
        let (mut filter, _) = filter();
        let onset = Transition {
            class_id: 1,
            phase: Phase::Onset,
            t_onset_s: 59.0,
            t_offset_s: None,
            score: 0.9,
            peak_score: 0.9,
        };
        let offset = Transition { phase: Phase::Offset, t_offset_s: Some(61.0), ..onset };
        assert!(filter.passes(&onset, wall));
        assert!(filter.passes(&offset, |t_s| wall(t_s + 5.0)));
        assert!(!filter.passes(&onset, |t_s| wall(t_s + 5.0)));
        assert!(!filter.passes(&offset, wall));
    }
}
