//! The arrays of an .npz by name.
//!
//! Enters: a file as `numpy.savez` or `savez_compressed` writes it. Leaves: single arrays, as text
//! or as numbers; every error names the file and the array. And the other way round: an archive
//! that appears whole or not at all.

use super::npy::{self, Array};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use zip::CompressionMethod;
use zip::result::{ZipError, ZipResult};
use zip::write::{FileOptions, ZipWriter};

/// An .npz that is being read.
pub(crate) struct Arrays<'a> {
    archive: zip::ZipArchive<BufReader<File>>,
    path: &'a Path,
}

impl<'a> Arrays<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self> {
        let file = BufReader::new(File::open(path).map_err(Error::io(path))?);
        let archive = zip::ZipArchive::new(file)
            .map_err(|e| Error::content(path, format!("is not a .npz file, or is cut off: {e}")))?;
        Ok(Self { archive, path })
    }

    /// Shape and elements, in single precision; none if there is no such array.
    pub(crate) fn floats_if_any(&mut self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let Some(array) = self.array(name)? else { return Ok(None) };
        let values = array.floats().map_err(|e| Error::content(self.path, format!("array {name} {e}")))?;
        Ok(Some((array.shape, values)))
    }

    /// Shape and elements, in single precision.
    pub(crate) fn floats(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        self.floats_if_any(name)?.ok_or_else(|| self.missing(name))
    }

    /// Elements of an array of one dimension as text.
    pub(crate) fn strings(&mut self, name: &str) -> Result<Vec<String>> {
        let array = self.array(name)?.ok_or_else(|| self.missing(name))?;
        array.strings().map_err(|e| Error::content(self.path, format!("array {name}: {e}")))
    }

    fn array(&mut self, name: &str) -> Result<Option<Array>> {
        let entry = match self.archive.by_name(&format!("{name}.npy")) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(e) => return Err(Error::content(self.path, format!("array {name}: {e}"))),
        };
        Array::read(entry).map(Some).map_err(|e| Error::content(self.path, format!("array {name} {e}")))
    }

    fn missing(&self, name: &str) -> Error {
        Error::content(self.path, format!("array {name} is missing"))
    }
}

/// Adds an array of strings.
pub(crate) fn add_strings(archive: &mut ZipWriter<File>, name: &str, texts: &[String]) -> ZipResult<()> {
    let bytes = npy::unicode(texts);
    archive.start_file(format!("{name}.npy"), stored(bytes.len()))?;
    Ok(archive.write_all(&bytes)?)
}

/// Adds a row-major array of single precision.
pub(crate) fn add_floats(archive: &mut ZipWriter<File>, name: &str, values: &[f32], shape: &[usize]) -> ZipResult<()> {
    archive.start_file(format!("{name}.npy"), stored(4 * values.len() + 128))?;
    Ok(npy::write_floats(values, shape, archive)?)
}

/// Scores hardly deflate; numpy.savez stores them too.
fn stored(n_bytes: usize) -> FileOptions {
    entry_options(n_bytes as u64).compression_method(CompressionMethod::Stored)
}

/// Writes a zip archive aside and renames it, so that there is never half of one at `path`.
pub(crate) fn write_archive(path: &Path, fill: impl FnOnce(&mut ZipWriter<File>) -> ZipResult<()>) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let mut archive = ZipWriter::new(File::create(&partial).map_err(Error::io(path))?);
    let written = fill(&mut archive).and_then(|()| archive.finish());
    let renamed = match written {
        Ok(_) => std::fs::rename(&partial, path).map_err(Error::io(path)),
        Err(e) => Err(Error::io(path)(e.into())),
    };
    if renamed.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    renamed
}

/// Options of an entry of `n_bytes`; no clock enters, so the same content gives the same bytes.
pub(crate) fn entry_options(n_bytes: u64) -> FileOptions {
    FileOptions::default().last_modified_time(zip::DateTime::default()).large_file(n_bytes >= u64::from(u32::MAX))
}
