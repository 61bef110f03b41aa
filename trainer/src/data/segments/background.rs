//! Background of annotated recordings: where nothing is annotated.
//!
//! Enters: sets of segments of the same recordings, with classes and without. Leaves: segments
//! without a class: those that the annotators could not put into a category, and the stretches in
//! which there is no annotation at all. Neither overlaps a segment that has a class.

use super::{Segment, SegmentSet};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;

impl SegmentSet {
    /// The background of this set's recordings: what `uncategorised` marks there, and the stretches
    /// of at least `least_gap_s` seconds that neither set marks; none of these without a
    /// `least_gap_s`.
    ///
    /// # Errors
    ///
    /// If a recording cannot be read.
    pub fn without_class(&self, uncategorised: Option<&Self>, least_gap_s: Option<f64>) -> Result<Self> {
        let least = least_gap_s.map(|seconds| (seconds * f64::from(self.frontend().sample_rate)) as u64);
        let mut marked: BTreeMap<&str, Vec<&Segment>> = BTreeMap::new();
        for segment in &self.segments {
            marked.entry(&segment.recording).or_default().push(segment);
        }
        let mut background = Vec::new();
        for (recording, labelled) in marked {
            let labelled_line = labelled[0].line;
            let labelled: Vec<Range<u64>> = labelled.into_iter().map(|s| s.start..s.stop).collect();
            let at_row = |message| Error::input(self.path(), Some(labelled_line), message);
            let n_samples = self.shared.store.n_samples(recording).map_err(at_row)?;
            let labelled = union(labelled);
            let mut taken = labelled.clone();
            for segment in uncategorised.iter().flat_map(|set| &set.segments).filter(|s| s.recording == recording) {
                let pieces = complement(&labelled, segment.start..segment.stop.min(n_samples));
                background.extend(pieces.into_iter().map(|piece| (recording, segment.line, piece)));
                taken.push(segment.start..segment.stop);
            }
            let gaps = complement(&union(taken), 0..n_samples).into_iter();
            let gaps = gaps.filter(|gap| least.is_some_and(|least| gap.end - gap.start >= least));
            background.extend(gaps.map(|gap| (recording, labelled_line, gap)));
        }
        let segment = |(recording, line, piece): (&str, usize, Range<u64>)| Segment {
            annotation_id: format!("{recording}@{}", piece.start),
            recording: recording.to_owned(),
            start: piece.start,
            stop: piece.end,
            class: None,
            fold: 0,
            source: recording.to_owned(),
            line,
        };
        let segments: Vec<Segment> = background.into_iter().map(segment).collect();
        let first = self.origins.iter().max().map_or(0, |last| last + 1);
        let origins = (first..first + segments.len()).collect();
        Ok(Self { segments, origins, shared: self.shared.clone() })
    }
}

/// The ranges in order, those that touch joined.
fn union(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|r| r.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// What of `whole` is in none of `ranges`, which are in order and do not touch.
fn complement(ranges: &[Range<u64>], whole: Range<u64>) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    let mut at = whole.start;
    for range in ranges {
        if range.start > at {
            rest.push(at..range.start.min(whole.end));
        }
        at = at.max(range.end);
        if at >= whole.end {
            break;
        }
    }
    rest.push(at..whole.end);
    rest.retain(|r| r.start < r.end);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn union_and_complement_cover_the_whole_once() {
        let marked = union(vec![30..40, 5..10, 8..12, 12..13]);
        assert_eq!(marked, [5..13, 30..40]);
        assert_eq!(complement(&marked, 0..50), [0..5, 13..30, 40..50]);
        assert_eq!(complement(&marked, 6..35), vec![13..30]);
        assert_eq!(complement(&marked, 6..9), []);
        assert_eq!(complement(&[], 3..4), vec![3..4]);
    }
}
