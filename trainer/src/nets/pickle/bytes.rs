//! A reading position in bytes that never passes their end.

use super::machine::Parsed;

pub(super) struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        let end = self.at.checked_add(n).ok_or("is truncated")?;
        let bytes = self.bytes.get(self.at..end).ok_or("is truncated")?;
        self.at = end;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Parsed<u8> {
        Ok(self.take(1)?[0])
    }

    /// A number of `n` bytes, at most 8, little-endian.
    pub(super) fn unsigned(&mut self, n: usize) -> Parsed<usize> {
        let mut full = [0; 8];
        full[..n].copy_from_slice(self.take(n)?);
        usize::try_from(u64::from_le_bytes(full)).map_err(|e| e.to_string())
    }

    /// Up to the next line feed, which is skipped.
    pub(super) fn line(&mut self) -> Parsed<String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let n = rest.iter().position(|&b| b == b'\n').ok_or("is truncated")?;
        let line = String::from_utf8_lossy(self.take(n)?).into_owned();
        self.take(1)?;
        Ok(line)
    }
}
