//! Scores: what models say of segments, and what is made of it.
//!
//! Enters: scores files ([`file`](mod@file)) and the classes that annotations give their rows ([`truth`]). Leaves: their
//! weighted sum ([`fuse`](mod@fuse)), measures ([`measures`]), weights that suit validation rows ([`search`](mod@search)) and
//! what the challenge takes ([`submit`]).
//!
//! Rows are known by their annotation_id everywhere, never by their position. In messages they count from 0, as numpy does.

pub mod file;
pub mod fuse;
pub mod measures;
mod npy;
pub mod search;
pub mod submit;
pub mod truth;

pub use file::Scores;
pub use fuse::fuse;
pub use measures::{Measures, measure};
pub use search::{Ensemble, Found, HeldOut, search, search_on};
pub use truth::Truth;

use crate::error::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use zip::write::{FileOptions, ZipWriter};

/// Writes a zip archive aside and renames it, so that there is never half of one at `path`.
fn write_archive(path: &Path, fill: impl FnOnce(&mut ZipWriter<File>) -> zip::result::ZipResult<()>) -> Result<()> {
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
fn entry_options(n_bytes: u64) -> FileOptions {
    FileOptions::default().last_modified_time(zip::DateTime::default()).large_file(n_bytes >= u64::from(u32::MAX))
}
