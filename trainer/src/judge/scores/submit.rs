//! The submission that the EPIC-SOUNDS challenge takes.
//!
//! Enters: scores. Leaves: a zip that holds `test.json` alone, deflated: the challenge's header
//! and, by annotation_id, the score of every class, views summed.

use crate::data::scores::Scores;
use crate::data::scores::archive::{entry_options, write_archive};
use crate::error::{Error, Result};
use std::io::{BufWriter, Write};
use std::path::Path;
use zip::CompressionMethod;

/// Classes of EPIC-SOUNDS.
pub const N_CLASSES: usize = 44;

/// Everything before the results: version of the format, the challenge, and the supervision and
/// training data declared (`sls_pt` 2, `sls_tl` 3, `sls_td` 4, `t_mod` 0), as the official baseline
/// declares them.
const HEADER: &str = r#"{"version":"0.1","challenge":"audio_based_interaction_recognition","sls_pt":2,"sls_tl":3,"sls_td":4,"t_mod":0,"results":{"#;

/// Writes the submission; its rows are in the order of `scores`.
///
/// # Errors
///
/// If `scores` are not of `n_classes` classes, hold a score that is not finite, or `path` cannot be
/// written.
pub fn submit(scores: &Scores, n_classes: usize, path: &Path) -> Result<()> {
    if scores.n_classes != n_classes {
        let message = format!("scores are of {} classes, a submission takes {n_classes}", scores.n_classes);
        return Err(Error::content(&scores.path, message));
    }
    let summed = scores.summed();
    // Sums of views may overflow.
    if let Some(at) = summed.scores.iter().position(|s| !s.is_finite()) {
        let (row, class) = (at / n_classes, at % n_classes);
        let id = &summed.annotation_id[row];
        let message = format!("row {row} ({id:?}): score of class {class} is {}", summed.scores[at]);
        return Err(Error::content(&scores.path, message));
    }
    // At most 25 bytes a number, 3 more a key.
    let n_bytes = (summed.scores.len() * 28) as u64;
    write_archive(path, |archive| {
        archive.start_file("test.json", entry_options(n_bytes).compression_method(CompressionMethod::Deflated))?;
        let mut writer = BufWriter::new(archive);
        write_json(&summed, &mut writer)?;
        writer.flush()?;
        Ok(())
    })
}

fn write_json(scores: &Scores, writer: &mut impl Write) -> std::io::Result<()> {
    writer.write_all(HEADER.as_bytes())?;
    for (row, (id, values)) in scores.annotation_id.iter().zip(scores.scores.chunks_exact(scores.n_classes)).enumerate()
    {
        let comma = if row == 0 { "" } else { "," };
        write!(writer, "{comma}{}:{{\"interaction\":{{", serde_json::Value::from(id.as_str()))?;
        for (class, &score) in values.iter().enumerate() {
            let comma = if class == 0 { "" } else { "," };
            write!(writer, "{comma}\"{class}\":{}", number(score))?;
        }
        writer.write_all(b"}}")?;
    }
    writer.write_all(b"}}")
}

/// The shortest decimal that reads back as the same f32 by way of an f64, as JSON readers go. The
/// shortest of an f32 may lie so near the middle of two that the f64 between falls on it; then the
/// f64's own is taken.
fn number(score: f32) -> String {
    let short = format!("{score:?}");
    let same = short.parse::<f64>().is_ok_and(|value| (value as f32).to_bits() == score.to_bits());
    if same { short } else { format!("{:?}", f64::from(score)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng as _, SeedableRng};
    use std::io::Read as _;

    fn written(scores: &Scores) -> (Vec<String>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.zip");
        submit(scores, scores.n_classes, &path).unwrap();
        let mut archive = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
        let names = archive.file_names().map(str::to_owned).collect();
        let mut text = String::new();
        let mut entry = archive.by_index(0).unwrap();
        assert_eq!(entry.compression(), CompressionMethod::Deflated);
        entry.read_to_string(&mut text).unwrap();
        (names, text)
    }

    #[test]
    fn the_document_is_exactly_as_specified() {
        let ids = ["P02_1".to_owned(), "a\"b".to_owned()];
        let scores = Scores::new("s.npz", ids.to_vec(), 2, 2, vec![0.5, 1.0, 0.25, 3e-9, 0.0, 1.0, -2.0, 1.5]).unwrap();
        let (names, text) = written(&scores);
        assert_eq!(names, ["test.json"]);
        assert_eq!(
            text,
            concat!(
                r#"{"version":"0.1","challenge":"audio_based_interaction_recognition","sls_pt":2,"sls_tl":3,"sls_td":4,"#,
                r#""t_mod":0,"results":{"P02_1":{"interaction":{"0":0.75,"1":1.0}},"#,
                r#""a\"b":{"interaction":{"0":-2.0,"1":2.5}}}}"#
            )
        );
    }

    #[test]
    fn every_float_reads_back() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let any = std::iter::from_fn(|| Some(f32::from_bits(rng.random()))).filter(|v| v.is_finite());
        let mut values: Vec<f32> = any.take(440).collect();
        values.extend([f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), 0.0, -0.0, 1e21, 1e16, 123_456_790.0]);
        let scores = Scores::new("s.npz", (0..112).map(|i| i.to_string()).collect(), 1, 4, values.clone()).unwrap();
        let document: serde_json::Value = serde_json::from_str(&written(&scores).1).unwrap();
        for (at, value) in values.iter().enumerate() {
            let read = &document["results"][(at / 4).to_string()]["interaction"][(at % 4).to_string()];
            assert_eq!((read.as_f64().unwrap() as f32).to_bits(), value.to_bits(), "{value:e}");
        }
    }

    #[test]
    fn wrong_scores_are_refused() {
        let path = Path::new("none/s.zip");
        let scores =
            |n_views, values: &[f32]| Scores::new("s.npz", vec!["a".to_owned()], n_views, 2, values.to_vec()).unwrap();
        let message = submit(&scores(1, &[0.5, 0.5]), N_CLASSES, path).unwrap_err().to_string();
        assert_eq!(message, "s.npz: scores are of 2 classes, a submission takes 44");
        let message = submit(&scores(2, &[f32::MAX, 0.0, f32::MAX, 0.0]), 2, path).unwrap_err().to_string();
        assert_eq!(message, "s.npz: row 0 (\"a\"): score of class 0 is inf");
        assert!(submit(&scores(1, &[0.5, 0.5]), 2, path).unwrap_err().to_string().starts_with("none/s.zip: "));
    }
}
