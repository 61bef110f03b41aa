//! Stretches of recordings, in memory as far as it goes.
//!
//! Enters: samples of a recording. Leaves: a [`Sound`], whose samples are in memory in 16 bits, or,
//! once the shelf is full, are read from the recording again whenever they are asked for. Both give
//! the same values.

use super::load::{fade, read};
use crate::error::Result;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where sounds are kept.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) sample_rate: u32,
    /// Bytes that are left.
    free: AtomicUsize,
}

/// A stretch of a recording.
#[derive(Clone, Debug)]
pub(in crate::data::scenes) struct Sound {
    /// None if the samples are from no file.
    path: Option<PathBuf>,
    sample_rate: u32,
    range: Range<usize>,
    /// Samples faded at the beginning and at the end.
    fades: (usize, usize),
    held: Option<Coded>,
}

/// Samples in 16 bits.
#[derive(Clone, Debug)]
struct Coded {
    values: Box<[i16]>,
    /// Distance of two values.
    step: f32,
}

impl Shelf {
    /// A shelf for sounds of `sample_rate` with room for `bytes`.
    pub(super) fn new(sample_rate: u32, bytes: usize) -> Self {
        Self { sample_rate, free: AtomicUsize::new(bytes) }
    }

    /// The stretch `range` of the recording at `path`, whose samples are `samples`; without a file
    /// it is in memory in any case.
    pub(super) fn place(
        &self,
        path: Option<&Path>,
        samples: &[f32],
        range: Range<usize>,
        fades: (usize, usize),
    ) -> Sound {
        let bytes = 2 * range.len();
        let take = |free: usize| free.checked_sub(bytes);
        let fits = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        let held = (fits || path.is_none()).then(|| Coded::of(&cut(samples, &range, fades)));
        Sound { path: path.map(Path::to_owned), sample_rate: self.sample_rate, range, fades, held }
    }
}

impl Sound {
    /// Number of samples.
    pub(in crate::data::scenes) fn len(&self) -> usize {
        self.range.len()
    }

    /// The samples `part` of it.
    ///
    /// # Errors
    ///
    /// If they are not in memory and the recording cannot be read any more.
    pub(in crate::data::scenes) fn samples(&self, part: Range<usize>) -> Result<Vec<f32>> {
        match (&self.held, &self.path) {
            (Some(coded), _) => Ok(coded.decode(part)),
            (None, None) => unreachable!("what is from no file is in memory"),
            (None, Some(path)) => {
                let mut samples = read(path, self.sample_rate)?;
                // A recording that was replaced since then may be shorter.
                samples.resize(samples.len().max(self.range.end), 0.0);
                Ok(Coded::of(&cut(&samples, &self.range, self.fades)).decode(part))
            }
        }
    }
}

impl Coded {
    fn of(samples: &[f32]) -> Self {
        let loudest = samples.iter().fold(0.0, |a: f32, x| a.max(x.abs()));
        let step = loudest.max(1e-9) / f32::from(i16::MAX);
        Self { values: samples.iter().map(|x| (x / step).round() as i16).collect(), step }
    }

    fn decode(&self, part: Range<usize>) -> Vec<f32> {
        self.values[part].iter().map(|&value| f32::from(value) * self.step).collect()
    }
}

fn cut(samples: &[f32], range: &Range<usize>, fades: (usize, usize)) -> Vec<f32> {
    let mut cut = samples[range.clone()].to_vec();
    fade(&mut cut, fades.0, fades.1);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_read_again_with_the_same_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flac");
        let samples: Vec<f32> = (0..9000).map(|i| 0.3 * (i as f32 * 0.05).sin()).collect();
        crate::data::scenes::flac::write(&path, 24_000, &samples).unwrap();
        let samples = read(&path, 24_000).unwrap();
        let shelf = Shelf::new(24_000, 9000);
        let held = shelf.place(Some(&path), &samples, 1000..5000, (50, 100));
        let on_disk = shelf.place(Some(&path), &samples, 1000..5000, (50, 100));
        assert!(held.held.is_some() && on_disk.held.is_none());
        assert_eq!((held.len(), on_disk.len()), (4000, 4000));
        let part = held.samples(500..3000).unwrap();
        assert_eq!(part, on_disk.samples(500..3000).unwrap());
        assert!(part.iter().zip(&samples[1500..]).all(|(a, b)| (a - b).abs() < 1e-5));
        std::fs::remove_file(&path).unwrap();
        assert!(on_disk.samples(0..1).unwrap_err().to_string().contains("a.flac"));
    }
}
