//! How well sounds are recognised in recordings whose sounds are known: truth and detections enter,
//! figures and drawings leave. Runs on the caller's thread.
//!
//! The measures are pure functions of truth and detections, each over several recordings at once:
//! `truth[i]` and `detections[i]` belong to recording `i`. What runs the daemon's own pipeline over
//! recordings and makes detections of them is `edge::heard`, which builds on this crate; the daemon
//! does without both.
//!
//! | measure | answers |
//! |---|---|
//! | [`event_based`] | was each sound reported once, at the right time? (as sed_eval has it) |
//! | [`segment_based`] | second by second, was it known what is to be heard? (as sed_eval has it) |
//! | [`psds`](psds()) | how good over all thresholds? (as psds_eval has it) |
//! | [`found`], [`false_alarms`] | how many sounds were reported at all, and how often what was not there at all? |
//! | [`confusion`] | which class was taken for which? |
//! | [`latency`] | how long after its beginning was a sound reported? |
//! | [`tiou_map`] | how well do extents and scores agree with the truth? (as the detection task of EPIC-SOUNDS has it) |
//!
//! [`Evaluation::figures`] has all of them at once, and [`plot`] draws them.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod counts;
mod error;
mod event;
mod figures;
mod latency;
mod overlap;
pub mod plot;
mod points;
mod psds;
mod segment;
mod tiou;
mod truth;

pub use counts::{Counts, macro_f1, micro};
pub use error::{Error, Result};
pub use event::{Collar, event_based};
pub use figures::{
    ClassFigures, Evaluation, Figures, Latency, PointFigures, Precisions, PsdsValues, Rate, SEGMENT_S, Scores, Share,
};
pub use latency::{latency, quantile};
pub use overlap::{confusion, false_alarms, found, per_hour};
pub use points::{N_OPERATING_POINTS, operating_points};
pub use psds::{Psds, Scenario, psds};
pub use segment::segment_based;
pub use tiou::{TIOU_THRESHOLDS, TiouMap, tiou_map};
pub use truth::{Truth, UnknownLabels, truth};

/// A sound that is really there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sound {
    /// Index of its label in the manifest.
    pub class_id: usize,
    /// When it begins, seconds from the recording's start.
    pub onset_s: f64,
    /// When it ends, above `onset_s`.
    pub offset_s: f64,
}

/// An event that was reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Index of its label in the manifest.
    pub class_id: usize,
    /// When it is said to begin, seconds from the recording's start.
    pub onset_s: f64,
    /// When it is said to end.
    pub offset_s: f64,
    /// Its highest score, in [0, 1].
    pub score: f32,
    /// How much of the recording had been heard when the onset was reported, seconds.
    pub t_reported_s: f64,
}

/// A stretch of time of one class.
trait Extent {
    fn class_id(&self) -> usize;
    fn onset_s(&self) -> f64;
    fn offset_s(&self) -> f64;

    /// Seconds that both have in common, at most 0 where there are none.
    fn overlap_s(&self, other: &impl Extent) -> f64 {
        self.offset_s().min(other.offset_s()) - self.onset_s().max(other.onset_s())
    }
}

impl Extent for Sound {
    fn class_id(&self) -> usize {
        self.class_id
    }
    fn onset_s(&self) -> f64 {
        self.onset_s
    }
    fn offset_s(&self) -> f64 {
        self.offset_s
    }
}

impl Extent for Detection {
    fn class_id(&self) -> usize {
        self.class_id
    }
    fn onset_s(&self) -> f64 {
        self.onset_s
    }
    fn offset_s(&self) -> f64 {
        self.offset_s
    }
}

/// The members of each class, by onset.
///
/// # Panics
///
/// When a class is not one of `n_classes`.
fn by_class<T: Extent + Copy>(extents: &[T], n_classes: usize) -> Vec<Vec<T>> {
    let mut classes = vec![Vec::new(); n_classes];
    for extent in extents {
        classes[extent.class_id()].push(*extent);
    }
    for class in &mut classes {
        class.sort_by(|a: &T, b: &T| a.onset_s().total_cmp(&b.onset_s()).then(a.offset_s().total_cmp(&b.offset_s())));
    }
    classes
}

/// Recordings in pairs.
///
/// # Panics
///
/// When there is not one list of detections for each list of sounds.
fn pairs<'a, T: AsRef<[Sound]>, D: AsRef<[Detection]>>(
    truth: &'a [T],
    detections: &'a [D],
) -> impl Iterator<Item = (&'a [Sound], &'a [Detection])> {
    assert_eq!(truth.len(), detections.len(), "one list of detections a recording");
    truth.iter().zip(detections).map(|(truth, detections)| (truth.as_ref(), detections.as_ref()))
}

#[cfg(test)]
mod testing {
    use super::{Detection, Sound};

    pub(super) fn sound(class_id: usize, onset_s: f64, offset_s: f64) -> Sound {
        Sound { class_id, onset_s, offset_s }
    }

    /// Reported half a second after its onset.
    pub(super) fn detection(class_id: usize, onset_s: f64, offset_s: f64) -> Detection {
        Detection { class_id, onset_s, offset_s, score: 0.5, t_reported_s: onset_s + 0.5 }
    }
}
