//! FLAC files: mono samples enter, a 16-bit file leaves.

use crate::error::{Error, Result};
use edge::audio::{to_16_bits, write_flac};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Writes `samples` to the file at `path`. They are rounded to whole multiples of 2^-15, as the
/// decoder returns them; what is beyond full scale is held there.
///
/// # Errors
///
/// If the file cannot be written, or FLAC does not know the sample rate.
pub(super) fn write(path: &Path, sample_rate: u32, samples: &[f32]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path).map_err(Error::io(path))?);
    let in_16_bits = samples.iter().map(|&sample| to_16_bits(sample));
    write_flac(&mut file, sample_rate, &[], in_16_bits).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("missing/a.flac"), 24_000, &[0.0; 100]).unwrap_err();
        assert!(error.to_string().contains("a.flac"), "{error}");
    }
}
