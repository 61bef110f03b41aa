//! A model folder without its network: `head.safetensors` and `manifest.toml` enter, `model.onnx`
//! leaves, and is the file that the manifest names, byte for byte.

use crate::ced::Weights;
use crate::head::Head;
use crate::network::encode;
use crate::{Error, Result, sha256};
use edge_frontend::Manifest;
use edge_frontend::manifest::{HEAD_FILE, MANIFEST_FILE};
use std::path::{Path, PathBuf};

/// Writes the network of the model in `folder`, of the file of CED-tiny at `ced`; its path is
/// returned.
///
/// # Errors
///
/// If a file cannot be read or written, or the result is not what the manifest expects.
pub fn assemble(folder: &Path, ced: &Path) -> Result<PathBuf> {
    let path = folder.join(MANIFEST_FILE);
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let manifest = Manifest::parse(&text).map_err(|e| Error::content(&path, e.to_string()))?;
    let head = Head::load(&folder.join(HEAD_FILE))?;
    let bytes = encode(&Weights::load(ced)?, &head, &manifest.frontend, &manifest.name);
    let (expected, actual) = (&manifest.files.f32.sha256, sha256(&bytes));
    if *expected != actual {
        let message = format!(
            "files.f32: expected the SHA-256 {expected}, actual {actual}: the head beside it is of another training; \
             both files are those of the repository, or of one run of the trainer"
        );
        return Err(Error::content(&path, message));
    }
    let to = folder.join(&manifest.files.f32.path);
    let partial = to.with_extension("partial");
    std::fs::write(&partial, bytes).map_err(Error::io(&partial))?;
    std::fs::rename(&partial, &to).map_err(Error::io(&to))?;
    Ok(to)
}
