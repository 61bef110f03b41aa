//! The header of a checkpoint, without its tensors.
//!
//! Enters: a safetensors file. Leaves: the JSON in its tensor `header`. Of the file, only its table and that tensor are read: a
//! report wants the recipe of every fold and none of the weights.

use crate::error::{Error, Result};
use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// The longest table that the format allows.
const MAX_TABLE: u64 = 100_000_000;

/// Reads the header of the checkpoint at `path`.
///
/// # Errors
///
/// If the file cannot be read, or is no checkpoint.
pub fn header(path: &Path) -> Result<Value> {
    let wrong = |what: &str| Error::content(path, format!("no checkpoint: {what}"));
    let mut file = File::open(path).map_err(Error::io(path))?;
    let n_bytes = file.metadata().map_err(Error::io(path))?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| wrong("cut off"))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_TABLE.min(n_bytes) {
        return Err(wrong("no safetensors file"));
    }
    let mut table = vec![0; length as usize];
    file.read_exact(&mut table).map_err(|_| wrong("cut off"))?;
    let table: Value = serde_json::from_slice(&table).map_err(|_| wrong("no safetensors file"))?;
    let offset = |at: usize| table["header"]["data_offsets"][at].as_u64().ok_or_else(|| wrong("no header"));
    let (begin, end) = (offset(0)?, offset(1)?);
    if begin > end || end > n_bytes {
        return Err(wrong("cut off"));
    }
    file.seek(SeekFrom::Start(8 + length + begin)).map_err(Error::io(path))?;
    let mut bytes = vec![0; (end - begin) as usize];
    file.read_exact(&mut bytes).map_err(|_| wrong("cut off"))?;
    serde_json::from_slice(&bytes).map_err(|e| wrong(&format!("header: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn the_header_is_found_among_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let message = || header(&path).unwrap_err().to_string();
        let weights = Tensor::from_slice(&[1.0f32; 1000]);
        let text = Tensor::from_slice(br#"{"fold": 3}"#.as_slice());
        Tensor::write_safetensors(&[("a", &weights), ("header", &text), ("z", &weights)], &path).unwrap();
        assert_eq!(header(&path).unwrap(), serde_json::json!({"fold": 3}));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..200]).unwrap();
        assert!(message().contains("cut off"), "{}", message());
        std::fs::write(&path, b"not a checkpoint at all").unwrap();
        assert!(message().contains("no safetensors file"), "{}", message());
        Tensor::write_safetensors(&[("a", &weights)], &path).unwrap();
        assert!(message().contains("no header"), "{}", message());
    }
}
