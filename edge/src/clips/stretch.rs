//! The last seconds of one session of a source: samples and gaps enter on the worker thread, what
//! lies between two samples leaves. A ring of a fixed size, which allocates nothing once it is
//! made.

use std::collections::VecDeque;
use std::ops::Range;

use crate::audio::to_16_bits;

/// Gaps that are remembered; of more, the oldest are forgotten.
const N_GAPS: usize = 64;

/// The last samples of a session. Samples are counted as stream time is: at the session's rate, and
/// gaps count.
#[derive(Debug)]
pub(super) struct Stretch {
    /// Tells it from the others of its source.
    pub(super) serial: u64,
    /// Samples per second.
    pub(super) sample_rate: u32,
    /// Whether no more samples come.
    pub(super) is_over: bool,
    /// The first sample of the session.
    first: u64,
    /// After the newest sample.
    end: u64,
    ring: Box<[i16]>,
    /// Where samples are missing, oldest first.
    gaps: VecDeque<Range<u64>>,
}

/// What was cut out.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) samples: Vec<i16>,
    pub(super) n_missing: u64,
}

impl Stretch {
    /// Of a session that begins with sample `first`, holding the last `capacity` samples.
    pub(super) fn new(serial: u64, sample_rate: u32, first: u64, capacity: usize) -> Self {
        let ring = vec![0; capacity.max(1)].into();
        let gaps = VecDeque::with_capacity(N_GAPS);
        Stretch { serial, sample_rate, is_over: false, first, end: first, ring, gaps }
    }

    /// Takes the next samples.
    pub(super) fn push(&mut self, samples: &[f32]) {
        let mut rest = samples;
        while !rest.is_empty() {
            let at = self.place(self.end);
            let n = rest.len().min(self.ring.len() - at);
            self.ring[at..at + n].iter_mut().zip(rest).for_each(|(place, sample)| *place = to_16_bits(*sample));
            self.end += n as u64;
            rest = &rest[n..];
        }
    }

    /// Takes `n_missing` samples as silent.
    pub(super) fn gap(&mut self, n_missing: u64) {
        if self.gaps.len() == N_GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back(self.end..self.end + n_missing);
        for n in 0..n_missing.min(self.ring.len() as u64) {
            let at = self.place(self.end + n_missing - 1 - n);
            self.ring[at] = 0;
        }
        self.end += n_missing;
    }

    /// The oldest sample that is still there.
    pub(super) fn start(&self) -> u64 {
        self.first.max(self.end.saturating_sub(self.ring.len() as u64))
    }

    /// After the newest sample.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether `n` more samples would overwrite the sample `at`.
    pub(super) fn would_overwrite(&self, at: u64, n: usize) -> bool {
        at + (self.ring.len() as u64) < self.end + n as u64
    }

    /// The number of the sample at stream time `t_s`.
    pub(super) fn sample_at(&self, t_s: f64) -> u64 {
        // `as` takes what is below 0 as 0.
        (t_s * f64::from(self.sample_rate)).round() as u64
    }

    /// Whether stream time `t_s` is not before the session.
    pub(super) fn reaches(&self, t_s: f64) -> bool {
        self.sample_at(t_s) >= self.first
    }

    /// Adds the samples of `range` that are there to `piece`.
    pub(super) fn copy(&self, range: &Range<u64>, piece: &mut Piece) {
        let range = range.start.max(self.start())..range.end.min(self.end);
        let mut at = range.start;
        while at < range.end {
            let place = self.place(at);
            let n = ((range.end - at) as usize).min(self.ring.len() - place);
            piece.samples.extend_from_slice(&self.ring[place..place + n]);
            at += n as u64;
        }
        let within = |gap: &Range<u64>| gap.end.min(range.end).saturating_sub(gap.start.max(range.start));
        piece.n_missing += self.gaps.iter().map(within).sum::<u64>();
    }

    fn place(&self, sample: u64) -> usize {
        (sample % self.ring.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(stretch: &Stretch, range: Range<u64>) -> (Vec<i16>, u64) {
        let mut piece = Piece::default();
        stretch.copy(&range, &mut piece);
        (piece.samples, piece.n_missing)
    }

    #[test]
    fn the_last_samples_are_there_and_gaps_are_silent() {
        let mut stretch = Stretch::new(0, 8000, 1000, 7);
        let value = |n: u64| n as f32 / 32_768.0;
        for n in 1000..1010 {
            stretch.push(&[value(n)]);
        }
        assert_eq!((stretch.start(), stretch.end()), (1003, 1010));
        assert_eq!(copied(&stretch, 1004..1007), (vec![1004, 1005, 1006], 0));
        // Before what is still there is nothing, and after it nothing yet.
        assert_eq!(copied(&stretch, 0..5000).0, [1003, 1004, 1005, 1006, 1007, 1008, 1009]);
        stretch.gap(2);
        stretch.push(&[value(1012), 2.0]);
        assert_eq!(copied(&stretch, 1008..1014), (vec![1008, 1009, 0, 0, 1012, 32_767], 2));
        assert_eq!(copied(&stretch, 1011..1014), (vec![0, 1012, 32_767], 1));
        stretch.gap(100);
        assert_eq!((stretch.start(), copied(&stretch, 0..5000)), (1107, (vec![0; 7], 7)));
        assert!(stretch.would_overwrite(1107, 1) && !stretch.would_overwrite(1108, 1));
    }
}
