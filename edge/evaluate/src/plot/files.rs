//! The files of `earwitness evaluate --plot`: an evaluation enters, SVG files in a folder leave.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Curves, Spectrogram, Timeline, confusion_matrix, detection_error, precision_recall};
use crate::{Error, Evaluation, confusion};

/// Most pages of a recording that are drawn: those with the most errors.
const MAX_PAGES: usize = 20;

/// What was drawn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drawn {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Pages of timelines that were left out: of long recordings, those with the fewest errors.
    pub n_left_out: usize,
}

/// Draws `evaluation` into the folder `dir`, which is made if need be: `detection-error.svg` and
/// `precision-recall.svg` where there are sounds, `confusion.svg`, and `timeline-NN-NAME-MMM.svg`
/// for minute `MMM` of recording `NN`. `audio` are the recordings; `spectrogram` is called for one
/// after the other.
///
/// # Errors
///
/// Those of `spectrogram`, and when a file cannot be written.
pub fn write<E: From<Error>>(
    dir: &Path,
    evaluation: &Evaluation,
    audio: &[PathBuf],
    mut spectrogram: impl FnMut(&Path) -> Result<Spectrogram, E>,
) -> Result<Drawn, E> {
    fs::create_dir_all(dir).map_err(Error::io(format!("cannot create {}", dir.display())))?;
    let mut drawn = Drawn::default();
    let mut save = |name: String, svg: String| {
        let path = dir.join(name);
        fs::write(&path, svg).map_err(Error::io(format!("cannot write {}", path.display())))?;
        drawn.files.push(path);
        Ok::<_, Error>(())
    };
    if evaluation.truth.iter().any(|sounds| !sounds.is_empty()) {
        let curves = Curves::of(evaluation);
        save("detection-error.svg".into(), detection_error(&curves.detection_error, curves.hours)?)?;
        save("precision-recall.svg".into(), precision_recall(&curves.precision_recall)?)?;
    }
    let matrix = confusion(evaluation.truth, evaluation.detections, evaluation.labels.len());
    save("confusion.svg".into(), confusion_matrix(evaluation.labels, &matrix)?)?;
    let mut n_left_out = 0;
    for (at, path) in audio.iter().enumerate() {
        let spectrogram = spectrogram(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (truth, detections) = (&evaluation.truth[at], &evaluation.detections[at]);
        let timeline =
            Timeline::new(&name, evaluation.labels, truth, detections, evaluation.duration_s[at], &spectrogram);
        let pages = worst_pages(&timeline);
        n_left_out += timeline.n_pages() - pages.len();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        for page in pages {
            save(format!("timeline-{:02}-{stem}-{page:03}.svg", at + 1), timeline.page(page)?)?;
        }
    }
    drawn.n_left_out = n_left_out;
    Ok(drawn)
}

/// All pages of a short recording; of a long one those with the most errors. By time.
fn worst_pages(timeline: &Timeline) -> Vec<usize> {
    let mut pages: Vec<usize> = (0..timeline.n_pages()).collect();
    pages.sort_by_key(|&page| std::cmp::Reverse(timeline.n_errors(page)));
    pages.truncate(MAX_PAGES);
    pages.sort_unstable();
    pages
}
