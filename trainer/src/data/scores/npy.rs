//! One array as numpy stores it.
//!
//! Enters: the bytes of an .npy file, the formats 1.0 to 3.0 of numpy's NEP 1. Leaves: its shape
//! and its elements as single-precision numbers or as strings, in row-major order; and the other
//! way round. Nothing is unpickled.

use ndarray::{ArrayView, IxDyn, ShapeBuilder as _};
use std::io::{Read, Write};

/// Headers longer than this are numpy's only for structured types, which no scores file holds.
const MAX_HEADER: usize = 65_536;

/// An array: header and raw elements.
#[derive(Debug)]
pub(super) struct Array {
    kind: Kind,
    big_endian: bool,
    fortran: bool,
    pub(super) shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Type of the elements; the number is numpy's: characters of a string, bytes of anything else.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Unicode(usize),
    Bytes(usize),
    Int(usize),
    Unsigned(usize),
    Float(usize),
}

impl Kind {
    fn parse(descr: &str) -> Option<(Self, bool)> {
        let mut chars = descr.chars();
        let big_endian = match chars.next()? {
            '<' | '|' => false,
            '>' => true,
            _ => return None,
        };
        let letter = chars.next()?;
        let width: usize = chars.as_str().parse().ok()?;
        let kind = match (letter, width) {
            ('U', n) => Self::Unicode(n),
            ('S', n) => Self::Bytes(n),
            ('i', 1 | 2 | 4 | 8) => Self::Int(width),
            ('u', 1 | 2 | 4 | 8) => Self::Unsigned(width),
            ('f', 4 | 8) => Self::Float(width),
            _ => return None,
        };
        Some((kind, big_endian))
    }

    /// Bytes of an element; none if they are too many to count.
    fn size(self) -> Option<usize> {
        match self {
            Self::Unicode(n) => n.checked_mul(4),
            Self::Bytes(n) | Self::Int(n) | Self::Unsigned(n) | Self::Float(n) => Some(n),
        }
    }
}

impl Array {
    /// Reads an array to its end. Memory is taken as the bytes come, so a header that promises too
    /// much costs none.
    pub(super) fn read(mut reader: impl Read) -> Result<Self, String> {
        let header = read_header(&mut reader)?;
        let descr = quoted(value(&header, "descr")?).ok_or_else(|| {
            "holds records; save it as plain strings or numbers".to_owned() // descr is a list
        })?;
        let (kind, big_endian) = Kind::parse(descr).ok_or_else(|| match descr {
            "|O" => "holds pickled objects; save it with dtype=str".to_owned(),
            _ => format!("type {descr:?} is not supported"),
        })?;
        let fortran = match value(&header, "fortran_order")? {
            v if v.starts_with("True") => true,
            v if v.starts_with("False") => false,
            _ => return Err("header: fortran_order is neither True nor False".to_owned()),
        };
        let shape = parse_shape(value(&header, "shape")?).ok_or("header: shape is not a tuple of sizes")?;
        let too_large = || format!("shape {shape:?} is too large");
        let n = shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size)).ok_or_else(too_large)?;
        let expected = kind.size().and_then(|size| size.checked_mul(n)).ok_or_else(too_large)?;
        if expected == 0 && n > 0 {
            return Err(format!("shape {shape:?} has elements of no size"));
        }
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if bytes.len() != expected {
            return Err(format!("is truncated or damaged: {expected} bytes expected, {} found", bytes.len()));
        }
        Ok(Self { kind, big_endian, fortran, shape, bytes })
    }

    /// Elements as single precision, row-major; doubles are rounded.
    pub(super) fn floats(&self) -> Result<Vec<f32>, String> {
        let stored: Vec<f32> = match self.kind {
            Kind::Float(4) => self.elements().map(|b| f32::from_le_bytes(self.word(b))).collect(),
            Kind::Float(_) => self.elements().map(|b| f64::from_le_bytes(self.word(b)) as f32).collect(),
            _ => return Err("must be float32 or float64".to_owned()),
        };
        Ok(if self.fortran && !stored.is_empty() { row_major(&stored, &self.shape) } else { stored })
    }

    /// Elements of an array of one dimension as text; whole numbers in decimal.
    pub(super) fn strings(&self) -> Result<Vec<String>, String> {
        if self.shape.len() != 1 {
            return Err(format!("shape {:?} must have one dimension", self.shape));
        }
        let texts = self.elements().enumerate().map(|(row, bytes)| {
            let text = self.text(bytes)?;
            text.ok_or_else(|| format!("row {row} is not a Unicode text"))
        });
        texts.collect()
    }

    fn text(&self, bytes: &[u8]) -> Result<Option<String>, String> {
        Ok(match self.kind {
            Kind::Unicode(_) => {
                let chars: Vec<u32> = bytes.chunks_exact(4).map(|b| u32::from_le_bytes(self.word(b))).collect();
                let end = chars.iter().rposition(|&c| c != 0).map_or(0, |last| last + 1);
                chars[..end].iter().map(|&c| char::from_u32(c)).collect()
            }
            Kind::Bytes(_) => {
                let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
                std::str::from_utf8(&bytes[..end]).ok().map(str::to_owned)
            }
            Kind::Unsigned(_) => Some(u64::from_le_bytes(self.word(bytes)).to_string()),
            Kind::Int(width) => {
                let unused = 64 - 8 * width as u32;
                Some((i64::from_le_bytes(self.word(bytes)) << unused >> unused).to_string())
            }
            Kind::Float(_) => return Err("must be strings or whole numbers".to_owned()),
        })
    }

    fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.kind.size().unwrap_or(1).max(1))
    }

    /// The bytes of a number in little-endian order, filled up with zeros.
    fn word<const N: usize>(&self, bytes: &[u8]) -> [u8; N] {
        let mut word = [0; N];
        word[..bytes.len()].copy_from_slice(bytes);
        if self.big_endian {
            word[..bytes.len()].reverse();
        }
        word
    }
}

/// The text of a header: after the magic, the version and the length.
fn read_header(reader: &mut impl Read) -> Result<String, String> {
    let cut = |_| "is truncated in its header".to_owned();
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(cut)?;
    if start[..6] != *b"\x93NUMPY" {
        return Err("is not a numpy array".to_owned());
    }
    let mut length = [0; 4];
    let n_length = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(format!("numpy format {version}.{} is not supported", start[7])),
    };
    reader.read_exact(&mut length[..n_length]).map_err(cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(format!("header of {length} bytes is too long"));
    }
    let mut header = vec![0; length];
    reader.read_exact(&mut header).map_err(cut)?;
    String::from_utf8(header).map_err(|_| "header is not a text".to_owned())
}

/// What follows `'key':` in the header's dict.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let after = header.split_once(&format!("'{key}'")).and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    after.map(str::trim_start).ok_or_else(|| format!("header: {key} is missing"))
}

fn quoted(value: &str) -> Option<&str> {
    value.strip_prefix('\'')?.split_once('\'').map(|(text, _)| text)
}

fn parse_shape(value: &str) -> Option<Vec<usize>> {
    let (sizes, _) = value.strip_prefix('(')?.split_once(')')?;
    sizes.split(',').map(str::trim).filter(|size| !size.is_empty()).map(|size| size.parse().ok()).collect()
}

/// Row-major order of an array whose first index runs fastest.
fn row_major(stored: &[f32], shape: &[usize]) -> Vec<f32> {
    let array = ArrayView::from_shape(IxDyn(shape).f(), stored).expect("there are as many elements as the shape says");
    array.iter().copied().collect()
}

/// Bytes of an array of strings, as numpy writes `np.array(texts)`.
pub(super) fn unicode(texts: &[String]) -> Vec<u8> {
    let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
    let mut bytes = header(&format!("<U{width}"), &[texts.len()]);
    for text in texts {
        let end = bytes.len() + 4 * width;
        bytes.extend(text.chars().flat_map(|c| u32::from(c).to_le_bytes()));
        bytes.resize(end, 0);
    }
    bytes
}

/// Writes a row-major array of single precision.
pub(super) fn write_floats(values: &[f32], shape: &[usize], mut writer: impl Write) -> std::io::Result<()> {
    writer.write_all(&header("<f4", shape))?;
    // In blocks: one call per value is slow, and all at once takes the memory twice.
    for block in values.chunks(16_384) {
        let bytes: Vec<u8> = block.iter().flat_map(|v| v.to_le_bytes()).collect();
        writer.write_all(&bytes)?;
    }
    Ok(())
}

/// A header of format 1.0, padded so that the elements start at a multiple of 64 bytes.
fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let length = (10 + dict.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(dict.as_bytes());
    bytes.resize(10 + length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(descr: &str, shape: &[usize], elements: &[u8]) -> Array {
        let mut bytes = header(descr, shape);
        bytes.extend(elements);
        Array::read(bytes.as_slice()).unwrap()
    }

    #[test]
    fn the_header_is_numpys_byte_for_byte() {
        // np.lib.format.write_array of numpy 2.4.6.
        let expected = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        let bytes = header("<f4", &[2, 3]);
        assert_eq!(bytes.len(), 128);
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!(std::str::from_utf8(&bytes[10..]).unwrap().trim_end(), expected);
        assert_eq!(bytes.last(), Some(&b'\n'));
        let text = String::from_utf8_lossy(&header("<U7", &[5])).into_owned();
        assert!(text.contains("'descr': '<U7', 'fortran_order': False, 'shape': (5,), }"), "{text}");
    }

    #[test]
    fn every_kind_of_id_becomes_text() {
        assert_eq!(array("<i2", &[2], &[255, 255, 1, 1]).strings().unwrap(), ["-1", "257"]);
        assert_eq!(array(">i4", &[1], &[255, 255, 255, 254]).strings().unwrap(), ["-2"]);
        assert_eq!(array("|u1", &[2], &[7, 255]).strings().unwrap(), ["7", "255"]);
        assert_eq!(array("<i8", &[1], &i64::MIN.to_le_bytes()).strings().unwrap(), [i64::MIN.to_string()]);
        assert_eq!(array("|S3", &[2], b"ab\0xyz").strings().unwrap(), ["ab", "xyz"]);
        assert_eq!(array(">U2", &[1], &[0, 0, 0, 0x41, 0, 0, 0, 0]).strings().unwrap(), ["A"]);
        let texts = ["é".to_owned(), "a𝄞c".to_owned()];
        assert_eq!(Array::read(unicode(&texts).as_slice()).unwrap().strings().unwrap(), texts);
    }

    #[test]
    fn fortran_order_is_undone() {
        assert_eq!(row_major(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], &[2, 3]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        // Element (i, j, k) of shape (2, 2, 2) is 4 i + 2 j + k and lies at i + 2 j + 4 k.
        assert_eq!(
            row_major(&[0.0, 4.0, 2.0, 6.0, 1.0, 5.0, 3.0, 7.0], &[2, 2, 2]),
            std::array::from_fn::<_, 8, _>(|i| i as f32)
        );
    }

    #[test]
    fn what_is_no_plain_array_is_refused() {
        let read = |bytes: &[u8]| Array::read(bytes).unwrap_err();
        let with = |descr: &str, shape: &str| {
            let dict = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((dict.len() as u16).to_le_bytes());
            bytes.extend(dict.as_bytes());
            read(&bytes)
        };
        assert!(with("'|O'", "(3,)").contains("dtype=str"));
        assert!(with("[('a', '<f4')]", "(3,)").contains("records"));
        assert!(with("'<c8'", "(3,)").contains("\"<c8\" is not supported"));
        assert!(with("'<f4'", "(3,").contains("shape"));
        assert!(with("'<f4'", "(-3,)").contains("shape"));
        assert!(with("'<f4'", "(4294967296, 4294967296)").contains("too large"));
        assert!(with("'<f4'", "(1000000000000,)").contains("4000000000000 bytes expected, 0 found"));
        assert!(read(b"PK\x03\x04....").contains("not a numpy array"));
        assert!(read(b"\x93NUMPY\x09\x00\x00\x00").contains("format 9.0"));
        assert!(read(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("too long"));
        assert!(read(&header("<f4", &[1])[..50]).contains("truncated"));
    }
}
