//! The two containers of `torch.save`: a zip archive, and before PyTorch 1.6 a sequence of pickles
//! followed by the elements.
//!
//! Enters: a file. Leaves: the pickled object, and storages by their key. No size is believed
//! unless the file confirms it.

use super::machine::{Parsed, parse};
use super::tensors::{Storage, storages};
use super::value::{Pickle, Value};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// A pickle that is longer describes no network; a training's optimiser and configuration take less
/// than a mebibyte.
const MAX_PICKLE: u64 = 16 << 20;
/// First pickle of the old format, little-endian (`MAGIC_NUMBER` in `torch/serialization.py`).
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// An open file of `torch.save`.
pub(super) struct Archive {
    container: Container,
    /// Size of the file.
    n_bytes: u64,
}

enum Container {
    /// The archive, and the folder in it that holds everything.
    Zip(Box<zip::ZipArchive<File>>, String),
    /// The file, and where the elements of each storage begin and how many bytes they take.
    Legacy(File, HashMap<String, (u64, usize)>),
}

impl Archive {
    /// Opens a file of `n_bytes`.
    pub(super) fn open(mut file: File, n_bytes: u64) -> Parsed<(Self, Pickle)> {
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(|e| e.to_string())?;
        file.rewind().map_err(|e| e.to_string())?;
        let (container, pickle) = match &magic[..] {
            b"PK\x03\x04" => open_zip(file, n_bytes)?,
            [0x80, ..] => open_legacy(file, n_bytes)?,
            _ => return Err("is neither a zip archive nor a pickle".to_owned()),
        };
        Ok((Self { container, n_bytes }, pickle))
    }

    /// The bytes of a storage.
    pub(super) fn read(&mut self, storage: &Storage<'_>) -> Parsed<Vec<u8>> {
        match &mut self.container {
            Container::Zip(archive, folder) => {
                let entry = format!("{folder}data/{}", storage.key);
                let bytes = read_entry(archive, &entry, self.n_bytes)?;
                if bytes.len() != storage.n_bytes {
                    return Err(format!("{entry} has {} bytes, expected {}", bytes.len(), storage.n_bytes));
                }
                Ok(bytes)
            }
            Container::Legacy(file, places) => {
                let place = places.get(storage.key).filter(|(_, n_bytes)| *n_bytes == storage.n_bytes);
                let (at, n_bytes) = place.ok_or_else(|| format!("storage {:?} is missing", storage.key))?;
                file.seek(SeekFrom::Start(*at)).map_err(|e| e.to_string())?;
                let mut bytes = vec![0; *n_bytes];
                file.read_exact(&mut bytes).map_err(|e| format!("storage {:?}: {e}", storage.key))?;
                Ok(bytes)
            }
        }
    }
}

fn open_zip(file: File, n_bytes: u64) -> Parsed<(Container, Pickle)> {
    let mut archive = zip::ZipArchive::new(file).map_err(|e| format!("damaged or truncated archive: {e}"))?;
    let indices = archive.file_names().filter(|n| n.ends_with("/data.pkl"));
    let index = indices.min_by_key(|n| n.len()).map(str::to_owned).ok_or("data.pkl is missing")?;
    let folder = index.trim_end_matches("data.pkl").to_owned();
    let order = format!("{folder}byteorder");
    if archive.file_names().any(|n| n == order) && read_entry(&mut archive, &order, 16)? != b"little" {
        return Err("is big-endian".to_owned());
    }
    let bytes = read_entry(&mut archive, &index, MAX_PICKLE.min(n_bytes))?;
    let pickle = parse(&bytes).map_err(|e| format!("data.pkl: {e}"))?;
    Ok((Container::Zip(Box::new(archive), folder), pickle))
}

/// Reads an entry of at most `limit` bytes; PyTorch does not compress, so that none is larger than
/// the file.
fn read_entry(archive: &mut zip::ZipArchive<File>, name: &str, limit: u64) -> Parsed<Vec<u8>> {
    let entry = archive.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    let n = entry.size();
    if n > limit {
        return Err(format!("{name} has {n} bytes, expected at most {limit}"));
    }
    let mut bytes = Vec::with_capacity(n as usize);
    // One byte more, so that the archive's checksum is looked at.
    entry.take(n + 1).read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
    if bytes.len() as u64 != n {
        return Err(format!("{name} has {} bytes, expected {n}", bytes.len()));
    }
    Ok(bytes)
}

/// Four pickles (magic number, version, properties of the machine, the object), the list of
/// storages, and these, each after its number of elements.
fn open_legacy(mut file: File, n_bytes: u64) -> Parsed<(Container, Pickle)> {
    let mut head = Vec::new();
    file.by_ref().take(MAX_PICKLE).read_to_end(&mut head).map_err(|e| e.to_string())?;
    let mut at = 0;
    let mut next = |what: &str| -> Parsed<Pickle> {
        let pickle = parse(&head[at..]).map_err(|e| format!("{what}: {e}"))?;
        at += pickle.length;
        Ok(pickle)
    };
    let magic = next("magic number")?;
    if magic.values[magic.root] != Value::Long(LEGACY_MAGIC.to_vec()) {
        return Err("is a pickle, but not of torch.save".to_owned());
    }
    next("version")?;
    let machine = next("properties of the machine")?;
    let little = machine.entry(machine.root, "little_endian");
    if little.is_some_and(|id| machine.values[id] == Value::False) {
        return Err("is big-endian".to_owned());
    }
    let pickle = next("object")?;
    let keys = next("list of storages")?;
    let known: HashMap<&str, Storage<'_>> = storages(&pickle)?.into_iter().map(|s| (s.key, s)).collect();
    let mut places = HashMap::new();
    let mut at = at as u64;
    for &key in keys.sequence(keys.root).ok_or("list of storages is not a list")? {
        let storage = keys.text(key).and_then(|key| known.get(key)).ok_or("list of storages names an unknown one")?;
        let mut count = [0; 8];
        file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
        file.read_exact(&mut count).map_err(|_| format!("is truncated: storage {:?} is missing", storage.key))?;
        let (count, expected) = (u64::from_le_bytes(count), storage.n_elements as u64);
        if count != expected {
            return Err(format!("storage {:?} has {count} elements, expected {expected}", storage.key));
        }
        let begin = at + 8;
        at = begin.checked_add(storage.n_bytes as u64).filter(|&end| end <= n_bytes).ok_or_else(|| {
            let left = n_bytes - begin;
            format!("is truncated: storage {:?} has {} bytes, {left} are left", storage.key, storage.n_bytes)
        })?;
        places.insert(storage.key.to_owned(), (begin, storage.n_bytes));
    }
    Ok((Container::Legacy(file, places), pickle))
}
