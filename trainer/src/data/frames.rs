//! Frames of a stretch of a recording, wherever they lie.
//!
//! Enters: features in memory, an entry of the feature cache, or a way to compute them. Leaves: the
//! frames that are asked for, `(n_frames, width)` row-major. A [`Frames`] that is not held costs no
//! memory, so a corpus may be as long as the disk allows. Any thread may ask.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Computes the frames of a range.
type Compute = dyn Fn(Range<usize>) -> Result<Vec<f32>> + Send + Sync;

/// Frames of a stretch of a recording. A clone is another handle of the same frames.
#[derive(Debug, Clone)]
pub struct Frames {
    place: Place,
    range: Range<usize>,
    width: usize,
}

#[derive(Clone)]
enum Place {
    Memory(Arc<Vec<f32>>),
    /// A file that holds little-endian single-precision values from `offset` on.
    Disk {
        path: Arc<PathBuf>,
        offset: u64,
    },
    OnDemand(Arc<Compute>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(values) => write!(f, "{} values in memory", values.len()),
            Self::Disk { path, .. } => write!(f, "{}", path.display()),
            Self::OnDemand(_) => write!(f, "on demand"),
        }
    }
}

impl Frames {
    /// Frames in memory: `values` `(n_frames, width)` row-major.
    pub fn in_memory(values: Vec<f32>, width: usize) -> Self {
        Self { range: 0..values.len() / width, place: Place::Memory(Arc::new(values)), width }
    }

    /// The `n_frames` frames in the file at `path`, whose values begin at byte `offset`.
    pub fn on_disk(path: &Path, offset: u64, n_frames: usize, width: usize) -> Self {
        Self { place: Place::Disk { path: Arc::new(path.to_owned()), offset }, range: 0..n_frames, width }
    }

    /// The `n_frames` frames that `compute` makes of any range of them.
    pub fn on_demand(
        n_frames: usize,
        width: usize,
        compute: impl Fn(Range<usize>) -> Result<Vec<f32>> + Send + Sync + 'static,
    ) -> Self {
        Self { place: Place::OnDemand(Arc::new(compute)), range: 0..n_frames, width }
    }

    /// Number of frames.
    pub fn n_frames(&self) -> usize {
        self.range.len()
    }

    /// Which frames of the whole recording these are.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Values of a frame.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Bytes that all frames take in memory.
    pub fn n_bytes(&self) -> usize {
        self.range.len() * self.width * size_of::<f32>()
    }

    /// The frames `range` of these; the end is cut where there are fewer.
    pub fn part(&self, range: Range<usize>) -> Self {
        let at = |frame: usize| self.range.start + frame.min(self.n_frames());
        Self { range: at(range.start)..at(range.end.max(range.start)), place: self.place.clone(), width: self.width }
    }

    /// All frames.
    ///
    /// # Errors
    ///
    /// As [`Frames::read`].
    pub fn all(&self) -> Result<Cow<'_, [f32]>> {
        self.read(0..self.n_frames())
    }

    /// The frames `range`: `(range.len(), width)` row-major.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or the frames cannot be computed.
    ///
    /// # Panics
    ///
    /// If there are fewer frames.
    pub fn read(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>> {
        assert!(range.end <= self.n_frames(), "frames {range:?} of {}", self.n_frames());
        let range = self.range.start + range.start..self.range.start + range.end;
        match &self.place {
            Place::Memory(values) => Ok(Cow::Borrowed(&values[range.start * self.width..range.end * self.width])),
            Place::Disk { path, offset } => {
                let mut bytes = vec![0; range.len() * self.width * size_of::<f32>()];
                let at = offset + (range.start * self.width * size_of::<f32>()) as u64;
                let file = File::open(&**path).map_err(Error::io(path))?;
                file.read_exact_at(&mut bytes, at).map_err(Error::io(path))?;
                Ok(Cow::Owned(floats(&bytes)))
            }
            Place::OnDemand(compute) => Ok(Cow::Owned(compute(range)?)),
        }
    }
}

/// Little-endian single-precision values.
pub(super) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_part_is_the_same_in_memory_on_disk_and_on_demand() {
        let values: Vec<f32> = (0..60).map(|i| i as f32).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames");
        let bytes: Vec<u8> = [9u8; 5].into_iter().chain(values.iter().flat_map(|v| v.to_le_bytes())).collect();
        std::fs::write(&path, bytes).unwrap();
        let computed = values.clone();
        let places = [
            Frames::in_memory(values.clone(), 3),
            Frames::on_disk(&path, 5, 20, 3),
            Frames::on_demand(20, 3, move |r| Ok(computed[r.start * 3..r.end * 3].to_vec())),
        ];
        for frames in places {
            assert_eq!((frames.n_frames(), frames.all().unwrap().to_vec()), (20, values.clone()));
            let part = frames.part(4..30).part(1..9);
            assert_eq!(part.n_frames(), 8);
            assert_eq!(part.read(2..4).unwrap(), &values[7 * 3..9 * 3]);
        }
        let missing = Frames::on_disk(&folder.path().join("none"), 0, 2, 3).all().unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
